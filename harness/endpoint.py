"""Resolve a profile against the outside world: read the files and environment variables that it names.

Afterwards nothing else has to touch the disk or the environment to talk to the endpoint.
"""

from __future__ import annotations

import os
import re
import ssl
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from harness.errors import ConfigError
from harness.profile import Identity, Profile, Tls, load_profile

MAX_FILE = 250 << 20
"""Largest payload that a profile may name, in octets."""
MAX_TEXT = 4_000_000
"""Largest file of any other kind, in octets."""


@dataclass(frozen=True)
class Endpoint:
    """A profile with its secrets, certificates and payloads in hand. `tokens` and `payloads` are keyed as in the profile.

    `base` is the folder that the profile's files are relative to. `handover` holds the environment variables with which a
    child process finds the same embedded server. What may hold a secret is not part of the text form.
    """

    profile: Profile = field(repr=False)
    address: str
    tokens: Mapping[str, str | None] = field(repr=False)
    payloads: Mapping[str, bytes] = field(repr=False)
    roots: bytes | None = field(default=None, repr=False)
    certificate: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)
    base: Path = Path()
    handover: Mapping[str, str] = field(default_factory=dict, repr=False)


BUILTIN = "reference"
"""Name that stands for the built-in profile of the reference Controller."""


def read_profile(name: str) -> tuple[Profile, Path]:
    """Read a profile by file name, or the built-in one, and return it with the folder that its files are relative to.

    Raises ConfigError in one line for anything that is wrong with it.
    """
    if name == BUILTIN:
        builtin = resources.files("harness") / "profiles" / f"{BUILTIN}.yaml"
        return load_profile(builtin.read_text(encoding="utf-8"), f"built-in profile {BUILTIN!r}"), Path()
    path = Path(name)
    if not os.path.exists(name):
        raise ConfigError("no such file", source=name or "''", hint=f"name a profile file, or {BUILTIN!r} for the built-in one")
    return load_profile(read_text(path), name), path.parent


def read_text(path: Path) -> str:
    """Read a configuration file as UTF-8. Raises ConfigError."""
    try:
        return _read(path, MAX_TEXT).decode()
    except UnicodeDecodeError:
        raise ConfigError("not text", source=str(path), hint="configuration files are UTF-8 text") from None


def resolve(profile: Profile, base: Path) -> Endpoint:
    """Read what the profile names; relative files are looked up in `base`. Raises ConfigError."""
    _check_metadata(profile)
    roots, certificate, key = (None, None, None) if profile.tls is None else _tls_files(profile.tls, base)
    payloads = {role: _payload(role, profile, base) for role in profile.jobs}
    return Endpoint(
        profile=profile,
        address=profile.address,
        tokens={name: _token(name, identity, base) for name, identity in profile.identities.items()},
        payloads=payloads,
        roots=roots,
        certificate=certificate,
        key=key,
        base=base,
    )


_HEADER = re.compile(r"[0-9a-z_.-]+", re.ASCII)


def _check_metadata(profile: Profile) -> None:
    for name, value in profile.metadata.items():
        lowered = name.lower()
        if not _HEADER.fullmatch(lowered) or lowered.startswith("grpc-") or lowered.endswith("-bin"):
            hint = "letters, digits and - _ . will do; names that begin with grpc- or end with -bin will not"
            raise ConfigError("not the name of a text header", key=f"metadata.{name}", hint=hint)
        if not value.isascii() or not value.isprintable():
            raise ConfigError("not a header value: it holds characters outside printable ASCII", key=f"metadata.{name}")


def _tls_files(tls: Tls, base: Path) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Return roots, certificate and key after a look at them: gRPC would only say later that it cannot connect."""
    found = [None if name is None else _read(base / name, MAX_TEXT) for name in (tls.roots, tls.certificate, tls.key)]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.roots is not None:
        try:
            context.load_verify_locations(base / tls.roots)
        except (ssl.SSLError, ValueError):
            raise ConfigError("holds no PEM certificates that can be used", source=str(base / tls.roots)) from None
    if tls.certificate is not None:
        try:
            # The password keeps OpenSSL from asking for one; gRPC takes no encrypted keys either.
            context.load_cert_chain(base / tls.certificate, base / str(tls.key), password="")
        except (ssl.SSLError, ValueError):
            source, hint = str(base / tls.certificate), "both must be PEM, the key not encrypted"
            raise ConfigError(f"is no certificate that goes with {tls.key}", source=source, hint=hint) from None
    roots, certificate, key = found
    return roots, certificate, key


def _payload(role: str, profile: Profile, base: Path) -> bytes:
    job = profile.jobs[role]
    inline = job.inline_payload()
    return inline if inline is not None else _read(base / str(job.file))


def _token(name: str, identity: Identity, base: Path) -> str | None:
    if identity.token_env is not None:
        key, token = "token_env", os.environ.get(identity.token_env, "")
        if not token:
            hint = f"set {identity.token_env} to the bearer token"
            raise ConfigError("the environment variable is not set", key=f"identities.{name}.token_env", hint=hint)
    elif identity.token_file is not None:
        key, token = "token_file", _read(base / identity.token_file, 1 << 16).decode(errors="replace").strip()
    elif identity.token is not None:
        key, token = "token", identity.token
    else:
        return None
    if not token:
        raise ConfigError("holds no bearer token: it is empty", key=f"identities.{name}.{key}")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError("not a bearer token: it holds spaces or characters outside ASCII", key=f"identities.{name}.{key}")
    return token


def _read(path: Path, limit: int = MAX_FILE) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigError("not a regular file", source=str(path))
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigError(f"cannot be read: {reason.lower()}", source=str(path)) from None
    if len(data) > limit:
        raise ConfigError(f"larger than {limit:,} octets", source=str(path))
    return data
