"""A typed client of the Controller service, blocking and for asyncio, that sees and tells everything about its calls.

Every call carries a deadline and a fresh request id; every failure is an `RpcError` with the call attached. Each client has
a connection of its own.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

import grpc
from google.protobuf.message import Message

from harness.budget import Spender, Spending
from harness.call import REQUEST_TYPES, RESPONSE_TYPES, Call, RpcError, jobs_in, prepare, translate
from harness.channel import open_aio_channel, open_channel
from harness.endpoint import Endpoint
from harness.errors import UnreachableError
from harness.history import Failed, Rpc, Unknown
from harness.stubs import service_pb2 as pb

if TYPE_CHECKING:
    from grpc import aio

_numbers = itertools.count(1)
DEFAULT = "\0default"
"""Stands for the profile's default identity."""
_CHANGING = frozenset({Rpc.EXECUTE, Rpc.BATCH, Rpc.CANCEL})
_HEALTH = "/grpc.health.v1.Health/Check"
"""A method that does no harm and is known to many servers; those that do not know it say so, which is an answer too."""


class _Begun(NamedTuple):
    rpc: Rpc
    request: Message
    timeout: float
    request_id: str
    headers: tuple[tuple[str, str | bytes], ...]
    started: int


class _Base:
    """What both clients share: who is calling, how long calls may take, who is told about them."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        name: str = "client",
        identity: str | None = DEFAULT,
        on_call: Callable[[Call], None] | None = None,
        spending: Spender | None = None,
        origin_ns: int = 0,
    ) -> None:
        self.endpoint = endpoint
        self.name = name
        self.identity = endpoint.profile.default_identity if identity == DEFAULT else identity
        self._on_call = on_call
        self._spending: Spender = spending or Spending(endpoint.profile.budget)
        self._origin_ns = origin_ns

    def timeout_of(self, rpc: Rpc) -> float:
        """Return the profile's deadline for an RPC, in seconds."""
        deadlines = self.endpoint.profile.deadlines
        return {Rpc.EXECUTE: deadlines.submit, Rpc.BATCH: deadlines.submit, Rpc.RESULTS: deadlines.results}.get(
            rpc, deadlines.call
        )

    def _begin(self, rpc: Rpc, request: Message, timeout: float | None, extra: Sequence[tuple[str, str]]) -> _Begun:
        self._spending.spend(jobs=jobs_in(request), changes=rpc in _CHANGING)
        request_id, headers = prepare(self.endpoint, self.identity, extra)
        timeout = self.timeout_of(rpc) if timeout is None else timeout
        return _Begun(rpc, request, timeout, request_id, headers, time.monotonic_ns())

    def _finish(self, begun: _Begun, answer: Message | Failed | Unknown) -> Call:
        """Tell of a call that is over, and return it. Raises RpcError unless it succeeded."""
        call = self._tell(begun, answer)
        if call.error is not None:
            raise RpcError(call)
        return call

    def _tell(self, begun: _Begun, answer: Message | Failed | Unknown) -> Call:
        ended = time.monotonic_ns()
        error = answer if isinstance(answer, Failed | Unknown) else None
        call = Call(
            number=next(_numbers),
            rpc=begun.rpc,
            client=self.name,
            identity=self.identity or "",
            request_id=begun.request_id,
            timeout=begun.timeout,
            started_ns=begun.started - self._origin_ns,
            ended_ns=ended - self._origin_ns,
            request=begun.request,
            response=answer if isinstance(answer, Message) else None,
            error=error,
            endpoint=self.endpoint,
        )
        if self._on_call is not None:
            self._on_call(call)
        return call


class ControllerClient(_Base):
    """Blocking client; safe to use from several threads. Close it, or use it as a context manager."""

    def __init__(self, endpoint: Endpoint, **settings: Any) -> None:
        super().__init__(endpoint, **settings)
        self._channel = open_channel(endpoint)
        self._methods = {
            rpc: self._channel.unary_unary(
                rpc.path,
                request_serializer=REQUEST_TYPES[rpc].SerializeToString,
                response_deserializer=RESPONSE_TYPES[rpc].FromString,
            )
            for rpc in Rpc
        }

    def call(self, rpc: Rpc, request: Message, *, timeout: float | None = None, metadata: Sequence[tuple[str, str]] = ()) -> Call:
        """Make one call and return it. Raises RpcError (with the call) or BudgetExceededError."""
        begun = self._begin(rpc, request, timeout, metadata)
        try:
            response = self._methods[rpc](request, timeout=begun.timeout, metadata=begun.headers)
        except grpc.RpcError as error:
            return self._finish(begun, translate(error))
        return self._finish(begun, response)

    def abandon(self, rpc: Rpc, request: Message, *, after: float) -> Call:
        """Make one call and hang up after so many seconds, as a client does that dies; return the answer if it was faster.

        Raises RpcError, with the outcome unknown when nobody was there any more to hear the answer.
        """
        begun = self._begin(rpc, request, None, ())
        future: Any = self._methods[rpc].future(request, timeout=begun.timeout, metadata=begun.headers)
        try:
            return self._finish(begun, future.result(timeout=after))
        except grpc.FutureTimeoutError:
            future.cancel()
            return self._finish(begun, Unknown("CANCELLED", f"abandoned after {after * 1000:.2f} ms"))
        except grpc.FutureCancelledError:
            return self._finish(begun, Unknown("CANCELLED", "the connection was closed"))
        except grpc.RpcError as error:
            return self._finish(begun, translate(error))

    def execute(self, request: pb.ExecuteControllerJobRequest, **how: Any) -> pb.ExecuteControllerJobResponse:
        """Submit one request."""
        return cast("pb.ExecuteControllerJobResponse", self.call(Rpc.EXECUTE, request, **how).response)

    def batch(self, request: pb.BatchExecuteControllerJobsRequest, **how: Any) -> pb.BatchExecuteControllerJobsResponse:
        """Submit several requests as one."""
        return cast("pb.BatchExecuteControllerJobsResponse", self.call(Rpc.BATCH, request, **how).response)

    def results(self, request: pb.GetControllerJobResultsRequest, **how: Any) -> pb.GetControllerJobResultsResponse:
        """Wait for, and fetch, one job's result."""
        return cast("pb.GetControllerJobResultsResponse", self.call(Rpc.RESULTS, request, **how).response)

    def cancel(self, request: pb.CancelControllerJobsRequest, **how: Any) -> pb.CancelControllerJobsResponse:
        """Ask to cancel jobs."""
        return cast("pb.CancelControllerJobsResponse", self.call(Rpc.CANCEL, request, **how).response)

    def status(self, request: pb.GetControllerJobStatusRequest, **how: Any) -> pb.GetControllerJobStatusResponse:
        """Ask where one job stands."""
        return cast("pb.GetControllerJobStatusResponse", self.call(Rpc.STATUS, request, **how).response)

    def raw(self, path: str, body: bytes, *, timeout: float, metadata: Sequence[tuple[str, str]] = ()) -> bytes:
        """Send octets to any method and return the octets of the answer.

        Raises grpc.RpcError as it is, or BudgetExceededError; jobs in the octets are not counted.
        """
        self._spending.spend(changes=any(path == rpc.path for rpc in _CHANGING))
        _, headers = prepare(self.endpoint, self.identity, metadata)
        method: Any = self._channel.unary_unary(path, request_serializer=None, response_deserializer=None)
        return cast("bytes", method(body, timeout=timeout, metadata=headers))

    def wait_ready(self, timeout: float) -> None:
        """Wait until something at the other end answers, whatever it answers. Raises UnreachableError after so many seconds."""
        # Not grpc.channel_ready_future: its thread ends in a traceback when the channel is closed.
        if self._answer_to_a_knock(timeout, wait=True).code == "DEADLINE_EXCEEDED":
            raise UnreachableError(
                f"{self.endpoint.address} does not answer (waited {timeout:g} s): {self._last_failure()}",
                hint="is the endpoint running, and is TLS set as the endpoint expects?",
            )

    def _last_failure(self) -> str:
        """Why the connection does not stand: a call that does not wait for it is told."""
        return self._answer_to_a_knock(1.0, wait=False).message.rpartition("last error: ")[2].removeprefix("UNKNOWN: ")

    def _answer_to_a_knock(self, timeout: float, *, wait: bool) -> Failed | Unknown:
        method: Any = self._channel.unary_unary(_HEALTH, request_serializer=None, response_deserializer=None)
        try:
            method(b"", timeout=timeout, metadata=prepare(self.endpoint, self.identity, ())[1], wait_for_ready=wait)
        except grpc.RpcError as error:
            return translate(error)
        return Failed("OK", "it does answer")

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class AioControllerClient(_Base):
    """The same client for asyncio. Close it, or use it as an async context manager."""

    def __init__(self, endpoint: Endpoint, **settings: Any) -> None:
        super().__init__(endpoint, **settings)
        self._channel: aio.Channel = open_aio_channel(endpoint)
        self._methods: dict[Rpc, Any] = {
            rpc: self._channel.unary_unary(
                rpc.path,
                request_serializer=REQUEST_TYPES[rpc].SerializeToString,
                response_deserializer=RESPONSE_TYPES[rpc].FromString,
            )
            for rpc in Rpc
        }

    async def call(
        self, rpc: Rpc, request: Message, *, timeout: float | None = None, metadata: Sequence[tuple[str, str]] = ()
    ) -> Call:
        """Make one call and return it. Raises RpcError (with the call) or BudgetExceededError."""
        begun = self._begin(rpc, request, timeout, metadata)
        try:
            response = await self._methods[rpc](request, timeout=begun.timeout, metadata=begun.headers)
        except grpc.RpcError as error:
            return self._finish(begun, translate(error))
        except asyncio.CancelledError:
            self._tell(begun, Unknown("CANCELLED", "the caller gave up"))
            raise
        return self._finish(begun, response)

    async def execute(self, request: pb.ExecuteControllerJobRequest, **how: Any) -> pb.ExecuteControllerJobResponse:
        """Submit one request."""
        return cast("pb.ExecuteControllerJobResponse", (await self.call(Rpc.EXECUTE, request, **how)).response)

    async def batch(self, request: pb.BatchExecuteControllerJobsRequest, **how: Any) -> pb.BatchExecuteControllerJobsResponse:
        """Submit several requests as one."""
        return cast("pb.BatchExecuteControllerJobsResponse", (await self.call(Rpc.BATCH, request, **how)).response)

    async def results(self, request: pb.GetControllerJobResultsRequest, **how: Any) -> pb.GetControllerJobResultsResponse:
        """Wait for, and fetch, one job's result."""
        return cast("pb.GetControllerJobResultsResponse", (await self.call(Rpc.RESULTS, request, **how)).response)

    async def cancel(self, request: pb.CancelControllerJobsRequest, **how: Any) -> pb.CancelControllerJobsResponse:
        """Ask to cancel jobs."""
        return cast("pb.CancelControllerJobsResponse", (await self.call(Rpc.CANCEL, request, **how)).response)

    async def status(self, request: pb.GetControllerJobStatusRequest, **how: Any) -> pb.GetControllerJobStatusResponse:
        """Ask where one job stands."""
        return cast("pb.GetControllerJobStatusResponse", (await self.call(Rpc.STATUS, request, **how)).response)

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()
