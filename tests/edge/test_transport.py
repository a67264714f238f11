"""What goes over the wire: headers, compression, encryption."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from harness.client import ControllerClient
from harness.endpoint import Endpoint
from harness.errors import ConfigError, UnreachableError
from harness.history import Rpc
from harness.probe import probe
from harness.profile import Tls
from harness.requests import Requests
from harness.server.embedded_thread import background_server
from harness.server.run import Bound
from harness.server.settings import ServerSettings
from harness.stubs import service_pb2
from tests.edge.certificates import issue
from tests.edge.endpoints import PATIENCE, Spy, counting_relay, endpoint, identities

REQUEST = service_pb2.CancelControllerJobsRequest(job_ids=["a"])


def test_every_call_carries_a_fresh_request_id(spy: Spy) -> None:
    with ControllerClient(endpoint(spy.address)) as client:
        ids = [client.call(Rpc.CANCEL, REQUEST).request_id for _ in range(3)]
        client.raw(Rpc.CANCEL.path, b"", timeout=PATIENCE)
    seen = [headers["x-request-id"] for _, headers, _ in spy.calls]
    assert seen[:3] == ids
    assert len({uuid.UUID(one) for one in seen}) == 4
    assert {uuid.UUID(one).version for one in seen} == {4}


def test_path_and_octets_arrive_as_they_are(spy: Spy) -> None:
    with ControllerClient(endpoint(spy.address)) as client:
        for rpc in Rpc:
            client.call(rpc, REQUEST) if rpc is Rpc.CANCEL else client.raw(rpc.path, b"\x0a\x00", timeout=PATIENCE)
    assert [path for path, _, _ in spy.calls] == [f"/services.controller.Controller/{rpc.value}" for rpc in Rpc]
    assert {body for _, _, body in spy.calls} == {REQUEST.SerializeToString(), b"\x0a\x00"}


def test_headers_of_the_profile_the_identity_and_the_call(spy: Spy) -> None:
    where = endpoint(spy.address, metadata={"X-Tenant": "lab"}, identities=identities(main="tok", other="tok-2"))
    with ControllerClient(where) as client:
        client.call(Rpc.CANCEL, REQUEST, metadata=[("x-extra", "1")])
    assert spy.headers["x-tenant"] == "lab"
    assert spy.headers["authorization"] == "Bearer tok"
    assert spy.headers["x-extra"] == "1"
    assert spy.headers["user-agent"].startswith("controller-harness ")
    with ControllerClient(where, identity="other") as client:
        client.call(Rpc.CANCEL, REQUEST)
    assert spy.headers["authorization"] == "Bearer tok-2"
    assert "x-extra" not in spy.headers
    with ControllerClient(where, identity=None) as client:
        client.call(Rpc.CANCEL, REQUEST)
    assert "authorization" not in spy.headers


def test_compression(spy: Spy) -> None:
    bulky = service_pb2.CancelControllerJobsRequest(job_ids=["a" * 100_000])
    sent = {}
    for compression in ("none", "gzip"):
        with contextlib.ExitStack() as stack:
            address, sizes = stack.enter_context(counting_relay(spy.address))
            stack.enter_context(ControllerClient(endpoint(address, compression=compression))).cancel(bulky)
        sent[compression] = sum(sizes)
        assert spy.calls[-1][2] == bulky.SerializeToString()
    assert sent["none"] > 100_000
    assert sent["gzip"] < 10_000


def test_the_reference_takes_gzip(bound: Bound) -> None:
    where = endpoint(bound.address, compression="gzip")
    with ControllerClient(where) as client:
        assert client.execute(Requests(where).execute()).job_execution_ids


def test_a_proxy_of_the_environment_is_not_for_loopback(bound: Bound, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    probe(endpoint(bound.address), PATIENCE)


def test_each_client_has_a_connection_of_its_own(spy: Spy) -> None:
    peers = set()

    def reply(_body: bytes, context: grpc.ServicerContext) -> bytes:
        peers.add(context.peer())
        return b""

    spy.reply = reply
    where = endpoint(spy.address)
    for _ in range(3):
        with ControllerClient(where) as client:
            client.cancel(REQUEST)
            client.cancel(REQUEST)
    assert len(peers) == 3


# TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return issue(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def encrypted(certificates: Path) -> Iterator[Bound]:
    settings = ServerSettings(tls_cert=str(certificates / "localhost.pem"), tls_key=str(certificates / "localhost.key"))
    with background_server(settings) as found:
        yield found


@pytest.fixture(scope="module")
def mutual(certificates: Path) -> Iterator[Bound]:
    settings = ServerSettings(
        tls_cert=str(certificates / "controller.example.pem"),
        tls_key=str(certificates / "controller.example.key"),
        client_ca=str(certificates / "authority.pem"),
    )
    with background_server(settings) as found:
        yield found


def reaches(where: Endpoint) -> bool:
    try:
        probe(where, 1.0)
    except UnreachableError:
        return False
    return True


def test_tls(encrypted: Bound, certificates: Path) -> None:
    probe(endpoint(encrypted.address, certificates, tls=Tls(roots="authority.pem")), PATIENCE)
    assert not reaches(endpoint(encrypted.address, certificates, tls=Tls(roots="stranger.pem")))
    assert not reaches(endpoint(encrypted.address, certificates, tls=Tls()))
    assert not reaches(endpoint(encrypted.address))


def test_mutual_tls_with_another_server_name(mutual: Bound, certificates: Path) -> None:
    tls = Tls(roots="authority.pem", certificate="caller.pem", key="caller.key", server_name="controller.example")
    probe(endpoint(mutual.address, certificates, tls=tls), PATIENCE)
    assert not reaches(endpoint(mutual.address, certificates, tls=replace(tls, server_name=None)))
    assert not reaches(endpoint(mutual.address, certificates, tls=replace(tls, certificate="stranger.pem", key="stranger.key")))
    assert not reaches(endpoint(mutual.address, certificates, tls=replace(tls, certificate=None, key=None)))


@pytest.mark.parametrize(
    ("tls", "complaint"),
    [
        (Tls(roots="nowhere.pem"), "nowhere.pem: cannot be read: no such file or directory"),
        (Tls(roots="."), ": not a regular file"),
        (Tls(roots="authority.key"), "authority.key: holds no PEM certificates that can be used"),
        (Tls(roots="binary"), "binary: holds no PEM certificates that can be used"),
        (Tls(roots="large"), "large: larger than 4,000,000 octets"),
        (Tls(certificate="caller.pem", key="stranger.key"), "caller.pem: is no certificate that goes with stranger.key; both"),
        (Tls(certificate="caller.pem", key="caller.locked.key"), "goes with caller.locked.key; both must be PEM, the key not"),
        (Tls(certificate="binary", key="caller.key"), "binary: is no certificate that goes with caller.key"),
    ],
)
def test_certificates_that_cannot_be_used(certificates: Path, tls: Tls, complaint: str) -> None:
    (certificates / "binary").write_bytes(bytes(range(256)))
    with (certificates / "large").open("wb") as file:
        file.truncate(4_000_001)
    with pytest.raises(ConfigError) as caught:
        endpoint("127.0.0.1:1", certificates, tls=tls)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)
