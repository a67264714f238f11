"""One HTTP/2 connection of a gRPC client without its socket: octets in, octets out, calls that have ended.

Wraps nghttp2 (by `ngh2`), which does the frames, the header compression and the flow control. Knows neither sockets nor
gevent nor a clock: times come in as seconds on any monotonic clock, and `next_due` says when `expire` has something to do.

Submitting a call and taking in its answer is what a load run does most: these paths are written for the fewest steps.
"""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import ngh2
from ngh2 import DataReceived, Event, ResponseReceived, StreamClosed, TrailersReceived

from harness.grpcframing import MAX_MESSAGE, PREFIX, MessageError, MessageReader
from harness.grpcmeta import Header
from harness.grpcstatus import Code, H2Error, code_of_reset, name_of_h2_error
from loadtests.transport.pending import Call
from loadtests.transport.reply import Reply
from loadtests.transport.response import OK_TRAILER, conclude, is_grpc

STREAM_WINDOW = 4 << 20
"""Octets that the peer may send on one stream before we acknowledge some."""
CONNECTION_WINDOW = 64 << 20
"""The same for all streams of a connection together."""
MOST_MOVES = 5
"""How often a call that the peer has not processed is made again at most."""
LAST_STREAM = (1 << 31) - 1
"""Largest stream id that HTTP/2 has (RFC 9113, section 5.1.1)."""
_CONFIGURATION: Final = ngh2.Configuration(max_continuations=128)
_UNLIMITED = (1 << 32) - 1
_OK = Code.OK
_new = tuple.__new__
"""Makes a named tuple in a third of the time."""


class Connection:
    """The client's end of a connection.

    `finished` collects calls whose `reply` was set, `orphans` calls that the peer has not processed and that can be made on
    another connection; whoever uses the connection takes them out after every method. It is `ready` once the peer's
    settings are known; calls wait until then. It is `draining` when it takes no new calls, and `over` (with the reason) when
    nothing more can come of it; then there are no calls left.
    """

    def __init__(self, *, message_limit: int = MAX_MESSAGE, last_stream: int = LAST_STREAM) -> None:
        self.finished: list[Call] = []
        self.orphans: list[Call] = []
        self.ready = False
        self.draining = False
        self.over: str | None = None
        self._message_limit = message_limit
        self._last_stream = last_stream
        self._calls: dict[int, Call] = {}
        self._waiting: deque[Call] = deque()
        self._half_closed: set[int] = set()
        self._usual_head: Sequence[Header] = ()
        self._open = 0
        self._most_open = 0
        self._most_now = 0
        self._h2 = ngh2.Connection(ngh2.Role.CLIENT, _CONFIGURATION)
        self._h2.initiate_connection({ngh2.Setting.ENABLE_PUSH: 0, ngh2.Setting.INITIAL_WINDOW_SIZE: STREAM_WINDOW})
        self._h2.set_local_window_size(CONNECTION_WINDOW)
        self._send_request, self._send_data = self._h2.send_request, self._h2.send_data

    @property
    def in_flight(self) -> int:
        """Calls that have been sent and are not over."""
        return len(self._calls)

    @property
    def waiting(self) -> int:
        """Calls that wait for the peer's settings, or until it allows another stream."""
        return len(self._waiting)

    @property
    def idle(self) -> bool:
        """Whether there are no calls."""
        return not self._calls and not self._waiting

    @property
    def next_due(self) -> float:
        """When the first of the calls has to be over."""
        return min((call.deadline for call in (*self._calls.values(), *self._waiting)), default=math.inf)

    def submit(self, call: Call, now: float) -> None:
        """Make a call, at once or, in turn, when the peer allows it."""
        if self._open >= self._most_now:
            if self.draining or self.over is not None:
                self._orphan(call, "the connection takes no more calls")
            else:
                self._waiting.append(call)
            return
        try:
            stream = call.stream = self._send_request(call.method.timed + call.extra if call.usual else call.headers(now))
            self._send_data(stream, call.body, end_stream=True)
        except (ngh2.ConnectionStateError, ngh2.ConnectionClosingError, ngh2.NoAvailableStreamIDError) as error:
            self._orphan(call, f"the connection takes no more calls: {error}")
            return
        except ngh2.NGH2Error as error:
            self._finish(call, Reply(Code.INTERNAL, f"the request cannot be sent: {error}"))
            return
        self._calls[stream] = call
        self._open += 1
        if stream + 2 > self._last_stream:
            self._drain("the connection has no stream ids left")

    def _make_room(self, now: float) -> None:
        """Make the calls that wait, as many as the peer allows."""
        waiting = self._waiting
        self._most_now = 0 if self.draining or self.over is not None else self._most_open
        while waiting and self._open < self._most_now:
            call = waiting.popleft()
            if call.reply is None:
                call.usual = False  # less time is left than usual
                self.submit(call, now)
        if waiting:
            self._most_now = 0  # further ones have to wait in turn

    def cancel(self, call: Call, reply: Reply) -> bool:
        """End a call from this side, if it is one of this connection; return whether it is. `finished` does not show it."""
        if self._calls.get(call.stream) is call:
            del self._calls[call.stream]
            self._reset(call.stream, H2Error.CANCEL)
        elif call in self._waiting:
            self._waiting.remove(call)
            if not self._waiting and not self.draining:
                self._most_now = self._most_open
        else:
            return False
        call.reply = reply
        return True

    def expire(self, now: float) -> None:
        """End the calls whose deadline has come."""
        for call in [call for call in (*self._calls.values(), *self._waiting) if call.deadline <= now]:
            self.cancel(call, Reply(Code.DEADLINE_EXCEEDED, "Deadline Exceeded"))
            self.finished.append(call)

    def receive(self, octets: bytes | memoryview, now: float) -> None:
        """Take in what the peer has sent. Octets that are no HTTP/2 end the connection, and never raise.

        The pieces in which octets come do not matter, but for one thing: when a malformed response and a fault of the whole
        connection come in one piece, the call ends as UNAVAILABLE with the connection, not as INTERNAL.
        """
        if self.over is not None:
            return
        try:
            self._h2.receive_data(octets)
        except (ngh2.NGH2Error, OverflowError) as error:
            self._handle(now)
            self.lose(f"the peer broke HTTP/2: {error}")
            return
        self._handle(now)

    @property
    def has_more(self) -> bool:
        """Whether there is something to be sent, beyond what was returned by `send` when that was less than asked for."""
        return bool(self._h2.want_write)

    def send(self, amount: int, now: float) -> bytes:
        """Return so many octets at most that are to be sent to the peer now; empty when there are none."""
        try:
            octets = self._h2.data_to_send(amount)
        except ngh2.NGH2Error as error:
            self.lose(f"the peer broke HTTP/2: {error}")
            return b""
        self._handle(now)
        return octets

    def lose(self, reason: str, code: Code = Code.UNAVAILABLE) -> None:
        """Take note that nothing can be sent or received any more, and why; calls that the peer may know end with `code`."""
        if self.over is not None:
            return
        self.over = reason
        self._most_now = 0
        calls, waiting = list(self._calls.values()), self._waiting
        self._calls, self._waiting = {}, deque()
        for call in calls:
            self._finish(call, Reply(code, reason))
        for call in waiting:
            if self.ready and code is Code.UNAVAILABLE:
                self._orphan(call, reason)
            else:
                self._finish(call, Reply(code, reason))

    def _handle(self, now: float) -> None:
        """See to what nghttp2 has to tell: the usual answer, whole and OK, at once, anything else event by event."""
        events: list[Any] = self._h2.events()
        if not events:
            return
        calls, limit, finished = self._calls, self._message_limit, self.finished
        place, most, closed = 0, len(events), 0
        while place < most:
            event = events[place]
            place += 1
            kind = type(event)  # not isinstance: events are final, and this runs more than once per call
            if kind is DataReceived:
                call = calls.get(event.stream_id)
                if call is not None and call.data is None and place + 1 < most:
                    trailers, end, octets = events[place], events[place + 1], event.data
                    size = len(octets) - PREFIX
                    if (
                        type(trailers) is TrailersReceived
                        and type(end) is StreamClosed
                        and trailers.stream_id == end.stream_id == call.stream
                        and trailers.headers[:1] == OK_TRAILER
                        and 0 <= size <= limit
                        and octets.startswith(size.to_bytes(PREFIX, "big"))
                        and (call.head == self._usual_head or self._is_usual(call.head))
                    ):
                        del calls[call.stream]
                        call.reply = _new(Reply, (_OK, "", octets[PREFIX:], call.head, trailers.headers))
                        finished.append(call)
                        closed += 1
                        place += 2
                        continue
            elif kind is ResponseReceived and not event.end_stream:
                call = calls.get(event.stream_id)
                if call is not None:
                    call.head = event.headers
                continue
            self._handle_one(event, now)
        for stream in self._half_closed:
            # The peer has answered before it had heard us out: it will not read the rest.
            self._reset(stream, H2Error.NO_ERROR)
        self._half_closed.clear()
        self._open -= closed
        self._make_room(now)

    def _is_usual(self, headers: Sequence[Header]) -> bool:
        """Whether a response begins as gRPC's do; if so, others that begin in the same way are known by that."""
        if not is_grpc(headers):
            return False
        self._usual_head = headers
        return True

    def _handle_one(self, event: Event, now: float) -> None:
        """See to one event; rarer ones are seen to elsewhere."""
        calls = self._calls
        match event:
            case ResponseReceived(stream, headers):
                call = calls.get(stream)
                if call is not None:
                    self._answered(call, conclude((), headers, None, self._message_limit))
            case DataReceived(stream):
                call = calls.get(stream)
                if call is not None:
                    self._take_data(call, event)
            case TrailersReceived(stream, headers):
                call = calls.get(stream)
                if call is not None:
                    self._answered(call, conclude(call.head, headers, call.data, self._message_limit))
            case StreamClosed(stream):
                self._open -= 1
                self._half_closed.discard(stream)
                if stream in calls:
                    self._cut_off(calls.pop(stream), event)
            case _:
                self._handle_rarely(event, now)

    def _answered(self, call: Call, reply: Reply) -> None:
        """Take note that the peer has said all there is to say of a call; its stream is closed once it has heard us out."""
        del self._calls[call.stream]
        self._half_closed.add(call.stream)
        self._finish(call, reply)

    def _take_data(self, call: Call, event: DataReceived) -> None:
        octets = event.data
        if octets and is_grpc(call.head):
            try:
                self._reader_of(call).feed(octets)
            except MessageError as error:
                self._give_up(call, Reply(error.code, str(error)))
                return
        if event.end_stream:
            self._answered(call, conclude(call.head, (), call.data, self._message_limit))

    def _reader_of(self, call: Call) -> MessageReader:
        if call.data is None:
            call.data = MessageReader(self._message_limit)
        return call.data

    def _cut_off(self, call: Call, event: StreamClosed) -> None:
        """See to a call whose stream is closed before its response was complete."""
        if isinstance(event.local_error, ngh2.ConnectionClosingError):
            self._orphan(call, "the peer closes the connection (GOAWAY)")
        elif event.local_error is not None:
            self._finish(call, Reply(Code.INTERNAL, f"the request cannot be sent: {event.local_error}"))
        elif event.error_code == H2Error.REFUSED_STREAM:
            self._orphan(call, "the peer refused the stream (GOAWAY)")
        else:
            self._finish(call, Reply(Code.INTERNAL, f"a malformed response ({name_of_h2_error(event.error_code)})"))

    def _handle_rarely(self, event: Event, now: float) -> None:
        match event:
            case ngh2.StreamReset(stream, error):
                call = self._calls.pop(stream, None)
                if call is not None:
                    self._stream_reset(call, error, now)
            case ngh2.SettingsReceived(settings):
                self._most_open = settings.get(ngh2.Setting.MAX_CONCURRENT_STREAMS, self._most_open if self.ready else _UNLIMITED)
                self.ready = True
            case ngh2.GoAwayReceived(_, error, debug):
                self._drain(_goaway(error, debug))
            case ngh2.ConnectionClosed(error, debug):
                if self.draining:
                    self.lose(_goaway(error, debug))
                else:
                    self.lose(f"the peer broke HTTP/2: {_detail(error, debug)}")

    def _stream_reset(self, call: Call, error: int, now: float) -> None:
        text = f"the peer reset the stream: {name_of_h2_error(error)}"
        if error == H2Error.REFUSED_STREAM:
            self._orphan(call, text)
        elif error == H2Error.CANCEL and now >= call.deadline:
            # Its timer was a little faster than ours.
            self._finish(call, Reply(Code.DEADLINE_EXCEEDED, "Deadline Exceeded"))
        else:
            self._finish(call, Reply(code_of_reset(error), text))

    def _drain(self, reason: str) -> None:
        self.draining = True
        self._most_now = 0
        waiting, self._waiting = self._waiting, deque()
        for call in waiting:
            self._orphan(call, reason)

    def _orphan(self, call: Call, reason: str) -> None:
        """Give a call back that the peer has certainly not processed; too often is an error."""
        call.moves += 1
        if call.moves > MOST_MOVES:
            self._finish(call, Reply(Code.UNAVAILABLE, f"{reason} (tried {call.moves} times)"))
            return
        call.stream, call.head, call.data, call.usual = 0, (), None, False
        self.orphans.append(call)

    def _give_up(self, call: Call, reply: Reply) -> None:
        """End a call whose response is no good."""
        del self._calls[call.stream]
        self._reset(call.stream, H2Error.CANCEL)
        self._finish(call, reply)

    def _reset(self, stream: int, error: H2Error) -> None:
        # A session that has failed takes no orders any more, and needs none.
        with contextlib.suppress(ngh2.NGH2Error):
            self._h2.reset_stream(stream, error)

    def _finish(self, call: Call, reply: Reply) -> None:
        if call.reply is None:
            call.reply = reply
            self.finished.append(call)


def _goaway(error: int, debug: bytes) -> str:
    return f"the peer closes the connection (GOAWAY): {_detail(error, debug)}"


def _detail(error: int, debug: bytes) -> str:
    text = debug[:200].decode("utf-8", "backslashreplace")
    return f"{name_of_h2_error(error)} {text}".strip()
