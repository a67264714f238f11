"""The host of the engine: clock, wake-ups, waiting calls, store and access; transport-agnostic.

Takes request bytes (`call`) or parsed messages (the handlers), answers with response bytes or messages, or raises Refusal.
Runs on one asyncio loop, in one thread. An answer that is ready comes back directly, one that has to wait as an awaitable, so
that an edge pays for a task only where there is something to wait for. May not import gRPC.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, TypeVar

from google.protobuf.message import DecodeError, Message

from harness.server import translate
from harness.server.engine import Engine
from harness.server.refusal import Code, Refusal
from harness.server.state import Job
from harness.server.store import Store, StoreError
from harness.server.tokens import Access
from harness.server.values import SECOND, Caller, Result
from harness.stubs import service_pb2

SERVICE = "services.controller.Controller"

AnswerT = TypeVar("AnswerT")
Answer: TypeAlias = AnswerT | Awaitable[AnswerT]

_log = logging.getLogger(__name__)


class CallContext(NamedTuple):
    """Who calls, until when they wait (in the loop's time, None for ever), and over which connection (any name)."""

    caller: Caller
    deadline: float | None = None
    peer: str = ""


@dataclass(frozen=True, slots=True)
class Rpc:
    """One method of the service: the type of its requests, and the name of its handler."""

    request: type[Message]
    handler: str


RPCS: Mapping[str, Rpc] = {
    "ExecuteControllerJob": Rpc(service_pb2.ExecuteControllerJobRequest, "execute"),
    "BatchExecuteControllerJobs": Rpc(service_pb2.BatchExecuteControllerJobsRequest, "batch"),
    "GetControllerJobResults": Rpc(service_pb2.GetControllerJobResultsRequest, "results"),
    "CancelControllerJobs": Rpc(service_pb2.CancelControllerJobsRequest, "cancel"),
    "GetControllerJobStatus": Rpc(service_pb2.GetControllerJobStatusRequest, "status"),
}
"""Every method by its name on the wire."""


class Service:
    """The Controller service. Create it on the running loop; `default_duration` is in nanoseconds."""

    def __init__(self, engine: Engine, *, store: Store, access: Access, clock: Callable[[], int], default_duration: int) -> None:
        self.engine = engine
        self.access = access
        self.clock = clock
        self.default_duration = default_duration
        self.requests: Counter[tuple[str, str]] = Counter()
        self.failed: asyncio.Future[StoreError] = asyncio.get_running_loop().create_future()
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, set[asyncio.Future[Result]]] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0
        self._closed = False
        self._handlers: dict[str, Callable[[Any, CallContext], Answer[Message]]] = {
            name: getattr(self, rpc.handler) for name, rpc in RPCS.items()
        }
        snapshot = store.load(engine.processors)
        engine.restore(snapshot.jobs, snapshot.keys, clock())
        self._commit()

    # Calls as bytes

    def method_at(self, path: str) -> str | None:
        """Return the method of `RPCS` that an HTTP/2 `:path` names, None for an unknown one (WIRE-05)."""
        service, _, name = path.removeprefix("/").rpartition("/")
        return name if service == SERVICE and name in RPCS else None

    def call(
        self, rpc: str, payload: bytes, *, authorization: str | None = None, deadline: float | None = None, peer: str = ""
    ) -> Answer[bytes]:
        """Answer one call of a method of `RPCS`; it, or the awaitable, raises Refusal. `deadline`, `peer`: see `CallContext`."""
        try:
            caller = self._authenticate(rpc, payload, authorization)
            answer = self._handlers[rpc](self._parse(rpc, payload), CallContext(caller, deadline, peer))
        except Exception as error:
            raise self._counted(rpc, error) from None
        if isinstance(answer, Message):
            self.requests[rpc, "OK"] += 1
            return answer.SerializeToString()
        return self._finish_later(rpc, answer)

    def _authenticate(self, rpc: str, payload: bytes, authorization: str | None) -> Caller:  # noqa: ARG002  (mutants look at them)
        return self.access.caller(authorization, self.clock() / SECOND)

    def _parse(self, rpc: str, payload: bytes) -> Message:
        message_type = RPCS[rpc].request
        try:
            return message_type.FromString(payload)
        except DecodeError:
            raise Refusal(Code.INVALID_ARGUMENT, f"the request is not a {message_type.DESCRIPTOR.full_name}") from None

    async def _finish_later(self, rpc: str, answer: Awaitable[Message]) -> bytes:
        try:
            response = await answer
        except asyncio.CancelledError:
            self.requests[rpc, Code.CANCELLED.name] += 1
            raise
        except Exception as error:
            raise self._counted(rpc, error) from None
        self.requests[rpc, "OK"] += 1
        return response.SerializeToString()

    def _counted(self, rpc: str, error: Exception) -> Refusal:
        """Count a call that failed, and return the refusal that answers it."""
        if not isinstance(error, Refusal):
            _log.error("%s failed", rpc, exc_info=error)
            error = Refusal(Code.INTERNAL, "internal error")
        self.requests[rpc, error.code.name] += 1
        return error

    # Calls as messages

    def execute(
        self, request: service_pb2.ExecuteControllerJobRequest, context: CallContext
    ) -> Answer[service_pb2.ExecuteControllerJobResponse]:
        """Answer ExecuteControllerJob."""
        value = translate.submit_request(request, self.default_duration)
        ids = self._run(lambda now: self.engine.submit(context.caller, value, now))
        return service_pb2.ExecuteControllerJobResponse(job_execution_ids=ids)

    def batch(
        self, request: service_pb2.BatchExecuteControllerJobsRequest, context: CallContext
    ) -> Answer[service_pb2.BatchExecuteControllerJobsResponse]:
        """Answer BatchExecuteControllerJobs."""
        value = translate.batch_request(request, self.default_duration)
        return translate.batch_response(self._run(lambda now: self.engine.submit_batch(context.caller, value, now)))

    def cancel(
        self,
        request: service_pb2.CancelControllerJobsRequest,
        context: CallContext,  # noqa: ARG002  (handlers are alike)
    ) -> Answer[service_pb2.CancelControllerJobsResponse]:
        """Answer CancelControllerJobs."""
        self._run(lambda now: self.engine.cancel(request.job_ids, translate.target(request), now))
        return service_pb2.CancelControllerJobsResponse()

    def status(
        self,
        request: service_pb2.GetControllerJobStatusRequest,
        context: CallContext,  # noqa: ARG002  (handlers are alike)
    ) -> Answer[service_pb2.GetControllerJobStatusResponse]:
        """Answer GetControllerJobStatus."""
        reply = self._run(lambda now: self.engine.status(request.job_id, translate.target(request), now))
        return translate.status_response(reply)

    def results(
        self, request: service_pb2.GetControllerJobResultsRequest, context: CallContext
    ) -> Answer[service_pb2.GetControllerJobResultsResponse]:
        """Answer GetControllerJobResults; waits until the job is finished, the deadline passes or the server stops."""
        job_id = request.job_execution_id
        result = self._run(lambda now: self.engine.results(job_id, translate.target(request), now))
        return self._not_finished(job_id, context) if result is None else translate.result_response(result)

    def _not_finished(self, job_id: str, context: CallContext) -> Answer[service_pb2.GetControllerJobResultsResponse]:
        return self._result_later(job_id, self._enlist(job_id), context.deadline)

    # Waiting

    def _enlist(self, job_id: str) -> asyncio.Future[Result]:
        """Return a future for a result; it is on the list at once, and off it when it is done, however that came about."""
        waiter: asyncio.Future[Result] = self._loop.create_future()
        self._waiting.setdefault(job_id, set()).add(waiter)
        waiter.add_done_callback(lambda _: self._strike(job_id, waiter))
        return waiter

    def _strike(self, job_id: str, waiter: asyncio.Future[Result]) -> None:
        waiters = self._waiting[job_id]
        waiters.remove(waiter)
        if not waiters:
            del self._waiting[job_id]

    async def _result_later(
        self, job_id: str, waiter: asyncio.Future[Result], deadline: float | None
    ) -> service_pb2.GetControllerJobResultsResponse:
        try:
            async with asyncio.timeout_at(deadline):
                return translate.result_response(await waiter)
        except TimeoutError:
            raise Refusal(Code.DEADLINE_EXCEEDED, f"job {job_id!r} is not finished yet") from None

    @property
    def waiting(self) -> int:
        """How many calls wait for a result."""
        return sum(map(len, self._waiting.values()))

    def release_waiting(self) -> None:
        """Answer every call that still waits for a result with UNAVAILABLE."""
        for waiters in self._waiting.values():
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_exception(Refusal(Code.UNAVAILABLE, "the server is stopping"))

    def _wake(self, finished: Iterable[Job]) -> None:
        for job in finished:
            for waiter in self._waiting.get(job.id, ()):
                if not waiter.done():
                    waiter.set_result(self._delivered(job))

    def _delivered(self, job: Job) -> Result:
        """Return what a waiting call gets when its job has finished."""
        return self.engine.result_of(job)

    # The engine and its store

    def refresh(self) -> None:
        """Let everything happen that is due by now, and keep it."""
        if not self._stopped:
            self._run(self.engine.advance)

    def close(self) -> None:
        """Stop waking up and answering; the store stays with its owner."""
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()

    @property
    def _stopped(self) -> bool:
        return self._closed or self.failed.done()

    def _run(self, command: Callable[[int], AnswerT]) -> AnswerT:
        """Run one command now, and keep its effects before anyone hears of them; also those of a refused command."""
        if self._stopped:
            raise Refusal(Code.UNAVAILABLE, "the server is stopping")
        try:
            return command(self.clock())
        finally:
            self._commit()

    def _commit(self) -> None:
        effects = self.engine.take_effects()
        if effects is None:
            return
        try:
            self._store.apply(effects)
        except StoreError as error:
            # The engine now knows more than the store: going on would mean acknowledging what a crash would lose.
            self.failed.set_result(error)
            self.release_waiting()
            raise Refusal(Code.UNAVAILABLE, "the server cannot keep its state") from error
        self._wake(effects.finished)
        self._set_alarm()

    def _set_alarm(self) -> None:
        at = None if self._stopped else self.engine.next_wake()
        if self._alarm is not None:
            if at is not None and self._alarm_at <= at:
                return  # it rings early enough, and then sets itself anew
            self._alarm.cancel()
            self._alarm = None
        if at is not None:
            self._alarm_at = at
            self._alarm = self._loop.call_later(max(0.0, (at - self.clock()) / SECOND), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        with contextlib.suppress(Refusal):  # the store has failed: `failed` tells the owner
            self.refresh()
            self._set_alarm()
