"""The observer: what the server has really done, as a Prometheus page on a port of its own.

It reads the engine on the engine's own thread and advances it first, so a page that was asked for after a response was sent
includes what the response reported. Speaks just enough HTTP/1.1 for GET and HEAD, one request per connection.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from harness.errors import ConfigError
from harness.server.service import Service
from harness.server.sockets import reason

_READ_TIMEOUT = 5.0


class EngineCollector(Collector):
    """Turns the engine's counts into metric families."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterable[Metric]:
        """Return every family as of now."""
        self._service.refresh()
        accepted = CounterMetricFamily(
            "controller_jobs_accepted", "Jobs queued since the start, restored ones included.", labels=["processor"]
        )
        queued = GaugeMetricFamily("controller_jobs_queued", "Jobs that wait for an executor.", labels=["processor"])
        running = GaugeMetricFamily("controller_jobs_running", "Jobs on the hardware.", labels=["processor"])
        post = GaugeMetricFamily(
            "controller_jobs_post_processing", "Jobs off the hardware without a result.", labels=["processor"]
        )
        finished = CounterMetricFamily("controller_jobs_finished", "Jobs that came to an end.", labels=["processor", "status"])
        for name, processor in self._service.engine.processors.items():
            counts = processor.counts
            accepted.add_metric([name], counts.accepted)
            queued.add_metric([name], len(processor.queue))
            running.add_metric([name], len(processor.running))
            post.add_metric([name], counts.post_processing)
            for status in ("succeeded", "failed", "canceled"):
                finished.add_metric([name, status], getattr(counts, status))
        return [accepted, queued, running, post, finished, self._requests(), self._replays()]

    def _requests(self) -> Metric:
        family = CounterMetricFamily("controller_requests", "Calls that were answered.", labels=["rpc", "code"])
        for (rpc, code), number in sorted(self._service.requests.items()):
            family.add_metric([rpc, code], number)
        return family

    def _replays(self) -> Metric:
        return CounterMetricFamily(
            "controller_replays", "Submissions answered from their idempotency key.", value=self._service.engine.replays
        )


class Observer:
    """The HTTP server of the page."""

    def __init__(self, service: Service) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(EngineCollector(service))
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Bind and serve; returns the port. ConfigError when that is impossible."""
        try:
            self._server = await asyncio.start_server(self._serve, host, port, family=socket.AF_UNSPEC, limit=16 * 1024)
        except OSError as error:
            raise ConfigError(f"the observer cannot listen on {host}:{port}: {reason(error)}") from None
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Close the port."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_READ_TIMEOUT):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._respond(head))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever it was has gone, or does not speak HTTP
        finally:
            writer.close()

    def _respond(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in {b"GET", b"HEAD"}:
            return _response("405 Method Not Allowed", "text/plain", b"only GET\n")
        if path not in {b"/metrics", b"/"}:
            return _response("404 Not Found", "text/plain", b"see /metrics\n")
        return _response("200 OK", CONTENT_TYPE_LATEST, generate_latest(self._registry), send_body=method == b"GET")


def _response(status: str, content_type: str, body: bytes, *, send_body: bool = True) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode("ascii") + (body if send_body else b"")
