"""The `Transport` that users see: typed calls of the service over any channel, each told of and returned as a `Call`.

Knows nothing of users, records or Locust; who wants to know of every call passes `on_call`.
"""

from __future__ import annotations

import itertools
import random
import secrets
import time
from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError, Message

from harness.budget import Spending
from harness.call import REQUEST_ID, RESPONSE_TYPES, Call, jobs_in, prepare
from harness.endpoint import Endpoint
from harness.grpcstatus import Code
from harness.history import Failed, Rpc, Unknown, outcome_of_error
from harness.scenario import WIRE
from loadtests.transport.reply import Channel, Reply

_SUBMISSIONS = frozenset({Rpc.EXECUTE, Rpc.BATCH})


class Transport:
    """Makes calls for many users at once. `in_flight` is the number of calls that are being made now."""

    def __init__(self, endpoint: Endpoint, channel: Channel, on_call: Callable[[Call], None], origin_ns: int) -> None:
        self._endpoint = endpoint
        self._channel = channel
        self._on_call = on_call
        self._origin_ns = origin_ns
        self._identity = endpoint.profile.default_identity
        self._spending = Spending(endpoint.profile.budget)
        self._numbers = itertools.count(1)
        self._ids = random.Random(secrets.randbits(128))  # noqa: S311 - names, not secrets
        _, headers = prepare(endpoint, self._identity, ())
        self._headers = tuple(header for header in headers if header[0] != REQUEST_ID)
        deadlines = endpoint.profile.deadlines
        self._timeouts = dict.fromkeys(Rpc, deadlines.call)
        self._timeouts |= {Rpc.EXECUTE: deadlines.submit, Rpc.BATCH: deadlines.submit, Rpc.RESULTS: deadlines.results}
        self._methods: dict[Rpc, tuple[str, Any]] = {rpc: (rpc.path, RESPONSE_TYPES[rpc].FromString) for rpc in Rpc}
        self.in_flight = 0

    def call(self, rpc: Rpc, request: Message, limit: float | None = None) -> Call:
        """Make one call, blocking this user only, and return it whatever came of it.

        It lasts no longer than the profile's deadline, nor than `limit` seconds. Raises BudgetExceededError instead of
        making a call beyond the profile's budget.
        """
        self._spending.spend(jobs=jobs_in(request) if rpc in _SUBMISSIONS else 0)
        request_id = _fresh_uuid(self._ids)
        headers = ((REQUEST_ID, request_id), *self._headers)
        timeout = self._timeouts[rpc] if limit is None else min(self._timeouts[rpc], limit)
        path, parse = self._methods[rpc]
        octets = request.SerializeToString()
        self.in_flight += 1
        started = time.monotonic_ns()
        try:
            reply = self._channel.exchange(path, octets, timeout, headers)
        finally:
            self.in_flight -= 1
        response, error = _outcome(reply, parse)
        call = Call(
            number=next(self._numbers),
            rpc=rpc,
            client="load",
            identity=self._identity or "",
            request_id=request_id,
            timeout=timeout,
            started_ns=started - self._origin_ns,
            ended_ns=time.monotonic_ns() - self._origin_ns,
            request=request,
            response=response,
            error=error,
            endpoint=self._endpoint,
        )
        self._on_call(call)
        return call

    def close(self) -> None:
        """Drop all connections."""
        self._channel.close()


def _fresh_uuid(source: random.Random) -> str:
    """Return a version 4 UUID (RFC 9562, section 5.4); the library's own takes three times as long."""
    digits = f"{source.getrandbits(128) & ~(0xF << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _outcome(reply: Reply, parse: Callable[[bytes], Message]) -> tuple[Message | None, Failed | Unknown | None]:
    if reply.code is not Code.OK:
        return None, outcome_of_error(reply.code.name, reply.details)
    try:
        return parse(reply.message), None
    except DecodeError as error:
        return None, outcome_of_error(Code.INTERNAL.name, f"the answer is no message of its type: {error}")


def open_transport(kind: str, endpoint: Endpoint, connections: int, on_call: Callable[[Call], None], origin_ns: int) -> Transport:
    """Return a transport of a kind that a scenario can name; it connects on first use."""
    return Transport(endpoint, _open_channel(kind, endpoint, connections), on_call, origin_ns)


def _open_channel(kind: str, endpoint: Endpoint, connections: int) -> Channel:
    # Each is imported only when it is used: grpcio starts threads of its own, and gevent a hub.
    if kind == WIRE:
        from loadtests.transport.wire import wire_channel  # noqa: PLC0415

        return wire_channel(endpoint, connections)
    from loadtests.transport.grpcio import GrpcioChannel  # noqa: PLC0415

    return GrpcioChannel(endpoint, connections)
