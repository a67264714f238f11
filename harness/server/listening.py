"""What every edge that serves gRPC does before it listens, and how long it takes to stop: ports, TLS files, sizes, times."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from harness.errors import ConfigError
from harness.server.settings import ServerSettings
from harness.server.sockets import reason

SLACK = 64 * 1024
"""Octets of room for what surrounds a payload of the largest size."""
LAST_WORDS = 1.0
"""Seconds for calls that are turned away to hear of it."""
FLUSH = 0.25
"""Seconds for the last answers to leave."""
DECORATION: tuple[tuple[str, str | bytes], ...] = (
    ("x-served-by", "host 7; %20"),
    ("x-served-by", "again"),
    ("x-trace-bin", bytes(range(256))),
)
"""Headers and trailers with a repeated name, odd characters and octets."""


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens; ConfigError when that cannot be."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {reason(error)}", hint="choose another port or host") from None


def server_context(settings: ServerSettings) -> ssl.SSLContext | None:
    """Return TLS as the settings ask for it, with HTTP/2 by ALPN; None without. ConfigError for files that cannot be used."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    read(settings.tls_key, "tls_key")
    read(settings.tls_cert, "tls_cert")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2"])
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except ssl.SSLError as error:
        why = error.reason or "not a key and its certificate"
        raise ConfigError(f"cannot be used: {why}", source=settings.tls_cert, key="tls_cert and tls_key") from None
    if settings.client_ca is not None:
        read(settings.client_ca, "client_ca")
        try:
            context.load_verify_locations(settings.client_ca)
        except ssl.SSLError as error:
            why = error.reason or "not a certificate"
            raise ConfigError(f"cannot be used: {why}", source=settings.client_ca, key="client_ca") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def read(path: str, key: str) -> bytes:
    """Return the octets of a file that a setting names; ConfigError if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", source=path, key=key) from None
