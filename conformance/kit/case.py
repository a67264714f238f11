"""The case in hand: one check's access to the endpoint, its evidence and its clean-up.

Everything that a check learns goes through here, so that every call is on record and every discrepancy names the
requirement that it breaks and the calls that show it.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from google.protobuf.message import Message

from conformance.kit.answers import describe, ids_of, status_of
from conformance.kit.verdicts import DisturbedError, UnobservableError
from conformance.kit.waiting import Patience
from harness.budget import Spending
from harness.call import Call, RpcError
from harness.client import DEFAULT, ControllerClient
from harness.endpoint import Endpoint
from harness.history import Operation, Rpc
from harness.ids import IdempotencyKey, random_key
from harness.model import TERMINAL, Status, is_legal_move
from harness.record import Discrepancy, Observation
from harness.requests import Requests
from harness.stubs import job_pb2
from harness.stubs import service_pb2 as pb

T = TypeVar("T")
U = TypeVar("U")
MAX_DISCREPANCIES = 20
"""How many discrepancies one check reports in full."""


class Case:
    """One check's dealings with the endpoint. Calls may come from several threads; judgements come from the check's own."""

    def __init__(self, endpoint: Endpoint, *, spending: Spending, seed: str, origin_ns: int) -> None:
        self.endpoint = endpoint
        self.profile = endpoint.profile
        self.facts = endpoint.profile.facts
        self.deadlines = endpoint.profile.deadlines
        self.requests = Requests(endpoint)
        self.rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self.calls: list[Call] = []
        self.discrepancies: list[Discrepancy] = []
        self.observations: list[Observation] = []
        self.oracles: list[str] = []
        self.history: tuple[Operation, ...] = ()
        """A whole history to be kept with the record, for `controller-harness judge`."""
        self._spending = spending
        self._origin_ns = origin_ns
        self._lock = threading.Lock()
        self._clients: list[ControllerClient] = []
        self._seen: dict[str, Status] = {}
        self._open: dict[str, None] = {}  # acknowledged and not seen terminal, in order
        self.client = self.connect("main")

    def connect(self, name: str, identity: str | None = DEFAULT, endpoint: Endpoint | None = None) -> ControllerClient:
        """Open another connection, closed with the case; `identity` None sends no credentials."""
        client = ControllerClient(
            endpoint or self.endpoint,
            name=name,
            identity=identity,
            on_call=self._record,
            spending=self._spending,
            origin_ns=self._origin_ns,
        )
        with self._lock:
            self._clients.append(client)
        return client

    def key(self) -> IdempotencyKey:
        """Draw a fresh valid key."""
        return random_key(self.rng)

    def needs(self, role: str) -> str:
        """Return the role if the profile has a job for it. Raises UnobservableError."""
        if role not in self.profile.jobs:
            raise UnobservableError(f"the profile has no job in the role {role!r}")
        return role

    # Judging

    def expect(self, requirement: str, held: bool, expected: object, observed: object, *calls: Call) -> bool:
        """Note a discrepancy unless `held`; with no calls given, the latest call is the evidence. Returns `held`."""
        if not held:
            shown = calls or tuple(self.calls[-1:])
            with self._lock:
                self.discrepancies.append(
                    Discrepancy(requirement, str(expected), str(observed), tuple(call.number for call in shown))
                )
        return held

    def observe(self, requirement: str, text: str) -> None:
        """Note what the endpoint does where it is free to choose."""
        self.observations.append(Observation(requirement, text))

    # Calling

    def attempt(self, request: Message, *, client: ControllerClient | None = None, timeout: float | None = None) -> Call:
        """Make the call that fits the request's type and return it, whatever comes of it."""
        try:
            call = (client or self.client).call(_RPC_OF[type(request)], request, timeout=timeout)
        except RpcError as error:
            return error.call
        self._track(call)
        return call

    def abandon(self, request: Message, after: float) -> Call:
        """Make a call and hang up after so many seconds; what became of it is unknown unless the answer was faster."""
        try:
            call = self.client.abandon(_RPC_OF[type(request)], request, after=after)
        except RpcError as error:
            return error.call
        self._track(call)
        return call

    def accept(self, requirement: str, request: Message, what: str, *, client: ControllerClient | None = None) -> Call:
        """Make a call that has to succeed: an error is a discrepancy, lack of room disturbs. Returns the call either way."""
        call = self.attempt(request, client=client)
        if call.code == "RESOURCE_EXHAUSTED":
            raise DisturbedError(f"no room on the endpoint: {call.error.message if call.error else ''}")
        self.expect(requirement, call.error is None, f"{what} is accepted", describe(call), call)
        return call

    def refuse(self, requirement: str, request: Message, what: str, *, client: ControllerClient | None = None) -> Call:
        """Make a call that has to fail: OK is a discrepancy. Returns the call; jobs that it queued are cleaned up."""
        call = self.attempt(request, client=client)
        self.expect(requirement, call.error is not None, f"{what} is refused", describe(call), call)
        return call

    def submit(self, role: str = "quick", **how: object) -> list[str]:
        """Submit a fixture that is there to set the scene and return its ids. Raises RpcError when it is refused."""
        request = self.requests.execute(self.needs(role), **how)  # type: ignore[arg-type]
        call = self.client.call(Rpc.EXECUTE, request)
        self._track(call)
        return ids_of(call)

    def cancel(self, ids: Iterable[str], *, client: ControllerClient | None = None) -> Call:
        """Ask to cancel jobs; whether the answer is OK is up to the endpoint."""
        return self.attempt(self.requests.cancel(ids), client=client)

    def status(self, job_id: str, *, client: ControllerClient | None = None) -> Status:
        """Read a job's status from the check's own thread; an illegal move since the last read breaks STA-01.

        Raises RpcError.
        """
        call = (client or self.client).call(Rpc.STATUS, self.requests.status(job_id))
        status = status_of(call)
        before = self._seen.get(job_id)
        if before is not None:
            self.expect(
                "STA-01", is_legal_move(before, status), f"a status that may follow {before}", f"{status} for job {job_id}", call
            )
        self._seen[job_id] = status
        if status in TERMINAL:
            self._open.pop(job_id, None)
        return status

    def result_call(self, job_id: str, *, client: ControllerClient | None = None, timeout: float | None = None) -> Call:
        """Ask for a result and return the call, whatever comes of it."""
        return self.attempt(self.requests.results(job_id), client=client, timeout=timeout)

    def result(self, job_id: str) -> job_pb2.ControllerJobExecutionResult:
        """Fetch a job's result. Raises RpcError."""
        response = self.client.results(self.requests.results(job_id))
        return response.result

    # Waiting

    def wait_for(self, job_id: str, *statuses: Status, within: float = 0.0) -> Status:
        """Poll until the job has one of the statuses, or is terminal; return the last status seen.

        `within` is the expected time in seconds; the profile's `deadlines.state` comes on top.
        """
        patience = Patience(within + self.deadlines.state)
        while True:
            status = self.status(job_id)
            if status in statuses or status in TERMINAL or patience.is_over():
                return status
            patience.pause()

    def reach(self, job_id: str, status: Status, within: float = 0.0) -> None:
        """Wait until the job has exactly this status. Raises DisturbedError when it was missed or does not come."""
        seen = self.wait_for(job_id, status, within=within)
        if seen is not status:
            raise DisturbedError(f"job {job_id} was to be seen {status}, but was {seen}")

    def finish(self, ids: Sequence[str], within: float | None = None) -> dict[str, Status]:
        """Wait until all jobs are terminal, or time is up, and return the last status of each."""
        expected = within if within is not None else self.profile.jobs["quick"].total * len(ids)
        patience = Patience(expected + self.deadlines.state)
        last: dict[str, Status] = {}
        waiting = list(ids)
        while waiting:
            last.update((job_id, self.status(job_id)) for job_id in waiting)
            waiting = [job_id for job_id in waiting if last[job_id] not in TERMINAL]
            if patience.is_over():
                break
            if waiting:
                patience.pause()
        return last

    def together(self, work: Callable[[U], T], items: Sequence[U]) -> list[T]:
        """Run `work` on all items at once, one thread each, started together, and return the results in order."""
        barrier = threading.Barrier(len(items))

        def run(item: U) -> T:
            barrier.wait(timeout=30)
            return work(item)

        with ThreadPoolExecutor(max_workers=len(items)) as pool:
            return list(pool.map(run, items))

    # Correlation

    def tag_of(self, result: job_pb2.ControllerJobExecutionResult) -> int | None:
        """Return the number of ours that a result shows, or None. Raises UnobservableError without correlation."""
        correlation = self.profile.correlation
        if correlation is None or "correlated" not in self.profile.jobs:
            raise UnobservableError("the profile says nothing about how results show their configuration")
        name = correlation.shown_as or correlation.region
        if correlation.shown_in == "readout_values":
            values = result.readout_values.get(name)
            numbers: Sequence[float] = () if values is None else values.integer_values.values
        else:
            data = result.memory_values.get(name)
            numbers = () if data is None else data.integer.data or data.real.data
        return int(numbers[0]) if numbers else None

    # Clean-up

    def clean_up(self) -> None:
        """Cancel what is still queued and wait until the target is ours again; problems here are nobody's verdict."""
        left = list(self._open)
        self._open.clear()
        if left:
            with contextlib.suppress(RpcError):
                self.client.call(Rpc.CANCEL, self.requests.cancel(left))
            # Of a long list, the ends and a sample tell whether it has gone.
            shown = left if len(left) <= 40 else [*left[:5], *left[-5:], *self.rng.sample(left, 30)]
            with contextlib.suppress(RpcError):
                self.finish(shown, within=self.profile.jobs.get("slow", self.profile.jobs["quick"]).total * len(shown))

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            client.close()

    def forget(self) -> None:
        """Start over for another attempt: evidence of the last one is dropped."""
        self.clean_up()
        self.calls.clear()
        self.discrepancies.clear()
        self.observations.clear()
        self.oracles.clear()
        self._seen.clear()

    def _record(self, call: Call) -> None:
        with self._lock:
            self.calls.append(call)

    def _track(self, call: Call) -> None:
        if call.rpc in {Rpc.EXECUTE, Rpc.BATCH} and call.response is not None:
            with self._lock:
                self._open.update(dict.fromkeys(ids_of(call)))


_RPC_OF: dict[type[Message], Rpc] = {
    pb.ExecuteControllerJobRequest: Rpc.EXECUTE,
    pb.BatchExecuteControllerJobsRequest: Rpc.BATCH,
    pb.GetControllerJobResultsRequest: Rpc.RESULTS,
    pb.CancelControllerJobsRequest: Rpc.CANCEL,
    pb.GetControllerJobStatusRequest: Rpc.STATUS,
}
