"""Puts the parts of a reference Controller together, and starts and stops them in order.

`running` is the server inside a loop that somebody else runs; `run` is the whole process, with signals.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ConfigError
from harness.server import mutants, variants
from harness.server.clock import SteadyClock
from harness.server.edge_grpcio import GrpcEdge
from harness.server.edge_wire import WireEdge
from harness.server.engine import Engine
from harness.server.lifecycle import EngineConfig
from harness.server.observer import Observer
from harness.server.service import Service
from harness.server.settings import ServerSettings
from harness.server.sockets import reason
from harness.server.sqlite_store import SqliteStore
from harness.server.store import MemoryStore, Store
from harness.server.tokens import Access
from harness.server.values import SECOND

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Bound:
    """Where a server can be reached; `observer_port` is None without an observer."""

    host: str
    port: int
    observer_port: int | None
    pid: int

    @property
    def address(self) -> str:
        """Host and port as gRPC takes them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def metrics_url(self) -> str | None:
        """Where the observer's page is."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return None if self.observer_port is None else f"http://{host}:{self.observer_port}/metrics"


class Server:
    """What runs: the service, for tests that look inside, and where it is bound."""

    def __init__(self, service: Service, bound: Bound) -> None:
        self.service = service
        self.bound = bound


def engine_config(settings: ServerSettings) -> EngineConfig:
    """Return the engine's share of the settings, in nanoseconds."""
    return EngineConfig(
        processors=settings.processors,
        endpoints=dict(settings.endpoint_ids),
        require_target=settings.require_target,
        executors=settings.executors,
        capacity=settings.queue_capacity,
        default_timeout=round(settings.default_timeout * SECOND),
        max_timeout=round(settings.max_timeout * SECOND),
        retention=round(settings.retention * SECOND),
        max_finished=settings.max_finished,
    )


def build_service(settings: ServerSettings, store: Store, kind: mutants.Mutant | variants.Variant | None) -> Service:
    """Return the service that these settings describe, on the running loop."""
    engine_class, service_class = (kind.engine, kind.service) if kind else (Engine, Service)
    return service_class(
        engine_class(engine_config(settings), random.SystemRandom().getrandbits),
        store=store,
        access=Access(settings.tokens, anonymous_may_bypass=settings.anonymous_may_bypass),
        clock=SteadyClock(),
        default_duration=round(settings.default_duration * SECOND),
    )


def _noting(path: Path) -> Callable[[str], None]:
    """Return how to add a line to a file at once, so that it survives a crash. ConfigError if it cannot be written."""

    def note(name: str) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{name}\n")

    try:
        path.touch()
    except OSError as error:
        raise ConfigError(f"cannot be written: {reason(error)}", source=str(path)) from None
    return note


def _kind(settings: ServerSettings) -> mutants.Mutant | variants.Variant | None:
    if settings.mutant is not None:
        return mutants.find(settings.mutant)
    return variants.find(settings.variant) if settings.variant is not None else None


@contextlib.asynccontextmanager
async def running(settings: ServerSettings) -> AsyncIterator[Server]:
    """Serve while the block runs; at its end drain, flush the store and stop. HarnessError when it cannot start."""
    kind = _kind(settings)
    if kind is not None:
        settings = kind.settings(settings)
        if isinstance(kind, mutants.Mutant) and settings.reached is not None:
            kind = kind.watched(_noting(Path(settings.reached)))
    store: Store = MemoryStore() if settings.store is None else SqliteStore(settings.store)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(store.close)
        service = build_service(settings, store, kind)
        stack.callback(service.close)
        observer_port = None
        if settings.observer_port is not None:
            observer = Observer(service)
            observer_port = await observer.start(settings.host, settings.observer_port)
            stack.push_async_callback(observer.stop)
        edge = WireEdge(service, settings) if settings.edge == "wire" else GrpcEdge(service, settings)
        port = await edge.start()
        stack.push_async_callback(edge.stop, settings.drain)
        yield Server(service, Bound(settings.host, port, observer_port, os.getpid()))


async def serve(settings: ServerSettings, *, announce: Callable[[Bound], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain. `announce` is told the ports once calls are accepted.

    Raises ConfigError when it cannot start, StoreError when it cannot keep its state any more.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop.set)
    try:
        async with running(settings) as server:
            announce(server.bound)
            server.service.failed.add_done_callback(lambda _: stop.set())
            await stop.wait()
        if server.service.failed.done():
            raise server.service.failed.result()
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def run(settings: ServerSettings, announce: Callable[[Bound], None]) -> None:
    """Be a server process until a signal comes; see `serve`."""
    asyncio.run(serve(settings, announce=announce))
