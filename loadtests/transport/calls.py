"""The `Transport` that users see: calls of the service over any channel, each counted and returned as an `Answer`.

Knows nothing of users, records or Locust; who counts calls, and who wants to know of failed ones, is passed in.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from google.protobuf.message import DecodeError, Message

from harness.budget import Spending
from harness.call import REQUEST_ID, RESPONSE_TYPES, prepare
from harness.endpoint import Endpoint
from harness.grpcstatus import Code
from harness.history import Failed, Rpc, Unknown, outcome_of_error
from harness.scenario import WIRE
from loadtests.program import Answer, Ask
from loadtests.transport.reply import Channel, Reply

LAST_CALL = 0.5
"""Shortest time, in seconds, that a call is given when the run is being stopped."""
_NAME = REQUEST_ID.encode()
_OK = Code.OK
_clock = time.monotonic_ns


class Count(Protocol):
    """Takes a call into the figures: RPC, code, when it was sent, ended and due, and the size of its answer."""

    def __call__(self, rpc: str, code: str, sent_ns: int, ended_ns: int, due_ns: int | None = None, *, octets: int = 0) -> None:
        """Count one call."""


def _count_nothing(*_: Any, **__: Any) -> None:
    """Leave a call out of the figures."""


def _no_limit() -> None:
    """Give calls as long as the profile's deadlines say."""


@dataclass(frozen=True)
class Watchers:
    """Who hears of calls. `count` is told of each; `told`, with the size of the answer, of failed ones, or of `each`.

    `patience` is how many seconds a call may take at most at present, None for as long as the profile says.
    """

    count: Count = _count_nothing
    told: Callable[[Answer, int], None] = _count_nothing
    each: bool = False
    patience: Callable[[], float | None] = _no_limit


class _Method:
    """One RPC as it is called: its name, what the channel needs to know, and how its answer is read."""

    __slots__ = ("handle", "name", "parse", "rpc", "timeout")

    def __init__(self, rpc: Rpc, handle: Any, timeout: float) -> None:
        self.rpc = rpc
        self.name = rpc.value
        self.handle = handle
        self.parse: Callable[[bytes], Message] = RESPONSE_TYPES[rpc].FromString
        self.timeout = timeout


class Transport:
    """Makes calls for many users at once. `in_flight` is the number of calls that are being made now.

    Raises BudgetExceededError instead of making a call beyond the profile's budget.
    """

    def __init__(self, endpoint: Endpoint, channel: Channel, watchers: Watchers, origin_ns: int) -> None:
        self._channel = channel
        self._exchange, self._start = channel.exchange, channel.start
        self._count, self._patience = watchers.count, watchers.patience
        self._told, self._each = watchers.told, watchers.each
        self._origin_ns = origin_ns
        budget = endpoint.profile.budget
        self._spending = Spending(budget) if budget.calls is not None or budget.jobs is not None else None
        # Ids differ in the last part only: that is enough, and making them all afresh takes longer than sending them.
        self._ids = _uuid_but_last(random.Random(secrets.randbits(128)))  # noqa: S311 - names, not secrets
        self._number = 0
        _, headers = prepare(endpoint, endpoint.profile.default_identity, ())
        metadata = tuple(header for header in headers if header[0] != REQUEST_ID)
        deadlines = endpoint.profile.deadlines
        timeouts = dict.fromkeys(Rpc, deadlines.call)
        timeouts |= {Rpc.EXECUTE: deadlines.submit, Rpc.BATCH: deadlines.submit, Rpc.RESULTS: deadlines.results}
        self._methods = {rpc: _Method(rpc, channel.method(rpc.path, metadata, timeouts[rpc]), timeouts[rpc]) for rpc in Rpc}
        self.in_flight = 0

    def call(self, ask: Ask) -> Answer:
        """Make one call, blocking this user only, and return its answer whatever came of it."""
        if self._spending is not None:
            self._spending.spend(jobs=ask.jobs)
        method = self._methods[ask.rpc]
        self._number += 1
        request_id = b"%s%012x" % (self._ids, self._number)
        limit = self._limit(method)
        self.in_flight += 1
        started = _clock()
        try:
            reply = self._exchange(method.handle, ask.octets, ((_NAME, request_id),), limit)
        finally:
            self.in_flight -= 1
        return self._answer(method, ask.due_ns, request_id, started, reply)

    def start(self, ask: Ask, done: Callable[[Answer], object]) -> None:
        """Make one call, and have `done` called with its answer, in the hub, later."""
        if self._spending is not None:
            self._spending.spend(jobs=ask.jobs)
        method = self._methods[ask.rpc]
        due_ns = ask.due_ns
        self._number += 1
        request_id = b"%s%012x" % (self._ids, self._number)
        limit = self._limit(method)
        self.in_flight += 1
        started = _clock()

        def finished(reply: Reply) -> None:
            self.in_flight -= 1
            done(self._answer(method, due_ns, request_id, started, reply))

        self._start(method.handle, ask.octets, finished, ((_NAME, request_id),), limit)

    def close(self) -> None:
        """Drop all connections."""
        self._channel.close()

    def _limit(self, method: _Method) -> float | None:
        patience = self._patience()
        return None if patience is None else min(method.timeout, max(patience, LAST_CALL))

    def _answer(self, method: _Method, due_ns: int | None, request_id: bytes, started: int, reply: Reply) -> Answer:
        response: Message | None = None
        error: Failed | Unknown | None = None
        message = reply.message
        if reply.code is _OK:
            try:
                response = method.parse(message)
            except DecodeError as trouble:
                error = outcome_of_error(Code.INTERNAL.name, f"the answer is no message of its type: {trouble}")
        else:
            error = outcome_of_error(reply.code.name, reply.details)
        origin = self._origin_ns
        sent_ns, ended_ns = started - origin, _clock() - origin
        answer = Answer(method.rpc, response, error, request_id, sent_ns, ended_ns)
        self._count(method.name, answer.code, sent_ns, ended_ns, due_ns, octets=len(message))
        if error is not None or self._each:
            self._told(answer, len(message))
        return answer


def _uuid_but_last(source: random.Random) -> bytes:
    """Return a version 4 UUID (RFC 9562, section 5.4) without its last twelve digits."""
    digits = f"{source.getrandbits(80) & ~(0xF << 28 | 0x3 << 14) | 0x4 << 28 | 0x2 << 14:020x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:]}-".encode()


def open_transport(kind: str, endpoint: Endpoint, connections: int, watchers: Watchers, origin_ns: int) -> Transport:
    """Return a transport of a kind that a scenario can name; it connects on first use."""
    return Transport(endpoint, open_channel(kind, endpoint, connections), watchers, origin_ns)


def open_channel(kind: str, endpoint: Endpoint, connections: int) -> Channel:
    """Return a channel of a kind that a scenario can name; it connects on first use."""
    # Each is imported only when it is used: grpcio starts threads of its own, and gevent a hub.
    if kind == WIRE:
        from loadtests.transport.wire import wire_channel  # noqa: PLC0415

        return wire_channel(endpoint, connections)
    from loadtests.transport.grpcio import GrpcioChannel  # noqa: PLC0415

    return GrpcioChannel(endpoint, connections)
