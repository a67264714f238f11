"""The `Transport` that users see: calls of the service over any channel, each counted and returned as an `Answer`.

Knows nothing of users, records or Locust; who counts calls, and who wants to know of failed ones, is passed in. What is done per
call is what a load run's figures cost, so it is written for the fewest steps.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from google.protobuf.message import DecodeError, Message

from harness.budget import Spending
from harness.call import REQUEST_ID, RESPONSE_TYPES, prepare
from harness.endpoint import Endpoint
from harness.grpcstatus import Code
from harness.history import Failed, Rpc, Unknown, outcome_of_error
from harness.scenario import WIRE
from loadtests.patience import Patience
from loadtests.program import Answer, Ask
from loadtests.transport.reply import Channel, Reply

LAST_CALL = 0.5
"""Shortest time, in seconds, that a call is given when the run is being stopped."""
_NAME = REQUEST_ID.encode()
_OK = Code.OK
_clock = time.monotonic_ns
_new = tuple.__new__
"""Makes a named tuple in a third of the time."""


class Count(Protocol):
    """Takes a call into the figures: RPC, code, when it was sent, ended and due, and the size of its answer."""

    def __call__(  # noqa: PLR0917 - see Transport
        self, rpc: str, code: str, sent_ns: int, ended_ns: int, due_ns: int | None = None, octets: int = 0
    ) -> None:
        """Count one call."""


def _count_nothing(*_: Any, **__: Any) -> None:
    """Leave a call out of the figures."""


@dataclass(frozen=True)
class Watchers:
    """Who hears of calls. `count` is told of each; `told`, with the size of the answer, of failed ones, or of `each`.

    No call takes longer than `patience` lasts.
    """

    count: Count = _count_nothing
    told: Callable[[Answer, int], None] = _count_nothing
    each: bool = False
    patience: Patience = field(default_factory=Patience)


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
    """Makes calls for many users at once.

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
        self._begun = 0
        self._over = 0
        _, headers = prepare(endpoint, endpoint.profile.default_identity, ())
        metadata = tuple(header for header in headers if header[0] != REQUEST_ID)
        deadlines = endpoint.profile.deadlines
        timeouts = dict.fromkeys(Rpc, deadlines.call)
        timeouts |= {Rpc.EXECUTE: deadlines.submit, Rpc.BATCH: deadlines.submit, Rpc.RESULTS: deadlines.results}
        self._methods = {rpc: _Method(rpc, channel.method(rpc.path, metadata, timeouts[rpc]), timeouts[rpc]) for rpc in Rpc}
        self._ended = self._end  # once, not per call

    @property
    def in_flight(self) -> int:
        """The number of calls that are being made now."""
        return self._begun - self._over

    def call(self, ask: Ask) -> Answer:
        """Make one call, blocking this user only, and return its answer whatever came of it."""
        rpc, octets, jobs, due_ns = ask
        if self._spending is not None:
            self._spending.spend(jobs=jobs)
        method = self._methods[rpc]
        number = self._begun = self._begun + 1
        request_id = b"%s%012x" % (self._ids, number)
        limit = None if self._patience.by is None else self._limit(method)
        started = _clock()
        try:
            reply = self._exchange(method.handle, octets, ((_NAME, request_id),), limit)
        except BaseException:
            self._over += 1
            raise
        return self._answer(reply, method, due_ns, request_id, started)

    def start(self, ask: Ask, done: Callable[[Answer], object]) -> None:
        """Make one call, and have `done` called with its answer, in the hub, later."""
        rpc, octets, jobs, due_ns = ask
        if self._spending is not None:
            self._spending.spend(jobs=jobs)
        method = self._methods[rpc]
        number = self._begun = self._begun + 1
        request_id = b"%s%012x" % (self._ids, number)
        limit = None if self._patience.by is None else self._limit(method)
        token = (done, method, due_ns, request_id, _clock())
        self._start(method.handle, octets, self._ended, token, ((_NAME, request_id),), limit)

    def _end(self, reply: Reply, token: tuple[Callable[[Answer], object], _Method, int | None, bytes, int]) -> None:
        done, method, due_ns, request_id, started = token
        done(self._answer(reply, method, due_ns, request_id, started))

    def close(self) -> None:
        """Drop all connections."""
        self._channel.close()

    def _limit(self, method: _Method) -> float:
        return min(method.timeout, max(self._patience.left() or 0.0, LAST_CALL))

    def _answer(self, reply: Reply, method: _Method, due_ns: int | None, request_id: bytes, started: int) -> Answer:
        ended_ns = _clock() - self._origin_ns
        sent_ns = started - self._origin_ns
        self._over += 1
        message = reply.message
        response: Message | None = None
        error: Failed | Unknown | None = None
        code = "OK"
        if reply.code is _OK:
            try:
                response = method.parse(message)
            except DecodeError as trouble:
                error = outcome_of_error(Code.INTERNAL.name, f"the answer is no message of its type: {trouble}")
        else:
            error = outcome_of_error(reply.code.name, reply.details)
        if error is not None:
            code = error.code
        answer: Answer = _new(Answer, (method.rpc, code, response, error, sent_ns, ended_ns, request_id))
        self._count(method.name, code, sent_ns, ended_ns, due_ns, len(message))
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
