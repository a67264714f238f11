"""What the tests of the fault proxy share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from harness.call import RpcError
from harness.client import ControllerClient
from harness.endpoint import Endpoint
from harness.faultproxy import FaultProxy, proxied
from harness.history import Rpc
from harness.requests import Requests
from tests.edge.endpoints import PATIENCE


def comes_true(condition: Callable[[], bool]) -> bool:
    """Whether a condition holds within a bounded time."""
    by, pause = time.monotonic() + PATIENCE, threading.Event()
    while not condition() and time.monotonic() < by:
        pause.wait(0.01)
    return condition()


def reason_of(where: Endpoint) -> str:
    """Why the proxy cannot get through to an endpoint, by its own account; the client hears that it is unavailable."""
    with FaultProxy(where) as proxy, ControllerClient(proxied(where, proxy)) as client:
        with pytest.raises(RpcError) as caught:
            client.call(Rpc.STATUS, Requests(where).status("x"))
        assert caught.value.code == "UNAVAILABLE"
        assert comes_true(lambda: bool(proxy.failures))
        return proxy.failures[0]
