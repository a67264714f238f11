"""What one user does with one submission: submit, retry, repeat, cancel, poll, fetch; every step entered in the books.

Each step is a `Program`: it says which calls and rests it wants, and knows neither transport nor Locust nor gevent, so any kind
of user can run it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from harness.budget import BudgetExceededError
from harness.fixtures import Correlation
from harness.history import Rpc, Unknown
from harness.model import TERMINAL, Status
from harness.workload import Follow
from loadtests.answers import STATUS_OF, ids_of, result_of, shown_in, status_of
from loadtests.ledger import Doubt, LoadLedger
from loadtests.lifecycle import TrackedJob
from loadtests.patience import Patience
from loadtests.payloads import Payloads
from loadtests.program import Answer, Ask, Program
from loadtests.receipts import Ids
from loadtests.recording import Recording
from loadtests.workload import RETRY_MIN, Chooser, Submission

SPARED = 8
"""Jobs of a submission above which their requests are not kept through a rest: they take as much memory as the jobs."""


@dataclass(frozen=True)
class Workshop:
    """What the users of one run share."""

    payloads: Payloads
    follow: Follow
    ledger: LoadLedger
    recording: Recording
    patience: Patience


class _Accepted(NamedTuple):
    """An answered submission: all its ids, and the jobs that something is done with."""

    answer: Answer
    ids: Ids
    jobs: tuple[TrackedJob, ...]


class Driver:
    """Works through submissions one after the other. Whoever runs its programs may raise BudgetExceededError in them."""

    def __init__(self, workshop: Workshop, chooser: Chooser) -> None:
        self._shop = workshop
        self._chooser = chooser
        self._retries: Iterator[float] | None = None

    def step(self, due_ns: int | None = None) -> Program[None]:
        """Make one submission and see it through to its end, or to the deadline.

        `due_ns` is when it was meant to start; None: now, as nobody but this user decides.
        """
        submission = self._chooser.submission()
        octets = self._shop.payloads.submission(submission)
        self._shop.ledger.offered(submission)
        accepted = yield from self._submit(submission, octets, due_ns)
        if accepted is not None and (accepted.jobs or submission.replayed):
            yield from self._see_through(submission, octets, accepted)

    def _see_through(self, submission: Submission, octets: bytes, accepted: _Accepted) -> Program[None]:
        """Do with an accepted submission what its user does; in the end its jobs are settled, whatever happens."""
        ledger, jobs = self._shop.ledger, accepted.jobs
        try:
            if submission.replayed:
                yield from self._replay(submission, octets, accepted)
            if submission.cancelled and jobs:
                ledger.cancel_asked(jobs)
                yield Ask(Rpc.CANCEL, self._shop.payloads.cancel([job.id for job in jobs]))
            if submission.followed:
                yield from self._follow(accepted, submission.job)
            else:
                ledger.left_alone(jobs)
        finally:
            for job in jobs:
                ledger.settle(job)

    def pause(self) -> float:
        """Return how long to rest before the next step, in seconds."""
        return self._chooser.pause()

    def _submit(self, submission: Submission, octets: bytes, due_ns: int | None) -> Program[_Accepted | None]:
        """Submit until it is accepted: a lack of room is waited out, any other failure ends the attempt after a rest.

        In an open load there is no such rest: the schedule decides when the next attempt is made.
        """
        deadline = time.monotonic() + self._shop.follow.deadline
        is_open = due_ns is not None
        while True:
            outcome = yield from self._submit_once(submission, octets, due_ns)
            due_ns = None
            if isinstance(outcome, _Accepted):
                self._retries = None
                return outcome
            if self._shop.patience.by is not None or (is_open and outcome.code != "RESOURCE_EXHAUSTED"):
                return None
            self._retries = self._retries or self._chooser.retries()
            yield next(self._retries)
            if outcome.code != "RESOURCE_EXHAUSTED" or time.monotonic() >= deadline or self._shop.patience.by is not None:
                return None

    def _submit_once(self, submission: Submission, octets: bytes, due_ns: int | None = None) -> Program[_Accepted | Answer]:
        ledger = self._shop.ledger
        ledger.sent(submission)
        try:
            answer: Answer = yield Ask(submission.rpc, octets, submission.jobs, due_ns)
        except BudgetExceededError:
            ledger.refused(submission)
            raise
        if answer.error is None:
            ids, jobs = ids_of(answer.response), tuple[TrackedJob, ...]()
            if submission.followed or submission.cancelled:
                jobs = ledger.acknowledged(submission, ids, answer.request_id, answer.started_ns, answer.ended_ns)
            else:
                ledger.acknowledged_only(submission, ids, answer.request_id)
            return _Accepted(answer, ids, jobs)
        if not isinstance(answer.error, Unknown):
            ledger.refused(submission)
        return answer

    def _replay(self, submission: Submission, octets: bytes, accepted: _Accepted) -> Program[None]:
        answer: Answer = yield Ask(submission.rpc, octets, submission.jobs)
        if answer.error is None:
            self._shop.ledger.replayed(submission, accepted.ids, ids_of(answer.response), answer.request_id)
        else:
            self._shop.ledger.replay_failed(Doubt(submission, accepted.ids, accepted.jobs), answer.code, answer.request_id)

    def _follow(self, accepted: _Accepted, role: str) -> Program[None]:  # noqa: C901 - the hot path, hence no functions
        """Poll the jobs until all are in a terminal status, or patience ends."""
        shop = self._shop
        patience, limit = shop.patience, shop.follow.deadline
        correlation, unknown = shop.payloads.correlation(role), Status.UNKNOWN
        followed = left = self._asks(accepted.jobs)
        deadline, deadline_ns = time.monotonic() + limit, accepted.answer.ended_ns + limit * 1e9
        is_late = False
        waits = self._chooser.polls()
        while followed:
            wait = next(waits)
            if wait and len(followed) > SPARED:
                jobs = [job for job, _ in followed]
                followed = left = []
                yield wait
                followed = self._asks(jobs)
            elif wait:
                yield wait
            if wait:
                is_late = time.monotonic() >= deadline
            left = []
            for one in followed:
                if is_late or (patience.by is not None and not patience.left()):
                    return
                job, ask = one
                answer: Answer = yield ask
                response: Any
                _, _, response, error, sent_ns, ended_ns, _ = answer
                is_late = ended_ns >= deadline_ns
                if error is None and STATUS_OF.get(response.status, unknown) is job.status:
                    # As nearly always: this is what a load run does most.
                    job.asked_ns = sent_ns
                    left.append(one)
                elif not self._saw(job, answer):
                    left.append(one)
                    if error is not None and not wait:
                        yield RETRY_MIN  # who never rests must not hammer an endpoint that is down
                elif shop.follow.results and job.status in {Status.SUCCEEDED, Status.FAILED}:
                    yield from self._fetch(job, accepted.answer, correlation)
            followed = left

    def _asks(self, jobs: Iterable[TrackedJob]) -> list[tuple[TrackedJob, Ask]]:
        """Return jobs with the calls that ask for their status, the same every time."""
        status = self._shop.payloads.status
        return [(job, Ask(Rpc.STATUS, status(job.id))) for job in jobs]

    def _saw(self, job: TrackedJob, answer: Answer) -> bool:
        """Enter the answer to a status call in the books; return whether there is no use in asking again."""
        ledger = self._shop.ledger
        if answer.error is not None:
            return ledger.status_failed(job, answer.code, answer.request_id)
        status = status_of(answer.response)
        phase = job.saw(status, answer.started_ns, answer.ended_ns)
        if phase is not None:
            self._shop.recording.add_phase(phase, answer.ended_ns)
        return ledger.saw_status(job, status, answer.request_id) or status in TERMINAL

    def _fetch(self, job: TrackedJob, submitted: Answer, correlation: Correlation | None) -> Program[None]:
        answer: Answer = yield Ask(Rpc.RESULTS, self._shop.payloads.results(job.id))
        if answer.error is not None:
            self._shop.ledger.result_failed(job, answer.code, answer.request_id)
            return
        shown = None if correlation is None else shown_in(answer.response, correlation)
        self._shop.ledger.saw_result(job, result_of(answer.response), answer.request_id, shown)
        phase = job.to_result(submitted.started_ns, answer.ended_ns)
        self._shop.recording.add_phase(phase, answer.ended_ns)
