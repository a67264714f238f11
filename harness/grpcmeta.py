"""Metadata and timeouts of gRPC as HTTP/2 headers, and back. Both ends share it.

Source: "gRPC over HTTP2" (PROTOCOL-HTTP2.md), sections Requests and Responses. Pure.
"""

from __future__ import annotations

import base64
import binascii
import functools
import math
import re
from collections.abc import Iterable, Sequence

Header = tuple[bytes, bytes]
Metadata = Sequence[tuple[str, str | bytes]]
"""Pairs of name and value: `bytes` where the name ends with `-bin`, else printable ASCII."""

_NAME = re.compile(r"[0-9a-z_.-]+", re.ASCII)
_BINARY = "-bin"
_RESERVED = frozenset({"content-type", "te", "content-length", "date", "server"})
_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_MOST = 99_999_999
"""Largest number of a timeout: it has eight digits at most."""


def encode_metadata(metadata: Metadata) -> tuple[Header, ...]:
    """Return metadata as headers. Raises ValueError for a name or a value that cannot travel."""
    return tuple([_encode_pair(name, value) for name, value in metadata])


def _encode_pair(name: str, value: str | bytes) -> Header:
    raw_name = _encode_name(name)
    if raw_name.endswith(b"-bin"):
        octets = value if isinstance(value, bytes) else value.encode()
        return raw_name, base64.b64encode(octets).rstrip(b"=")
    text = value if isinstance(value, str) else value.decode("latin-1")
    if not (text.isascii() and text.isprintable()):
        raise ValueError(f"the value of {name!r} holds characters outside printable ASCII")
    return raw_name, text.encode()


@functools.lru_cache(maxsize=1024)
def _encode_name(name: str) -> bytes:
    if not _NAME.fullmatch(name) or name.startswith("grpc-"):
        raise ValueError(f"{name!r} is no name of metadata")
    return name.encode()


def decode_metadata(headers: Iterable[Header]) -> tuple[tuple[str, str | bytes], ...]:
    """Return the metadata among headers: all but pseudo-headers and those that belong to gRPC and HTTP.

    Values that were joined with commas come apart where the name ends with `-bin`; what is no base64 there stays as it is.
    """
    found: list[tuple[str, str | bytes]] = []
    for raw_name, raw_value in headers:
        name = raw_name.decode("latin-1")
        if name.startswith((":", "grpc-")) or name in _RESERVED:
            continue
        if name.endswith(_BINARY):
            found += [(name, _decode_binary(part)) for part in raw_value.split(b",")]
        else:
            found.append((name, raw_value.decode("latin-1")))
    return tuple(found)


def _decode_binary(value: bytes) -> bytes:
    value = value.strip().rstrip(b"=")
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except binascii.Error:
        return value


@functools.lru_cache(maxsize=1024)
def encode_timeout(seconds: float) -> bytes:
    """Return a time as the value of `grpc-timeout`: rounded up to the finest unit in which it has eight digits at most."""
    if seconds <= 0:
        return b"0n"
    for unit in (b"n", b"u", b"m", b"S", b"M", b"H"):
        count = math.ceil(min(seconds / _UNITS[unit], _MOST + 1.0))
        if count <= _MOST:
            return b"%d%s" % (count, unit)
    return b"%dH" % _MOST


def decode_timeout(value: bytes) -> float:
    """Return the seconds of a `grpc-timeout`. Raises ValueError when it is none."""
    found = _TIMEOUT.fullmatch(value)
    if found is None:
        raise ValueError(f"{value[:20]!r} is no timeout")
    return int(found[1]) * _UNITS[found[2]]
