"""Both transports against servers of others: one that misbehaves on purpose, the reference Controller, encrypted ones."""

from __future__ import annotations

import ssl
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.grpcstatus import Code
from harness.h2frames import Kind
from harness.history import Rpc
from harness.profile import Tls
from harness.requests import Requests
from harness.server.embedded_thread import background_server
from harness.server.run import Bound
from harness.server.settings import ServerSettings
from harness.stubs import service_pb2 as pb
from tests.edge.certificates import issue
from tests.edge.endpoints import endpoint
from tests.load.transport.lines import BOTH, PATH, WIRE, ask, call, call_all, channel
from tests.load.transport.misbehaving import FAILURES, misbehaving_server, order
from tests.load.transport.peer import authority_in, good, raw_peer

EUROS = "nö: 100 % of 5 € is\n\ttoo much 😀"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with misbehaving_server() as address:
        yield address


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("code", FAILURES, ids=lambda code: code.name)
def test_every_status_comes_through_with_its_message_and_metadata(kind: str, code: Code, server: str) -> None:
    reply = call(kind, server, order(code=int(code), details=EUROS))
    assert (reply.code, reply.details) == (code, EUROS)
    assert dict(reply.trailers) == {"x-after": "1", "x-after-bin": bytes(range(256)), "x-size": "0"}


@pytest.mark.parametrize("kind", BOTH)
def test_metadata_travels_both_ways(kind: str, server: str) -> None:
    sent: list[tuple[str, str | bytes]] = [
        ("x-text", "a, b; c"),
        ("x-empty", ""),
        ("x-octets-bin", b"\0\xff,\x80"),
        ("x-none-bin", b""),
    ]
    reply = call(kind, server, order(echo=True), metadata=sent)
    assert reply.code is Code.OK
    assert {name: value for name, value in reply.head if name.startswith("x-")} == dict(sent)
    assert dict(reply.trailers)["x-after-bin"] == bytes(range(256))


@pytest.mark.parametrize("kind", BOTH)
def test_a_call_can_have_headers_and_a_deadline_of_its_own(kind: str, server: str) -> None:
    with channel(kind, server) as opened:
        method = opened.method(PATH, (("x-all", "1"),), 60.0)
        reply = opened.exchange(method, order(echo=True), (b"x-one", b"7"))
        assert {name: value for name, value in reply.head if name.startswith("x-")} == {"x-all": "1", "x-one": "7"}
        assert 20.0 < float(opened.exchange(method, order(deadline=True), None, 30.0).message) <= 30.1
        assert 50.0 < float(opened.exchange(method, order(deadline=True)).message) <= 60.1


def test_metadata_that_cannot_travel_is_refused_before_anything_is_sent(server: str) -> None:
    with channel(WIRE, server) as opened:
        for name, value in (("X-Upper", "1"), ("grpc-x", "1"), ("x y", "1"), ("x-text", "ü"), ("x-text", "a\nb")):
            with pytest.raises(ValueError, match=r"is no name of metadata|outside printable ASCII"):
                ask(opened, PATH, b"", 20.0, [(name, value)])


@pytest.mark.parametrize("kind", BOTH)
def test_what_the_server_does_not_know_or_does_not_survive(kind: str, server: str) -> None:
    with channel(kind, server) as opened:
        assert ask(opened, "/services.controller.Controller/Nothing", b"", 20.0).code is Code.UNIMPLEMENTED
        crashed = ask(opened, PATH, order(crash="oops"), 20.0)
        assert crashed.code is Code.UNKNOWN
        assert "oops" in crashed.details
        assert ask(opened, PATH, order(), 20.0).code is Code.OK


@pytest.mark.parametrize("kind", BOTH)
def test_the_server_hears_of_the_deadline_and_it_holds(kind: str, server: str) -> None:
    with channel(kind, server) as opened:
        assert 30.0 < float(ask(opened, PATH, order(deadline=True), 40.0).message) <= 40.1
        assert ask(opened, PATH, order(sleep=60), 0.3).code is Code.DEADLINE_EXCEEDED
        assert ask(opened, PATH, order(), None).code is Code.OK


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("size", [0, 1, 16_379, 16_384, 65_536, 1 << 20])
def test_messages_of_any_size_both_ways(kind: str, size: int, server: str) -> None:
    reply = call(kind, server, order(bytes(size), size=size))
    assert (reply.code, reply.message == b"z" * size, dict(reply.trailers)["x-size"]) == (Code.OK, True, str(size))


@pytest.mark.parametrize("kind", BOTH)
def test_a_message_of_64_mib_both_ways(kind: str, server: str) -> None:
    size = 64 << 20
    reply = call(kind, server, order(bytes(size), size=size), timeout=60.0)
    assert (reply.code, len(reply.message), dict(reply.trailers)["x-size"]) == (Code.OK, size, str(size))


@pytest.mark.parametrize("kind", BOTH)
def test_gzip_both_ways(kind: str, server: str) -> None:
    with channel(kind, server, compression="gzip") as opened:
        for size in (0, 10, 1 << 20):
            reply = ask(opened, PATH, order(bytes(size), size=size, gzip=True), 20.0)
            assert (reply.code, reply.message == b"z" * size, dict(reply.trailers)["x-size"]) == (Code.OK, True, str(size))


@pytest.mark.parametrize("kind", BOTH)
def test_many_calls_at_once_get_their_own_answers(kind: str, server: str) -> None:
    with channel(kind, server, connections=2) as opened:
        replies = call_all(kind, opened, [order(size=size) for size in range(300)])
    assert [len(reply.message) for reply in replies] == list(range(300))


def test_connections_that_the_server_retires_are_not_noticed() -> None:
    options = (("grpc.max_connection_age_ms", 100), ("grpc.max_connection_age_grace_ms", 10_000))
    with misbehaving_server(options=options) as address, channel(WIRE, address) as opened:
        codes = [reply.code for _ in range(15) for reply in call_all(WIRE, opened, [order(sleep=0.05)] * 4)]
    assert set(codes) == {Code.OK}


def test_a_server_with_few_streams() -> None:
    # grpcio sends more than it may at times, and the server refuses them.
    with misbehaving_server(options=(("grpc.max_concurrent_streams", 3),)) as address, channel(WIRE, address) as opened:
        replies = call_all(WIRE, opened, [order(sleep=0.005)] * 40)
    assert {(reply.code, reply.details) for reply in replies} == {(Code.OK, "")}


# The reference Controller


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return issue(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def plain() -> Iterator[Bound]:
    with background_server(ServerSettings()) as found:
        yield found


@pytest.fixture(scope="module")
def encrypted(certificates: Path) -> Iterator[Bound]:
    certificate, key = (str(certificates / f"localhost.{kind}") for kind in ("pem", "key"))
    settings = ServerSettings(tls_cert=certificate, tls_key=key, queue_capacity=10_000)
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


def ask_for_nothing(kind: str, address: str, base: Path = Path(), timeout: float = 20.0, **profile: Any) -> tuple[Code, str]:
    """Ask for a job that does not exist."""
    request = Requests(endpoint(address)).status(str(uuid.uuid4()))
    reply = call(kind, address, request.SerializeToString(), timeout=timeout, base=base, **profile)
    return reply.code, reply.details


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_the_reference_controller_takes_a_job(kind: str, compression: str, plain: Bound) -> None:
    where = endpoint(plain.address)
    with channel(kind, plain.address, compression=compression) as opened:
        request = Requests(where).execute(count=50)
        reply = ask(opened, Rpc.EXECUTE.path, request.SerializeToString(), 20.0)
    assert len(pb.ExecuteControllerJobResponse.FromString(reply.message).job_execution_ids) == 50
    assert ask_for_nothing(kind, plain.address)[0] is Code.NOT_FOUND


@pytest.mark.parametrize("kind", BOTH)
def test_tls(kind: str, encrypted: Bound, certificates: Path) -> None:
    assert ask_for_nothing(kind, encrypted.address, certificates, tls=Tls(roots="authority.pem"))[0] is Code.NOT_FOUND
    for tls in (Tls(roots="stranger.pem"), Tls(), None):
        assert ask_for_nothing(kind, encrypted.address, certificates, tls=tls)[0] is Code.UNAVAILABLE


def test_why_a_certificate_is_not_accepted_is_said(encrypted: Bound, certificates: Path) -> None:
    code, details = ask_for_nothing(WIRE, encrypted.address, certificates, tls=Tls(roots="stranger.pem"))
    assert code is Code.UNAVAILABLE
    assert details.startswith(f"failed to connect to {encrypted.address}: the certificate is not accepted: ")


@pytest.mark.parametrize("kind", BOTH)
def test_mutual_tls_and_another_name(kind: str, mutual: Bound, certificates: Path) -> None:
    good = {"roots": "authority.pem", "certificate": "caller.pem", "key": "caller.key", "server_name": "controller.example"}
    assert ask_for_nothing(kind, mutual.address, certificates, tls=Tls(**good))[0] is Code.NOT_FOUND
    for wrong in (
        {**good, "server_name": None},
        {**good, "certificate": "stranger.pem", "key": "stranger.key"},
        {**good, "certificate": None, "key": None},
    ):
        assert ask_for_nothing(kind, mutual.address, certificates, tls=Tls(**wrong))[0] is Code.UNAVAILABLE


@pytest.mark.parametrize("kind", BOTH)
def test_tls_where_there_is_none(kind: str, plain: Bound, certificates: Path) -> None:
    assert ask_for_nothing(kind, plain.address, certificates, tls=Tls(roots="authority.pem"))[0] is Code.UNAVAILABLE


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(("protocols", "code"), [(["h2"], Code.OK), (["http/1.1"], Code.UNAVAILABLE), ([], Code.UNAVAILABLE)])
def test_the_server_has_to_agree_on_http_2(kind: str, protocols: list[str], code: Code, certificates: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "localhost.pem", certificates / "localhost.key")
    if protocols:
        context.set_alpn_protocols(protocols)
    with raw_peer(lambda request: [good(request.stream)], tls=context) as peer:
        reply = call(kind, peer.address, base=certificates, tls=Tls(roots="authority.pem"))
        assert reply.code is code, reply.details
        if kind == WIRE and code is not Code.OK:
            assert "does not speak HTTP/2 (ALPN h2)" in reply.details


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(("authority", "seen"), [(None, "controller.example"), ("other.example", "other.example")])
def test_the_authority_of_a_server_with_another_name(kind: str, authority: str | None, seen: str, certificates: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "controller.example.pem", certificates / "controller.example.key")
    context.set_alpn_protocols(["h2"])
    tls = Tls(roots="authority.pem", server_name="controller.example")
    with raw_peer(lambda request: [good(request.stream)], tls=context) as peer:
        assert call(kind, peer.address, base=certificates, tls=tls, authority=authority).code is Code.OK
        assert [authority_in(found.payload) for found in peer.of_kind(Kind.HEADERS)] == [seen]


@pytest.mark.parametrize("kind", BOTH)
def test_large_messages_and_many_calls_over_tls(kind: str, encrypted: Bound, certificates: Path) -> None:
    where = endpoint(encrypted.address)
    request = Requests(where).execute(count=2000).SerializeToString()
    with channel(kind, encrypted.address, base=certificates, tls=Tls(roots="authority.pem")) as opened:
        reply = ask(opened, Rpc.EXECUTE.path, request, 20.0)
        assert len(pb.ExecuteControllerJobResponse.FromString(reply.message).job_execution_ids) == 2000
        asked = Requests(where).status(str(uuid.uuid4())).SerializeToString()
        assert {reply.code for reply in call_all(kind, opened, [asked] * 100)} == {Code.NOT_FOUND}
