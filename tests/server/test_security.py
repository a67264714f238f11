"""Credentials: bearer tokens, TLS and mutual TLS."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc

from harness.errors import ConfigError
from harness.h2frames import PREFACE, Kind, frame
from harness.ids import IdempotencyKey
from harness.server.refusal import Refusal
from harness.server.service import RPCS, SERVICE
from harness.server.settings import EDGES, ServerSettings
from harness.server.tokens import Access, Token, load_tokens, parse_tokens
from harness.server.values import Caller

TOKENS = (Token("tok-a", "alice"), Token("tok-r", "root", may_bypass=True), Token("tok-x", "old", expires=1.0))


@pytest.fixture(params=EDGES)
def edge(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def code_of(call: Any) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    name: str = caught.value.code().name
    return name


# Tokens over the wire


@pytest.mark.parametrize("rpc", RPCS)
@pytest.mark.parametrize(
    "value", [None, "", "Bearer", "Bearer ", "Bearer nobody", "Basic tok-a", "tok-a", "Bearer tok-x", "Bearer tok-a x"]
)
def test_every_call_needs_a_good_token(support: Any, edge: str, rpc: str, value: str | None) -> None:
    client = support.serve(tokens=TOKENS)
    payload = support.submission().SerializeToString() if rpc == "ExecuteControllerJob" else b""
    metadata = () if value is None else (("authorization", value),)
    call = client.channel.unary_unary(f"/{SERVICE}/{rpc}")
    code = code_of(lambda: call(payload, metadata=metadata, timeout=support.DEADLINE))
    page = client.metrics()
    if edge == "wire" and value == "Bearer ":
        # HTTP/2 allows no blank at the end of a value (RFC 9113, section 8.2.1); one edge says so, the other lets it pass.
        assert code == "INTERNAL"
        return
    assert code == "UNAUTHENTICATED"
    assert page['controller_jobs_accepted_total{processor="qpu-1"}'] == 0
    assert page[f'controller_requests_total{{code="UNAUTHENTICATED",rpc="{rpc}"}}'] == 1


def test_a_good_token_names_the_caller(support: Any, key: IdempotencyKey) -> None:
    bound = support.serve(tokens=TOKENS).bound
    alice, root = (support.client(bound, metadata=(("authorization", f"bearer {token}"),)) for token in ("tok-a", "tok-r"))
    assert alice.submit(key=key) == alice.submit(key=key) != root.submit(key=key)
    protected = support.submission("controller-job touches-settings=yes")
    assert code_of(lambda: root.execute(protected)) == "FAILED_PRECONDITION"
    protected.options.bypass_settings_protection = True
    assert len(root.execute(protected)) == 1
    assert code_of(lambda: alice.execute(protected)) == "PERMISSION_DENIED"


def test_health_needs_no_token(support: Any) -> None:
    client = support.serve(tokens=TOKENS)
    health: Any = health_pb2_grpc.HealthStub(client.channel)
    answer = health.Check(health_pb2.HealthCheckRequest(), timeout=support.DEADLINE)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_without_tokens_everybody_is_the_same_caller(support: Any) -> None:
    client = support.serve(anonymous_may_bypass=True)
    request = support.submission("controller-job touches-settings=yes")
    request.options.bypass_settings_protection = True
    assert len(client.execute(request)) == 1


def test_a_token_is_good_until_the_moment_it_expires() -> None:
    access = Access([Token("t", "s", expires=100.0)], anonymous_may_bypass=False)
    assert access.caller("Bearer t", 99.9) == Caller("s", False)
    with pytest.raises(Refusal, match="expired"):
        access.caller("Bearer t", 100.0)


# The tokens file


def test_reads_a_file() -> None:
    text = (
        "- {token: a, subject: alice}\n"
        "- {token: b, subject: bob, may_bypass_settings_protection: true, expires: 2030-01-02T03:04:05Z}\n"
        "- {token: c, subject: carol, expires: '2030-01-02T04:04:05+01:00'}\n"
    )
    moment = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.UTC).timestamp()
    assert load_tokens(text, "tokens.yaml") == (
        Token("a", "alice"),
        Token("b", "bob", True, moment),
        Token("c", "carol", False, moment),
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "must be a list of one or more tokens"),
        ("[]", "must be a list"),
        ("- x", "[0]: must be a mapping"),
        ("- {token: a}", "[0].subject: must be a text"),
        ("- {token: a, subject: ''}", "[0].subject: must be a text"),
        ("- {token: 5, subject: b}", "[0].token: must be a text"),
        ("- {token: a b, subject: b}", "[0].token: must be a text without spaces"),
        ("- {token: a, subject: b, expiry: 1}", "[0].expiry: unknown key"),
        ("- {token: a, subject: b, expires: 5}", "[0].expires: must be an ISO 8601 time"),
        ("- {token: a, subject: b, expires: soon}", "[0].expires: must be an ISO 8601 time"),
        ("- {token: a, subject: b, may_bypass_settings_protection: 1}", "must be true or false"),
        ("- {token: a, subject: b}\n- {token: a, subject: c}", "[1].token: the same token twice"),
        ("- {token: a\n", ":2: is not YAML"),
    ],
)
def test_a_bad_file_is_one_clear_line(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_tokens(text, "tokens.yaml")
    assert str(caught.value).startswith("tokens.yaml")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tokens_in_settings() -> None:
    assert parse_tokens([{"token": "a", "subject": "b"}], source="settings") == (Token("a", "b"),)


# TLS


@dataclass(frozen=True)
class Pair:
    key: bytes
    certificate: bytes


@pytest.fixture(scope="module")
def authority() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    return _certificate("test authority", key, None, None), key


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Certificate | None, issuer_key: ec.EllipticCurvePrivateKey | None
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(loopback, critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    return builder.sign(issuer_key or key, hashes.SHA256())


def issue(authority: tuple[x509.Certificate, ec.EllipticCurvePrivateKey], name: str) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    return Pair(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain),
        _certificate(name, key, *authority).public_bytes(pem),
    )


@pytest.fixture
def files(authority: tuple[x509.Certificate, ec.EllipticCurvePrivateKey], tmp_path: Path) -> dict[str, str]:
    server = issue(authority, "server")
    contents = {
        "tls_key": server.key,
        "tls_cert": server.certificate,
        "client_ca": authority[0].public_bytes(serialization.Encoding.PEM),
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    return {name: str(tmp_path / name) for name in contents}


def test_tls(support: Any, files: dict[str, str]) -> None:
    bound = support.serve(tls_key=files["tls_key"], tls_cert=files["tls_cert"]).bound
    trust = grpc.ssl_channel_credentials(Path(files["client_ca"]).read_bytes())
    assert len(support.client(bound, grpc.secure_channel(bound.address, trust)).submit()) == 1
    assert code_of(support.client(bound).submit) == "UNAVAILABLE"


@pytest.mark.parametrize("edge", ["wire"])
@pytest.mark.parametrize(
    ("protocols", "served"), [(["h2"], True), (["http/1.1", "h2"], True), (["http/1.1"], False), ([], False)]
)
def test_over_tls_only_who_asks_for_http_2_is_served(
    support: Any, files: dict[str, str], protocols: list[str], served: bool
) -> None:
    bound = support.serve(tls_key=files["tls_key"], tls_cert=files["tls_cert"]).bound
    context = ssl.create_default_context(cafile=files["client_ca"])
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if protocols:
        context.set_alpn_protocols(protocols)
    with socket.create_connection((bound.host, bound.port), timeout=support.DEADLINE) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as peer:
                peer.sendall(PREFACE + frame(Kind.SETTINGS, 0, 0, b""))
                answer = peer.recv(100)
        except (ssl.SSLError, ConnectionError):
            answer = b""
    assert bool(answer) is served


def test_mutual_tls(support: Any, files: dict[str, str], authority: tuple[x509.Certificate, ec.EllipticCurvePrivateKey]) -> None:
    bound = support.serve(**files).bound
    root, pair = Path(files["client_ca"]).read_bytes(), issue(authority, "client")
    known = grpc.ssl_channel_credentials(root, pair.key, pair.certificate)
    assert len(support.client(bound, grpc.secure_channel(bound.address, known)).submit()) == 1
    unknown = grpc.ssl_channel_credentials(root)
    assert code_of(support.client(bound, grpc.secure_channel(bound.address, unknown)).submit) == "UNAVAILABLE"


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("tls_cert", None, "cannot be read"),
        ("tls_key", b"no key", "tls_cert and tls_key: cannot be used"),
        ("tls_key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "tls_cert and tls_key: cannot be used"),
        ("client_ca", b"no certificate", "client_ca: cannot be used"),
        ("client_ca", None, "cannot be read"),
    ],
)
def test_tls_files_that_cannot_be_used(
    support: Any, files: dict[str, Any], name: str, content: bytes | None, complaint: str
) -> None:
    path = Path(files[name])
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(ConfigError, match=complaint) as caught:
        support.background(ServerSettings(**files))
    assert "\n" not in str(caught.value)
