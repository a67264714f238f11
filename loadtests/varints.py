"""Numbers as protobuf writes them, for messages that are put together by hand. Pure."""

from __future__ import annotations

SHORT = 128
"""Numbers below this take one octet."""


def varint(number: int) -> bytes:
    """Return a number, 0 or more, as a base 128 varint, lowest digits first."""
    octets = bytearray()
    while number >= SHORT:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)
