"""A call that is on its way, as those see it who carry it. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from harness.grpcframing import MessageReader
from harness.grpcmeta import Header, encode_timeout
from loadtests.transport.reply import Reply


def _nobody(_: Reply) -> None:
    """Wake nobody: the default of a call that is looked at instead."""


class Method:
    """What is the same in all calls of an RPC: `headers` but for `grpc-timeout`, the `timeout` in seconds, and both together."""

    __slots__ = ("headers", "timed", "timeout")

    def __init__(self, headers: tuple[Header, ...], timeout: float | None) -> None:
        self.headers = headers
        self.timeout = timeout
        self.timed = headers if timeout is None else (*headers, (b"grpc-timeout", encode_timeout(timeout)))


class Call:
    """A call on its way. `extra` are its own headers; `body` is the message with its prefix.

    `deadline` is when it has to be over, `timeout` how many seconds that was when it began (None: no deadline). `reply` is
    set once it is over; `wake` is for whoever waits for that, the connection does not call it.
    """

    # Defaults of the class cost nothing per call.
    wake: Callable[[Reply], object] = staticmethod(_nobody)
    reply: Reply | None = None
    moves = 0
    stream = 0
    head: Sequence[Header] = ()
    data: bytes | MessageReader | None = None

    def __init__(self, method: Method, body: bytes, now: float, timeout: float | None, extra: tuple[Header, ...] = ()) -> None:
        self.method = method
        self.extra = extra
        self.body = body
        self.timeout = timeout
        self.deadline = math.inf if timeout is None else now + timeout

    def headers(self, timeout: float | None) -> tuple[Header, ...]:
        """Return the headers of the request when so many seconds are left."""
        method = self.method
        if timeout == method.timeout:
            return method.timed + self.extra
        if timeout is None:
            return method.headers + self.extra
        return (*method.headers, (b"grpc-timeout", encode_timeout(timeout)), *self.extra)
