"""One connection on gevent: a socket between the endpoint and a `Connection`, served by callbacks of the hub.

What arrives is handed over in the hub, and the greenlets of the calls that are over are switched to from there. What is to
be sent is gathered until the turn of the loop ends. Connecting alone has a greenlet of its own.
"""

from __future__ import annotations

import contextlib
import socket as stdlib_socket
import ssl
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gevent
from gevent import get_hub, monkey, socket

from harness.grpcstatus import Code
from loadtests.transport.pending import Call
from loadtests.transport.protocol import Connection
from loadtests.transport.reply import Reply
from loadtests.transport.tls import Tls

CONNECT = 20.0
"""Seconds that the endpoint has to accept a connection, to shake hands and to say its settings."""
READ = 1 << 18
"""Octets that are read at a time."""
WRITE = 1 << 17
"""Octets that are written at a time."""
TURN = 32
"""Writes after which others have their turn, so that a large request does not hold up everything else."""
EAGER = 32
"""Answers handed over after which new calls are sent, and not only at the end: else endpoint and generator wait in turns."""
SHORTEST = 0.001
"""The loop's timers are no finer, in seconds."""

_Socket: Any = monkey.get_original("socket", "socket")
clock = time.monotonic


@dataclass(frozen=True)
class Dialled:
    """Where to connect to. `context` asks for TLS with a certificate for `server_name`."""

    host: str
    port: int
    context: ssl.SSLContext | None = None
    server_name: str = ""

    @property
    def address(self) -> str:
        """The address as people write it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Link:
    """A connection from its dialling to its end. `changed` is called, in the hub, when it got ready, drains or is over."""

    def __init__(self, where: Dialled, core: Connection, again: Callable[[Call], None], changed: Callable[[Link], None]) -> None:
        self.core = core
        self._submit = core.submit
        self._where = where
        self._again = again
        self._changed = changed
        self._loop = get_hub().loop
        self._tls: Tls | None = None
        self._socket: Any = None
        self._out: bytes | memoryview = b""
        self._flushing = False
        self._blocked = False
        self._buffer = memoryview(bytearray(READ))
        self._told: tuple[bool, bool, bool] = (False, False, False)
        self._timer: Any = None
        self._settled_by = clock() + CONNECT
        self._arm(self._settled_by)
        self._dialling: Any = gevent.spawn(self._dial)

    def submit(self, call: Call, now: float) -> None:
        """Make a call; the connection need not stand yet."""
        self._submit(call, now)
        if not self._flushing:
            self._flushing = True
            self._loop.run_callback(self._flush)
        if call.deadline < self._armed:
            self._arm(call.deadline)

    def cancel(self, call: Call, reply: Reply) -> None:
        """End a call from this side, if it is one of this connection."""
        if self.core.cancel(call, reply):
            self._schedule()

    def close(self, reason: str) -> None:
        """Close the connection at the end of this turn of the loop; calls under way end as CANCELLED."""
        self._loop.run_callback(self._lost, reason, Code.CANCELLED)

    def _schedule(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.run_callback(self._flush)

    # Connecting

    def _dial(self) -> None:
        try:
            with gevent.Timeout(CONNECT, TimeoutError(f"no connection after {CONNECT:g} s")):
                self._connected(self._connect())
        except (OSError, ValueError) as error:
            reason = f"failed to connect to {self._where.address}: {_words(error)}"
            self._loop.run_callback(self._lost, reason)

    def _connect(self) -> Any:
        where = self._where
        connection = socket.create_connection((where.host, where.port))
        try:
            connection.setsockopt(stdlib_socket.IPPROTO_TCP, stdlib_socket.TCP_NODELAY, 1)
            if where.context is not None:
                self._tls = Tls(where.context, where.server_name)
                self._shake_hands(connection, self._tls)
        except BaseException:
            connection.close()
            raise
        return connection

    @staticmethod
    def _shake_hands(connection: Any, tls: Tls) -> None:
        try:
            while not tls.shake_hands():
                connection.sendall(tls.outgoing())
                octets = connection.recv(READ)
                if not octets:
                    raise ConnectionResetError("the peer closed the connection during the TLS handshake")
                tls.arrived(octets)
        finally:
            with contextlib.suppress(OSError):
                connection.sendall(tls.outgoing())  # the last of the handshake, or why it failed

    def _connected(self, connection: Any) -> None:
        family, kind, protocol = connection.family, connection.type, connection.proto
        if self.core.over is not None:
            connection.close()
            return
        # A plain socket from here on: gevent's own would wait by itself.
        self._socket = _Socket(family, kind, protocol, fileno=connection.detach())
        self._socket.setblocking(False)
        self._reader: Any = self._loop.io(self._socket.fileno(), 1)
        self._writer: Any = self._loop.io(self._socket.fileno(), 2)
        self._reader.start(self._readable)
        if self._tls is not None:
            self._loop.run_callback(self._take_decrypted)  # what came along with the end of the handshake
        self._schedule()

    # Sending

    def _flush(self) -> None:
        self._flushing = False
        if self._socket is None or self._blocked:
            self._settle()
            return
        try:
            self._write()
        except OSError as error:
            self._lost(f"the connection to {self._where.address} was lost: {_words(error)}")
            return
        self._settle()

    def _push(self) -> None:
        """Send what there is before the turn of the loop ends."""
        if self._socket is not None and not self._blocked:
            with contextlib.suppress(OSError):  # it comes again at the end of the turn
                self._write()

    def _write(self) -> None:
        send = self._socket.send
        for _ in range(TURN):
            out = self._out or self._next_out()
            if not out:
                return
            try:
                sent = send(out)
            except BlockingIOError:
                self._out = out
                self._blocked = True
                self._writer.start(self._writable)
                return
            if sent < len(out):
                self._out = memoryview(out)[sent:]
                continue
            self._out = b""
            if sent < WRITE and self._tls is None and not self.core.has_more:
                return  # as nearly always
        self._schedule()

    def _next_out(self) -> bytes:
        octets = self.core.send(WRITE, clock())
        if self._tls is None:
            return octets
        if octets:
            self._tls.encrypt(octets)
        return self._tls.outgoing()

    def _writable(self) -> None:
        self._blocked = False
        self._writer.stop()
        self._flush()

    # Receiving

    def _readable(self) -> None:
        try:
            count = self._socket.recv_into(self._buffer)
            if not count:
                raise ConnectionResetError("the peer closed the connection")
            octets: bytes | memoryview = self._buffer[:count]
            if self._tls is not None:
                self._tls.arrived(octets)
                octets = self._tls.decrypted()
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(f"the connection to {self._where.address} was lost: {_words(error)}")
            return
        # Whoever is woken makes further calls: all of them, and what the connection itself has to say, go out at once.
        self._flushing = True
        self.core.receive(octets, clock())
        self._settle()
        if self._socket is not None:
            self._flush()

    def _take_decrypted(self) -> None:
        if self._tls is None or self.core.over is not None:
            return
        try:
            octets = self._tls.decrypted()
        except OSError as error:
            self._lost(f"the connection to {self._where.address} was lost: {_words(error)}")
            return
        self.core.receive(octets, clock())
        self._schedule()
        self._settle()

    # Time

    def _arm(self, due: float) -> None:
        self._armed = due
        if self._timer is not None:
            self._timer.close()
        self._timer = self._loop.timer(max(due - clock(), SHORTEST))
        self._timer.start(self._on_time)

    def _on_time(self) -> None:
        now = clock()
        core = self.core
        if not core.ready and now >= self._settled_by:
            self._lost(f"{self._where.address} sent no HTTP/2 settings within {CONNECT:g} s")
            return
        core.expire(now)
        self._armed = float("inf")
        due = core.next_due if core.ready else min(core.next_due, self._settled_by)
        if due < self._armed:
            self._arm(due)
        self._schedule()
        self._settle()

    # What came of it

    def _settle(self) -> None:
        """Wake those whose calls are over, and see to those that have to be made again elsewhere."""
        core = self.core
        if core.draining and core.idle and not self._flushing:
            core.lose("the connection has done its work")
        state = (core.ready, core.draining, core.over is not None)
        if state != self._told:
            self._told = state
            self._changed(self)
        while core.finished or core.orphans:
            finished, core.finished = core.finished, []
            orphans, core.orphans = core.orphans, []
            for call in orphans:
                self._again(call)
            for place, call in enumerate(finished, start=1):
                assert call.reply is not None  # noqa: S101 - that is what finished means
                try:
                    call.wake(call.reply, call.token)
                except Exception:
                    get_hub().handle_error(self, *sys.exc_info())
                if not place % EAGER:
                    self._push()
        if core.over is not None:
            self._tear_down()

    def _lost(self, reason: str, code: Code = Code.UNAVAILABLE) -> None:
        self.core.lose(reason, code)
        self._settle()

    def _tear_down(self) -> None:
        self._timer.close()
        self._dialling.kill(block=False)
        if self._socket is None:
            return
        with contextlib.suppress(OSError):
            # The farewell of HTTP/2; who does not listen any more misses nothing.
            self._socket.send(self._out or self._next_out())
        self._reader.close()
        self._writer.close()
        self._socket.close()
        self._socket = None


def _words(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}".lower()
    return str((isinstance(error, OSError) and error.strerror) or error)
