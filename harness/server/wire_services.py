"""Health checking and reflection for an edge without a gRPC library; as generators that take messages and yield messages.

Source: "GRPC Health Checking Protocol" and "GRPC Server Reflection Protocol" of the gRPC documentation.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeAlias, TypeVar

from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from harness.server.refusal import Code, Refusal
from harness.server.service import SERVICE

Streaming: TypeAlias = Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]]
MessageT = TypeVar("MessageT", bound=Message)

HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
SERVICES = (SERVICE, HEALTH, reflection.SERVICE_NAME)
"""Everything that reflection names."""


class Health:
    """Whether this server serves; `status` is one for all of its services."""

    def __init__(self) -> None:
        self._status = health_pb2.HealthCheckResponse.SERVING
        self._changed = asyncio.Event()

    def set(self, status: Any) -> None:
        """Change the status, and tell those who watch it."""
        self._status = status
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _status_of(self, request: health_pb2.HealthCheckRequest) -> Any:
        return self._status if request.service in {"", SERVICE} else None

    async def check(self, requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Answer Check; NOT_FOUND for an unknown service."""
        status = self._status_of(await _only(requests, health_pb2.HealthCheckRequest))
        if status is None:
            raise Refusal(Code.NOT_FOUND, "")
        yield health_pb2.HealthCheckResponse(status=status).SerializeToString()

    async def watch(self, requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Answer Watch: the status now, and whenever it changes, for ever."""
        request = await _only(requests, health_pb2.HealthCheckRequest)
        while True:
            changed = self._changed
            status = self._status_of(request)
            shown = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN if status is None else status
            yield health_pb2.HealthCheckResponse(status=shown).SerializeToString()
            await changed.wait()


async def reflect(requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Answer ServerReflectionInfo: one answer for each request."""
    servicer: Any = reflection.aio.ReflectionServicer(SERVICES)
    questions = (_parsed(octets, reflection_pb2.ServerReflectionRequest) async for octets in requests)
    async for answer in servicer.ServerReflectionInfo(questions, None):
        yield answer.SerializeToString()


def streaming_methods(health: Health) -> Mapping[str, Streaming]:
    """Return everything that is here by its `:path`."""
    return {
        f"/{HEALTH}/Check": health.check,
        f"/{HEALTH}/Watch": health.watch,
        f"/{reflection.SERVICE_NAME}/ServerReflectionInfo": reflect,
    }


async def _only(requests: AsyncIterator[bytes], kind: type[MessageT]) -> MessageT:
    async for octets in requests:
        return _parsed(octets, kind)
    raise Refusal(Code.INTERNAL, "no message, where there is to be one")


def _parsed(octets: bytes, kind: type[MessageT]) -> MessageT:
    try:
        return kind.FromString(octets)
    except DecodeError:
        raise Refusal(Code.INTERNAL, f"the request is not a {kind.DESCRIPTOR.full_name}") from None
