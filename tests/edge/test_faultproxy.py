"""The fault proxy between our client and a real server: what either sees of each fault, and that all else is unharmed."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.call import Call, RpcError
from harness.client import ControllerClient
from harness.endpoint import Endpoint
from harness.faultproxy import FaultProxy, proxied
from harness.h2faults import CutAfterRequest, CutBeforeRequest, Dropped, Fault, HoldResponse, ResetStream
from harness.h2frames import PREFACE, ErrorCode
from harness.ids import random_key
from harness.profile import Tls
from harness.requests import Requests
from harness.server.embedded_thread import background_server
from harness.server.run import Bound
from harness.server.settings import ServerSettings
from harness.stubs import service_pb2 as pb
from tests.edge.certificates import put, signed
from tests.edge.endpoints import PATIENCE, endpoint
from tests.edge.proxies import comes_true, reason_of

TLS = Tls(roots="authority.pem", server_name="controller.example")
MUTUAL = Tls(roots="authority.pem", certificate="caller.pem", key="caller.key", server_name="controller.example")


@dataclass(frozen=True)
class Served:
    """A reference Controller, and how it is called."""

    endpoint: Endpoint
    bound: Bound

    @property
    def accepted(self) -> int:
        """How many jobs the server has queued since its start, by its own count."""
        with urllib.request.urlopen(str(self.bound.metrics_url), timeout=PATIENCE) as page:  # noqa: S310 - our own server
            lines = page.read().decode().splitlines()
        return int(sum(float(line.split()[-1]) for line in lines if line.startswith("controller_jobs_accepted_total{")))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    authority = signed("authority", None)
    put(folder, "authority", authority)
    for name in ("controller.example", "caller"):
        put(folder, name, signed(name, authority))
    put(folder, "stranger", signed("stranger", None))
    return folder


@pytest.fixture(scope="module", params=["plaintext", "tls", "mtls"])
def served(request: pytest.FixtureRequest, certificates: Path) -> Iterator[Served]:
    settings, changes = ServerSettings(), {}
    if request.param != "plaintext":
        settings = ServerSettings(
            tls_cert=str(certificates / "controller.example.pem"),
            tls_key=str(certificates / "controller.example.key"),
            client_ca=str(certificates / "authority.pem") if request.param == "mtls" else None,
        )
        changes = {"tls": MUTUAL if request.param == "mtls" else TLS}
    with background_server(settings) as bound:
        yield Served(endpoint(bound.address, certificates, **changes), bound)


@pytest.fixture
def proxy(served: Served) -> Iterator[FaultProxy]:
    with FaultProxy(served.endpoint) as found:
        yield found


@pytest.fixture
def near(served: Served, proxy: FaultProxy) -> Iterator[ControllerClient]:
    """Yield a client whose connection, number 1 of the proxy, stands."""
    with ControllerClient(proxied(served.endpoint, proxy)) as found:
        found.wait_ready(PATIENCE)
        yield found


def submission(served: Served, count: int = 2) -> pb.ExecuteControllerJobRequest:
    return Requests(served.endpoint).execute(count=count, key=random_key(random.SystemRandom()))


def lost(client: ControllerClient, request: pb.ExecuteControllerJobRequest, **how: Any) -> Call:
    with pytest.raises(RpcError) as caught:
        client.execute(request, **how)
    return caught.value.call


def ids(client: ControllerClient, request: pb.ExecuteControllerJobRequest) -> list[str]:
    """Submit over a connection that may just have been cut: until it stands again, for a bounded time."""
    by = time.monotonic() + PATIENCE
    while True:
        try:
            return list(client.execute(request).job_execution_ids)
        except RpcError as error:
            if error.code != "UNAVAILABLE" or time.monotonic() > by:
                raise


def test_a_cut_after_the_request_loses_the_response_only(served: Served, proxy: FaultProxy, near: ControllerClient) -> None:
    before, request = served.accepted, submission(served)
    proxy.arm(CutAfterRequest())
    assert lost(near, request).code == "UNAVAILABLE"
    struck = proxy.wait_fault(PATIENCE, answered=True)
    assert struck is not None
    assert (struck.fault, struck.connection, struck.stream > 0) == (CutAfterRequest(), 1, True)
    assert struck.at_ns <= (struck.answered_ns or 0)
    assert served.accepted == before + 2
    retried = ids(near, request)
    assert len(retried) == 2
    assert ids(near, request) == retried
    assert served.accepted == before + 2
    assert proxy.faults == (struck,)
    assert proxy.failures == ()


def test_a_cut_before_the_request_loses_the_request(served: Served, proxy: FaultProxy, near: ControllerClient) -> None:
    before, request = served.accepted, submission(served)
    proxy.arm(CutBeforeRequest())
    assert lost(near, request).code == "UNAVAILABLE"
    struck = proxy.wait_fault(PATIENCE)
    assert struck is not None
    assert (struck.fault, struck.connection, struck.answered_ns) == (CutBeforeRequest(), 1, None)
    with ControllerClient(served.endpoint) as direct:
        # Refused for want of the rest, the first attempt would have been seen by now.
        direct.wait_ready(PATIENCE)
    assert served.accepted == before
    assert len(ids(near, request)) == 2
    assert served.accepted == before + 2


def test_a_response_held_past_the_deadline(served: Served, proxy: FaultProxy, near: ControllerClient) -> None:
    before, request = served.accepted, submission(served)
    proxy.arm(HoldResponse())
    assert lost(near, request, timeout=0.25).code == "DEADLINE_EXCEEDED"
    struck = proxy.wait_fault(PATIENCE, answered=True)
    assert struck is not None
    assert served.accepted == before + 2
    first = near.execute(request).job_execution_ids
    assert near.execute(request).job_execution_ids == first
    assert served.accepted == before + 2
    proxy.arm(HoldResponse(0))
    near.execute(request)
    assert [record.connection for record in proxy.faults] == [1, 1]


def test_a_response_held_and_released(served: Served, proxy: FaultProxy, near: ControllerClient) -> None:
    request = submission(served)
    proxy.arm(HoldResponse())
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(near.execute, request)
        assert proxy.wait_fault(PATIENCE, answered=True) is not None
        others = [near.execute(submission(served)) for _ in range(5)]
        replay = near.execute(request)
        assert not held.done()
        proxy.release()
        assert held.result(PATIENCE) == replay
    assert all(len(other.job_execution_ids) == 2 for other in others)
    assert proxy.drop_idle() == 1


def test_a_response_held_for_a_while(served: Served, proxy: FaultProxy, near: ControllerClient) -> None:
    proxy.arm(HoldResponse(0.2))
    begun = time.monotonic()
    assert len(near.execute(submission(served)).job_execution_ids) == 2
    assert time.monotonic() - begun >= 0.2


@pytest.mark.parametrize(
    ("error", "code"),
    [(ErrorCode.CANCEL, "CANCELLED"), (ErrorCode.INTERNAL_ERROR, "INTERNAL"), (ErrorCode.REFUSED_STREAM, "UNAVAILABLE")],
)
def test_a_stream_that_is_reset(served: Served, proxy: FaultProxy, near: ControllerClient, error: ErrorCode, code: str) -> None:
    before, request = served.accepted, submission(served)
    with ThreadPoolExecutor(1) as pool:
        proxy.arm(HoldResponse())
        other = pool.submit(near.execute, submission(served))
        assert proxy.wait_fault(PATIENCE) is not None
        proxy.arm(ResetStream(error))
        assert lost(near, request).code == code
        assert proxy.wait_fault(PATIENCE, answered=True) == proxy.faults[-1]
        assert served.accepted == before + 4
        first = near.execute(request).job_execution_ids
        proxy.release()
        assert len(other.result(PATIENCE).job_execution_ids) == 2
    assert near.execute(request).job_execution_ids == first
    assert served.accepted == before + 4
    assert {record.connection for record in proxy.faults} == {1}
    assert proxy.drop_idle() == 1


def test_idle_connections_that_are_dropped(served: Served, proxy: FaultProxy, near: ControllerClient) -> None:
    request = submission(served)
    first = list(near.execute(request).job_execution_ids)
    with ControllerClient(proxied(served.endpoint, proxy)) as second:
        second.wait_ready(PATIENCE)
        assert proxy.drop_idle() == 2
        assert ids(near, request) == first
        assert ids(second, request) == first
    assert [(record.fault, record.connection, record.stream) for record in proxy.faults] == [(Dropped(), 1, 0), (Dropped(), 2, 0)]
    assert proxy.wait_fault(0) is None


def test_a_fault_strikes_one_call(served: Served, proxy: FaultProxy, near: ControllerClient) -> None:
    for fault in (ResetStream(), ResetStream(ErrorCode.INTERNAL_ERROR)):
        proxy.arm(fault)
    assert proxy.wait_fault(0) is None
    codes = [lost(near, submission(served)).code for _ in range(2)]
    assert codes == ["CANCELLED", "INTERNAL"]
    assert all(near.execute(submission(served)).job_execution_ids for _ in range(3))
    assert len(proxy.faults) == 2


def test_many_calls_at_once(served: Served, proxy: FaultProxy, near: ControllerClient) -> None:
    requests = [submission(served, 1) for _ in range(150)]
    for _ in range(5):
        proxy.arm(ResetStream(ErrorCode.INTERNAL_ERROR))

    def code(request: pb.ExecuteControllerJobRequest) -> str:
        try:
            return "OK" if near.execute(request).job_execution_ids else "empty"
        except RpcError as error:
            return error.code

    before = served.accepted
    with ThreadPoolExecutor(30) as pool:
        codes = list(pool.map(code, requests))
    assert sorted(codes) == ["INTERNAL"] * 5 + ["OK"] * 145
    assert comes_true(lambda: all(record.answered_ns is not None for record in proxy.faults))
    assert served.accepted == before + 150


# What goes wrong by itself


def resources() -> tuple[int, int]:
    return threading.active_count(), len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files cannot be counted here")
def test_nothing_is_left_behind(served: Served) -> None:
    def round_(fault: Fault) -> None:
        with FaultProxy(served.endpoint) as proxy, ControllerClient(proxied(served.endpoint, proxy)) as client:
            proxy.arm(fault)
            with contextlib.suppress(RpcError):
                client.execute(submission(served), timeout=0.02 if isinstance(fault, HoldResponse) else None)

    faults = (CutAfterRequest(), CutBeforeRequest(), HoldResponse(), ResetStream(), HoldResponse(0))
    for fault in faults:
        round_(fault)
    threads, files = resources()
    for number in range(50):
        round_(faults[number % len(faults)])
    assert not any(thread.name == "fault-proxy" for thread in threading.enumerate())
    assert comes_true(lambda: resources()[0] <= threads + 2 and resources()[1] <= files + 5), (threads, files, resources())


def test_leaving_with_a_call_under_way_ends_it(served: Served) -> None:
    with ThreadPoolExecutor(1) as pool, contextlib.ExitStack() as stack:
        with FaultProxy(served.endpoint) as proxy:
            client = stack.enter_context(ControllerClient(proxied(served.endpoint, proxy)))
            proxy.arm(HoldResponse())
            held = pool.submit(client.execute, submission(served))
            assert proxy.wait_fault(PATIENCE) is not None
        with pytest.raises(RpcError) as caught:
            held.result(PATIENCE)
        assert caught.value.code == "UNAVAILABLE"


def test_an_error_in_the_block_is_not_hidden(served: Served) -> None:
    with pytest.raises(LookupError), FaultProxy(served.endpoint) as proxy:
        raise LookupError
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(proxy.address.rpartition(":")[2])), PATIENCE)


@pytest.mark.parametrize("octets", [b"GET / HTTP/1.1\r\n\r\n", PREFACE + b"\xff\xff\xff\x09" + bytes(5) + bytes(1 << 20)])
def test_what_is_not_http2_is_shown_the_door(served: Served, octets: bytes) -> None:
    with FaultProxy(served.endpoint) as proxy:
        with socket.create_connection(("127.0.0.1", int(proxy.address.rpartition(":")[2])), PATIENCE) as rude:
            rude.sendall(octets)
            rude.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                while rude.recv(1 << 16):
                    pass
        with ControllerClient(proxied(served.endpoint, proxy)) as client:
            assert client.execute(submission(served)).job_execution_ids
        assert [failure for failure in proxy.failures if "preface" in failure or "CONTINUATION" in failure] == list(
            proxy.failures
        )


def test_a_certificate_that_is_not_trusted(certificates: Path) -> None:
    settings = ServerSettings(
        tls_cert=str(certificates / "controller.example.pem"), tls_key=str(certificates / "controller.example.key")
    )
    with background_server(settings) as bound:
        tls = Tls(roots="stranger.pem", server_name="controller.example")
        assert "certificate verify failed" in reason_of(endpoint(bound.address, certificates, tls=tls))
        assert "not valid for '127.0.0.1'" in reason_of(endpoint(bound.address, certificates, tls=Tls(roots="authority.pem")))


def test_a_certificate_of_our_own_that_is_missing(certificates: Path) -> None:
    settings = ServerSettings(
        tls_cert=str(certificates / "controller.example.pem"),
        tls_key=str(certificates / "controller.example.key"),
        client_ca=str(certificates / "authority.pem"),
    )
    with background_server(settings) as bound:
        assert reason_of(endpoint(bound.address, certificates, tls=TLS)).startswith(f"{bound.address}: ")


def test_the_endpoint_seen_through_the_proxy(served: Served, proxy: FaultProxy) -> None:
    seen = proxied(served.endpoint, proxy)
    assert (seen.address, seen.profile.address, seen.profile.tls) == (proxy.address, proxy.address, None)
    assert (seen.roots, seen.certificate, seen.key) == (None, None, None)
    assert (seen.tokens, seen.payloads, seen.profile.jobs) == (
        served.endpoint.tokens,
        served.endpoint.payloads,
        served.endpoint.profile.jobs,
    )
