"""How calls reach the endpoint: the `Transport` that users see, and the one that makes calls through grpcio under gevent.

Knows nothing of users, records or Locust; who wants to know of every call passes `on_call`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Protocol

from google.protobuf.message import Message
from grpc.experimental import gevent as grpc_gevent

from harness.budget import Spending
from harness.call import Call, RpcError
from harness.client import ControllerClient
from harness.endpoint import Endpoint
from harness.history import Rpc


class Transport(Protocol):
    """Makes calls for many users at once."""

    @property
    def in_flight(self) -> int:
        """Calls that are being made now."""

    def call(self, rpc: Rpc, request: Message, limit: float | None = None) -> Call:
        """Make one call, blocking this user only, and return it whatever came of it.

        It lasts no longer than the profile's deadline, nor than `limit` seconds. Raises BudgetExceededError instead of
        making a call beyond the profile's budget.
        """

    def close(self) -> None:
        """Drop all connections."""


class GrpcioTransport:
    """Calls through `harness.client`, on a fixed number of connections used in turn."""

    def __init__(self, endpoint: Endpoint, connections: int, on_call: Callable[[Call], None], origin_ns: int) -> None:
        spending = Spending(endpoint.profile.budget)
        self._clients = [
            ControllerClient(endpoint, name=f"load-{number}", on_call=on_call, spending=spending, origin_ns=origin_ns)
            for number in range(1, connections + 1)
        ]
        self._turns = itertools.cycle(self._clients)
        self.in_flight = 0

    def call(self, rpc: Rpc, request: Message, limit: float | None = None) -> Call:
        """Make one call and return it, failed ones too. Raises BudgetExceededError."""
        self.in_flight += 1
        try:
            client = next(self._turns)
            return client.call(rpc, request, timeout=min(client.timeout_of(rpc), limit or math.inf))
        except RpcError as error:
            return error.call
        finally:
            self.in_flight -= 1

    def close(self) -> None:
        """Drop all connections."""
        for client in self._clients:
            client.close()


def cooperate_with_gevent() -> None:
    """Have grpcio wait in gevent's loop instead of blocking it; needed before the first channel is opened, once a process."""
    grpc_gevent.init_gevent()
