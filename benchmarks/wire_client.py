"""A client of few lines on `ngh2` and a blocking socket: cheap enough to drive a server of ours to its limit from one core."""

from __future__ import annotations

import socket

import ngh2

from harness.grpcframing import PREFIX, pack

PATIENCE = 120.0
"""Seconds after which a server that does not answer ends the run."""
MOST_STREAMS = 10_000


class Client:
    """A connection that keeps a number of calls in flight, in one thread; it reads the answers and checks their status."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._h2 = ngh2.Connection(ngh2.Role.CLIENT, ngh2.Configuration(peer_max_concurrent_streams=MOST_STREAMS))
        self._h2.initiate_connection({ngh2.Setting.ENABLE_PUSH: 0, ngh2.Setting.INITIAL_WINDOW_SIZE: 4 << 20})
        self._h2.set_local_window_size(64 << 20)
        self._bodies: dict[int, bytes] = {}
        self._headers: dict[str, tuple[tuple[bytes, bytes], ...]] = {}
        self.done = 0

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def start(self, rpc: str, message: bytes) -> None:
        """Make a call; it leaves with the next `flush` or `turn`."""
        headers = self._headers.get(rpc) or self._head(rpc)
        self._h2.send_data(self._h2.send_request(headers), pack(message), end_stream=True)

    def flush(self) -> None:
        """Send what there is to be sent."""
        octets = self._h2.data_to_send()
        if octets:
            self._socket.sendall(octets)

    def turn(self) -> list[bytes]:
        """Send and receive once; returns the messages of the calls that have ended, and raises RuntimeError if one failed."""
        self.flush()
        received = self._socket.recv(1 << 18)
        if not received:
            raise RuntimeError("the server has hung up")
        self._h2.receive_data(received)
        ended, bodies = [], self._bodies
        for event in self._h2.events():
            if isinstance(event, ngh2.DataReceived):
                bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
            elif isinstance(event, ngh2.TrailersReceived):
                if (b"grpc-status", b"0") not in event.headers:
                    raise RuntimeError(f"a call failed: {event.headers}")
                ended.append(bodies.pop(event.stream_id)[PREFIX:])
            elif isinstance(event, ngh2.ResponseReceived) and event.end_stream:
                raise RuntimeError(f"a call failed: {event.headers}")
        self.done += len(ended)
        return ended

    def _head(self, rpc: str) -> tuple[tuple[bytes, bytes], ...]:
        path = f"/services.controller.Controller/{rpc}".encode()
        headers = (
            *((b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"localhost")),
            *((b"te", b"trailers"), (b"content-type", b"application/grpc"), (b"grpc-timeout", b"30S")),
        )
        self._headers[rpc] = headers
        return headers
