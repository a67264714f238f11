"""The well-known way: gRPC calls by grpcio, to compare with. Under gevent it has to be told to wait in gevent's loop."""

from __future__ import annotations

import itertools
from base64 import b64encode
from typing import Any

import grpc
from grpc.experimental import gevent as grpc_gevent

from harness.channel import open_channel
from harness.endpoint import Endpoint
from harness.grpcmeta import Header, Metadata
from harness.grpcstatus import Code
from loadtests.transport.reply import Reply


class GrpcioChannel:
    """Calls through as many channels of grpcio, used in turn; each has a connection of its own."""

    def __init__(self, endpoint: Endpoint, connections: int = 1) -> None:
        self._channels = [open_channel(endpoint) for _ in range(connections)]
        self._turns = itertools.cycle(self._channels)
        self._methods: dict[tuple[grpc.Channel, str], Any] = {}

    def exchange(self, path: str, message: bytes, timeout: float | None = None, metadata: Metadata = ()) -> Reply:
        """Make one call and wait for its end, `timeout` seconds at most; failures are replies, too. Raises ValueError."""
        channel = next(self._turns)
        method = self._methods.get((channel, path))
        if method is None:
            method = channel.unary_unary(path, request_serializer=None, response_deserializer=None)
            self._methods[channel, path] = method
        try:
            answer, call = method.with_call(message, timeout=timeout, metadata=tuple(metadata) or None)
        except grpc.RpcError as error:
            return _failed(error)
        if answer is None:
            return Reply(Code.UNIMPLEMENTED, "no message, where there is to be one")
        return Reply(Code.OK, "", answer, _raw(call.initial_metadata()), _raw(call.trailing_metadata()))

    def close(self) -> None:
        """Drop all connections."""
        for channel in self._channels:
            channel.close()


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
