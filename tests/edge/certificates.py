"""Certificates for the tests of encrypted connections."""

from __future__ import annotations

import datetime
import ipaddress
import random
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Signed = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]
PEM = serialization.Encoding.PEM


def signed(name: str, by: Signed | None) -> Signed:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    names: list[x509.GeneralName] = [x509.DNSName(name)]
    if name == "localhost":
        names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by[0].subject if by else subject)
        .public_key(key.public_key())
        .serial_number(random.getrandbits(64) + 1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .sign(by[1] if by else key, hashes.SHA256())
    )
    return certificate, key


def put(folder: Path, name: str, pair: Signed) -> None:
    (folder / f"{name}.pem").write_bytes(pair[0].public_bytes(PEM))
    plain = pair[1].private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / f"{name}.key").write_bytes(plain)
    locked = serialization.BestAvailableEncryption(b"password")
    (folder / f"{name}.locked.key").write_bytes(pair[1].private_bytes(PEM, serialization.PrivateFormat.PKCS8, locked))


def issue(folder: Path) -> Path:
    """Write an authority, what it has signed, and a stranger; each as NAME.pem, NAME.key and NAME.locked.key."""
    authority = signed("authority", None)
    put(folder, "authority", authority)
    for name in ("localhost", "controller.example", "caller"):
        put(folder, name, signed(name, authority))
    put(folder, "stranger", signed("caller", signed("another authority", None)))
    return folder
