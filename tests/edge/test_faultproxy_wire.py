"""The fault proxy as a carrier: large messages, slow readers, header compression, endpoints that are not there."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from harness import faultline
from harness.client import ControllerClient
from harness.errors import UnreachableError
from harness.faultproxy import FaultProxy, proxied
from harness.grpcframing import MAX_MESSAGE
from harness.h2faults import CutBeforeRequest, Fault, HoldResponse, ResetStream
from harness.h2frames import HEADER, PREFACE, Kind, frame
from harness.profile import Tls
from harness.wire import DialledWire
from tests.edge.endpoints import PATIENCE, Spy, endpoint, silent_socket
from tests.edge.proxies import reason_of


@contextlib.contextmanager
def echo_server() -> Iterator[str]:
    options = [("grpc.max_receive_message_length", MAX_MESSAGE), ("grpc.max_send_message_length", MAX_MESSAGE)]
    server = grpc.server(ThreadPoolExecutor(2), options=options)
    spy = Spy(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}", reply=lambda body, _context: body)

    class Handler(grpc.GenericRpcHandler):
        def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
            return spy.service(handler_call_details)

    server.add_generic_rpc_handlers((Handler(),))
    server.start()
    try:
        yield spy.address
    finally:
        server.stop(None).wait(PATIENCE)


@pytest.mark.parametrize("fault", [None, HoldResponse(0.05)])
def test_large_messages_pass_as_they_are(fault: Fault | None) -> None:
    body = os.urandom(1 << 20) * 64
    with echo_server() as address, FaultProxy(endpoint(address)) as proxy:
        if fault is not None:
            proxy.arm(fault)
        with ControllerClient(proxied(endpoint(address), proxy)) as client:
            assert client.raw("/echo/Echo", body, timeout=PATIENCE) == body


def test_a_large_response_that_is_lost_leaves_the_connection_open_to_the_next() -> None:
    body = os.urandom(1 << 20) * 16
    with echo_server() as address, FaultProxy(endpoint(address)) as proxy:
        with ControllerClient(proxied(endpoint(address), proxy)) as client:
            for _ in range(3):
                proxy.arm(ResetStream())
                with pytest.raises(grpc.RpcError):
                    client.raw("/echo/Echo", body, timeout=PATIENCE)
                assert proxy.wait_fault(PATIENCE, answered=True) is not None
            assert client.raw("/echo/Echo", body, timeout=PATIENCE) == body
        assert {record.connection for record in proxy.faults} == {1}


def test_a_large_request_that_is_cut_lacks_its_end(spy: Spy) -> None:
    with FaultProxy(endpoint(spy.address)) as proxy, ControllerClient(proxied(endpoint(spy.address), proxy)) as client:
        proxy.arm(CutBeforeRequest())
        with pytest.raises(grpc.RpcError) as caught:
            client.raw("/echo/Echo", bytes(3 << 20), timeout=PATIENCE)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert proxy.wait_fault(PATIENCE) is not None
    assert spy.calls == []


@pytest.mark.parametrize("to_server", [True, False])
def test_what_nobody_reads_is_not_read_from_the_other_side(to_server: bool) -> None:
    """Besides the buffers of the system, the proxy keeps little: whoever sends more has to wait."""
    part, sent = frame(Kind.DATA, 0, 1, bytes((1 << 20) - HEADER)), 0
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        host, port = listener.getsockname()
        proxy = stack.enter_context(FaultProxy(endpoint(f"{host}:{port}")))
        near = stack.enter_context(socket.create_connection(("127.0.0.1", int(proxy.address.rpartition(":")[2])), PATIENCE))
        far = stack.enter_context(listener.accept()[0])
        near.sendall(PREFACE)
        sender = near if to_server else far
        sender.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while sent < 256:
                sender.sendall(part)
                sent += 1
    assert sent < 64


def test_headers_of_a_held_response_do_not_matter_to_others(spy: Spy) -> None:
    """Without the proxy's care, later headers would refer to those that were kept back, or lost."""

    def reply(body: bytes, context: grpc.ServicerContext) -> bytes:
        context.send_initial_metadata((("x-shade", body.decode()), ("x-same", "same")))
        context.set_trailing_metadata((("x-tone", body.decode()),))
        return body

    def headers(outcome: Any) -> tuple[str, str]:
        return dict(outcome.initial_metadata())["x-shade"], dict(outcome.trailing_metadata())["x-tone"]

    spy.reply = reply
    with FaultProxy(endpoint(spy.address)) as proxy, grpc.insecure_channel(proxy.address) as channel:
        method: Any = channel.unary_unary("/any/Method")
        proxy.arm(ResetStream())
        with pytest.raises(grpc.RpcError):
            method(b"red", timeout=PATIENCE)
        assert headers(method.with_call(b"white", timeout=PATIENCE)[1]) == ("white", "white")
        proxy.arm(HoldResponse())
        held = method.future(b"blue", timeout=PATIENCE)
        assert proxy.wait_fault(PATIENCE, answered=True) is not None
        for shade in ("red", "blue", "green", "red", "white", "blue"):
            assert headers(method.with_call(shade.encode(), timeout=PATIENCE)[1]) == (shade, shade)
        proxy.release()
        assert held.result(PATIENCE) == b"blue"
        assert headers(held) == ("blue", "blue")
        assert {record.connection for record in proxy.faults} == {1}


def test_an_endpoint_that_is_not_there() -> None:
    with silent_socket() as address:
        pass
    assert reason_of(endpoint(address)) == f"{address}: Connection refused"


def test_a_name_that_does_not_exist() -> None:
    with (
        pytest.raises(UnreachableError, match=r"^a\.\.b:1: .*; check the address in the profile$"),
        FaultProxy(endpoint("a..b:1")),
    ):
        pass


def test_an_endpoint_that_never_shakes_hands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faultline, "CONNECT", 0.1)
    with silent_socket() as address:
        assert reason_of(endpoint(address, tls=Tls())) == f"{address}: no connection after 0.1 s"


def test_an_endpoint_that_does_not_speak_http2(spy: Spy) -> None:
    assert reason_of(endpoint(spy.address, tls=Tls())).startswith(f"{spy.address}: ")


def test_each_address_of_a_name_is_tried() -> None:
    with silent_socket() as closed, silent_socket() as other_closed:
        pass
    with silent_socket() as open_:
        ports = [int(address.rpartition(":")[2]) for address in (closed, other_closed, open_)]
        wire = DialledWire([(socket.AF_INET, ("127.0.0.1", port)) for port in ports], None, "")
        with contextlib.closing(wire):
            for _ in ports:
                select.select([], [wire.socket], [], PATIENCE)
                if not wire.ready:
                    wire.advance()
            assert wire.ready
            assert wire.socket.getpeername()[1] == ports[2]
