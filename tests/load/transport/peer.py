"""A raw HTTP/2 peer: it answers requests with whatever octets a test gives it, and notes what it was sent."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import ngh2

from harness.h2frames import ACK, END_HEADERS, END_STREAM, PREFACE, Frame, FrameError, FrameSplitter, Kind, frame

PATIENCE = 20.0
PING = 6
GOAWAY = 7


def literal(name: str, value: str | bytes) -> bytes:
    """Return a header field in HPACK: a literal that enters no table (RFC 7541, section 6.2.2)."""
    octets = value if isinstance(value, bytes) else value.encode()
    return b"\0" + _integer(len(name)) + name.encode() + _integer(len(octets)) + octets


def _integer(number: int) -> bytes:
    if number < 127:
        return bytes((number,))
    number, octets = number - 127, [127]
    while number >= 128:
        octets.append(number % 128 + 128)
        number //= 128
    return bytes((*octets, number))


def block(*fields: tuple[str, str | bytes]) -> bytes:
    """Return a header block."""
    return b"".join(literal(*field) for field in fields)


HEAD = (":status", "200"), ("content-type", "application/grpc")
GOOD = ("grpc-status", "0"), ("grpc-message", "")


def headers(stream: int, *fields: tuple[str, str | bytes], end: bool = False) -> bytes:
    """Return a HEADERS frame."""
    return frame(Kind.HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block(*fields))


def data(stream: int, octets: bytes, *, end: bool = False) -> bytes:
    """Return DATA frames of 16 KiB at most."""
    parts = [octets[start : start + 16384] for start in range(0, len(octets), 16384)] or [b""]
    last = len(parts) - 1
    return b"".join(frame(Kind.DATA, END_STREAM if end and number == last else 0, stream, p) for number, p in enumerate(parts))


def message(octets: bytes, flag: int = 0, length: int | None = None) -> bytes:
    """Return a message with its prefix, or with one that lies."""
    return bytes((flag,)) + (len(octets) if length is None else length).to_bytes(4, "big") + octets


def goaway(last: int, error: int = 0, debug: bytes = b"") -> bytes:
    """Return a GOAWAY frame."""
    return frame(GOAWAY, 0, 0, last.to_bytes(4, "big") + error.to_bytes(4, "big") + debug)


def settings(*pairs: tuple[int, int]) -> bytes:
    """Return a SETTINGS frame."""
    return frame(Kind.SETTINGS, 0, 0, b"".join(key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in pairs))


def good(stream: int, body: bytes = b"ok") -> bytes:
    """Return a complete, usual response."""
    return headers(stream, *HEAD) + data(stream, message(body)) + headers(stream, *GOOD, end=True)


def authority_in(block: bytes) -> str:
    """Return the `:authority` of a request's header block, the first of its connection."""
    server = ngh2.Connection(ngh2.Role.SERVER, ngh2.Configuration())
    server.initiate_connection({})
    server.receive_data(PREFACE + settings() + frame(Kind.HEADERS, END_HEADERS | END_STREAM, 1, block))
    (request,) = [event for event in server.events() if isinstance(event, ngh2.RequestReceived)]
    return dict(request.headers)[b":authority"].decode()


@dataclass
class Request:
    """A request as far as a test needs it: which connection, counted from 1, which of its streams, which in all."""

    connection: int
    stream: int
    number: int


CLOSE = b""
"""As the last part of an answer: close the connection."""
Answer = Callable[[Request], list[bytes]]


@dataclass
class Peer:
    """What the peer has seen so far."""

    address: str
    answer: Answer
    first: bytes = settings()
    at_headers: bool = False
    frames: list[tuple[int, Frame]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    quiet: threading.Event = field(default_factory=threading.Event)

    def of_kind(self, kind: int) -> list[Frame]:
        """Return all frames of a kind."""
        return [frame for _, frame in self.frames if frame.kind == kind]


@contextlib.contextmanager
def raw_peer(
    answer: Answer, *, first: bytes = settings(), at_headers: bool = False, tls: ssl.SSLContext | None = None, port: int = 0
) -> Iterator[Peer]:
    """Run a peer that begins connections with `first` and answers requests once they are complete (or `at_headers`)."""
    with socket.create_server(("127.0.0.1", port)) as listener, contextlib.ExitStack() as stack:
        peer = Peer(f"127.0.0.1:{listener.getsockname()[1]}", answer, first, at_headers)
        threads: list[threading.Thread] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    stack.callback(_shut, connection)
                    peer.connections += 1
                    threads.append(threading.Thread(target=_serve, args=(peer, connection, peer.connections, tls), daemon=True))
                    threads[-1].start()

        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        yield peer
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        acceptor.join(PATIENCE)
        stack.close()
        for thread in threads:
            thread.join(PATIENCE)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def _serve(peer: Peer, connection: socket.socket, number: int, tls: ssl.SSLContext | None) -> None:
    try:
        if tls is not None:
            connection = tls.wrap_socket(connection, server_side=True)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _converse(peer, connection, number)
    except (OSError, FrameError):
        pass
    finally:
        _shut(connection)


def _converse(peer: Peer, connection: socket.socket, number: int) -> None:
    connection.sendall(peer.first)
    splitter = FrameSplitter(preface=PREFACE)
    while octets := connection.recv(1 << 18):
        for found in splitter.feed(octets):
            peer.frames.append((number, found))
            if found.kind == Kind.SETTINGS and not found.flags & ACK:
                connection.sendall(frame(Kind.SETTINGS, ACK, 0, b""))
            if found.kind == Kind.HEADERS if peer.at_headers else found.ends_stream:
                request = Request(number, found.stream, len(peer.requests) + 1)
                peer.requests.append(request)
                for part in peer.answer(request):
                    if part == CLOSE:
                        return
                    connection.sendall(part)
