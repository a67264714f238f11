"""The `Transport` that users see: calls of the service over any channel, each counted and returned as an `Answer`.

Knows nothing of users, records or Locust; who counts calls, and who wants to know of failed ones, is passed in. What is done per
call is what a load run's figures cost, so it is written for the fewest steps.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from google.protobuf.message import DecodeError

from harness.budget import Spending
from harness.call import REQUEST_ID, prepare
from harness.endpoint import Endpoint
from harness.grpcstatus import Code
from harness.history import Rpc, outcome_of_error
from harness.scenario import WIRE
from loadtests.patience import Patience
from loadtests.program import Answer, Ask
from loadtests.receipts import parser_of
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
        self.parse = parser_of(rpc)
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
        # Short ones, as every octet of them costs: who this is, and the number of the call.
        self._ids = f"{secrets.token_hex(5)}-".encode()
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
        request_id = self._ids + b"%x" % number
        limit = None if self._patience.by is None else self._limit(method)
        token = (_itself, method, due_ns, request_id, _clock())
        try:
            reply = self._exchange(method.handle, octets, (_NAME, request_id), limit)
        except BaseException:
            self._over += 1
            raise
        answer: Answer = self._end(reply, token)
        return answer

    def start(self, ask: Ask, done: Callable[[Answer], object]) -> None:
        """Make one call, and have `done` called with its answer, in the hub, later."""
        rpc, octets, jobs, due_ns = ask
        if self._spending is not None:
            self._spending.spend(jobs=jobs)
        method = self._methods[rpc]
        number = self._begun = self._begun + 1
        request_id = self._ids + b"%x" % number
        limit = None if self._patience.by is None else self._limit(method)
        token = (done, method, due_ns, request_id, _clock())
        self._start(method.handle, octets, self._ended, token, (_NAME, request_id), limit)

    def close(self) -> None:
        """Drop all connections."""
        self._channel.close()

    def _limit(self, method: _Method) -> float:
        return min(method.timeout, max(self._patience.left() or 0.0, LAST_CALL))

    def _end(self, reply: Reply, token: tuple[Callable[[Answer], Any], _Method, int | None, bytes, int]) -> Any:
        """Count a call that is over, and hand its answer to whoever it is for."""
        ended_ns = _clock() - self._origin_ns
        done, method, due_ns, request_id, sent_ns = token
        sent_ns -= self._origin_ns
        self._over += 1
        code, details, message, _, _ = reply
        size = len(message)
        if code is _OK:
            try:
                answer: Answer = _new(Answer, (method.rpc, "OK", method.parse(message), None, sent_ns, ended_ns, request_id))
            except DecodeError as trouble:
                code, details = Code.INTERNAL, f"the answer is no message of its type: {trouble}"
            else:
                self._count(method.name, "OK", sent_ns, ended_ns, due_ns, size)
                if self._each:
                    self._told(answer, size)
                return done(answer)
        error = outcome_of_error(code.name, details)
        answer = Answer(method.rpc, error.code, None, error, sent_ns, ended_ns, request_id)
        self._count(method.name, error.code, sent_ns, ended_ns, due_ns, size)
        self._told(answer, size)
        return done(answer)


def _itself(answer: Answer) -> Answer:
    return answer


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
