"""A call that is on its way, as those see it who carry it. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable

from harness.grpcframing import MessageReader
from harness.grpcmeta import Header
from loadtests.transport.reply import Reply


def _nobody() -> None:
    """Wake nobody: the default of a call that is looked at instead."""


class Call:
    """A call on its way. `headers` are those of the request but for `grpc-timeout`; `body` is the message with its prefix.

    `deadline` is when it has to be over, `timeout` how many seconds that was when it began (None: no deadline). `reply` is
    set once it is over; `wake` is for whoever waits for that, the connection does not call it.
    """

    __slots__ = ("body", "data", "deadline", "head", "headers", "moves", "reply", "stream", "timeout", "wake")

    def __init__(self, headers: tuple[Header, ...], body: bytes, now: float, timeout: float | None) -> None:
        self.headers = headers
        self.body = body
        self.timeout = timeout
        self.deadline = math.inf if timeout is None else now + timeout
        self.wake: Callable[[], object] = _nobody
        self.reply: Reply | None = None
        self.moves = 0
        self.stream = 0
        self.head: tuple[Header, ...] = ()
        self.data: bytes | MessageReader | None = None
