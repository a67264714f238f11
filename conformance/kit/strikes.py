"""Submissions that are struck on their way through the fault proxy, and what must hold whatever became of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from google.protobuf.message import Message

from conformance.kit.answers import describe
from conformance.kit.case import Case
from conformance.kit.clock import Stopwatch
from conformance.kit.oracles import counting, expect_all_or_none
from conformance.kit.verdicts import DisturbedError
from harness.call import Call
from harness.client import ControllerClient
from harness.faultproxy import FaultProxy, proxied
from harness.h2faults import CutAfterRequest, CutBeforeRequest, Fault, HoldResponse, ResetStream

_PATIENCE = 2.0
"""Seconds until a fault has struck and the endpoint has answered; a held queue does not stay so for longer."""
_HEAD_START = 0.02
"""Seconds that an endpoint has to begin with a request before the connections are dropped."""
_TOO_LATE = 0.2
"""Deadline in seconds of a call whose response is held back."""

Strike = Callable[[Case, FaultProxy, ControllerClient, Message], Call]


def _struck(case: Case, proxy: FaultProxy, client: ControllerClient, request: Message, *, fault: Fault) -> Call:
    """Let `fault` befall a submission, and wait until the endpoint has dealt with it."""
    proxy.arm(fault)
    lost = case.attempt(request, client=client, timeout=_TOO_LATE if isinstance(fault, HoldResponse) else None)
    struck = proxy.wait_fault(_PATIENCE, answered=not isinstance(fault, CutBeforeRequest))
    if struck is None or lost.error is None:
        raise DisturbedError(f"the fault did not strike the submission: {describe(lost)}")
    return lost


def _dropped(case: Case, proxy: FaultProxy, client: ControllerClient, request: Message) -> Call:
    """Drop both connections when the endpoint has begun to work: it learns at once that nobody waits any more."""
    proxy.arm(HoldResponse())
    with ThreadPoolExecutor(1) as pool:
        calling = pool.submit(case.attempt, request, client=client)
        struck = proxy.wait_fault(_PATIENCE)
        # Dropped any earlier, the connection would take the request with it before a handler has seen it.
        Stopwatch().wait_until(_HEAD_START)
        proxy.drop_idle()
        lost = calling.result()
    if struck is None or lost.error is None:
        raise DisturbedError(f"the connection was not dropped while the submission was under way: {describe(lost)}")
    return lost


STRIKES: Mapping[str, Strike] = {
    "cut-after-request": partial(_struck, fault=CutAfterRequest()),
    "cut-before-request": partial(_struck, fault=CutBeforeRequest()),
    "response-held": partial(_struck, fault=HoldResponse()),
    "stream-reset": partial(_struck, fault=ResetStream()),
    "connections-dropped": _dropped,
}
"""What can befall a submission on the wire, by name: each makes the call, which gets no answer, and returns it."""

EVERY_STRIKE = pytest.mark.parametrize("name", STRIKES)
"""Runs a check once for each of `STRIKES`."""


def client_through(case: Case, proxy: FaultProxy) -> ControllerClient:
    """Open a connection through the proxy, and wait until it stands."""
    client = case.connect("through the fault proxy", endpoint=proxied(case.endpoint, proxy))
    client.wait_ready(case.deadlines.call)
    return client


def expect_atomic(case: Case, requirement: str, name: str, request: Message, jobs: int) -> None:
    """Strike a submission of so many jobs without a key and expect that all of them were queued, or none."""
    with FaultProxy(case.endpoint) as proxy:
        client = client_through(case, proxy)
        with counting(case) as count:
            STRIKES[name](case, proxy, client, request)
            proxy.release()
    expect_all_or_none(case, requirement, count, jobs, f"a submission, {name}")
