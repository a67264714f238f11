"""A socket of the wire edge: what asyncio reads goes into a `Session`, what that has to say is written once per turn."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

from harness.server.wire_session import Session

CHUNK = 1 << 18
"""Octets that are taken from a session at a time."""
PATIENCE = 20.0
"""Seconds in which a peer must have begun to speak HTTP/2."""


class WireConnection(asyncio.Protocol):
    """One connection; it enters itself in `connections`, and leaves when it is lost.

    `age` is after how many seconds it asks its peer to go elsewhere; zero for never.
    """

    def __init__(
        self, session_of: Callable[[str, Callable[[], None]], Session], connections: set[WireConnection], age: float
    ) -> None:
        self._session_of = session_of
        self._connections = connections
        self._age = age
        self._loop = asyncio.get_running_loop()
        self._timers: list[asyncio.TimerHandle] = []
        self._full = self._due = self._closing = False
        self._transport: asyncio.Transport
        self.session: Session

    # Called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; over TLS, only with a peer that has asked for HTTP/2."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(CHUNK)
        self.session = self._session_of(_name(self._transport), self.flush_soon)
        self._connections.add(self)
        secured: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if secured is not None and secured.selected_alpn_protocol() != "h2":
            self.abort()
            return
        self._timers.append(self._loop.call_later(PATIENCE, self._check_ready))
        if self._age:
            self._timers.append(self._loop.call_later(self._age, self.session.drain))
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Take in octets, and write what that has brought about."""
        self.session.receive(data, self._loop.time())
        self._flush()

    def pause_writing(self) -> None:
        """Leave everything in the session until the peer has read something."""
        self._full = True

    def resume_writing(self) -> None:
        """Go on."""
        self._full = False
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what is under way."""
        self.session.lose("the connection was lost" if exc is None else f"the connection was lost: {exc}")
        self._connections.discard(self)
        for timer in self._timers:
            timer.cancel()

    # Called by the edge

    def flush_soon(self) -> None:
        """Write what there is to be sent at the end of this turn of the loop, however many answers it brings."""
        if not self._due:
            self._due = True
            self._loop.call_soon(self._flush)

    def abort(self) -> None:
        """Close the connection, whatever it has still to send."""
        self._transport.abort()

    def _flush(self) -> None:
        self._due = False
        if self._transport.is_closing():
            return
        while not self._full:
            octets = self.session.send(CHUNK)
            if not octets:
                break
            self._transport.write(octets)
            if len(octets) < CHUNK:
                break
        if self.session.over is not None and not self._full:
            self._transport.close()

    def _check_ready(self) -> None:
        if not self.session.ready:
            self.abort()


def _name(transport: asyncio.Transport) -> str:
    """Return the name of the other end, as gRPC has it."""
    name = transport.get_extra_info("peername")
    if not isinstance(name, tuple):
        return "unknown"
    return f"ipv6:[{name[0]}]:{name[1]}" if len(name) > 2 else f"ipv4:{name[0]}:{name[1]}"
