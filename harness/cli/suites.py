"""How the suites are started: as a user's pytest would be, but for plugins and settings that are none of their business."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import conformance


def suite_command(profile: str, record: Path, seed: int, arguments: Sequence[str] = ()) -> list[str]:
    """Return the command that runs the suites against a profile; `arguments` are further ones for pytest."""
    suites = str(Path(conformance.__file__).parent)
    command = [sys.executable, "-m", "pytest", suites, "--capture=no", "-p", "no:terminal"]
    command += ["-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += ["--rootdir", suites, "-c", os.devnull, "--import-mode=importlib"]
    return [*command, "--profile", profile, "--record", str(record), "--seed", str(seed), *arguments]
