"""How calls end in gRPC over HTTP/2: status codes, what stands in for a missing one, and messages as they travel.

Both ends share it. Source: "gRPC over HTTP2" (PROTOCOL-HTTP2.md) and "HTTP to gRPC Status Code Mapping" of the gRPC
documentation. Pure.
"""

from __future__ import annotations

import re
from enum import IntEnum


class Code(IntEnum):
    """The status codes of gRPC, by number as they travel in `grpc-status`."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class H2Error(IntEnum):
    """Error codes of RST_STREAM and GOAWAY (RFC 9113, section 7)."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


_OF_HTTP = {
    b"400": Code.INTERNAL,
    b"401": Code.UNAUTHENTICATED,
    b"403": Code.PERMISSION_DENIED,
    b"404": Code.UNIMPLEMENTED,
    b"429": Code.UNAVAILABLE,
    b"502": Code.UNAVAILABLE,
    b"503": Code.UNAVAILABLE,
    b"504": Code.UNAVAILABLE,
}
_OF_RESET = {
    H2Error.REFUSED_STREAM: Code.UNAVAILABLE,
    H2Error.CANCEL: Code.CANCELLED,
    H2Error.ENHANCE_YOUR_CALM: Code.RESOURCE_EXHAUSTED,
    H2Error.INADEQUATE_SECURITY: Code.PERMISSION_DENIED,
}
_OF_TEXT = {str(int(code)).encode(): code for code in Code}

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNSAFE = re.compile(rb"[^ -$&-~]")
_H2_NAMES = {int(error): error.name for error in H2Error}


def code_of_http(status: bytes) -> Code:
    """Return what an HTTP status amounts to when there is no `grpc-status`."""
    return _OF_HTTP.get(status, Code.UNKNOWN)


def code_of_reset(error: int) -> Code:
    """Return what a stream that the peer reset amounts to; codes without a meaning in gRPC are internal errors."""
    return _OF_RESET.get(H2Error(error), Code.INTERNAL) if error in _H2_NAMES else Code.INTERNAL


def name_of_h2_error(error: int) -> str:
    """Return the name of an HTTP/2 error code, or its number if it has none."""
    return _H2_NAMES.get(error) or f"error {error:#x}"


def code_of_text(value: bytes) -> Code:
    """Return the status of a `grpc-status` header; what is none of the known numbers is UNKNOWN."""
    return _OF_TEXT.get(value, Code.UNKNOWN)


def encode_message(text: str) -> bytes:
    """Return a text as it travels in `grpc-message`: UTF-8, percent-encoded outside printable ASCII."""
    return _UNSAFE.sub(lambda found: b"%%%02X" % found[0][0], text.encode("utf-8", "replace"))


def decode_message(value: bytes) -> str:
    """Return the text of a `grpc-message`; what is not well encoded stays as it is, as the protocol asks."""
    if b"%" in value:
        value = _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), value)
    return value.decode("utf-8", "replace")
