"""A proxy on the client's side of the wire that loses a call's request, or its response, on purpose (IDEM-04, IDEM-10, EXEC-04).

The harness connects to it in plaintext; it connects to the endpoint as the profile says. Everything passes as it is but for
the calls that armed faults strike (and one setting, see `harness.h2faults`). One thread serves all connections. Whoever can
reach its port on loopback gets through to the endpoint, with the profile's client certificate: keep it for one check only.
"""

from __future__ import annotations

import contextlib
import dataclasses
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Self, TypeVar

from harness.endpoint import Endpoint
from harness.errors import UnreachableError
from harness.faultline import Line
from harness.h2faults import Dropped, Fault, Struck
from harness.wire import Address, DialledWire, Wire, client_context, watch

PATIENCE = 10.0
"""Seconds that the proxy's own thread has to do as it is told."""
_MOST_FAILURES = 32

_T = TypeVar("_T")


class FaultProxy:
    """A proxy in front of one endpoint, as long as a block runs; not to be entered twice. Its methods are thread-safe.

    Entering it raises UnreachableError when the endpoint's name is not known.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._tls = client_context(endpoint)
        self._changed = threading.Condition()
        self._armed: deque[Fault] = deque()
        self._outstanding = 0
        self._records: dict[tuple[int, int], Struck] = {}
        self._failures: deque[str] = deque(maxlen=_MOST_FAILURES)
        self._orders: deque[Callable[[], None]] = deque()
        self._lines: list[Line] = []
        self._accepted = 0
        self._stopping = False
        self._ended: Future[None] = Future()

    @property
    def address(self) -> str:
        """Where the proxy listens, as gRPC takes it: loopback, in plaintext."""
        return f"127.0.0.1:{self._port}"

    @property
    def faults(self) -> tuple[Struck, ...]:
        """What was done so far, oldest first."""
        with self._changed:
            return tuple(self._records.values())

    @property
    def failures(self) -> tuple[str, ...]:
        """What went wrong unintended, such as a certificate that is not accepted; the latest few, oldest first."""
        with self._changed:
            return tuple(self._failures)

    def arm(self, fault: Fault) -> None:
        """Strike the next call that begins, whichever it is, and no other.

        Armed twice, the next two calls are struck, one by each.
        """
        with self._changed:
            self._armed.append(fault)
            self._outstanding += 1

    def wait_fault(self, timeout: float, *, answered: bool = False) -> Struck | None:
        """Wait until every armed fault has struck, and return the latest; None when that takes longer than so many seconds.

        With `answered`, wait as well until the server has answered the call that was struck last.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._latest(answered=answered) is not None, timeout)
            return self._latest(answered=answered)

    def _latest(self, *, answered: bool) -> Struck | None:
        struck = [record for record in self._records.values() if not isinstance(record.fault, Dropped)]
        if self._outstanding or not struck or (answered and struck[-1].answered_ns is None):
            return None
        return struck[-1]

    def release(self) -> None:
        """Let all responses pass that are kept back now."""

        def release() -> None:
            for line in self._lines:
                line.release()

        self._order(release)

    def drop_idle(self) -> int:
        """Close all connections now, as between two calls, and return how many; calls under way are lost with them."""

        def drop() -> int:
            dropped = [line for line in self._lines if not line.is_cut]
            for line in dropped:
                line.drop()
            return len(dropped)

        return self._order(drop)

    def __enter__(self) -> Self:
        self._addresses, self._server_name = _resolved(self._endpoint)
        with contextlib.ExitStack() as stack:
            self._listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
            self._bell, self._rope = (stack.enter_context(end) for end in socket.socketpair())
            for end in (self._listener, self._bell, self._rope):
                end.setblocking(False)
            self._selector = stack.enter_context(selectors.DefaultSelector())
            self._port: int = self._listener.getsockname()[1]
            self._thread = threading.Thread(target=self._work, name="fault-proxy", daemon=True)
            self._thread.start()
            self._open = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopping = True
        self._ring()
        self._thread.join(PATIENCE)
        self._open.close()
        if error is None:
            self._ended.result(0)

    def _order(self, action: Callable[[], _T]) -> _T:
        """Have the proxy's thread do something, between two events, and return what comes of it."""
        result: Future[_T] = Future()
        self._orders.append(lambda: result.set_result(action()))
        self._ring()
        return result.result(PATIENCE)

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full: it rings already
            self._rope.send(b"\0")

    def _work(self) -> None:
        try:
            while not self._stopping:
                self._turn()
        except BaseException as error:  # carried over to the thread that leaves the block
            self._ended.set_exception(error)
        else:
            self._ended.set_result(None)
        finally:
            for line in self._lines:
                line.close()

    def _turn(self) -> None:
        """Wait for something to happen, and see to it."""
        wanted: dict[socket.socket, tuple[int, object]] = {
            self._listener: (selectors.EVENT_READ, self._accept),
            self._bell: (selectors.EVENT_READ, lambda: self._bell.recv(4096)),
        }
        for line in self._lines:
            for wire, events in line.waits():
                wanted[wire.socket] = (events, lambda line=line, wire=wire: line.serve(wire))
        watch(self._selector, wanted)
        due = min((line.deadline for line in self._lines if line.deadline is not None), default=None)
        for key, _ in self._selector.select(None if due is None else max(0.0, due - time.monotonic())):
            with contextlib.suppress(BlockingIOError):
                key.data()
        while self._orders:
            self._orders.popleft()()
        for line in self._lines:
            line.tick()
        self._forget_closed_lines()

    def _forget_closed_lines(self) -> None:
        failed = [line.failure for line in self._lines if line.closed and line.failure]
        self._lines = [line for line in self._lines if not line.closed]
        with self._changed:
            self._failures += [f"{self._endpoint.address}: {failure}" for failure in failed]

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        self._accepted += 1
        try:
            server = DialledWire(self._addresses, self._tls, self._server_name)
        except OSError as error:
            connection.close()
            with self._changed:
                self._failures.append(f"{self._endpoint.address}: {error.strerror}")
        else:
            self._lines.append(Line(self._accepted, Wire(connection), server, self._next_fault, self._report))

    def _next_fault(self) -> Fault | None:
        with self._changed:
            return self._armed.popleft() if self._armed else None

    def _report(self, record: Struck) -> None:
        with self._changed:
            known = (record.connection, record.stream) in self._records
            self._records[record.connection, record.stream] = record
            self._outstanding -= 0 if known or isinstance(record.fault, Dropped) else 1
            self._changed.notify_all()


def proxied(endpoint: Endpoint, proxy: FaultProxy) -> Endpoint:
    """Return the endpoint as it is reached through the proxy; credentials of the calls stay as they are."""
    profile = dataclasses.replace(endpoint.profile, address=proxy.address, tls=None)
    return dataclasses.replace(endpoint, profile=profile, address=proxy.address, roots=None, certificate=None, key=None)


def _resolved(endpoint: Endpoint) -> tuple[list[Address], str]:
    """Return where an endpoint can be connected to, and the name that its certificate is to bear."""
    host, _, port = endpoint.address.removeprefix("dns:").lstrip("/").rpartition(":")
    host = host.strip("[]")
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnreachableError(f"{endpoint.address}: {error}", hint="check the address in the profile") from None
    tls = endpoint.profile.tls
    name = tls.server_name if tls is not None and tls.server_name is not None else host
    return [(family, address) for family, _, _, _, address in found], name
