"""One HTTP/2 connection of a gRPC server without its socket: octets in, octets out, requests handed to whoever answers them.

Wraps nghttp2 (by `ngh2`), which does the frames, the header compression and the flow control. Knows neither sockets nor
asyncio nor a clock: times come in as seconds on any monotonic clock. Source: "gRPC over HTTP2" (PROTOCOL-HTTP2.md).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Final

import ngh2
from ngh2 import DataReceived, Event, RequestReceived, StreamClosed, TrailersReceived

from harness.grpcframing import ENCODINGS, MAX_MESSAGE, MessageError, pack
from harness.grpcmeta import Header, Metadata, decode_timeout, encode_metadata
from harness.grpcstatus import Code, H2Error, encode_message
from harness.server.wire_call import Call, Method

STREAM_WINDOW = 4 << 20
"""Octets that the peer may send on one stream before we acknowledge some."""
CONNECTION_WINDOW = 64 << 20
"""The same for all streams of a connection together."""
MOST_STREAMS = 10_000
"""Calls that one connection may have open at a time."""
MOST_UNREAD = 16 << 20
"""Octets of several messages that wait until the peer reads them, before its call is reset."""
GRACE = 0.1
"""Seconds after its deadline before a call is ended from here, so that whoever answers it may say so in better words."""

_CONFIGURATION: Final = ngh2.Configuration(max_continuations=128, stream_reset_rate_limit=(100_000, 10_000))
"""Callers whose deadlines pass reset many streams; what a call costs here is spent by then, so there is no harm in it."""
_HEAD: Final[tuple[Header, ...]] = ((b":status", b"200"), (b"content-type", b"application/grpc"))
_OK: Final[tuple[Header, ...]] = ((b"grpc-status", b"0"),)
_DRAINING: Final = b"draining"
_GZIP: Final[Header] = (b"grpc-encoding", b"gzip")


class Session:
    """The server's end of a connection.

    `find` returns the method that a `:path` names, None for an unknown one. `wake` is called when there may be something to
    send other than during `receive`. `limit` is the largest message in octets, both ways. `over` says why nothing more can
    come of the connection; then, what `send` still returns is the farewell. `peer` names the other end.
    """

    def __init__(
        self,
        find: Callable[[bytes], Method | None],
        wake: Callable[[], None],
        *,
        peer: str = "",
        limit: int = MAX_MESSAGE,
        accept_gzip: bool = True,
        gzip: bool = False,
        decoration: Metadata = (),
        most_streams: int = MOST_STREAMS,
    ) -> None:
        self.peer = peer
        self._gzip = gzip
        self.ready = False
        self.draining = False
        self.over: str | None = None
        self._find = find
        self._wake = wake
        self._limit = limit
        self._encodings = ENCODINGS if accept_gzip else b"identity"
        self._accepted = frozenset(self._encodings.split(b", "))
        self._decoration = encode_metadata(decoration)
        self._plain = not gzip and not decoration
        self._receiving = False
        self._calls: dict[int, Call] = {}
        self._half_closed: set[int] = set()
        self._h2 = ngh2.Connection(ngh2.Role.SERVER, _CONFIGURATION)
        self._h2.initiate_connection(
            {ngh2.Setting.MAX_CONCURRENT_STREAMS: most_streams, ngh2.Setting.INITIAL_WINDOW_SIZE: STREAM_WINDOW}
        )
        self._h2.set_local_window_size(CONNECTION_WINDOW)

    @property
    def open_calls(self) -> int:
        """Calls that are not answered yet, incomplete requests included."""
        return len(self._calls)

    # Octets

    def receive(self, octets: bytes | memoryview, now: float) -> None:
        """Take in what the peer has sent, in whatever pieces. Octets that are no HTTP/2 end the connection; they never raise."""
        if self.over is not None:
            return
        self._receiving = True
        try:
            self._h2.receive_data(octets)
        except (ngh2.NGH2Error, OverflowError) as error:
            self._handle(now)
            self.lose(f"the peer broke HTTP/2: {error}")
        else:
            self._handle(now)
        finally:
            self._receiving = False

    def send(self, amount: int) -> bytes:
        """Return so many octets at most, or a few more, that are to be sent to the peer now; empty when there are none."""
        try:
            octets = self._h2.data_to_send(amount)
            if self._half_closed and len(octets) < amount:
                # Those are answered before they were heard out: the peer may stop. It must have the answer first.
                for stream in self._half_closed:
                    self._h2.reset_stream(stream, H2Error.NO_ERROR)
                self._half_closed.clear()
                octets += self._h2.data_to_send(amount)
            if self.over is None and not (self._h2.want_read or self._h2.want_write):
                self.lose("the connection has done its work" if self.draining else "the peer broke HTTP/2")
        except ngh2.NGH2Error as error:
            self.lose(f"HTTP/2 is broken: {error}")
            return b""
        return octets

    def lose(self, reason: str) -> None:
        """Take note that nothing more can come of the connection, and why."""
        if self.over is None:
            self.over = reason
            calls, self._calls = self._calls, {}
            for call in calls.values():
                call.abandon()

    def drain(self) -> None:
        """Ask the peer to make no more calls here; those that it has made go on, and then the connection is over.

        What the peer sends before it hears of it still counts: the last word is only said when it has answered a ping.
        """
        if self.draining or self.over is not None:
            return
        self.draining = True
        with contextlib.suppress(ngh2.NGH2Error):
            self._h2.send_shutdown_notice()
            self._h2.ping(_DRAINING)
        self._tell()

    def terminate(self) -> None:
        """Say farewell at once, whatever is under way."""
        with contextlib.suppress(ngh2.NGH2Error):
            self._h2.terminate_connection(H2Error.NO_ERROR)
        self.lose("the server is stopping")

    def expire(self, now: float) -> None:
        """End the calls whose deadline has passed."""
        for call in [call for call in self._calls.values() if call.deadline + GRACE <= now]:
            call.abandon()
            self.fail(call, Code.DEADLINE_EXCEEDED, "Deadline Exceeded")

    # What the peer says

    def _handle(self, now: float) -> None:
        calls = self._calls
        for event in self._h2.events():
            if isinstance(event, DataReceived):
                call = calls.get(event.stream_id)
                if call is not None:
                    self._take(call, event.data, event.end_stream)
                elif event.end_stream:
                    self._half_closed.discard(event.stream_id)
            elif isinstance(event, RequestReceived):
                self._open(event, now)
            elif isinstance(event, StreamClosed):
                self._half_closed.discard(event.stream_id)
                call = calls.pop(event.stream_id, None)
                if call is not None:
                    call.abandon()
            else:
                self._handle_rarely(event)

    def _handle_rarely(self, event: Event) -> None:
        match event:
            case TrailersReceived(stream):
                self._half_closed.discard(stream)
                call = self._calls.get(stream)
                if call is not None:
                    self._take(call, b"", ended=True)
            case ngh2.SettingsReceived():
                self.ready = True
            case ngh2.PingAcknowledged(octets) if octets == _DRAINING:
                self._h2.send_goaway(H2Error.NO_ERROR)
            case ngh2.GoAwayReceived():
                self.draining = True
            case ngh2.ConnectionClosed(error, _):
                self.lose("the connection was closed" if error == H2Error.NO_ERROR else f"the peer broke HTTP/2 ({error:#x})")

    def _open(self, event: RequestReceived, now: float) -> None:
        """Look at the headers of a request, and refuse what can be refused by them alone."""
        fields: dict[bytes, bytes] = dict(reversed(event.headers))  # the first counts where there are several
        if not fields.get(b"content-type", b"").startswith(b"application/grpc"):
            self._respond(event, ((b":status", b"415"),))
        elif fields.get(b":method") != b"POST":
            self._respond(event, ((b":status", b"405"), (b"allow", b"POST")))
        else:
            self._begin(event, fields, now)

    def _begin(self, event: RequestReceived, fields: dict[bytes, bytes], now: float) -> None:
        method = self._find(fields[b":path"])
        encoding = fields.get(b"grpc-encoding", b"identity")
        timeout = fields.get(b"grpc-timeout")
        try:
            deadline = math.inf if timeout is None else now + decode_timeout(timeout)
        except ValueError as error:
            self._refuse(event, Code.INTERNAL, f"grpc-timeout: {error}")
            return
        if method is None:
            self._refuse(event, Code.UNIMPLEMENTED, "Method not found!")
        elif encoding not in self._accepted:
            accepted = (b"grpc-accept-encoding", self._encodings)
            text = f"grpc-encoding: {encoding[:40].decode('latin-1')} is not supported"
            self._refuse(event, Code.UNIMPLEMENTED, text, accepted)
        elif deadline <= now:
            self._refuse(event, Code.DEADLINE_EXCEEDED, "Deadline Exceeded")
        else:
            stream = event.stream_id
            call = self._calls[stream] = Call(self, stream, method, fields, deadline, limit=self._limit)
            call.zips = self._gzip and b"gzip" in fields.get(b"grpc-accept-encoding", b"")
            if event.end_stream:
                self._take(call, b"", ended=True)

    def _refuse(self, event: RequestReceived, code: Code, text: str, *more: Header) -> None:
        status = (b"grpc-status", b"%d" % code), (b"grpc-message", encode_message(text))
        self._respond(event, (*_HEAD, *more, *status))

    def _respond(self, event: RequestReceived, headers: tuple[Header, ...]) -> None:
        if not event.end_stream:
            self._half_closed.add(event.stream_id)
        with contextlib.suppress(ngh2.NGH2Error):
            self._h2.send_response(event.stream_id, headers, end_stream=True)

    def _take(self, call: Call, octets: bytes, ended: bool) -> None:
        try:
            call.take(octets, ended)
        except MessageError as error:
            call.abandon()
            self.fail(call, error.code, str(error))

    # What the peer is told

    def reply(self, call: Call, message: bytes) -> None:
        """Answer a call with one message and OK."""
        if self._calls.pop(call.stream, None) is None:
            return
        if len(message) > self._limit:
            self._calls[call.stream] = call
            self.fail(call, Code.RESOURCE_EXHAUSTED, f"a response of {len(message):,} octets, more than {self._limit:,}")
            return
        h2, stream = self._h2, call.stream
        with contextlib.suppress(ngh2.NGH2Error):  # a stream or connection that has failed takes no answers, and needs none
            h2.send_response(stream, _HEAD if self._plain else self._head(call))
            h2.send_data(stream, pack(message, gzip=call.zips))
            h2.send_trailers(stream, _OK if self._plain or not self._decorates(call) else (*_OK, *self._decoration))
        if not (self._receiving and call.ended):
            self._answered(call)

    def send_message(self, call: Call, message: bytes) -> None:
        """Answer a call with a message of several; the call is ended when the peer does not read what it asked for."""
        if call.stream not in self._calls:
            return
        with contextlib.suppress(ngh2.NGH2Error):
            if not call.head_sent:
                self._h2.send_response(call.stream, self._head(call))
                call.head_sent = True
            self._h2.send_data(call.stream, pack(message, gzip=call.zips))
            if self._h2.queued_body_size(call.stream) > MOST_UNREAD:
                self._h2.reset_stream(call.stream, H2Error.ENHANCE_YOUR_CALM)
                del self._calls[call.stream]
                call.abandon()
        self._tell()

    def finish(self, call: Call) -> None:
        """Answer a call with OK after all messages."""
        self._end(call, _OK)

    def fail(self, call: Call, code: int, text: str) -> None:
        """Answer a call with an error."""
        self._end(call, ((b"grpc-status", b"%d" % code), (b"grpc-message", encode_message(text))))

    def _end(self, call: Call, status: tuple[Header, ...]) -> None:
        if self._calls.pop(call.stream, None) is None:
            return
        with contextlib.suppress(ngh2.NGH2Error):
            if self._decorates(call):
                if not call.head_sent:
                    self._h2.send_response(call.stream, self._head(call))
                self._h2.send_trailers(call.stream, (*status, *self._decoration))
            elif call.head_sent:
                self._h2.send_trailers(call.stream, status)
            else:
                self._h2.send_response(call.stream, (*_HEAD, *status), end_stream=True)
        self._answered(call)

    def _decorates(self, call: Call) -> bool:
        return call.method.decorated and bool(self._decoration)

    def _head(self, call: Call) -> tuple[Header, ...]:
        return (*_HEAD, *((_GZIP,) if call.zips else ()), *(self._decoration if self._decorates(call) else ()))

    def _answered(self, call: Call) -> None:
        if not call.ended:
            self._half_closed.add(call.stream)
        self._tell()

    def _tell(self) -> None:
        if not self._receiving:
            self._wake()
