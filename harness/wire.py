"""One end of a TCP connection, plain or TLS, that never blocks: octets in, octets out, and what to wait for next.

Knows nothing of what the octets mean. One thread at a time may use a wire.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import ssl
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from selectors import EVENT_READ, EVENT_WRITE
from typing import cast

from harness.endpoint import Endpoint

CHUNK = 1 << 18
"""Octets that are read at a time, more than the 16 KiB of a TLS record."""

Address = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]


def watch(selector: selectors.BaseSelector, wanted: Mapping[socket.socket, tuple[int, object]]) -> None:
    """Let a selector wait for what is wanted, as (mask, data) by socket, and for nothing else; closed sockets go as well."""
    for key in list(selector.get_map().values()):
        if wanted.get(cast("socket.socket", key.fileobj), (0, None))[0] == 0:
            selector.unregister(key.fileobj)
    known = {key.fileobj: key for key in selector.get_map().values()}
    for connection, (events, data) in wanted.items():
        if connection not in known and events:
            selector.register(connection, events, data)
        elif events and known[connection].events != events:
            selector.modify(connection, events, data)


class Wire:
    """A non-blocking connection with what is still to be sent over it. Every method may raise OSError: then it is of no use."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        # The ends of some sockets are set up late; without this option they are only slower.
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connection
        self.ready = True
        self.ended = False
        self.pending = 0
        self._queue: deque[memoryview] = deque()
        self._read_on, self._write_on = EVENT_READ, EVENT_WRITE

    def events(self, *, reading: bool) -> int:
        """Return what to wait for, as a mask of selectors."""
        wanted = self._read_on if reading and not self.ended else 0
        return wanted | (self._write_on if self.pending else 0)

    def read(self) -> bytes:
        """Return what has arrived, possibly nothing; sets `ended` when nothing more will."""
        self._read_on = EVENT_READ
        try:
            # A TLS record is smaller than a chunk: nothing stays behind, decrypted, of which the selector would not know.
            found = self.socket.recv(CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError):
            return b""
        except ssl.SSLWantWriteError:
            self._read_on = EVENT_WRITE
            return b""
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            found = b""
        self.ended = not found
        return found

    def queue(self, octets: bytes) -> None:
        """Send these octets after all others."""
        if octets:
            self._queue.append(memoryview(octets))
            self.pending += len(octets)

    def flush(self) -> None:
        """Send what can be sent now."""
        self._write_on = EVENT_WRITE
        try:
            while self.ready and self._queue:
                sent = self.socket.send(self._queue[0])
                self.pending -= sent
                self._queue[0] = self._queue[0][sent:]
                if not self._queue[0]:
                    self._queue.popleft()
        except (BlockingIOError, ssl.SSLWantWriteError):
            pass
        except ssl.SSLWantReadError:
            self._write_on = EVENT_READ

    def close(self) -> None:
        """Close the connection now, whatever is pending."""
        self.ready, self.ended, self.pending = False, True, 0
        self._queue.clear()
        self.socket.close()


class DialledWire(Wire):
    """A wire to a server, not `ready` before the connection and, with a context, the TLS handshake are done.

    Tries one address after the other. What is queued before is sent as soon as it is ready.
    """

    def __init__(self, addresses: Sequence[Address], context: ssl.SSLContext | None, server_name: str) -> None:
        self._addresses = list(addresses)
        self._context = context
        self._server_name = server_name
        super().__init__(self._dial())
        self.ready = False

    def _dial(self) -> socket.socket:
        family, address = self._addresses.pop(0)
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.setblocking(False)
        number = connection.connect_ex(address)
        if number in {0, errno.EINPROGRESS, errno.EWOULDBLOCK}:
            return connection
        connection.close()
        if self._addresses:
            return self._dial()
        raise OSError(number, os.strerror(number))

    def events(self, *, reading: bool) -> int:
        """Return what to wait for, as a mask of selectors."""
        if self.ready:
            return super().events(reading=reading)
        return self._read_on if isinstance(self.socket, ssl.SSLSocket) else EVENT_WRITE

    def advance(self) -> None:
        """Go on with connecting, when what `events` said has happened. Raises OSError when it has failed for good."""
        if not isinstance(self.socket, ssl.SSLSocket):
            number = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number and self._addresses:
                self.socket.close()
                super().__init__(self._dial())
                self.ready = False
                return
            if number:
                raise OSError(number, os.strerror(number))
            if self._context is None:
                self.ready = True
                return
            self.socket = self._context.wrap_socket(self.socket, server_hostname=self._server_name, do_handshake_on_connect=False)
        self._shake_hands(self.socket)

    def _shake_hands(self, connection: ssl.SSLSocket) -> None:
        try:
            connection.do_handshake()
        except ssl.SSLWantReadError:
            self._read_on = EVENT_READ
        except ssl.SSLWantWriteError:
            self._read_on = EVENT_WRITE
        else:
            if connection.selected_alpn_protocol() != "h2":
                raise ConnectionAbortedError(errno.ECONNABORTED, "the server does not speak HTTP/2 (ALPN h2)")
            self._read_on = EVENT_READ
            self.ready = True


def client_context(endpoint: Endpoint) -> ssl.SSLContext | None:
    """Return the TLS settings with which to call an endpoint; None when it is called in plaintext."""
    if endpoint.profile.tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2"])
    if endpoint.roots is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(cadata=endpoint.roots.decode("ascii", errors="ignore"))
    if endpoint.certificate is not None and endpoint.key is not None:
        # The ssl module takes these two from files only.
        with tempfile.TemporaryDirectory() as folder:
            files = Path(folder, "certificate"), Path(folder, "key")
            for file, octets in zip(files, (endpoint.certificate, endpoint.key), strict=True):
                file.touch(0o600)
                file.write_bytes(octets)
            context.load_cert_chain(*files, password="")
    return context
