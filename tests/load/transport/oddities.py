"""What an HTTP/2 peer may answer with, odd, legal or broken, and what a gRPC client has to make of it."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

from harness.grpcstatus import Code
from harness.h2frames import ACK, END_HEADERS, PADDED, Kind, frame, rst_stream, window_update
from tests.load.transport.peer import (
    GOOD,
    HEAD,
    PING,
    block,
    data,
    goaway,
    good,
    headers,
    literal,
    message,
    settings,
)

PRIORITY_FLAG = 0x20
PRIORITY = 2


@dataclass(frozen=True)
class Oddity:
    """An answer to the request on a stream, and the outcome: the same by both transports unless `GRPCIO_SAYS` otherwise."""

    name: str
    answer: Callable[[int], bytes]
    code: Code = Code.OK
    details: str | None = None
    body: bytes = b"ok"
    closes: bool = False


def gzipped(octets: bytes) -> bytes:
    squeezer = zlib.compressobj(wbits=31)
    return squeezer.compress(octets) + squeezer.flush()


def trailers(s: int, *fields: tuple[str, str | bytes]) -> bytes:
    return headers(s, *fields, end=True)


def split_head(s: int, pieces: int) -> bytes:
    """Return a head whose block comes in many CONTINUATION frames, some of them empty."""
    octets = block(*HEAD, ("x-long", "y" * 300))
    size = -(-len(octets) // pieces)
    parts = [octets[start : start + size] for start in range(0, len(octets), size)]
    out = frame(Kind.HEADERS, 0, s, b"")
    out += b"".join(frame(Kind.CONTINUATION, 0, s, part) for part in parts)
    return out + frame(Kind.CONTINUATION, END_HEADERS, s, b"")


def http(status: str, content_type: str = "text/html") -> Callable[[int], bytes]:
    page = b"<html>no</html>"
    return lambda s: headers(s, (":status", status), ("content-type", content_type)) + data(s, page, end=True)


def after_head(rest: Callable[[int], bytes]) -> Callable[[int], bytes]:
    return lambda s: headers(s, *HEAD) + rest(s)


def with_body(octets: bytes, *encoding: tuple[str, str]) -> Callable[[int], bytes]:
    return lambda s: headers(s, *HEAD, *encoding) + data(s, octets) + trailers(s, *GOOD)


def reset(error: int) -> Callable[[int], bytes]:
    return lambda s: headers(s, *HEAD) + rst_stream(s, error)


GZIP = ("grpc-encoding", "gzip")
BODY = message(b"ok")

LEGAL = [
    Oddity("usual", good),
    Oddity("empty message", lambda s: good(s, b""), body=b""),
    Oddity("interim responses", lambda s: headers(s, (":status", "103")) + headers(s, (":status", "100")) + good(s)),
    Oddity("head in continuations", lambda s: split_head(s, 6) + data(s, BODY) + trailers(s, *GOOD)),
    Oddity(
        "padded",
        lambda s: (
            frame(Kind.HEADERS, END_HEADERS | PADDED, s, b"\x07" + block(*HEAD) + bytes(7))
            + frame(Kind.DATA, PADDED, s, b"\xff" + BODY + bytes(255))
            + frame(Kind.DATA, PADDED, s, b"\x00")
            + trailers(s, *GOOD)
        ),
    ),
    Oddity(
        "priorities",
        lambda s: (
            frame(PRIORITY, 0, s, b"\0\0\0\0\x10")
            + frame(Kind.HEADERS, END_HEADERS | PRIORITY_FLAG, s, b"\x80\0\0\0\xff" + block(*HEAD))
            + data(s, BODY)
            + trailers(s, *GOOD)
        ),
    ),
    Oddity(
        "unknown frames",
        lambda s: (
            frame(0xFA, 0xFF, s, b"x" * 100)
            + headers(s, *HEAD)
            + frame(0xBC, 0, 0, b"")
            + data(s, BODY)
            + frame(0xBC, 7, s, b"y")
            + trailers(s, *GOOD)
        ),
    ),
    Oddity("unknown settings", lambda s: settings((0xABCD, 1), (0xF0F0, 0)) + good(s)),
    Oddity("alternative service", lambda s: frame(0xA, 0, 0, b'\0\x01ah2=":1"') + good(s)),
    Oddity("pings", lambda s: b"".join(frame(PING, 0, 0, b"%08d" % n) + part for n, part in enumerate((good(s), b"", b"")))),
    Oddity(
        "a message in single octets",
        lambda s: headers(s, *HEAD) + b"".join(data(s, bytes((o,))) for o in BODY) + trailers(s, *GOOD),
    ),
    Oddity("empty data", lambda s: headers(s, *HEAD) + data(s, b"") * 9 + data(s, BODY) + data(s, b"") * 9 + trailers(s, *GOOD)),
    Oddity("smaller settings", lambda s: settings((4, 0), (1, 0), (5, 16384)) + settings((4, 65535), (1, 4096)) + good(s)),
    Oddity("window updates", lambda s: window_update(0, 5) + window_update(s, 1000) + good(s) + window_update(s, 7)),
    Oddity("reset without error afterwards", lambda s: good(s) + rst_stream(s, 0)),
    Oddity("data for a stream that is over", lambda s: good(s) + window_update(s, 1)),
    Oddity("gzip", with_body(message(gzipped(b"z" * 5000), 1), GZIP), body=b"z" * 5000),
    Oddity("deflate", with_body(message(zlib.compress(b"z" * 5000), 1), ("grpc-encoding", "deflate")), body=b"z" * 5000),
    Oddity("gzip announced, not used", with_body(BODY, GZIP)),
    Oddity("huffman and static table", lambda s: frame(1, 4, s, b"\x88" + block(HEAD[1])) + data(s, BODY) + trailers(s, *GOOD)),
    Oddity(
        "other content types of gRPC",
        lambda s: headers(s, HEAD[0], ("content-type", "application/grpc+proto")) + data(s, BODY) + trailers(s, *GOOD),
    ),
]

STATUSES = [
    Oddity(
        "trailers only",
        lambda s: headers(s, *HEAD, ("grpc-status", "5"), ("grpc-message", "no%20such job"), end=True),
        Code.NOT_FOUND,
        "no such job",
    ),
    Oddity(
        "status in trailers",
        lambda s: headers(s, *HEAD) + trailers(s, ("grpc-status", "9"), ("grpc-message", "%E2%82%AC 5")),
        Code.FAILED_PRECONDITION,
        "€ 5",
    ),
    Oddity(
        "badly encoded message",
        lambda s: headers(s, *HEAD, ("grpc-status", "3"), ("grpc-message", "100% %zz%4"), end=True),
        Code.INVALID_ARGUMENT,
        "100% %zz%4",
    ),
    Oddity(
        "a message and then an error",
        lambda s: headers(s, *HEAD) + data(s, BODY) + trailers(s, ("grpc-status", "13")),
        Code.INTERNAL,
        "",
    ),
    Oddity("unknown status", lambda s: headers(s, *HEAD, ("grpc-status", "77"), end=True), Code.UNKNOWN),
    Oddity("status that is no number", lambda s: headers(s, *HEAD, ("grpc-status", "fine"), end=True), Code.UNKNOWN),
    Oddity("no status", lambda s: headers(s, *HEAD) + data(s, BODY) + trailers(s, ("x-other", "1")), Code.UNKNOWN),
    Oddity("no trailers", lambda s: headers(s, *HEAD) + data(s, BODY, end=True), Code.UNKNOWN),
    Oddity("trailers only, no status", lambda s: headers(s, *HEAD, end=True), Code.UNKNOWN),
    Oddity("OK without a message", lambda s: headers(s, *HEAD, *GOOD, end=True), Code.UNIMPLEMENTED),
    Oddity(
        "status counts, not HTTP",
        lambda s: headers(s, (":status", "503"), ("grpc-status", "7"), end=True),
        Code.PERMISSION_DENIED,
    ),
    *(
        Oddity(f"HTTP {status}", http(status), code)
        for status, code in {
            "400": Code.INTERNAL,
            "401": Code.UNAUTHENTICATED,
            "403": Code.PERMISSION_DENIED,
            "404": Code.UNIMPLEMENTED,
            "429": Code.UNAVAILABLE,
            "500": Code.UNKNOWN,
            "502": Code.UNAVAILABLE,
            "503": Code.UNAVAILABLE,
            "504": Code.UNAVAILABLE,
            "418": Code.UNKNOWN,
            "302": Code.UNKNOWN,
        }.items()
    ),
    Oddity("HTTP 200 with a page", http("200"), Code.UNKNOWN),
]

RESETS = [
    Oddity(f"reset {error:#x}", reset(error), code)
    for error, code in {
        0x0: Code.INTERNAL,
        0x1: Code.INTERNAL,
        0x2: Code.INTERNAL,
        0x3: Code.INTERNAL,
        0x4: Code.INTERNAL,
        0x5: Code.INTERNAL,
        0x6: Code.INTERNAL,
        0x7: Code.UNAVAILABLE,
        0x8: Code.CANCELLED,
        0x9: Code.INTERNAL,
        0xA: Code.INTERNAL,
        0xB: Code.RESOURCE_EXHAUSTED,
        0xC: Code.PERMISSION_DENIED,
        0xD: Code.INTERNAL,
        0x99: Code.INTERNAL,
    }.items()
]

BROKEN_MESSAGES = [
    Oddity("message that breaks off", with_body(message(b"ok", length=9)), Code.INTERNAL),
    Oddity("prefix that breaks off", with_body(b"\0\0\0"), Code.INTERNAL),
    Oddity("more than one message", with_body(BODY + BODY), Code.UNIMPLEMENTED),
    Oddity("octets after the message", with_body(BODY + b"\0"), Code.UNIMPLEMENTED),
    Oddity("unknown flag", with_body(message(b"ok", 2)), Code.INTERNAL),
    Oddity("too long", with_body(message(b"", length=(1 << 32) - 1)), Code.RESOURCE_EXHAUSTED),
    Oddity("compressed without an encoding", with_body(message(gzipped(b"ok"), 1)), Code.INTERNAL),
    Oddity("unknown encoding", with_body(message(b"ok", 1), ("grpc-encoding", "snappy")), Code.INTERNAL),
    Oddity("no gzip", with_body(message(b"ok", 1), GZIP), Code.INTERNAL),
    Oddity("gzip that breaks off", with_body(message(gzipped(b"ok" * 99)[:-3], 1), GZIP), Code.INTERNAL),
    Oddity("page instead of a message", after_head(lambda s: data(s, b"<html>") + trailers(s, *GOOD)), Code.INTERNAL),
]

BROKEN_FRAMES = [
    Oddity("closed at once", lambda _: b"", Code.UNAVAILABLE, closes=True),
    Oddity("closed in the middle", lambda s: headers(s, *HEAD) + data(s, BODY), Code.UNAVAILABLE, closes=True),
    Oddity("closed in a frame", lambda s: headers(s, *HEAD)[:-3], Code.UNAVAILABLE, closes=True),
    Oddity("GOAWAY and closed", lambda s: goaway(s, 0xB, b"calm") + headers(s, *HEAD), Code.UNAVAILABLE, closes=True),
    Oddity("push promise", lambda s: frame(Kind.PUSH_PROMISE, END_HEADERS, s, b"\0\0\0\2" + block(*HEAD)), Code.UNAVAILABLE),
    Oddity("data before the head", lambda s: data(s, BODY), Code.UNAVAILABLE),
    Oddity("no :status", lambda s: headers(s, HEAD[1]) + data(s, BODY) + trailers(s, *GOOD), Code.INTERNAL),
    Oddity("upper case", lambda s: headers(s, *HEAD, ("X-Bad", "1")) + data(s, BODY) + trailers(s, *GOOD), Code.INTERNAL),
    Oddity(
        "connection header",
        lambda s: headers(s, *HEAD, ("connection", "close")) + data(s, BODY) + trailers(s, *GOOD),
        Code.INTERNAL,
    ),
    Oddity("trailers that do not end", lambda s: headers(s, *HEAD) + data(s, BODY) + headers(s, *GOOD), Code.INTERNAL),
    Oddity("bad padding", lambda s: headers(s, *HEAD) + frame(Kind.DATA, PADDED, s, b"\xff123"), Code.UNAVAILABLE),
    Oddity("frame too large", lambda s: headers(s, *HEAD) + frame(Kind.DATA, 0, s, bytes(1 << 20)), Code.UNAVAILABLE),
    Oddity("broken header compression", lambda s: frame(Kind.HEADERS, END_HEADERS, s, b"\xff" * 9), Code.UNAVAILABLE),
    Oddity("continuation without a head", lambda s: frame(Kind.CONTINUATION, END_HEADERS, s, b""), Code.UNAVAILABLE),
    Oddity("interrupted head", lambda s: frame(Kind.HEADERS, 0, s, block(*HEAD)) + data(s, BODY), Code.UNAVAILABLE),
    Oddity(
        "endless head",
        lambda s: frame(Kind.HEADERS, 0, s, b"") + frame(Kind.CONTINUATION, 0, s, literal("x", "y" * 9000)) * 40,
        Code.UNAVAILABLE,
    ),
    Oddity("window beyond its limit", lambda _: window_update(0, (1 << 31) - 1), Code.UNAVAILABLE),
    Oddity("settings with a payload and ACK", lambda _: frame(Kind.SETTINGS, ACK, 0, b"\0" * 6), Code.UNAVAILABLE),
    Oddity("settings of odd length", lambda _: frame(Kind.SETTINGS, 0, 0, b"\0" * 5), Code.UNAVAILABLE),
    Oddity("short ping", lambda _: frame(PING, 0, 0, b"123"), Code.UNAVAILABLE),
    Oddity("ping flood", lambda _: frame(PING, 0, 0, b"12345678") * 5000, Code.UNAVAILABLE),
    Oddity("settings flood", lambda _: settings() * 5000, Code.UNAVAILABLE),
    Oddity("zeros", lambda _: bytes(100_000), Code.UNAVAILABLE),
]

GRPCIO_SAYS = {
    # It does not know interim responses and padded heads, which are legal.
    "interim responses": Code.UNKNOWN,
    "padded": Code.INTERNAL,
    # It is stricter, or laxer, about responses.
    "status that is no number": Code.INTERNAL,
    "no :status": Code.OK,
    "connection header": Code.OK,
    "trailers that do not end": Code.UNKNOWN,
    # It hands on no message instead of saying what is wrong with it.
    "message that breaks off": Code.UNIMPLEMENTED,
    "prefix that breaks off": Code.UNIMPLEMENTED,
    "unknown flag": Code.UNIMPLEMENTED,
    "page instead of a message": Code.UNIMPLEMENTED,
    # It waits for the deadline.
    "more than one message": Code.DEADLINE_EXCEEDED,
    "octets after the message": Code.DEADLINE_EXCEEDED,
    "push promise": Code.DEADLINE_EXCEEDED,
    "data before the head": Code.DEADLINE_EXCEEDED,
    "frame too large": Code.DEADLINE_EXCEEDED,
    "window beyond its limit": Code.DEADLINE_EXCEEDED,
    "ping flood": Code.DEADLINE_EXCEEDED,
    "settings flood": Code.DEADLINE_EXCEEDED,
    "zeros": Code.DEADLINE_EXCEEDED,
    # It blames the call for what is wrong with the connection.
    "bad padding": Code.INTERNAL,
    "broken header compression": Code.INTERNAL,
    "continuation without a head": Code.UNKNOWN,
    "interrupted head": Code.UNKNOWN,
    "endless head": Code.RESOURCE_EXHAUSTED,
    "settings with a payload and ACK": Code.UNKNOWN,
    "settings of odd length": Code.UNKNOWN,
    "short ping": Code.UNKNOWN,
}
"""Where grpcio's outcome is another one, by name of the oddity."""
