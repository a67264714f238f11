"""The well-known way: gRPC calls by grpcio, to compare with. Under gevent it has to be told to wait in gevent's loop."""

from __future__ import annotations

import itertools
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gevent
import grpc
from gevent import get_hub
from grpc.experimental import gevent as grpc_gevent

from harness.channel import open_channel
from harness.endpoint import Endpoint
from harness.grpcmeta import Header, Metadata
from harness.grpcstatus import Code
from loadtests.transport.reply import Reply


@dataclass(frozen=True)
class _Method:
    """A method on each of the channels, in turn, and what all of its calls have in common."""

    calls: Iterator[Any]
    metadata: Metadata
    timeout: float | None


class GrpcioChannel:
    """Calls through as many channels of grpcio, used in turn; each has a connection of its own."""

    def __init__(self, endpoint: Endpoint, connections: int = 1) -> None:
        self._channels = [open_channel(endpoint) for _ in range(connections)]

    def method(self, path: str, metadata: Metadata = (), timeout: float | None = None) -> _Method:
        """Return what calls of a method are made by."""
        calls: list[Any] = [
            channel.unary_unary(path, request_serializer=None, response_deserializer=None) for channel in self._channels
        ]
        return _Method(itertools.cycle(calls), tuple(metadata), timeout)

    def exchange(self, method: _Method, message: bytes, own: Header | None = None, timeout: float | None = None) -> Reply:
        """Make one call and wait for its end; failures are replies, too. Raises ValueError for metadata that cannot travel."""
        extra = () if own is None else ((own[0].decode(), _value(*own)),)
        metadata = (*method.metadata, *extra)
        limit = method.timeout if timeout is None else timeout
        try:
            answer, call = next(method.calls).with_call(message, timeout=limit, metadata=metadata or None)
        except grpc.RpcError as error:
            return _failed(error)
        if answer is None:
            return Reply(Code.UNIMPLEMENTED, "no message, where there is to be one")
        return Reply(Code.OK, "", answer, _raw(call.initial_metadata()), _raw(call.trailing_metadata()))

    def start(  # noqa: PLR0917 - as the protocol has it
        self,
        method: _Method,
        message: bytes,
        done: Callable[[Reply, Any], object],
        token: Any = None,
        own: Header | None = None,
        timeout: float | None = None,
    ) -> None:
        """Make one call in a greenlet, and have `done` called with its reply and `token`, in the hub, when it is over."""
        loop = get_hub().loop

        def exchange() -> None:
            try:
                reply = self.exchange(method, message, own, timeout)
            except ValueError as error:
                reply = Reply(Code.INTERNAL, f"the request cannot be sent: {error}")
            loop.run_callback(done, reply, token)

        gevent.spawn(exchange)

    def close(self) -> None:
        """Drop all connections."""
        for channel in self._channels:
            channel.close()


def _value(name: bytes, value: bytes) -> str | bytes:
    return b64decode(value + b"==") if name.endswith(b"-bin") else value.decode()


def _failed(error: Any) -> Reply:
    if not callable(getattr(error, "code", None)):
        return Reply(Code.UNKNOWN, str(error))
    code = Code[error.code().name]
    return Reply(code, error.details() or "", b"", _raw(error.initial_metadata()), _raw(error.trailing_metadata()))


def _raw(metadata: Any) -> tuple[Header, ...]:
    """Return metadata as it travelled."""
    return tuple(
        (name.encode(), b64encode(value) if isinstance(value, bytes) else value.encode()) for name, value in metadata or ()
    )


def cooperate_with_gevent() -> None:
    """Have grpcio wait in gevent's loop instead of blocking it; needed before the first channel is opened, once a process."""
    grpc_gevent.init_gevent()
