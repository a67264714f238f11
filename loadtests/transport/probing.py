"""Is anybody there, and do they let us in? Asked before a run, by the transport that the run will use."""

from __future__ import annotations

import time
import uuid

import gevent

from harness.endpoint import Endpoint
from harness.errors import UnreachableError
from harness.history import Rpc
from harness.probe import judge, probe
from harness.requests import Requests
from harness.scenario import WIRE
from loadtests.patience import Patience
from loadtests.program import Ask
from loadtests.transport.calls import Watchers, open_transport

_REST = 0.05
"""Seconds between two attempts."""


def probe_by(kind: str, endpoint: Endpoint, patience: float) -> None:
    """Ask for the status of a job that does not exist; any answer of the service will do.

    Raises UnreachableError when nothing answers within `patience` seconds, or the credentials are refused.
    """
    if kind != WIRE:
        from loadtests.transport.grpcio import cooperate_with_gevent  # noqa: PLC0415 - before anything else of grpcio

        cooperate_with_gevent()
        probe(endpoint, patience)
        return
    by = time.monotonic() + patience
    watchers = Watchers(patience=Patience(by))
    transport = open_transport(kind, endpoint, 1, watchers, 0)
    ask = Ask(Rpc.STATUS, Requests(endpoint).status(str(uuid.uuid4())).SerializeToString())
    try:
        while (answer := transport.call(ask)).error is not None:
            if answer.code not in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}:
                judge(endpoint, answer.code, answer.error.message)
                return
            if time.monotonic() + _REST > by:
                raise UnreachableError(
                    f"{endpoint.address} does not answer (waited {patience:g} s): {answer.error.message}",
                    hint="is the endpoint running, and is TLS set as the endpoint expects?",
                )
            gevent.sleep(_REST)
    finally:
        transport.close()
