"""The gRPC edge on grpc.aio: transport, TLS, health and reflection around `Service`, and no decision about jobs.

Requests and responses pass as bytes, so that a malformed request is answered by the service like any other bad argument.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from harness.server.listening import DECORATION, FLUSH, LAST_WORDS, SLACK, bind, read, server_context
from harness.server.refusal import Code, Refusal
from harness.server.service import RPCS, SERVICE, Service
from harness.server.settings import ServerSettings

_STATUS = {code: grpc.StatusCode[code.name] for code in Code}

Handler = Callable[[bytes, "grpc.aio.ServicerContext[bytes, bytes]"], Awaitable[bytes]]


class _Methods(grpc.GenericRpcHandler):
    """Finds the handler of a method; None makes the call UNIMPLEMENTED."""

    def __init__(self, service: Service, handlers: Mapping[str, Any]) -> None:
        self._service = service
        self._handlers = handlers

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        name = self._service.method_at(handler_call_details.method)
        return None if name is None else self._handlers[name]


class GrpcEdge:
    """One listening gRPC server. `start` binds and serves, `stop` drains."""

    def __init__(self, service: Service, settings: ServerSettings) -> None:
        self._service = service
        self._settings = settings
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._server = grpc.aio.server(
            options=_options(settings), compression=grpc.Compression.Gzip if settings.decorated else None
        )
        self._health = health_aio.HealthServicer()
        handlers: dict[str, Any] = {name: grpc.unary_unary_rpc_method_handler(self._handler(name)) for name in RPCS}
        self._server.add_generic_rpc_handlers((_Methods(service, handlers),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)

    async def start(self) -> int:
        """Bind and serve; returns the port. ConfigError for a port in use or unusable TLS files."""
        host, port = self._settings.host, self._settings.port
        credentials = _server_credentials(self._settings)
        bind(host, port).close()  # for the same reason as TLS files are loaded
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if credentials is None:
            port = self._server.add_insecure_port(address)
        else:
            port = self._server.add_secure_port(address, credentials)
        await self._server.start()
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)
        return port

    async def stop(self, drain: float) -> None:
        """Take no new calls, let those in flight go on for `drain` seconds, then turn away those that wait for results."""
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        stopping = asyncio.ensure_future(self._server.stop(drain + LAST_WORDS))
        # Only Controller calls are waited for: whoever watches the health would watch for ever.
        await self._until_idle(drain)
        self._service.release_waiting()
        await self._until_idle(LAST_WORDS)
        await self._server.stop(FLUSH)
        await stopping

    async def _until_idle(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)

    async def _set_health(self, status: int) -> None:
        for name in ("", SERVICE):
            await self._health.set(name, status)

    def _handler(self, rpc: str) -> Handler:
        service = self._service

        async def handle(payload: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            self._in_flight += 1
            self._idle.clear()
            try:
                if self._settings.decorated:
                    await context.send_initial_metadata(DECORATION)
                    context.set_trailing_metadata(DECORATION)
                remaining = context.time_remaining()
                deadline = None if remaining is None else asyncio.get_running_loop().time() + remaining
                answer = service.call(rpc, payload, authorization=_authorization(context), deadline=deadline, peer=context.peer())
                return answer if isinstance(answer, bytes) else await answer
            except Refusal as refusal:
                await context.abort(_STATUS[refusal.code], refusal.message)
            finally:
                self._in_flight -= 1
                if not self._in_flight:
                    self._idle.set()

        return handle


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    limit = settings.max_message + SLACK
    options = [
        ("grpc.max_receive_message_length", limit),
        ("grpc.max_send_message_length", limit),
        ("grpc.so_reuseport", 0),  # a port in use is an error, not a second server that shares it
    ]
    if not settings.accept_gzip:
        options.append(("grpc.compression_enabled_algorithms_bitset", 1 << grpc.Compression.NoCompression.value))
    if settings.connection_age:
        options.append(("grpc.max_connection_age_ms", round(settings.connection_age * 1000)))
    return options


def _authorization(context: grpc.aio.ServicerContext[bytes, bytes]) -> str | None:
    metadata: Any = context.invocation_metadata() or ()
    for key, value in metadata:
        if key == "authorization":
            return value if isinstance(value, str) else None
    return None


def _server_credentials(settings: ServerSettings) -> grpc.ServerCredentials | None:
    """Load the files once by hand as well: gRPC would say why it cannot only in lines of its own on stderr."""
    if server_context(settings) is None:
        return None
    pair = (read(str(settings.tls_key), "tls_key"), read(str(settings.tls_cert), "tls_cert"))
    ca = None if settings.client_ca is None else read(settings.client_ca, "client_ca")
    return grpc.ssl_server_credentials([pair], root_certificates=ca, require_client_auth=ca is not None)
