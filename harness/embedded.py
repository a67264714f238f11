"""Start our own reference Controller for a run, as a process of its own, and stop it afterwards.

With it, everything works on a fresh machine with no endpoint at hand.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.endpoint import Endpoint, resolve
from harness.errors import HarnessError, UnreachableError
from harness.profile import EMBEDDED, Observer, Profile

START_PATIENCE = 30.0
"""Seconds that the server has to say where it listens."""
STOP_PATIENCE = 10.0
"""Seconds that the server has to end after SIGTERM."""


HANDOVER = "CONTROLLER_HARNESS_SERVER"
"""Environment variable that tells a child process of a server that its parent has already started."""


@contextlib.contextmanager
def endpoint_for(profile: Profile, base: Path) -> Iterator[Endpoint]:
    """Resolve a profile; for the address `embedded`, start the reference Controller around the block.

    A process whose parent has started one already uses that one. Raises ConfigError for a profile that cannot be resolved,
    UnreachableError when the server does not start.
    """
    if profile.address != EMBEDDED:
        yield resolve(profile, base)
    elif HANDOVER in os.environ:
        yield _endpoint(profile, base, json.loads(os.environ[HANDOVER]))
    else:
        tokens = {name: secrets.token_urlsafe(24) for name in profile.identities}
        with tempfile.TemporaryDirectory(prefix="controller-harness-") as folder, _server(profile, tokens, Path(folder)) as bound:
            yield _endpoint(profile, base, {**bound, "tokens": tokens})


def _endpoint(profile: Profile, base: Path, server: Mapping[str, Any]) -> Endpoint:
    found = dataclasses.replace(
        profile,
        address=f"{server['host']}:{server['port']}",
        identities={
            name: dataclasses.replace(identity, token=server["tokens"][name], token_env=None, token_file=None)
            for name, identity in profile.identities.items()
        },
        facts=dataclasses.replace(profile.facts, observer=_observer(profile, server)),
    )
    return dataclasses.replace(resolve(found, base), handover={HANDOVER: json.dumps(server)})


def _observer(profile: Profile, bound: Mapping[str, Any]) -> Observer | None:
    if not profile.embedded.observer:
        return None
    processor = profile.target.quantum_processor_id
    return Observer(
        url=f"http://{bound['host']}:{bound['observer_port']}/metrics",
        labels={"processor": processor} if processor is not None else {},
    )


@contextlib.contextmanager
def _server(profile: Profile, tokens: Mapping[str, str], folder: Path) -> Iterator[Mapping[str, Any]]:
    command = [sys.executable, "-m", "harness.cli", "serve", "--json", "--port", "0", "--observer-port", "0"]
    command += ["--queue-capacity", str(profile.embedded.queue_capacity), "--executors", str(profile.embedded.executors)]
    if profile.embedded.mutant is not None:
        command += ["--mutant", profile.embedded.mutant]
    if tokens:
        command += ["--tokens", str(_token_file(profile, tokens, folder))]
    with (folder / "errors.txt").open("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own program
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
        try:
            yield _announcement(process, folder / "errors.txt")
        finally:
            _stop(process)


def _announcement(process: subprocess.Popen[str], errors: Path) -> Mapping[str, Any]:
    assert process.stdout is not None  # noqa: S101 - opened as a pipe above
    ready, _, _ = select.select([process.stdout], [], [], START_PATIENCE)
    line = process.stdout.readline() if ready else ""
    try:
        bound: Mapping[str, Any] = json.loads(line)
    except ValueError:
        told = errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        if process.poll() is not None and told:
            raise HarnessError(f"the reference Controller did not start: {told[-1]}") from None
        raise UnreachableError(f"the reference Controller did not start within {START_PATIENCE:g} s") from None
    return bound


def _token_file(profile: Profile, tokens: Mapping[str, str], folder: Path) -> Path:
    path = folder / "tokens.yaml"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    entries = [
        {
            "token": token,
            "subject": name,
            "may_bypass_settings_protection": bool(profile.identities[name].may_bypass_settings_protection),
        }
        for name, token in tokens.items()
    ]
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(entries, file)
    return path


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()
