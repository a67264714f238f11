"""What a fault proxy does with each frame of one HTTP/2 connection: which calls are struck, how, and what goes on instead.

A call is a client's stream. Only frame headers are read. Client frames and server frames go in, actions come out, in order;
who carries them out is not known here. Pure: no sockets, no clock.

Frames of a response can be kept back or left out while others pass only because header blocks do not depend on each other:
the client's SETTINGS are changed so that the server keeps no dynamic table. That is the one change to healthy traffic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from harness.h2frames import (
    ACK,
    END_STREAM,
    HEADER,
    PADDED,
    PREFACE,
    ErrorCode,
    Frame,
    Kind,
    frame,
    rst_stream,
    window_update,
    without_header_table,
)


@dataclass(frozen=True, slots=True)
class CutAfterRequest:
    """The request arrives complete, then the client's connection is cut before any of the response."""


@dataclass(frozen=True, slots=True)
class CutBeforeRequest:
    """The client's connection is cut when the request lacks nothing but its last octet and the end of the stream."""


@dataclass(frozen=True, slots=True)
class HoldResponse:
    """The response is kept back for so many seconds after the request, or until it is released (None)."""

    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ResetStream:
    """The request arrives complete, then the client is told that the stream has ended with this error; the response is lost."""

    code: ErrorCode = ErrorCode.CANCEL


Fault = CutAfterRequest | CutBeforeRequest | HoldResponse | ResetStream


@dataclass(frozen=True, slots=True)
class Dropped:
    """A connection was closed between calls: stands in a record where a fault stands otherwise."""


@dataclass(frozen=True, slots=True)
class Struck:
    """What was done to which call. Times are nanoseconds on the monotonic clock.

    `connection` counts from 1 as accepted; `stream` is the HTTP/2 stream, 0 for a whole connection. `answered_ns` is when
    the server had ended the stream that was struck, None as long as it has not.
    """

    fault: Fault | Dropped
    connection: int
    stream: int
    at_ns: int
    answered_ns: int | None = None


@dataclass(frozen=True, slots=True)
class ToClient:
    """Send these octets, whole frames, to the client."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class ToServer:
    """Send these octets, whole frames, to the server."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Strike:
    """The fault takes effect now, once what was to be sent before has been sent; cutting and timing are left to the edge."""

    fault: Fault
    stream: int


@dataclass(frozen=True, slots=True)
class Answered:
    """The server has ended a stream that was struck; the client does not know."""

    stream: int


Action = ToClient | ToServer | Strike | Answered

_MESSAGE = frozenset({Kind.HEADERS, Kind.DATA, Kind.RST_STREAM, Kind.PUSH_PROMISE})


@dataclass(slots=True)
class _Victim:
    fault: Fault
    struck: bool = False
    given_up: bool = False
    withheld: bytes = b""
    held: list[Frame] = field(default_factory=list)

    @property
    def swallows(self) -> bool:
        """Whether the response is lost, rather than late."""
        return self.struck and (self.given_up or not isinstance(self.fault, HoldResponse))


class Interceptor:
    """Decides about the frames of one connection. `next_fault` is asked once for every new call."""

    def __init__(self, next_fault: Callable[[], Fault | None]) -> None:
        self._next_fault = next_fault
        self._begun = False
        self._newest = 0
        self._victims: dict[int, _Victim] = {}

    @property
    def held_octets(self) -> int:
        """How much of the responses is kept back."""
        return sum(len(part.octets) for victim in self._victims.values() for part in victim.held)

    def from_client(self, part: Frame) -> list[Action]:
        """Return what to do about a frame that the client has sent."""
        begin: list[Action] = [] if self._begun else [ToServer(PREFACE)]
        self._begun = True
        if part.kind == Kind.SETTINGS and not part.flags & ACK:
            return [*begin, ToServer(without_header_table(part))]
        if part.kind == Kind.HEADERS and part.stream > self._newest:
            self._newest = part.stream
            if (fault := self._next_fault()) is not None:
                self._victims[part.stream] = _Victim(fault)
        victim = self._victims.get(part.stream)
        if victim is None or part.kind not in _MESSAGE:
            return [*begin, ToServer(part.octets)]
        if part.kind == Kind.RST_STREAM:
            return [*begin, ToServer(part.octets), *self._give_up(part.stream, victim)]
        if isinstance(victim.fault, CutBeforeRequest):
            return [*begin, *_all_but_the_end(part, victim)]
        return [*begin, ToServer(part.octets), *(_strike(part.stream, victim) if part.ends_stream else ())]

    def from_server(self, part: Frame) -> list[Action]:
        """Return what to do about a frame that the server has sent."""
        victim = self._victims.get(part.stream)
        if victim is None or part.kind not in _MESSAGE:
            return [ToClient(part.octets)]
        answered: list[Action] = [Answered(part.stream)] if part.closes_stream and victim.struck else []
        if victim.swallows:
            return [*_refund(part), *answered]
        victim.held.append(part)
        if part.closes_stream and not victim.struck:
            # An answer before the whole request: there is nothing left to strike.
            return self.release(part.stream)
        return answered

    def release(self, stream: int | None = None) -> list[Action]:
        """Let the response of a stream pass, or of all (None), what was kept back first. No effect on one that is lost."""
        freed: list[Action] = []
        for number in [number for number in self._victims if stream in {None, number}]:
            victim = self._victims[number]
            if not victim.swallows and (victim.struck or stream is not None):
                freed += [ToClient(part.octets) for part in victim.held]
                del self._victims[number]
        return freed

    def _give_up(self, stream: int, victim: _Victim) -> list[Action]:
        """Lose the response of a call that the client has cancelled."""
        if not victim.struck:
            del self._victims[stream]
            return []
        victim.given_up = True
        refunds = [action for part in victim.held for action in _refund(part)]
        victim.held = []
        return refunds


def _strike(stream: int, victim: _Victim) -> list[Action]:
    victim.struck = True
    early, actions = victim.held, [Strike(victim.fault, stream)]
    if not victim.swallows:
        return [*actions]
    victim.held = []
    reset = [ToClient(rst_stream(stream, victim.fault.code))] if isinstance(victim.fault, ResetStream) else []
    return [*actions, *reset, *(action for part in early for action in _refund(part))]


def _all_but_the_end(part: Frame, victim: _Victim) -> list[Action]:
    """Pass a request on, always one octet behind: servers take a message for complete before the stream has ended."""
    if part.ends_stream and part.kind == Kind.HEADERS:
        return [*_strike(part.stream, victim)]
    passed: list[Action] = [ToServer(part.octets)]
    if part.kind == Kind.DATA:
        body = victim.withheld + _content(part)
        body, victim.withheld = body[:-1], body[-1:]
        passed = [ToServer(frame(Kind.DATA, part.flags & ~(END_STREAM | PADDED), part.stream, body))]
    return [*passed, *(_strike(part.stream, victim) if part.ends_stream else ())]


def _content(part: Frame) -> bytes:
    """Return the payload of a DATA frame without its padding (RFC 9113, section 6.1)."""
    if not part.flags & PADDED:
        return part.payload
    padding = part.octets[HEADER] if len(part.octets) > HEADER else 0
    return part.payload[1 : max(1, len(part.payload) - padding)]


def _refund(part: Frame) -> list[Action]:
    """Give the server back the window that a lost frame has used: the client, who never saw it, will not."""
    size = len(part.octets) - HEADER
    if part.kind != Kind.DATA or not size:
        return []
    stream: list[Action] = [] if part.ends_stream else [ToServer(window_update(part.stream, size))]
    return [ToServer(window_update(0, size)), *stream]
