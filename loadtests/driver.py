"""What one user does with one submission: submit, retry, repeat, cancel, poll, fetch; every step entered in the books.

Knows the service and the transport, but neither Locust nor gevent: waiting comes in as a function, so any kind of user can
drive it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

from google.protobuf.message import Message

from harness.budget import BudgetExceededError
from harness.call import Call
from harness.endpoint import Endpoint
from harness.history import Rpc, Unknown
from harness.model import TERMINAL, ResultStatus, Status
from harness.requests import Requests
from harness.scenario import Scenario
from harness.stubs import job_pb2, service_pb2
from loadtests.ledger import Ids, LoadLedger
from loadtests.lifecycle import JobLife
from loadtests.recording import Recording
from loadtests.transport.calls import Transport
from loadtests.workload import Chooser, Submission

_STATUS_OF = {number: Status(name) for name, number in service_pb2.GetControllerJobStatusResponse.Status.items()}
_RESULT_OF = {number: ResultStatus(name) for name, number in job_pb2.ControllerJobExecutionResult.Status.items()}


LAST_CALL = 0.5
"""Shortest time, in seconds, that a call is given when the run is being stopped."""


@dataclass(frozen=True)
class Workshop:
    """What the users of one run share.

    `sleep` waits for seconds without holding up other users. `patience` is how many seconds a user may go on once the run
    is being stopped, None while it is not. `origin_ns` is the start of the run on the monotonic clock.
    """

    endpoint: Endpoint
    scenario: Scenario
    transport: Transport
    ledger: LoadLedger
    recording: Recording
    sleep: Callable[[float], None]
    patience: Callable[[], float | None]
    origin_ns: int


@dataclass(frozen=True)
class _Accepted:
    """An answered submission: the call, all its ids, and the jobs to follow."""

    call: Call
    ids: Ids
    jobs: tuple[str, ...]


class Driver:
    """Works through submissions one after the other. Raises BudgetExceededError when the profile's budget is spent."""

    def __init__(self, workshop: Workshop, chooser: Chooser) -> None:
        self._shop = workshop
        self._chooser = chooser
        self._requests = Requests(workshop.endpoint)
        self._retries: Iterator[float] | None = None

    def step(self, due_ns: int | None = None) -> None:
        """Make one submission and see it through to its end, or to the deadline.

        `due_ns` is when it was meant to start; None: now, as nobody but this user decides.
        """
        submission = self._chooser.submission()
        request = self._build(submission)
        self._shop.ledger.offered()
        accepted = self._submit(submission, request, due_ns)
        if accepted is None:
            return
        if submission.replayed:
            self._replay(submission, request, accepted)
        if submission.cancelled and accepted.jobs:
            self._call(Rpc.CANCEL, self._requests.cancel(accepted.jobs))
        self._follow(accepted)

    def pause(self) -> float:
        """Return how long to rest before the next step, in seconds."""
        return self._chooser.pause()

    def resolve(self, submission: Submission) -> None:
        """Find out what became of a submission that was never answered: repeat it once with its key, and follow the jobs."""
        outcome = self._submit_once(submission, self._build(submission))
        if isinstance(outcome, _Accepted):
            self._follow(outcome)

    def _submit(self, submission: Submission, request: Message, due_ns: int | None) -> _Accepted | None:
        """Submit until it is accepted: a lack of room is waited out, any other failure ends the attempt after a rest.

        In an open load there is no such rest: the schedule decides when the next attempt is made.
        """
        deadline = time.monotonic() + self._shop.scenario.follow.deadline
        is_open = due_ns is not None
        while True:
            outcome = self._submit_once(submission, request, due_ns)
            due_ns = None
            if isinstance(outcome, _Accepted):
                self._retries = None
                return outcome
            if self._shop.patience() is not None or (is_open and outcome.code != "RESOURCE_EXHAUSTED"):
                return None
            self._retries = self._retries or self._chooser.retries()
            self._shop.sleep(next(self._retries))
            if outcome.code != "RESOURCE_EXHAUSTED" or time.monotonic() >= deadline or self._shop.patience() is not None:
                return None

    def _submit_once(self, submission: Submission, request: Message, due_ns: int | None = None) -> _Accepted | Call:
        ledger = self._shop.ledger
        ledger.sent(submission)
        try:
            call = self._call(submission.rpc, request, due_ns)
        except BudgetExceededError:
            ledger.refused(submission)
            raise
        if call.error is None:
            ids = _ids_of(call)
            return _Accepted(call, ids, ledger.acknowledged(submission, ids, call.request_id))
        if not isinstance(call.error, Unknown):
            ledger.refused(submission)
        return call

    def _replay(self, submission: Submission, request: Message, accepted: _Accepted) -> None:
        call = self._call(submission.rpc, request)
        if call.error is None:
            self._shop.ledger.replayed(submission, accepted.ids, _ids_of(call), call.request_id)
        else:
            self._shop.ledger.replay_failed(submission, call.code, call.request_id)

    def _follow(self, accepted: _Accepted) -> None:
        """Poll the jobs until all are in a terminal status, or patience ends; then they are out of the books."""
        lives = {job_id: JobLife(accepted.call.ended_ns) for job_id in accepted.jobs}
        deadline = time.monotonic() + self._shop.scenario.follow.deadline
        waits = self._chooser.polls()
        try:
            while lives:
                self._shop.sleep(next(waits))
                for job_id in list(lives):
                    if time.monotonic() >= deadline or self._shop.patience() == 0:
                        return
                    if self._poll(job_id, lives[job_id], accepted.call):
                        del lives[job_id]
                        self._shop.ledger.settle(job_id)
        finally:
            for job_id in lives:
                self._shop.ledger.settle(job_id)

    def _poll(self, job_id: str, life: JobLife, submitted: Call) -> bool:
        """Ask for a job's status once, and for its result when there is one; return whether that was all."""
        call = self._call(Rpc.STATUS, self._requests.status(job_id))
        if call.error is not None:
            self._shop.ledger.status_failed(job_id, call.code, call.request_id)
            return False
        response = cast("service_pb2.GetControllerJobStatusResponse", call.response)
        status = _STATUS_OF.get(response.status, Status.UNKNOWN)
        self._shop.ledger.saw_status(job_id, status, call.request_id)
        for phase, micros in life.saw(status, call.ended_ns):
            self._shop.recording.add_phase(phase, micros, call.ended_ns)
        if status not in TERMINAL:
            return False
        if status is not Status.CANCELED and self._shop.scenario.follow.results:
            self._fetch(job_id, submitted)
        return True

    def _fetch(self, job_id: str, submitted: Call) -> None:
        call = self._call(Rpc.RESULTS, self._requests.results(job_id))
        if call.error is not None:
            self._shop.ledger.result_failed(job_id, call.code, call.request_id)
            return
        response = cast("service_pb2.GetControllerJobResultsResponse", call.response)
        found = _RESULT_OF.get(response.result.status, ResultStatus.UNKNOWN) if response.HasField("result") else None
        self._shop.ledger.saw_result(job_id, found, call.request_id)
        self._shop.recording.add_phase("to_result", (call.ended_ns - submitted.started_ns) // 1000, call.ended_ns)

    def _call(self, rpc: Rpc, request: Message, due_ns: int | None = None) -> Call:
        patience = self._shop.patience()
        call = self._shop.transport.call(rpc, request, None if patience is None else max(patience, LAST_CALL))
        self._shop.recording.add_call(rpc.value, call.code, call.started_ns, call.ended_ns, due_ns)
        return call

    def _build(self, submission: Submission) -> Message:
        role = self._shop.scenario.workload.job
        if submission.rpc is Rpc.EXECUTE:
            return self._requests.execute(role, count=submission.sizes[0], key=submission.key)
        members = [self._requests.execute(role, count=size) for size in submission.sizes]
        return self._requests.batch(members, key=submission.key)


def _ids_of(call: Call) -> Ids:
    if call.rpc is Rpc.EXECUTE:
        return (tuple(cast("service_pb2.ExecuteControllerJobResponse", call.response).job_execution_ids),)
    batch = cast("service_pb2.BatchExecuteControllerJobsResponse", call.response)
    return tuple(tuple(response.job_execution_ids) for response in batch.responses)
