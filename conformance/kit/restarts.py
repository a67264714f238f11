"""Crash and restart the endpoint with the profile's command."""

from __future__ import annotations

import subprocess

from conformance.kit.case import Case
from conformance.kit.verdicts import DisturbedError, UnobservableError
from harness.errors import UnreachableError
from harness.probe import probe

PATIENCE = 120.0
"""Seconds that a restart may take."""


def restart(case: Case) -> None:
    """Restart the endpoint and wait until it answers. Raises UnobservableError without a command, DisturbedError if it fails."""
    command = case.facts.restart_command
    if command is None:
        raise UnobservableError("the profile has no restart command (facts.restart_command)")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)  # noqa: S603 - the profile's own
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DisturbedError(f"the restart command failed: {error}") from None
    if done.returncode != 0:
        raise DisturbedError(f"the restart command ended with code {done.returncode}: {done.stderr.strip()[-200:]}")
    try:
        probe(case.endpoint, PATIENCE)
    except UnreachableError as error:
        raise DisturbedError(f"the endpoint did not come back: {error}") from None
