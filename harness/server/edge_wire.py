"""The gRPC edge on `ngh2` and asyncio: the same `Service` as behind `edge_grpcio`, at a fraction of the cost for each call.

An answer that is ready at once is sent in the same turn of the loop and costs no task. No decision about jobs is made here.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from grpc_health.v1 import health_pb2

from harness.server.listening import DECORATION, FLUSH, LAST_WORDS, SLACK, bind, server_context
from harness.server.refusal import Code, Refusal
from harness.server.service import RPCS, Service
from harness.server.settings import ServerSettings
from harness.server.wire_call import Call, Handler, Method
from harness.server.wire_connection import WireConnection
from harness.server.wire_services import Health, Streaming, streaming_methods
from harness.server.wire_session import Session

BACKLOG = 1024
"""Connections that wait to be accepted."""
SWEEP = 0.25
"""Seconds between looks for calls whose deadline has passed."""
PATHS = 256
"""Paths that are remembered with their methods."""
HANDSHAKE = 20.0
"""Seconds for a TLS handshake."""

_log = logging.getLogger(__name__)


class WireEdge:
    """One listening gRPC server. `start` binds and serves, `stop` drains."""

    def __init__(self, service: Service, settings: ServerSettings) -> None:
        self._service = service
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._connections: set[WireConnection] = set()
        self._health = Health()
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks: set[asyncio.Future[None]] = set()
        self._methods = {name: Method(self._unary(name), decorated=True) for name in RPCS}
        self._others = {
            path: Method(self._streaming(serve), streaming=True) for path, serve in streaming_methods(self._health).items()
        }
        self._find = functools.lru_cache(PATHS)(self._look_up)
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self) -> int:
        """Bind and serve; returns the port. ConfigError for a port in use or unusable TLS files."""
        context = server_context(self._settings)
        listener = bind(self._settings.host, self._settings.port)
        self._server = await self._loop.create_server(
            lambda: WireConnection(self._session, self._connections, self._settings.connection_age),
            sock=listener,
            ssl=context,
            backlog=BACKLOG,
            ssl_handshake_timeout=None if context is None else HANDSHAKE,
        )
        self._sweep()
        return int(listener.getsockname()[1])

    async def stop(self, drain: float) -> None:
        """Take no new calls, let those in flight go on for `drain` seconds, then turn away those that wait for results."""
        assert self._server is not None  # noqa: S101 - started
        self._health.set(health_pb2.HealthCheckResponse.NOT_SERVING)
        self._server.close()
        for connection in list(self._connections):
            connection.session.drain()
        # Only Controller calls are waited for: whoever watches the health would watch for ever.
        await self._until_idle(drain)
        self._service.release_waiting()
        await self._until_idle(LAST_WORDS)
        for connection in list(self._connections):
            connection.session.terminate()
            connection.flush_soon()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH):
                while self._connections:
                    await asyncio.sleep(0.005)
        for connection in list(self._connections):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LAST_WORDS)

    async def _until_idle(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)

    def _session(self, peer: str, wake: Callable[[], None]) -> Session:
        settings = self._settings
        return Session(
            self._find,
            wake,
            peer=peer,
            limit=settings.max_message + SLACK,
            accept_gzip=settings.accept_gzip,
            gzip=settings.decorated,
            decoration=DECORATION if settings.decorated else (),
        )

    def _sweep(self) -> None:
        now = self._loop.time()
        for connection in list(self._connections):
            connection.session.expire(now)
        self._sweeper = self._loop.call_later(SWEEP, self._sweep)

    # Calls

    def _look_up(self, path: bytes) -> Method | None:
        text = path.decode("latin-1")
        name = self._service.method_at(text)
        return self._others.get(text) if name is None else self._methods[name]

    def _unary(self, rpc: str) -> Handler:
        serve = self._service.call

        def handle(call: Call, message: bytes | None) -> None:
            if message is None:
                return
            authorization = None if call.authorization is None else call.authorization.decode("latin-1")
            deadline = None if call.deadline == float("inf") else call.deadline
            try:
                answer = serve(rpc, message, authorization=authorization, deadline=deadline, peer=call.session.peer)
            except Refusal as refusal:
                call.fail(refusal.code, refusal.message)
                return
            if isinstance(answer, bytes):
                call.reply(answer)
            else:
                self._reply_later(call, answer)

        return handle

    def _reply_later(self, call: Call, answer: Awaitable[bytes]) -> None:
        async def reply() -> None:
            call.reply(await answer)

        self._in_flight += 1
        self._idle.clear()
        self._begin(call, reply()).add_done_callback(self._leave)

    def _leave(self, _: object) -> None:
        self._in_flight -= 1
        if not self._in_flight:
            self._idle.set()

    def _streaming(self, serve: Streaming) -> Handler:
        async def converse(call: Call) -> None:
            async for message in serve(_messages(call.inbox)):
                call.send(message)
            call.finish()

        def handle(call: Call, message: bytes | None) -> None:
            if call.inbox is None:
                call.inbox = asyncio.Queue()
                self._begin(call, converse(call))
            call.inbox.put_nowait(message)

        return handle

    def _begin(self, call: Call, answering: Awaitable[None]) -> asyncio.Future[None]:
        """Answer a call in a task of its own, until nobody waits for the answer any more."""
        task = asyncio.ensure_future(answering)
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._ended, call))
        # Not before its first step: what it waits for has to hear of it.
        call.abandoned = lambda: self._loop.call_soon(task.cancel)
        return task

    def _ended(self, call: Call, task: asyncio.Future[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, Refusal):
            call.fail(error.code, error.message)
        elif error is not None:
            _log.error("a call failed", exc_info=error)
            call.fail(Code.INTERNAL, "internal error")


async def _messages(inbox: asyncio.Queue[bytes | None]) -> AsyncIterator[bytes]:
    while (message := await inbox.get()) is not None:
        yield message
