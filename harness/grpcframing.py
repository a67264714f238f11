"""Messages of gRPC as they stand in the body of a request or response: a flag, four octets of length, the message.

Both ends share it. Source: "gRPC over HTTP2" (PROTOCOL-HTTP2.md), Length-Prefixed-Message. Pure.
"""

from __future__ import annotations

import zlib

from harness.grpcstatus import Code

PREFIX = 5
"""Octets before the message."""
MAX_MESSAGE = 256 << 20
"""Largest message in either direction, in octets: the vendor's client allows 250 MiB, plus room for framing."""
ENCODINGS = b"identity, deflate, gzip"
"""The compressions that `unpack` knows, as the value of `grpc-accept-encoding`."""

_EITHER = 32 + zlib.MAX_WBITS
"""Has zlib tell by itself whether there is a gzip or a zlib header."""
_GZIP = 16 + zlib.MAX_WBITS


class MessageError(ValueError):
    """A body that is not one message; `code` is the status that the call ends with."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code


def pack(message: bytes, *, gzip: bool = False) -> bytes:
    """Return a message with its prefix; compressed if so asked and if that makes it smaller."""
    if gzip:
        squeezer = zlib.compressobj(wbits=_GZIP)
        small = squeezer.compress(message) + squeezer.flush()
        if len(small) < len(message):
            return b"\x01" + len(small).to_bytes(4, "big") + small
    return b"\x00" + len(message).to_bytes(4, "big") + message


class MessageReader:
    """Puts together the one message of a body, whatever pieces it comes in.

    `limit` is the largest message in octets. Every method may raise MessageError; then the reader is of no further use.
    """

    __slots__ = ("_have", "_limit", "_need", "_parts")

    def __init__(self, limit: int = MAX_MESSAGE) -> None:
        self._parts: list[bytes] = []
        self._have = 0
        self._need = -1
        self._limit = limit

    def feed(self, octets: bytes) -> None:
        """Take in the next octets; those that belong to no message are refused before they are kept."""
        if not octets:
            return
        self._parts.append(octets)
        self._have += len(octets)
        if self._need < 0 and self._have >= PREFIX:
            self._read_prefix()
        if 0 <= self._need < self._have:
            raise MessageError(Code.UNIMPLEMENTED, "more than one message, where there is to be one")

    def _read_prefix(self) -> None:
        if len(self._parts) > 1:
            self._parts = [b"".join(self._parts)]
        prefix = self._parts[0]
        if prefix[0] > 1:
            raise MessageError(Code.INTERNAL, f"a message with the flag {prefix[0]}, which is neither 0 nor 1")
        length = int.from_bytes(prefix[1:PREFIX], "big")
        if length > self._limit:
            raise MessageError(Code.RESOURCE_EXHAUSTED, f"a message of {length:,} octets, more than {self._limit:,}")
        self._need = PREFIX + length

    def finish(self) -> bytes | None:
        """Return the message with its prefix; None when there was none at all."""
        if not self._have:
            return None
        if self._have != self._need:
            raise MessageError(Code.INTERNAL, "a message that breaks off")
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)


def unpack(packed: bytes, encoding: bytes, limit: int = MAX_MESSAGE) -> bytes:
    """Return the message of what `MessageReader` put together. `encoding` is the `grpc-encoding`, or empty.

    Raises MessageError.
    """
    if not packed[0]:
        return packed[PREFIX:]
    if encoding not in {b"gzip", b"deflate"}:
        what = encoding.decode("latin-1") or "identity"
        raise MessageError(Code.INTERNAL, f"a message is marked as compressed, but the encoding is {what}")
    inflater = zlib.decompressobj(wbits=_EITHER)
    try:
        message = inflater.decompress(memoryview(packed)[PREFIX:], limit + 1)
    except zlib.error as error:
        raise MessageError(Code.INTERNAL, f"a message cannot be decompressed: {error}") from None
    if len(message) > limit:
        raise MessageError(Code.RESOURCE_EXHAUSTED, f"a message of more than {limit:,} octets, once decompressed")
    if not inflater.eof or inflater.unused_data:
        raise MessageError(Code.INTERNAL, "a message cannot be decompressed: it breaks off, or goes on")
    return message
