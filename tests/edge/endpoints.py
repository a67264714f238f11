"""Endpoints on loopback for the tests of the client side, one of them a server that notes what reaches it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc

from harness.endpoint import Endpoint, resolve
from harness.fixtures import Job
from harness.profile import Deadlines, Identity, Profile, Target

PATIENCE = 20.0
"""Seconds after which a wait in a test has failed; nothing waits that long in a healthy run."""
QUICK = "controller-job duration=1ms"

Reply = Callable[[bytes, grpc.ServicerContext], bytes]


def profile(address: str, **changes: Any) -> Profile:
    """Return a profile with one quick job and one that takes a second, aimed at the first processor."""
    found = Profile(
        name="test",
        address=address,
        jobs={"quick": Job(text=QUICK), "slow": Job(text="controller-job duration=1s", duration=1.0)},
        target=Target(quantum_processor_id="qpu-1"),
        deadlines=Deadlines(call=5.0, submit=6.0, results=7.0),
    )
    return replace(found, **changes)


def endpoint(address: str, base: Path = Path(), **changes: Any) -> Endpoint:
    """Return such a profile, resolved."""
    return resolve(profile(address, **changes), base)


def identities(**tokens: str | None) -> dict[str, Identity]:
    """Return callers with tokens in clear; None: a caller without one."""
    return {name: Identity(token=token) for name, token in tokens.items()}


@dataclass
class Spy:
    """A gRPC server that answers every method, and what reached it: the path, the headers and the octets of each call."""

    address: str
    calls: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    reply: Reply = lambda _body, _context: b""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Handle any method."""
        headers = {key: _text(value) for key, value in details.invocation_metadata or ()}

        def handle(body: bytes, context: grpc.ServicerContext) -> bytes:
            self.calls.append((details.method, headers, body))
            return self.reply(body, context)

        return grpc.unary_unary_rpc_method_handler(handle)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the latest call."""
        return self.calls[-1][1]


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()


@contextlib.contextmanager
def spy_server() -> Iterator[Spy]:
    """Run a spy while the block runs."""
    server = grpc.server(ThreadPoolExecutor(2))
    spy = Spy(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")

    class Handler(grpc.GenericRpcHandler):
        def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
            return spy.service(handler_call_details)

    server.add_generic_rpc_handlers((Handler(),))
    server.start()
    try:
        yield spy
    finally:
        server.stop(None).wait(PATIENCE)


@contextlib.contextmanager
def silent_socket() -> Iterator[str]:
    """Listen on a port and never answer; yields the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def counting_relay(address: str) -> Iterator[tuple[str, list[int]]]:
    """Relay one connection to a server; yields the address and the sizes of what was sent to the server."""
    host, _, port = address.rpartition(":")
    sizes: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def relay() -> None:
            near, _ = listener.accept()
            far = socket.create_connection((host, int(port)))
            with near, far:
                back = threading.Thread(target=_pump, args=(far, near, []))
                back.start()
                _pump(near, far, sizes)
                back.join(PATIENCE)

        thread = threading.Thread(target=relay)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", sizes
        thread.join(PATIENCE)


def _pump(source: socket.socket, sink: socket.socket, sizes: list[int]) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sizes.append(len(data))
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
