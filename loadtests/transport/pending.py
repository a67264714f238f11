"""A call that is on its way, as those see it who carry it. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from harness.grpcframing import MessageReader
from harness.grpcmeta import Header, encode_timeout
from loadtests.transport.reply import Reply


def nobody(reply: Reply, token: object) -> None:
    """Wake nobody: for calls that are looked at instead."""


class Method:
    """What is the same in all calls of an RPC: `headers` but for `grpc-timeout`, the `timeout` in seconds, and both together."""

    __slots__ = ("headers", "timed", "timeout")

    def __init__(self, headers: tuple[Header, ...], timeout: float | None) -> None:
        self.headers = headers
        self.timeout = timeout
        self.timed = headers if timeout is None else (*headers, (b"grpc-timeout", encode_timeout(timeout)))


class Call:
    """A call on its way. `extra` are its own headers; `body` is the message with its prefix.

    `timeout` is how many seconds it has from `now` on (None: as many as the method has), `deadline` when it has to be over.
    It is `usual` as long as its headers are those of its method and its own. `reply` is set once it is over; `wake` is for
    whoever waits for that: it is called with reply and `token`, but not by the connection.
    """

    __slots__ = (
        "body",
        "data",
        "deadline",
        "extra",
        "head",
        "method",
        "moves",
        "reply",
        "stream",
        "token",
        "usual",
        "wake",
    )

    def __init__(  # noqa: PLR0917 - made once per call, and names of arguments take time
        self,
        method: Method,
        body: bytes,
        now: float,
        timeout: float | None = None,
        extra: tuple[Header, ...] = (),
        wake: Callable[[Reply, Any], object] = nobody,
        token: Any = None,
    ) -> None:
        self.method = method
        self.body = body
        self.extra = extra
        self.wake = wake
        self.token = token
        self.reply: Reply | None = None
        self.usual = timeout is None
        self.moves = 0
        self.stream = 0
        self.head: Sequence[Header] = ()
        self.data: MessageReader | None = None
        if timeout is None:
            timeout = method.timeout
        self.deadline = math.inf if timeout is None else now + timeout

    def headers(self, now: float) -> tuple[Header, ...]:
        """Return the headers of the request when it is sent at a time."""
        method = self.method
        if self.deadline == math.inf:
            return method.headers + self.extra
        return (*method.headers, (b"grpc-timeout", encode_timeout(self.deadline - now)), *self.extra)
