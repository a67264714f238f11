"""Resolve a profile against the outside world: read the files and environment variables that it names.

Afterwards nothing else has to touch the disk or the environment to talk to the endpoint.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from harness.errors import ConfigError
from harness.profile import Identity, Profile, load_profile

MAX_FILE = 250 << 20
"""Largest file that a profile may name, in octets."""


@dataclass(frozen=True)
class Endpoint:
    """A profile with its secrets, certificates and payloads in hand. `tokens` and `payloads` are keyed as in the profile.

    `handover` holds the environment variables with which a child process finds the same embedded server.
    """

    profile: Profile
    address: str
    tokens: Mapping[str, str | None]
    payloads: Mapping[str, bytes]
    roots: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None
    handover: Mapping[str, str] = field(default_factory=dict)


BUILTIN = "reference"
"""Name that stands for the built-in profile of the reference Controller."""


def read_profile(name: str) -> tuple[Profile, Path]:
    """Read a profile by file name, or the built-in one, and return it with the folder that its files are relative to.

    Raises ConfigError in one line for anything that is wrong with it.
    """
    if name == BUILTIN:
        builtin = resources.files("harness") / "profiles" / f"{BUILTIN}.yaml"
        return load_profile(builtin.read_text(encoding="utf-8"), f"built-in profile {BUILTIN!r}"), Path.cwd()
    path = Path(name)
    if not path.exists():
        raise ConfigError("no such file", source=name, hint=f"name a profile file, or {BUILTIN!r} for the built-in one")
    return load_profile(read_text(path), name), path.parent


def read_text(path: Path) -> str:
    """Read a configuration file as UTF-8. Raises ConfigError."""
    try:
        return _read(path, 4_000_000).decode()
    except UnicodeDecodeError:
        raise ConfigError("not text", source=str(path), hint="configuration files are UTF-8 text") from None


def resolve(profile: Profile, base: Path) -> Endpoint:
    """Read what the profile names; relative files are looked up in `base`. Raises ConfigError."""
    tls = profile.tls
    payloads = {role: _payload(role, profile, base) for role in profile.jobs}
    return Endpoint(
        profile=profile,
        address=profile.address,
        tokens={name: _token(name, identity, base) for name, identity in profile.identities.items()},
        payloads=payloads,
        roots=_read(base / tls.roots) if tls and tls.roots else None,
        certificate=_read(base / tls.certificate) if tls and tls.certificate else None,
        key=_read(base / tls.key) if tls and tls.key else None,
    )


def _payload(role: str, profile: Profile, base: Path) -> bytes:
    job = profile.jobs[role]
    inline = job.inline_payload()
    return inline if inline is not None else _read(base / str(job.file))


def _token(name: str, identity: Identity, base: Path) -> str | None:
    if identity.token_env is not None:
        token = os.environ.get(identity.token_env, "")
        if not token:
            hint = f"set {identity.token_env} to the bearer token"
            raise ConfigError("the environment variable is not set", key=f"identities.{name}.token_env", hint=hint)
    elif identity.token_file is not None:
        token = _read(base / identity.token_file).decode(errors="replace").strip()
    else:
        return identity.token
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError("not a bearer token: it holds spaces or characters outside ASCII", key=f"identities.{name}")
    return token


def _read(path: Path, limit: int = MAX_FILE) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise ConfigError("not a regular file", source=str(path))
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise ConfigError(f"cannot be read: {(error.strerror or str(error)).lower()}", source=str(path)) from None
    if len(data) > limit:
        raise ConfigError(f"larger than {limit:,} octets", source=str(path))
    return data
