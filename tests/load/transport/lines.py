"""Both transports, opened for a test."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gevent

from harness.endpoint import Endpoint
from harness.grpcmeta import Metadata
from harness.scenario import GRPCIO, TRANSPORTS, WIRE
from loadtests.transport.grpcio import GrpcioChannel
from loadtests.transport.reply import Channel, Reply
from loadtests.transport.wire import wire_channel
from tests.edge.endpoints import endpoint

BOTH = tuple(TRANSPORTS)
PATH = "/services.controller.Controller/GetControllerJobStatus"
__all__ = ["BOTH", "GRPCIO", "PATH", "WIRE", "ask", "call", "call_all", "channel"]


@contextlib.contextmanager
def channel(kind: str, address: str, connections: int = 1, base: Path = Path(), **profile: Any) -> Iterator[Channel]:
    """Open a channel to an address; `profile` are fields of the profile."""
    where = endpoint(address, base, **profile)
    opened = _open(kind, where, connections)
    try:
        yield opened
    finally:
        opened.close()
        gevent.sleep(0)


def _open(kind: str, where: Endpoint, connections: int) -> Channel:
    return wire_channel(where, connections) if kind == WIRE else GrpcioChannel(where, connections)


def ask(opened: Channel, path: str, body: bytes, timeout: float | None, metadata: Metadata = ()) -> Reply:
    """Make one call of a method and wait for its end."""
    return opened.exchange(opened.method(path, metadata, timeout), body)


def call(
    kind: str, address: str, body: bytes = b"", *, timeout: float | None = 20.0, metadata: Metadata = (), **profile: Any
) -> Reply:
    """Make one call on a connection of its own."""
    with channel(kind, address, **profile) as opened:
        return ask(opened, PATH, body, timeout, metadata)


def call_all(kind: str, opened: Channel, bodies: list[bytes], timeout: float = 20.0) -> list[Reply]:
    """Make calls at the same time, and return their replies in the same order."""
    if kind == WIRE:
        tasks = [gevent.spawn(ask, opened, PATH, body, timeout) for body in bodies]
        gevent.joinall(tasks)
        return [task.get() for task in tasks]
    with ThreadPoolExecutor(min(len(bodies), 4 * (os.cpu_count() or 1) + 12)) as pool:
        return list(pool.map(lambda body: ask(opened, PATH, body, timeout), bodies))
