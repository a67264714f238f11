"""One user's work, step by step, against a real Controller; no Locust here."""

from __future__ import annotations

import dataclasses
import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from harness.budget import BudgetExceededError
from harness.call import Call
from harness.endpoint import Endpoint, resolve
from harness.executors import CONSTANT_USERS
from harness.history import Rpc
from harness.profile import load_profile
from harness.requests import Requests
from harness.scenario import TRANSPORTS, WIRE, Counts, Follow, Scenario, Workload
from harness.server.embedded_thread import background_server
from harness.server.settings import ServerSettings
from harness.stubs import service_pb2 as pb
from loadtests.driver import Driver, Workshop
from loadtests.ledger import LoadLedger
from loadtests.recording import Recording
from loadtests.transport.calls import open_transport
from loadtests.workload import Chooser
from tests.load.locusts import metrics

QUICK = "controller-job duration=2ms estimate=2ms"


def endpoint_at(address: str, job: str = QUICK, more: str = "") -> Endpoint:
    text = f"name: t\naddress: {address}\ntarget: {{quantum_processor_id: qpu-1}}\njobs:\n  quick: {{text: {job}}}\n{more}"
    return resolve(load_profile(text, "test"), Path())


class Bench:
    """A driver with everything that it needs. `patience` is what the run tells its users; None: go on."""

    transport_kind = WIRE

    def __init__(
        self,
        endpoint: Endpoint,
        workload: Workload,
        *,
        patience: Callable[[], float | None] = lambda: None,
        sleep: Callable[[float], None] | None = None,
        deadline: float = 20.0,
    ) -> None:
        self.calls: list[Call] = []
        self.ledger = LoadLedger()
        self.recording = Recording()
        self.transport = open_transport(self.transport_kind, endpoint, 2, self.calls.append, 0)
        follow = Follow(poll_min=0.002, poll_max=0.02, deadline=deadline)
        scenario = Scenario(name="t", executor=CONSTANT_USERS, users=1, duration=1.0, workload=workload, follow=follow)
        pause = threading.Event()
        shop = Workshop(
            endpoint,
            scenario,
            self.transport,
            self.ledger,
            self.recording,
            sleep or (lambda time: _wait(pause, time)),
            patience,
            0,
        )
        choices = random.Random(3)  # noqa: S311 - nothing secret
        self.driver = Driver(shop, Chooser(workload, follow, choices, random.SystemRandom()))

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.transport.close()

    def made(self) -> Counter[tuple[str, str]]:
        """Return how many calls were made, by RPC and code."""
        return Counter((call.rpc.value, call.code) for call in self.calls)


@pytest.fixture(autouse=True, params=tuple(TRANSPORTS))
def _transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do everything by both transports."""
    monkeypatch.setattr(Bench, "transport_kind", request.param)


def _wait(event: threading.Event, seconds: float) -> None:
    event.wait(seconds)


def test_a_step_makes_every_kind_of_call_and_leaves_the_books_straight() -> None:
    workload = Workload(
        single=1, batch=1, requests_per_batch=Counts(min=1, max=3), configurations_per_request=Counts(min=1, max=3)
    )
    always = dataclasses.replace(workload, cancelled=0.5, replayed=1.0)
    with background_server(ServerSettings()) as bound, Bench(endpoint_at(bound.address), always) as bench:
        for _ in range(10):
            bench.driver.step()
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
            response = cast("pb.ExecuteControllerJobResponse", hog.calls[0].response)
            hog.transport.call(Rpc.CANCEL, Requests(endpoint).cancel(response.job_execution_ids))

        def patience() -> float | None:
            return 0.0 if bench.made()["ExecuteControllerJob", "OK"] else None

        with (
            Bench(endpoint, two, deadline=0.001) as hog,
            Bench(endpoint, Workload(), sleep=make_room, patience=patience) as bench,
        ):
            hog.driver.step()
            bench.driver.step()
    assert bench.made() == {("ExecuteControllerJob", "RESOURCE_EXHAUSTED"): 1, ("ExecuteControllerJob", "OK"): 1}
    assert len({call.request.SerializeToString() for call in bench.calls}) == 1
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
                bench.driver.step()
    assert bench.made() == {("ExecuteControllerJob", "NOT_FOUND"): 3}
    assert len(rests) == 3
    assert rests[0] < rests[1] < rests[2] * 2
    assert bench.ledger.summary().unknown_submissions == 0


def test_an_unanswered_submission_is_unknown_and_resolved_by_its_key() -> None:
    with background_server(ServerSettings()) as bound:
        unreachable = endpoint_at("127.0.0.1:1")
        with Bench(unreachable, Workload(), sleep=lambda _: None) as lost:
            lost.driver.step()
        (submission,) = lost.ledger.unknown
        assert lost.ledger.summary().unknown_submissions == 1
        with Bench(endpoint_at(bound.address), Workload()) as bench:
            bench.driver.resolve(submission)
    books = bench.ledger.summary()
    assert (books.unknown_submissions, books.finished, books.violation_count) == (0, submission.jobs, 0)


def test_a_spent_budget_ends_the_work_and_leaves_no_unknown_submission() -> None:
    with background_server(ServerSettings()) as bound:
        endpoint = endpoint_at(bound.address, more="budget: {jobs: 2}\n")
        with Bench(endpoint, Workload()) as bench:
            bench.driver.step()
            bench.driver.step()
            with pytest.raises(BudgetExceededError, match="budget of 2"):
                bench.driver.step()
    books = bench.ledger.summary()
    assert (books.finished, books.unknown_submissions) == (2, 0)


def test_a_run_that_is_being_stopped_makes_no_user_wait_for_its_jobs() -> None:
    left = itertools.chain([None] * 2, itertools.repeat(0.0))
    job = "controller-job duration=30s estimate=30s"
    with (
        background_server(ServerSettings(drain=0)) as bound,
        Bench(endpoint_at(bound.address, job), Workload(), patience=lambda: next(left)) as bench,
    ):
        bench.driver.step()
    assert bench.ledger.summary().unfinished == 1
