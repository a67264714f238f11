"""One client's connection through a fault proxy: two wires, and the faults that befall the calls between them.

Carries out what `harness.h2faults` decides about the frames. One thread serves a line; it never blocks.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from harness.h2faults import (
    Action,
    Answered,
    CutAfterRequest,
    CutBeforeRequest,
    Dropped,
    Fault,
    HoldResponse,
    Interceptor,
    Strike,
    Struck,
    ToClient,
    ToServer,
)
from harness.h2frames import PREFACE, FrameError, FrameSplitter
from harness.wire import DialledWire, Wire

MOST_PENDING = 1 << 20
"""Octets that wait to be sent to one side before nothing more is read from the other."""
MOST_HELD = 64 << 20
"""Octets of responses kept back before nothing more is read from the server."""
LINGER = 2.0
"""Seconds that a server has to answer a call whose client was cut off, before its own connection is closed."""
CONNECT = 10.0
"""Seconds that a server has to accept a connection."""


class Line:
    """A client's connection, the server's that belongs to it, and what happens between the two.

    `report` is given a record of every strike, and again, with the time of the answer, when the server answers that call.
    """

    def __init__(
        self,
        number: int,
        client: Wire,
        server: DialledWire,
        next_fault: Callable[[], Fault | None],
        report: Callable[[Struck], None],
    ) -> None:
        self.number = number
        self.failure = ""
        self.closed = False
        self._client = client
        self._server = server
        self._report = report
        self._interceptor = Interceptor(next_fault)
        self._from_client = FrameSplitter(preface=PREFACE)
        self._from_server = FrameSplitter()
        self._records: dict[int, Struck] = {}
        self._heard = False
        self._cut: Strike | None = None
        self._timers: dict[int, float] = {}
        self._connect_by = time.monotonic() + CONNECT
        self._linger_until: float | None = None

    @property
    def is_cut(self) -> bool:
        """Whether the client has been cut off."""
        return self._linger_until is not None or self.closed

    @property
    def deadline(self) -> float | None:
        """When `tick` is due at the latest, on the monotonic clock."""
        due = list(self._timers.values())
        due += [] if self._server.ready else [self._connect_by]
        due += [] if self._linger_until is None else [self._linger_until]
        return min(due, default=None)

    def waits(self) -> Iterator[tuple[Wire, int]]:
        """Yield each open wire with what it waits for, as a mask of selectors (0: for nothing)."""
        if self.closed:
            return
        if not self.is_cut:
            yield self._client, self._client.events(reading=self._reads(self._client))
        yield self._server, self._server.events(reading=self._reads(self._server))

    def _reads(self, wire: Wire) -> bool:
        if wire is self._client:
            return self._cut is None and self._server.pending < MOST_PENDING
        return self._client.pending < MOST_PENDING and self._interceptor.held_octets < MOST_HELD

    def serve(self, wire: Wire) -> None:
        """Go on after one of the two wires has what it waited for."""
        if self.closed:
            return
        with self._using(wire):
            if wire is self._server and not self._server.ready:
                self._server.advance()
            elif self._reads(wire):
                self._read(wire)
        self._settle()

    def tick(self) -> None:
        """Do what is due."""
        if self.closed:
            return
        now = time.monotonic()
        if not self._server.ready and now >= self._connect_by:
            self._fail(f"no connection after {CONNECT:g} s")
        for stream in [stream for stream, due in self._timers.items() if now >= due]:
            del self._timers[stream]
            self._act(self._interceptor.release(stream))
        if self._linger_until is not None and now >= self._linger_until:
            self.close()
        self._settle()

    def release(self) -> None:
        """Let all responses pass that are kept back."""
        if self.closed:
            return
        self._timers.clear()
        self._act(self._interceptor.release())
        self._settle()

    def drop(self) -> None:
        """Close both connections now, and report it."""
        self._report(Struck(Dropped(), self.number, 0, time.monotonic_ns()))
        self.close()

    def close(self) -> None:
        """Close both connections now, whatever is under way."""
        self.closed = True
        self._timers.clear()
        self._client.close()
        self._server.close()

    @contextlib.contextmanager
    def _using(self, wire: Wire) -> Iterator[None]:
        """Close the line when one of its wires fails; the reason is kept when the server was never heard of."""
        try:
            yield
        except FrameError as error:
            self._fail(str(error))
        except OSError as error:
            # Later, either side may close in the middle of something: that is nothing to speak of.
            self._fail("" if wire is self._client or self._heard else error.strerror or str(error))

    def _fail(self, reason: str) -> None:
        self.failure = reason
        self.close()

    def _read(self, wire: Wire) -> None:
        from_client = wire is self._client
        splitter = self._from_client if from_client else self._from_server
        for part in splitter.feed(wire.read()):
            self._heard = self._heard or not from_client
            if from_client and self._cut is not None:
                return
            self._act(self._interceptor.from_client(part) if from_client else self._interceptor.from_server(part))

    def _act(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case ToServer(octets):
                    self._server.queue(octets)
                case ToClient(octets):
                    if not self.is_cut:
                        self._client.queue(octets)
                case Strike():
                    self._strike(action)
                case Answered(stream):
                    self._answered(stream)

    def _strike(self, strike: Strike) -> None:
        match strike.fault:
            case CutAfterRequest() | CutBeforeRequest():
                self._cut = strike  # `_settle` does it, once the server has got what it is to get
                return
            case HoldResponse(float() | int() as seconds):
                self._timers[strike.stream] = time.monotonic() + seconds
        self._tell(Struck(strike.fault, self.number, strike.stream, time.monotonic_ns()))

    def _tell(self, record: Struck) -> None:
        self._records[record.stream] = record
        self._report(record)

    def _answered(self, stream: int) -> None:
        record = self._records.get(stream)
        if record is not None and record.answered_ns is None:
            self._tell(replace(record, answered_ns=time.monotonic_ns()))
        if self.is_cut and self._cut is not None and self._cut.stream == stream:
            self.close()

    def _settle(self) -> None:
        """Send what can be sent; then cut what is to be cut, and end what has ended."""
        for wire in (self._server, self._client):
            with self._using(wire):
                wire.flush()
        if self.closed:
            return
        if self._cut is not None and not self.is_cut and self._server.ready and not self._server.pending:
            self._cut_off(self._cut)
        elif self._client.ended and not self.is_cut and not (self._server.ready and self._server.pending):
            self.close()
        elif self._server.ended and not self._client.pending and not self._interceptor.held_octets:
            self._fail("" if self._heard else "the connection was closed before the server had said anything")

    def _cut_off(self, cut: Strike) -> None:
        self._client.close()
        self._linger_until = time.monotonic() + LINGER
        self._tell(Struck(cut.fault, self.number, cut.stream, time.monotonic_ns()))
        if isinstance(cut.fault, CutBeforeRequest):
            self.close()
