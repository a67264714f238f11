"""Start our own reference Controller for a run, as a process of its own, and stop it afterwards.

With it, everything works on a fresh machine with no endpoint at hand.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.endpoint import Endpoint, resolve
from harness.errors import ConfigError
from harness.facts import TARGET, Observer
from harness.keeper import Keeper
from harness.profile import EMBEDDED, Profile, check_lanes
from harness.server.mutants import MUTANTS

HANDOVER = "CONTROLLER_HARNESS_SERVER"
"""Environment variable that tells a child process of a server that its parent has already started."""


def mutants_by_requirement() -> Mapping[str, tuple[str, ...]]:
    """Return the names of the deliberately wrong reference Controllers by the requirement that each breaks."""
    found: dict[str, tuple[str, ...]] = {}
    for name, item in MUTANTS.items():
        found[item.requirement] = (*found.get(item.requirement, ()), name)
    return found


@contextlib.contextmanager
def endpoint_for(profile: Profile, base: Path) -> Iterator[Endpoint]:
    """Resolve a profile; for the address `embedded`, start the reference Controller around the block.

    A process whose parent has started one already uses that one. Raises ConfigError for a profile that cannot be resolved,
    UnreachableError when the server does not start.
    """
    check_lanes(profile)
    if profile.address != EMBEDDED:
        yield resolve(profile, base)
    elif HANDOVER in os.environ:
        yield _endpoint(profile, base, _handed_over(os.environ[HANDOVER]))
    else:
        tokens = {name: secrets.token_urlsafe(24) for name in profile.identities}
        with tempfile.TemporaryDirectory(prefix="controller-harness-") as folder, _server(profile, tokens, Path(folder)) as bound:
            yield _endpoint(profile, base, {**bound, "tokens": tokens})


def _handed_over(text: str) -> Mapping[str, Any]:
    try:
        server: Mapping[str, Any] = json.loads(text)
        known = {"host", "port", "observer_port", "tokens", "pid_file"} <= set(server)
    except (ValueError, TypeError):
        known = False
    if not known:
        raise ConfigError("does not describe a server", key=HANDOVER, hint="unset it; only the harness itself sets it")
    return server


def _endpoint(profile: Profile, base: Path, server: Mapping[str, Any]) -> Endpoint:
    strangers = set(profile.identities) - set(server["tokens"])
    if strangers:
        raise ConfigError("the server that is running does not know this caller", key=f"identities.{min(strangers)}")
    found = dataclasses.replace(
        profile,
        address=f"{server['host']}:{server['port']}",
        identities={
            name: dataclasses.replace(identity, token=server["tokens"][name], token_env=None, token_file=None)
            for name, identity in profile.identities.items()
        },
        facts=dataclasses.replace(
            profile.facts, observer=_observer(profile, server), restart_command=_restart_command(profile, server)
        ),
    )
    return dataclasses.replace(resolve(found, base), handover={HANDOVER: json.dumps(server)})


def _observer(profile: Profile, bound: Mapping[str, Any]) -> Observer | None:
    if not profile.embedded.observer:
        return None
    return Observer(
        url=f"http://{bound['host']}:{bound['observer_port']}/metrics",
        labels={"processor": TARGET} if profile.target.quantum_processor_id is not None else {},
    )


def _restart_command(profile: Profile, server: Mapping[str, Any]) -> tuple[str, ...] | None:
    if not profile.embedded.store:
        return None
    return (sys.executable, "-P", "-m", "harness.restart", server["pid_file"])


@contextlib.contextmanager
def _server(profile: Profile, tokens: Mapping[str, str], folder: Path) -> Iterator[Mapping[str, Any]]:
    # -P: modules of the current folder are none of the server's business.
    command = [sys.executable, "-P", "-m", "harness.cli", "serve", "--json", "--stop-with-stdin"]
    command += ["--queue-capacity", str(profile.embedded.queue_capacity), "--executors", str(profile.embedded.executors)]
    command += ["--edge", profile.embedded.edge]
    for target in profile.targets if profile.lanes else ():
        command += ["--processor", str(target.quantum_processor_id)]
    if profile.embedded.mutant is not None:
        command += ["--mutant", profile.embedded.mutant]
    if profile.embedded.variant is not None:
        command += ["--variant", profile.embedded.variant]
    if profile.embedded.store:
        command += ["--store", str(folder / "store.sqlite")]
    if tokens:
        command += ["--tokens", str(_token_file(profile, tokens, folder))]
    keeper = Keeper(command, folder)
    try:
        yield {**keeper.start(), "pid_file": str(keeper.pid_file)}
    finally:
        keeper.stop()


def _token_file(profile: Profile, tokens: Mapping[str, str], folder: Path) -> Path:
    path = folder / "tokens.yaml"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    entries = [
        {
            "token": token,
            "subject": name,
            "may_bypass_settings_protection": bool(profile.identities[name].may_bypass_settings_protection),
            **({"expires": "2001-01-01T00:00:00Z"} if profile.identities[name].expired else {}),
        }
        for name, token in tokens.items()
    ]
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(entries, file)
    return path
