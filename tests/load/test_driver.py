"""One user's work, step by step, against a real Controller; no Locust here."""

from __future__ import annotations

import dataclasses
import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.budget import BudgetExceededError
from harness.draws import Counts, Sizes
from harness.endpoint import Endpoint, resolve
from harness.errors import HarnessError
from harness.history import Rpc, Unknown
from harness.profile import load_profile
from harness.requests import Requests
from harness.scenario import CALLBACKS, GRPCIO, USERS, WIRE
from harness.server.embedded_thread import background_server
from harness.server.settings import ServerSettings
from harness.stubs import service_pb2 as pb
from harness.workload import Follow, Workload
from loadtests.answers import ids_of
from loadtests.driver import Driver, Workshop
from loadtests.engine import Engine, Timers
from loadtests.ledger import LoadLedger
from loadtests.patience import Patience
from loadtests.payloads import Payloads
from loadtests.program import Answer, Ask, Program, run_waiting
from loadtests.receipts import ids_in
from loadtests.recording import Recording
from loadtests.transport.calls import Watchers, open_transport
from loadtests.workload import RETRY_MIN, Chooser
from tests.load.locusts import metrics

QUICK = "controller-job duration=2ms estimate=2ms"


def endpoint_at(address: str, job: str = QUICK, more: str = "") -> Endpoint:
    text = f"name: t\naddress: {address}\ntarget: {{quantum_processor_id: qpu-1}}\njobs:\n  quick: {{text: {job}}}\n{more}"
    return resolve(load_profile(text, "test"), Path())


class Told(Patience):
    """Patience as a function tells it, asked anew every time."""

    def __init__(self, tell: Callable[[], float | None]) -> None:
        self._tell = tell

    @property
    def by(self) -> float | None:  # type: ignore[override]
        return self._tell()


class Bench:
    """A driver with everything that it needs. `by` is when the run tells its users to be done; None: go on."""

    way = (WIRE, USERS)

    def __init__(
        self,
        endpoint: Endpoint,
        workload: Workload,
        *,
        by: Callable[[], float | None] = lambda: None,
        sleep: Callable[[float], None] | None = None,
        deadline: float = 20.0,
    ) -> None:
        kind, self._engine = self.way
        self.calls: list[tuple[Ask, Answer]] = []
        self.ledger = LoadLedger()
        self.recording = Recording()
        patience = Told(by)
        watchers = Watchers(self.recording.add_call, patience=patience)
        self.transport = open_transport(kind, endpoint, 2, watchers, 0)
        follow = Follow(poll_min=0.002, poll_max=0.02, deadline=deadline)
        shop = Workshop(Payloads(endpoint, workload), follow, self.ledger, self.recording, patience)
        pause = threading.Event()
        self._sleep = sleep or (lambda time: _wait(pause, time))
        if sleep is not None:
            self._engine = USERS  # only those who wait can be told how
        choices = random.Random(3)  # noqa: S311 - nothing secret
        self.driver = Driver(shop, Chooser(workload, follow, choices, random.SystemRandom()))

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.transport.close()

    def step(self) -> None:
        """Have the driver make one submission and see it through."""
        self.run(self.driver.step())

    def run(self, program: Program[object]) -> None:
        """Run a program to its end, in the way that is on trial."""
        if self._engine == USERS:
            run_waiting(program, self._call, self._sleep)
            return
        timers, errors = Timers(), list[HarnessError]()
        engine = Engine(self._start, errors.append, timers)
        engine.run(program, lambda: None)
        assert engine.idle.wait(60)
        timers.close()
        for error in errors:
            raise error

    def made(self) -> Counter[tuple[str, str]]:
        """Return how many calls were made, by RPC and code."""
        return Counter((answer.rpc.value, answer.code) for _, answer in self.calls)

    def _call(self, ask: Ask) -> Answer:
        answer = self.transport.call(ask)
        self.calls.append((ask, answer))
        return answer

    def _start(self, ask: Ask, done: Callable[[Answer], object]) -> None:
        def finished(answer: Answer) -> None:
            self.calls.append((ask, answer))
            done(answer)

        self.transport.start(ask, finished)


@pytest.fixture(autouse=True, params=[(WIRE, USERS), (WIRE, CALLBACKS), (GRPCIO, USERS)], ids="-".join)
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do everything by both transports, and by callbacks."""
    monkeypatch.setattr(Bench, "way", request.param)


def _wait(event: threading.Event, seconds: float) -> None:
    event.wait(seconds)


def test_a_step_makes_every_kind_of_call_and_leaves_the_books_straight() -> None:
    workload = Workload(
        single=1, batch=1, requests_per_batch=Counts(min=1, max=3), configurations_per_request=Counts(min=1, max=3)
    )
    always = dataclasses.replace(workload, cancelled=0.5, replayed=1.0)
    with background_server(ServerSettings()) as bound, Bench(endpoint_at(bound.address), always) as bench:
        for _ in range(10):
            bench.step()
        seen = metrics(bound.metrics_url or "")
        assert bench.transport.in_flight == 0
    books, made = bench.ledger.summary(), bench.made()
    assert (books.submissions, books.replays, books.violation_count, books.violations) == (10, 10, 0, ())
    assert books.finished == books.acknowledged_jobs == seen['controller_jobs_accepted_total{processor="qpu-1"}']
    assert books.canceled == seen['controller_jobs_finished_total{processor="qpu-1",status="canceled"}']
    assert seen["controller_replays_total"] == 10
    assert made["ExecuteControllerJob", "OK"] + made["BatchExecuteControllerJobs", "OK"] == 20
    assert made["ExecuteControllerJob", "OK"]
    assert made["BatchExecuteControllerJobs", "OK"]
    assert made["CancelControllerJobs", "OK"]
    assert made["GetControllerJobResults", "OK"] == books.finished - books.canceled
    phases = {line.name: line.histogram.count for line in bench.recording.latencies()}
    assert phases["queued"] == phases["to_result"] == books.finished - books.canceled


def test_a_full_queue_is_waited_out_with_the_same_submission() -> None:
    endless = "controller-job duration=60s estimate=60s"
    with background_server(ServerSettings(queue_capacity=1, drain=0)) as bound:
        endpoint = endpoint_at(bound.address, endless)
        two = Workload(configurations_per_request=Counts(min=2, max=2))

        def make_room(_: float) -> None:
            request = Requests(endpoint).cancel([job_id.decode() for job_id in ids_of(hog.calls[0][1].response).flat])
            hog.transport.call(Ask(Rpc.CANCEL, request.SerializeToString()))

        def by() -> float | None:
            return 0.0 if bench.made()["ExecuteControllerJob", "OK"] else None

        with (
            Bench(endpoint, two, deadline=0.001) as hog,
            Bench(endpoint, Workload(), sleep=make_room, by=by) as bench,
        ):
            hog.step()
            bench.step()
    assert bench.made() == {("ExecuteControllerJob", "RESOURCE_EXHAUSTED"): 1, ("ExecuteControllerJob", "OK"): 1}
    assert len({ask.octets for ask, _ in bench.calls}) == 1
    books = bench.ledger.summary()
    assert (books.submissions, books.acknowledged_jobs, books.unfinished, books.unknown_submissions) == (1, 1, 1, 0)
    assert hog.ledger.summary().unfinished == 2


def test_a_refusal_is_rested_on_and_given_up() -> None:
    rests: list[float] = []
    with background_server(ServerSettings()) as bound:
        endpoint = endpoint_at(bound.address)
        elsewhere = dataclasses.replace(
            endpoint.profile, target=dataclasses.replace(endpoint.profile.target, quantum_processor_id="qpu-9")
        )
        with Bench(dataclasses.replace(endpoint, profile=elsewhere), Workload(), sleep=rests.append) as bench:
            for _ in range(3):
                bench.step()
    assert bench.made() == {("ExecuteControllerJob", "NOT_FOUND"): 3}
    assert len(rests) == 3
    assert rests[0] < rests[1] < rests[2] * 2
    assert bench.ledger.summary().unknown_submissions == 0


def test_an_unanswered_submission_is_unknown() -> None:
    with Bench(endpoint_at("127.0.0.1:1"), Workload(), sleep=lambda _: None) as bench:
        bench.step()
    assert len(bench.ledger.unknown) == 1
    assert bench.ledger.summary().unknown_submissions == 1


def test_a_spent_budget_ends_the_work_and_leaves_no_unknown_submission() -> None:
    with background_server(ServerSettings()) as bound:
        endpoint = endpoint_at(bound.address, more="budget: {jobs: 2}\n")
        with Bench(endpoint, Workload()) as bench:
            bench.step()
            bench.step()
            with pytest.raises(BudgetExceededError, match="budget of 2"):
                bench.step()
    books = bench.ledger.summary()
    assert (books.finished, books.unknown_submissions) == (2, 0)


def test_a_run_that_is_being_stopped_makes_no_user_wait_for_its_jobs() -> None:
    left = itertools.chain([None] * 2, itertools.repeat(0.0))
    job = "controller-job duration=30s estimate=30s"
    with (
        background_server(ServerSettings(drain=0)) as bound,
        Bench(endpoint_at(bound.address, job), Workload(), by=lambda: next(left)) as bench,
    ):
        bench.step()
    assert bench.ledger.summary().unfinished == 1


def test_jobs_that_are_not_followed_are_left_alone() -> None:
    workload = Workload(configurations_per_request=2, followed=0, replayed=1)
    with background_server(ServerSettings()) as bound, Bench(endpoint_at(bound.address), workload) as bench:
        for _ in range(3):
            bench.step()
    books = bench.ledger.summary()
    assert bench.made() == {("ExecuteControllerJob", "OK"): 6}
    assert (books.acknowledged_jobs, books.not_followed, books.unfinished, books.lost, books.violation_count) == (6, 6, 0, 0, 0)


CORRELATED = """\
  correlated: {text: controller-job duration=2ms readout=tag}
  slow: {text: controller-job duration=20ms readout=fixed, memory: {fixed: {integer: [1]}}}
"""


def test_workloads_of_every_shape_run_and_results_show_their_configuration() -> None:
    workload = Workload(
        jobs={"quick": 1, "slow": 1, "correlated": 1},
        batch=1,
        requests_per_batch=Counts(choose={"1": 1, "3": 1}),
        configurations_per_request=Counts(min=1, max=3),
        memory_values_per_configuration=Counts(law="exponential", mean=20, max=100),
        memory_region="theta",
        payload_size=Sizes(choose={"10B": 1, "1KiB": 1, "200KiB": 1}),
    )
    with background_server(ServerSettings()) as bound:
        endpoint = endpoint_at(bound.address, more=CORRELATED + "correlation: {region: tag}\n")
        with Bench(endpoint, workload) as bench:
            for _ in range(20):
                bench.step()
    books = bench.ledger.summary()
    assert (books.finished, books.failed, books.violations) == (books.acknowledged_jobs, 0, ())
    assert max(len(ask.octets) for ask, _ in bench.calls) > 200 << 10


def test_a_result_of_another_configuration_is_found() -> None:
    job = "correlated: {text: controller-job duration=2ms readout=fixed, memory: {fixed: {integer: [1]}}}"
    more = f"  {job}\ncorrelation: {{region: tag, shown_as: fixed}}\n"
    workload = Workload(job="correlated", configurations_per_request=3)
    with background_server(ServerSettings()) as bound, Bench(endpoint_at(bound.address, more=more), workload) as bench:
        bench.step()
    # The result always shows 1: right for the second configuration only.
    assert [found.requirement for found in bench.ledger.summary().violations] == ["EXEC-02"] * 2


def test_polling_without_rest_still_rests_when_calls_fail() -> None:
    rests: list[float] = []
    left = iter([pb.GetControllerJobStatusResponse.Status.QUEUED] * 3)
    down = Unknown("UNAVAILABLE", "nobody there")

    def call(ask: Ask) -> Answer:
        if ask.rpc is Rpc.EXECUTE:
            return Answer(ask.rpc, "OK", ids_in([["a"]]), None, 0, 1, b"1")
        status = next(left, None)
        if status is not None:
            return Answer(ask.rpc, "OK", pb.GetControllerJobStatusResponse(status=status), None, 2, 3, b"2")
        return Answer(ask.rpc, down.code, None, down, 4, 5, b"3")

    follow = Follow(poll_min=0)
    payloads = Payloads(endpoint_at("127.0.0.1:1"), Workload())
    patience = itertools.chain([None] * 6, itertools.repeat(0.0))
    shop = Workshop(payloads, follow, LoadLedger(), Recording(), Told(lambda: next(patience)))
    chooser = Chooser(Workload(), follow, random.Random(3), random.Random(4))  # noqa: S311 - nothing secret
    run_waiting(Driver(shop, chooser).step(), call, rests.append)
    assert rests == [RETRY_MIN] * 3


@pytest.mark.parametrize("number", [0, 99])
def test_a_job_whose_status_means_nothing_is_denied(number: int) -> None:
    status = pb.GetControllerJobStatusResponse.FromString(bytes([1 << 3, number]))

    def call(ask: Ask) -> Answer:
        return Answer(ask.rpc, "OK", ids_in([["a"]]) if ask.rpc is Rpc.EXECUTE else status, None, 0, 1, b"1")

    ledger, follow = LoadLedger(), Follow(poll_min=0)
    patience = itertools.chain([None] * 20, itertools.repeat(0.0))
    payloads = Payloads(endpoint_at("127.0.0.1:1"), Workload())
    shop = Workshop(payloads, follow, ledger, Recording(), Told(lambda: next(patience)))
    chooser = Chooser(Workload(), follow, random.Random(3), random.Random(4))  # noqa: S311 - nothing secret
    run_waiting(Driver(shop, chooser).step(), call, lambda _: None)
    assert [found.requirement for found in ledger.summary().violations] == ["STA-02"]
