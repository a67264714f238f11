"""What a response amounts to: from its headers, its body and its trailers to a `Reply`. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from harness.grpcframing import PREFIX, MessageError, MessageReader, unpack
from harness.grpcmeta import Header
from harness.grpcstatus import Code, code_of_http, code_of_text, decode_message
from loadtests.transport.reply import Reply

OK_TRAILER = ((b"grpc-status", b"0"),)
"""How the trailers of nearly every answer that is OK begin."""


def is_grpc(head: Sequence[Header]) -> bool:
    """Whether a response that begins with these headers has gRPC messages in its body."""
    status = content_type = b""
    for name, value in head:
        if name == b":status":
            status = value
        elif name == b"content-type":
            content_type = value
    return status == b"200" and (not content_type or content_type.startswith(b"application/grpc"))


def conclude(head: Sequence[Header], trailers: Sequence[Header], data: MessageReader | None, limit: int) -> Reply:
    """Return the outcome of a response that is complete. A trailers-only response has its headers in `trailers`.

    A `grpc-status` is what counts, wherever it stands; without one the HTTP status is. A message is expected of OK only.
    """
    found = _find(b"grpc-status", trailers, head)
    if found == b"0":
        return _conclude_ok(head, trailers, data, limit)
    if found:
        details = decode_message(_find(b"grpc-message", trailers, head))
        code = code_of_text(found)
        if code is Code.UNKNOWN and found != b"2":
            details = f"the peer's grpc-status is no status: {found[:20].decode('latin-1')} {details}".rstrip()
    else:
        code, details = _without_status(_find(b":status", head, trailers), _find(b"content-type", head, trailers))
    return Reply(code, details, b"", head, trailers)


def _conclude_ok(head: Sequence[Header], trailers: Sequence[Header], data: MessageReader | None, limit: int) -> Reply:
    try:
        packed = None if data is None else data.finish()
        if packed is None:
            return Reply(Code.UNIMPLEMENTED, "no message, where there is to be one", b"", head, trailers)
        message = packed[PREFIX:] if not packed[0] else unpack(packed, _find(b"grpc-encoding", head), limit)
    except MessageError as error:
        return Reply(error.code, str(error), b"", head, trailers)
    return Reply(Code.OK, "", message, head, trailers)


def _without_status(status: bytes, content_type: bytes) -> tuple[Code, str]:
    if status != b"200":
        return code_of_http(status), f"HTTP status {status.decode('latin-1')} and no grpc-status"
    if content_type and not content_type.startswith(b"application/grpc"):
        return Code.UNKNOWN, f"the content type is {content_type[:80].decode('latin-1')}, not application/grpc"
    return Code.UNKNOWN, "the response has no grpc-status"


def _find(name: bytes, *blocks: Sequence[Header]) -> bytes:
    for block in blocks:
        for key, value in block:
            if key == name:
                return value
    return b""
