"""The audit at the end of a load run, call by call: against a real Controller, and against answers that none would give."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from google.protobuf.message import Message

from harness.budget import BudgetExceededError
from harness.history import Rpc, outcome_of_error
from harness.ids import random_key
from harness.model import Status
from harness.scenario import WIRE
from harness.server.embedded_thread import background_server
from harness.server.settings import ServerSettings
from harness.stubs import service_pb2 as pb
from harness.workload import Follow, Workload
from loadtests.audit import ATTEMPTS, Audit, Step
from loadtests.ledger import Doubt, LoadLedger
from loadtests.lifecycle import TrackedJob
from loadtests.payloads import Payloads
from loadtests.program import Answer, Ask, run_waiting
from loadtests.receipts import Ids, ids_in
from loadtests.transport.calls import Transport, Watchers, open_transport
from loadtests.workload import Submission
from tests.load.test_driver import endpoint_at

KEYS = random.Random(11)  # noqa: S311 - nothing secret
FOLLOW = Follow(poll_min=0.001, poll_max=0.002)
Reply = Message | Ids | str
"""A response, or the code of an error."""


def submission(*sizes: int) -> Submission:
    return Submission(Rpc.EXECUTE if len(sizes) == 1 else Rpc.BATCH, random_key(KEYS), sizes, False, False)


def ids(*names: str) -> Ids:
    return ids_in([list(names)])


def status(name: str) -> Message:
    return pb.GetControllerJobStatusResponse(status=pb.GetControllerJobStatusResponse.Status.Value(name))


class Endpoint:
    """Answers calls as it is told, the last answer of a kind again and again; counts them."""

    def __init__(self, **replies: list[Reply]) -> None:
        self._replies = {Rpc[name]: itertools.chain(given, itertools.repeat(given[-1])) for name, given in replies.items()}
        self.calls: Counter[str] = Counter()

    def __call__(self, ask: Ask) -> Answer:
        self.calls[ask.rpc.value] += 1
        reply = next(self._replies[ask.rpc])
        if isinstance(reply, str):
            return Answer(ask.rpc, reply, None, outcome_of_error(reply, "told to"), 0, 1, b"call")
        return Answer(ask.rpc, "OK", reply, None, 0, 1, b"call")


def audited(
    ledger: LoadLedger, call: Callable[[Ask], Answer], patience: Iterator[float] | None = None, follow: Follow = FOLLOW
) -> None:
    """Conduct the audit by three clerks, one after the other."""
    left = patience or itertools.repeat(1.0)

    def share(step: Step) -> None:
        for program in [step() for _ in range(3)]:
            run_waiting(program, call, lambda _: None)

    payloads = Payloads(endpoint_at("127.0.0.1:1"), Workload())
    Audit(ledger, payloads, follow, lambda: next(left)).conduct(share)


def asked(*sizes: int) -> tuple[LoadLedger, Submission]:
    """Return books with a submission of which nobody knows the outcome."""
    ledger, offer = LoadLedger(), submission(*sizes)
    ledger.offered(offer)
    ledger.sent(offer)
    return ledger, offer


def followed(*statuses: Status | None) -> tuple[LoadLedger, tuple[TrackedJob, ...]]:
    """Return books with jobs that their user left in these statuses."""
    ledger, offer = asked(len(statuses))
    jobs = ledger.acknowledged(offer, ids(*(f"job-{place}" for place in range(len(statuses)))), "call")
    for job, seen in zip(jobs, statuses, strict=True):
        if seen is not None:
            ledger.saw_status(job, seen, "call")
        ledger.settle(job)
    return ledger, jobs


@pytest.mark.parametrize("executed_before", [False, True])
def test_an_unknown_submission_is_resolved_by_its_key_and_its_jobs_are_seen_to_their_end(executed_before: bool) -> None:
    with background_server(ServerSettings()) as bound:
        endpoint = endpoint_at(bound.address)
        transport: Transport = open_transport(WIRE, endpoint, 1, Watchers(), 0)
        ledger, offer = asked(2, 1)
        if executed_before:
            assert transport.call(Ask(offer.rpc, Payloads(endpoint, Workload()).submission(offer))).error is None
        audited(ledger, transport.call)
        transport.close()
    books = ledger.summary()
    assert (books.unknown_submissions, books.acknowledged_jobs, books.finished) == (0, 3, 3)
    assert (books.unfinished, books.lost, books.violation_count) == (0, 0, 0)


def test_a_submission_that_is_refused_in_the_end_made_nothing() -> None:
    ledger, _ = asked(2)
    audited(ledger, Endpoint(EXECUTE=["INVALID_ARGUMENT"]))
    books = ledger.summary()
    assert (books.unknown_submissions, books.acknowledged_jobs, books.violation_count) == (0, 0, 0)


def test_a_submission_without_an_answer_stays_unknown() -> None:
    ledger, _ = asked(2)
    endpoint = Endpoint(EXECUTE=["UNAVAILABLE"])
    audited(ledger, endpoint)
    assert (ledger.summary().unknown_submissions, ledger.summary().unknown_jobs) == (1, 2)
    assert endpoint.calls == {"ExecuteControllerJob": ATTEMPTS}


def test_a_submission_is_repeated_until_there_is_an_answer() -> None:
    ledger, _ = asked(1)
    endpoint = Endpoint(EXECUTE=["UNAVAILABLE", ids("a")], STATUS=[status("QUEUED"), status("CANCELED")])
    audited(ledger, endpoint)
    assert endpoint.calls == {"ExecuteControllerJob": 2, "GetControllerJobStatus": 2}
    assert (ledger.summary().unknown_submissions, ledger.summary().canceled) == (0, 1)


def test_left_jobs_are_asked_for_once_and_told_apart() -> None:
    ledger, _ = followed(Status.QUEUED, Status.RUNNING, None, Status.SUCCEEDED)
    endpoint = Endpoint(STATUS=[status("RUNNING"), "NOT_FOUND", status("FAILED")], RESULTS=["UNAVAILABLE"])
    audited(ledger, endpoint)
    books = ledger.summary()
    assert (books.finished, books.failed, books.unfinished, books.lost) == (2, 1, 1, 1)
    assert endpoint.calls == {"GetControllerJobStatus": 3, "GetControllerJobResults": 1}
    assert [item.requirement for item in books.violations] == ["STA-02", "EXEC-05"]


def test_results_are_fetched_only_if_the_scenario_says_so() -> None:
    ledger, _ = followed(None)
    endpoint = Endpoint(STATUS=[status("SUCCEEDED")])
    audited(ledger, endpoint, follow=Follow(poll_max=0.01, results=False))
    assert endpoint.calls == {"GetControllerJobStatus": 1}
    assert ledger.summary().finished == 1


def test_a_doubtful_replay_is_repeated_and_has_to_agree() -> None:
    ledger, (job,) = followed(Status.RUNNING)
    offer = submission(1)
    ledger.replay_failed(Doubt(offer, ids("job-0"), (job,)), "DEADLINE_EXCEEDED", "call")
    audited(ledger, Endpoint(EXECUTE=[ids("other")], STATUS=[status("RUNNING")]))
    books = ledger.summary()
    assert (books.replays, books.duplicated) == (1, 1)
    assert [item.requirement for item in books.violations] == ["IDEM-01"]


def test_nothing_is_asked_when_no_time_is_left() -> None:
    ledger, _ = followed(Status.RUNNING)
    endpoint = Endpoint(STATUS=["NOT_FOUND"])
    audited(ledger, endpoint, itertools.repeat(0.0))
    assert not endpoint.calls
    assert (ledger.summary().unfinished, ledger.summary().lost) == (1, 0)


def test_jobs_of_a_resolved_submission_are_followed_as_long_as_there_is_time() -> None:
    ledger, _ = asked(1)
    endpoint = Endpoint(EXECUTE=[ids("a")], STATUS=[status("QUEUED")])
    audited(ledger, endpoint, itertools.chain([1.0] * 20, itertools.repeat(0.0)))
    assert endpoint.calls["GetControllerJobStatus"] > 2
    assert (ledger.summary().unfinished, ledger.summary().violation_count) == (1, 0)


def test_a_spent_budget_ends_the_audit_and_nothing_else() -> None:
    ledger, _ = asked(1)

    def call(_: Ask) -> Answer:
        raise BudgetExceededError("no more calls")

    audited(ledger, call)
    assert ledger.summary().unknown_submissions == 1
