"""The case in hand: one check's access to the endpoint, its evidence and its clean-up.

Everything that a check learns goes through here, so that every call is on record and every discrepancy names the
requirement that it breaks and the calls that show it.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from google.protobuf.message import Message

from conformance.kit.answers import describe, ids_of, result_of, status_of
from conformance.kit.verdicts import DisturbedError, UnobservableError
from conformance.kit.waiting import Patience
from harness.budget import BudgetExceededError, Spender
from harness.call import Call, RpcError, jobs_in
from harness.client import DEFAULT, ControllerClient
from harness.endpoint import BUILTIN, Endpoint
from harness.errors import UnreachableError
from harness.history import Operation, Rpc
from harness.ids import IdempotencyKey, random_key
from harness.model import TERMINAL, Status, is_legal_move
from harness.record import Discrepancy, Observation
from harness.requests import Requests
from harness.stubs import job_pb2
from harness.stubs import service_pb2 as pb

T = TypeVar("T")
U = TypeVar("U")
EXAMPLES = 25
"""How many plans are generated unless the user says otherwise."""
_WATCHED = 40
WATCHED = 8
"""How many of the jobs that it waits for a case polls in turn."""
NEVER_SENT = "failed to connect to all addresses"
"""What gRPC says of a call for which there was no connection."""
RECONNECTIONS = 3
"""How often one check connects again for such a call."""
ATTEMPTS = 3
"""How often a check is tried when the situation that it needs does not come about."""
MAX_DISCREPANCIES = 20
"""How many discrepancies one check reports in full."""


class Case:
    """One check's dealings with the endpoint. Calls may come from several threads; judgements come from the check's own."""

    def __init__(self, endpoint: Endpoint, *, spending: Spender, seed: str, origin_ns: int) -> None:
        self.endpoint = endpoint
        self.profile = endpoint.profile
        self.facts = endpoint.profile.facts
        self.deadlines = endpoint.profile.deadlines
        self.requests = Requests(endpoint)
        self.seed = seed
        self.rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self.calls: list[Call] = []
        self.discrepancies: list[Discrepancy] = []
        self.observations: list[Observation] = []
        self.oracles: list[str] = []
        self.suspicions = 0
        """How many attempts brought a wrong count that more attempts have to confirm; kept from one attempt to the next."""
        self.history: tuple[Operation, ...] = ()
        """A whole history to be kept with the record, for `controller-harness judge`."""
        self.plans: dict[str, str] = {}
        """Plans to be kept with the record, by file name, for `controller-harness replay`."""
        self.examples = EXAMPLES
        """How many generated plans a check runs."""
        self.profile_name = BUILTIN
        """What the user calls the profile, for lines that repeat something."""
        self._reconnections = 0
        self.interleavings = 0
        self.retries = 0
        """How often the check has started over."""
        self.lingering = 0.0
        """For how many seconds longer than a `slow` job an executor may have been held."""
        """Rounds of `together`, in the last attempt, in which calls really overlapped."""
        self.effort: dict[str, int] = {}
        """What makes the check dearer on another endpoint, all attempts together (see `CheckLine`)."""
        self._spending = spending
        self._origin_ns = origin_ns
        self._lock = threading.Lock()
        self._clients: list[ControllerClient] = []
        self._stopped = False
        self.holding = False
        """Whether the executors are held, so that waiting for room is in vain."""
        self.full_codes = {"RESOURCE_EXHAUSTED"}
        """Codes that the endpoint is known to answer with when its queue is full."""
        self._seen: dict[str, Status] = {}
        self._fetched: set[str] = set()
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
            stopped = self._stopped
        if stopped:
            client.close()
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
        made = client or self.client
        try:
            call = made.call(_RPC_OF[type(request)], request, timeout=timeout)
        except RpcError as error:
            if not self.reconnects(made, error.code, error.details):
                return error.call
            return self.attempt(request, client=client, timeout=timeout)
        self._track(call)
        return call

    def reconnects(self, client: ControllerClient, code: str, message: str) -> bool:
        """Whether a call that failed had found no connection, so that it was never sent, and there is one now.

        A connection that takes too long on a busy machine is no answer of the endpoint. Only so often: it may be gone.
        """
        if code != "UNAVAILABLE" or not message.startswith(NEVER_SENT) or self._reconnections >= RECONNECTIONS:
            return False
        self._reconnections += 1
        try:
            client.wait_ready(self.deadlines.call)
        except UnreachableError:
            self._reconnections = RECONNECTIONS
            return False
        return True

    def abandon(self, request: Message, after: float, *, client: ControllerClient | None = None) -> Call:
        """Make a call and hang up after so many seconds; what became of it is unknown unless the answer was faster."""
        try:
            call = (client or self.client).abandon(_RPC_OF[type(request)], request, after=after)
        except RpcError as error:
            return error.call
        self._track(call)
        return call

    def accept(self, requirement: str, request: Message, what: str, *, client: ControllerClient | None = None) -> Call:
        """Make a call that has to succeed: an error is a discrepancy, lack of room disturbs. Returns the call either way."""
        call = self._where_there_is_room(request, client)
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
        call = self._where_there_is_room(request, None)
        if call.error is not None:
            raise RpcError(call)
        return ids_of(call)

    def most(self, count: int) -> int:
        """Return `count`, or how many jobs the endpoint takes at once if that is less."""
        room = self.facts.queue_capacity
        return min(count, self.facts.max_configurations, count if room is None else room)

    def lacks_room(self, call: Call) -> bool:
        """Whether a refusal may be for lack of room: it says so, or more jobs may be waiting than the queue is known to take."""
        room = self.facts.queue_capacity
        full = room is not None and len(self._open) + jobs_in(call.request) > room
        return call.error is not None and (full or call.code in self.full_codes)

    def _where_there_is_room(self, request: Message, client: ControllerClient | None) -> Call:
        """Make a call; when it finds no room, again once our own jobs are out of the way. Raises DisturbedError for no room."""
        for _ in range(3):
            call = self.attempt(request, client=client)
            if not self.lacks_room(call):
                if call.code == "UNAVAILABLE" and self.retries < ATTEMPTS - 1:
                    # Transient by gRPC's own definition, and all that is left of a connection that did not come about; when
                    # the last attempt meets it too, it is the endpoint's answer.
                    with contextlib.suppress(UnreachableError):
                        (client or self.client).wait_ready(self.deadlines.call)
                    raise DisturbedError(f"the endpoint was not available: {describe(call)}")
                return call
            if self.holding or not self._open:
                break
            self.drain()
        raise DisturbedError(f"no room on the endpoint: {describe(call)}")

    def make_room(self, jobs: int) -> None:
        """Wait for our own jobs to end if, with so many more, there may be more than the queue is known to take."""
        if self.facts.queue_capacity is not None and len(self._open) + jobs > self.facts.queue_capacity:
            self.drain()

    def drain(self) -> None:
        """Wait until our own jobs are out of the queue's way."""
        longest = max(job.total for job in self.profile.jobs.values())
        for job_id in list(self._open):
            with contextlib.suppress(RpcError):
                self.wait_for(job_id, within=longest)
            self._open.pop(job_id, None)

    def cancelled(self, ids: Sequence[str]) -> list[str]:
        """Cancel jobs, wait for it to show no longer than the profile's settle time, and return those that are CANCELED."""
        self.cancel(ids)
        longest = self.profile.jobs["slow"].duration / 2 if self.holding else self.facts.settle
        patience = Patience(min(self.facts.settle, longest))
        seen: dict[str, Status] = {}
        waiting = list(ids)
        while waiting:
            seen.update((job_id, self.status(job_id)) for job_id in waiting)
            waiting = [job_id for job_id in waiting if seen[job_id] not in TERMINAL]
            if patience.is_over():
                break
            patience.pause()
        return [job_id for job_id in ids if seen[job_id] is Status.CANCELED]

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
        if status is Status.UNKNOWN and job_id in self._fetched:
            return status  # fetched, it may be forgotten
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
        call = self.attempt(self.requests.results(job_id), client=client, timeout=timeout)
        if call.error is None:
            with self._lock:
                self._fetched.add(job_id)
        return call

    def result(self, job_id: str) -> job_pb2.ControllerJobExecutionResult:
        """Fetch a job's result, after its end where the endpoint does not wait for that. Raises RpcError."""
        call = self.result_call(job_id)
        if call.error is not None:
            self.wait_for(job_id, within=max(job.total for job in self.profile.jobs.values()))
            call = self.result_call(job_id)
        if call.error is not None:
            raise RpcError(call)
        return result_of(call)

    # Waiting

    def wait_for(self, job_id: str, *statuses: Status, within: float = 0.0) -> Status:
        """Poll until the job has one of the statuses, or is terminal; return the last status seen.

        `within` is the expected time in seconds; the profile's `deadlines.state` comes on top.
        """
        patience = Patience(within + self.lingering + self.deadlines.state)
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
        """Wait until all jobs are terminal, or time is up, and return the last status of each.

        Jobs whose results were fetched are finished, and may be forgotten: they are left out.
        """
        expected = within if within is not None else self.profile.jobs["quick"].total * len(ids)
        patience = Patience(expected + self.lingering + self.deadlines.state)
        last: dict[str, Status] = {}
        waiting = [job_id for job_id in ids if job_id not in self._fetched]
        while waiting:
            # Of a long queue, its first jobs tell when it is worth while to look at the next.
            last_look = patience.is_over()
            watched = waiting if last_look else waiting[:WATCHED]
            last.update((job_id, self.status(job_id)) for job_id in watched)
            open_jobs = [job_id for job_id in watched if last[job_id] not in TERMINAL]
            waiting = open_jobs + waiting[len(watched) :]
            if last_look:
                break
            if open_jobs:
                patience.pause()
        return last

    def together(self, work: Callable[[U], T], items: Sequence[U]) -> list[T]:
        """Run `work` on all items at once, one thread each, started together, and return the results in order."""
        barrier = threading.Barrier(len(items))
        begun = len(self.calls)

        def run(item: U) -> T:
            barrier.wait(timeout=30)
            return work(item)

        with ThreadPoolExecutor(max_workers=len(items)) as pool:
            done = list(pool.map(run, items))
        self.interleavings += _overlap(self.calls[begun:])
        return done

    def did(self, what: str) -> None:
        """Count something that makes the check dearer on another endpoint."""
        with self._lock:
            self.effort[what] = self.effort.get(what, 0) + 1

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
            with contextlib.suppress(RpcError, BudgetExceededError):
                self.client.call(Rpc.CANCEL, self.requests.cancel(left))
            # Of a long list, the ends and a sample tell whether it has gone.
            shown = left if len(left) <= 40 else [*left[:5], *left[-5:], *self.rng.sample(left, 30)]
            with contextlib.suppress(RpcError, BudgetExceededError):
                self.finish(shown, within=self.profile.jobs.get("slow", self.profile.jobs["quick"]).total * len(shown))

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            client.close()

    def stop(self) -> None:
        """Close all connections, now and later, so that the check ends soon; called from another thread."""
        with self._lock:
            self._stopped = True
        self.close()

    def withdraw(self, patience: float) -> None:
        """Cancel what a stopped check has left queued, in one call of so many seconds; whether it works is nobody's verdict."""
        with self._lock:
            left = list(self._open)
        if left:
            with ControllerClient(self.endpoint, name="clean-up") as client, contextlib.suppress(RpcError):
                client.cancel(self.requests.cancel(left), timeout=patience)

    def forget(self) -> None:
        """Start over for another attempt: evidence of the last one is dropped."""
        self.clean_up()
        self.calls.clear()
        self.discrepancies.clear()
        self.observations.clear()
        self.oracles.clear()
        self.plans.clear()
        self._seen.clear()
        self._fetched.clear()
        self.interleavings = 0
        self.retries += 1

    def _record(self, call: Call) -> None:
        with self._lock:
            self.calls.append(call)
        if call.rpc is Rpc.STATUS:
            self.did("reads")

    def _track(self, call: Call) -> None:
        if call.rpc in {Rpc.EXECUTE, Rpc.BATCH} and call.response is not None:
            with self._lock:
                self._open.update(dict.fromkeys(ids_of(call)))


def _overlap(calls: Sequence[Call]) -> bool:
    """Whether any call began before an earlier one had ended."""
    ordered = sorted(calls, key=lambda call: call.started_ns)
    return any(later.started_ns < earlier.ended_ns for earlier, later in itertools.pairwise(ordered))


_RPC_OF: dict[type[Message], Rpc] = {
    pb.ExecuteControllerJobRequest: Rpc.EXECUTE,
    pb.BatchExecuteControllerJobsRequest: Rpc.BATCH,
    pb.GetControllerJobResultsRequest: Rpc.RESULTS,
    pb.CancelControllerJobsRequest: Rpc.CANCEL,
    pb.GetControllerJobStatusRequest: Rpc.STATUS,
}
