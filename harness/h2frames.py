"""HTTP/2 frames (RFC 9113, section 4) as octets: split a stream of them, and make the few that a proxy adds.

Knows frame headers and nothing of HPACK: a header block stays opaque. Pure: no sockets, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends before its first frame (RFC 9113, section 3.4)."""
HEADER = 9
"""Octets of a frame header."""
MAX_LENGTH = (1 << 24) - 1
"""Largest payload that a frame header can announce, in octets."""
MAX_BLOCK = 1 << 20
"""Largest header block, in octets with all frame headers: empty CONTINUATION frames could go on for ever otherwise."""

END_STREAM = 0x1
ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8

_HEADER_TABLE_SIZE = 1


class Kind(IntEnum):
    """The frame types that matter here (RFC 9113, section 6); others pass as plain numbers."""

    DATA = 0
    HEADERS = 1
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class ErrorCode(IntEnum):
    """Error codes of RST_STREAM (RFC 9113, section 7) that a call can end with."""

    NO_ERROR = 0
    INTERNAL_ERROR = 2
    REFUSED_STREAM = 7
    CANCEL = 8


_BLOCKS = frozenset({Kind.HEADERS, Kind.PUSH_PROMISE})


class FrameError(ValueError):
    """The octets are no HTTP/2; the text says in what respect."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, or a header block: HEADERS or PUSH_PROMISE together with the CONTINUATION frames that complete it.

    Nothing may stand between the frames of a block, hence the two are one. `octets` are all of them as they travel;
    `flags` are those of the first frame.
    """

    kind: int
    flags: int
    stream: int
    octets: bytes

    @property
    def payload(self) -> bytes:
        """What follows the first frame header."""
        return self.octets[HEADER:]

    @property
    def ends_stream(self) -> bool:
        """Whether its sender has finished the stream with it."""
        return self.kind in {Kind.DATA, Kind.HEADERS} and bool(self.flags & END_STREAM)

    @property
    def closes_stream(self) -> bool:
        """Whether its sender sends nothing more on the stream, finished or not."""
        return self.ends_stream or self.kind == Kind.RST_STREAM


class FrameSplitter:
    """Cuts what arrives, in whatever pieces, into frames. Holds one incomplete frame or header block at most.

    `preface` is expected, and removed, before the first frame. `limit` is the largest payload of a frame in octets.
    """

    def __init__(self, *, preface: bytes = b"", limit: int = MAX_LENGTH) -> None:
        self._preface = preface
        self._limit = limit
        self._octets = bytearray()
        self._block: list[Frame] = []
        self._block_octets = 0

    def feed(self, octets: bytes) -> list[Frame]:
        """Return the frames that are complete now. Raises FrameError; then the splitter is of no further use."""
        self._octets += octets
        if self._preface and not self._strip_preface():
            return []
        frames: list[Frame] = []
        start = 0
        while (frame := self._frame_at(start)) is not None:
            start += len(frame.octets)
            whole = self._whole(frame)
            if whole is not None:
                frames.append(whole)
        del self._octets[:start]
        return frames

    def _strip_preface(self) -> bool:
        found = bytes(self._octets[: len(self._preface)])
        if not self._preface.startswith(found):
            raise FrameError("does not begin with the HTTP/2 connection preface")
        if len(found) < len(self._preface):
            return False
        del self._octets[: len(found)]
        self._preface = b""
        return True

    def _frame_at(self, start: int) -> Frame | None:
        if len(self._octets) < start + HEADER:
            return None
        length = int.from_bytes(self._octets[start : start + 3])
        if length > self._limit:
            raise FrameError(f"a frame of {length} octets, more than {self._limit}")
        end = start + HEADER + length
        if len(self._octets) < end:
            return None
        kind, flags = self._octets[start + 3 : start + 5]
        stream = int.from_bytes(self._octets[start + 5 : start + HEADER]) & 0x7FFFFFFF
        return Frame(kind, flags, stream, bytes(self._octets[start:end]))

    def _whole(self, frame: Frame) -> Frame | None:
        """Return the frame or the block that it completes; None when the block goes on."""
        if not self._block:
            if frame.kind == Kind.CONTINUATION:
                raise FrameError("a CONTINUATION frame without a header block")
            if frame.kind not in _BLOCKS or frame.flags & END_HEADERS:
                return frame
        elif frame.kind != Kind.CONTINUATION or frame.stream != self._block[0].stream:
            raise FrameError("a header block that is interrupted by another frame")
        self._block.append(frame)
        self._block_octets += len(frame.octets)
        if self._block_octets > MAX_BLOCK:
            raise FrameError(f"a header block of more than {MAX_BLOCK} octets")
        if not frame.flags & END_HEADERS:
            return None
        first, octets = self._block[0], b"".join(part.octets for part in self._block)
        self._block, self._block_octets = [], 0
        return Frame(first.kind, first.flags, first.stream, octets)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return a frame as it travels. Raises OverflowError when a field does not fit."""
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def rst_stream(stream: int, code: int) -> bytes:
    """Return the frame that ends a stream with an error (RFC 9113, section 6.4)."""
    return frame(Kind.RST_STREAM, 0, stream, code.to_bytes(4))


def window_update(stream: int, octets: int) -> bytes:
    """Return the frame that lets the peer send so many more octets, at least 1 (RFC 9113, section 6.9)."""
    return frame(Kind.WINDOW_UPDATE, 0, stream, octets.to_bytes(4))


def without_header_table(settings: Frame) -> bytes:
    """Return a SETTINGS frame that asks its receiver to encode headers without a dynamic table (RFC 7541, section 4.2).

    Header blocks sent to whoever asked so mean the same in any order, and may be left out.
    """
    payload = settings.payload
    entries = [payload[start : start + 6] for start in range(0, len(payload), 6)]
    kept = [entry for entry in entries if int.from_bytes(entry[:2]) != _HEADER_TABLE_SIZE]
    return frame(Kind.SETTINGS, settings.flags, settings.stream, b"".join([_HEADER_TABLE_SIZE.to_bytes(2) + bytes(4), *kept]))
