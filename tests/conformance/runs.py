"""Run the suites as a user's pytest would, and read what they put on record."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import conformance
from harness.record import CheckLine, Record
from harness.recorder import load_record

SUITES = Path(conformance.__file__).parent
REFERENCE = SUITES.parent / "harness" / "profiles" / "reference.yaml"


@dataclass(frozen=True)
class Outcome:
    """A finished pytest process and its record."""

    code: int
    output: str
    record: Record

    @property
    def checks(self) -> list[CheckLine]:
        """Return the verdicts."""
        return [line for line in self.record.lines if isinstance(line, CheckLine)]

    @property
    def violated(self) -> Mapping[str, list[str]]:
        """Return the checks that found a discrepancy, by requirement."""
        found: dict[str, list[str]] = {}
        for line in self.checks:
            for item in line.discrepancies:
                found.setdefault(item.requirement, []).append(line.check)
        return found


def profile(folder: Path, *, mutant: str = "", observer: bool = True, replace: Mapping[str, str] | None = None) -> Path:
    """Write a variant of the built-in profile and return its path."""
    text = REFERENCE.read_text(encoding="utf-8")
    extra = (f"  mutant: {mutant}\n" if mutant else "") + f"  observer: {str(observer).lower()}\n"
    text = text.replace("embedded:\n", "embedded:\n" + extra, 1).replace("state: 10s", "state: 3s", 1)
    for old, new in (replace or {}).items():
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "profile.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def run_suites(folder: Path, profile_path: Path, arguments: Sequence[str] = (), suites: Path = SUITES) -> Outcome:
    """Run the suites against a profile."""
    record = folder / "record.jsonl"
    command = [sys.executable, "-m", "pytest", str(suites), "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += ["-c", os.devnull, "--import-mode=importlib", "--rootdir", str(suites), "-ra"]
    command += ["--profile", str(profile_path), "--record", str(record), "--seed", "7", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=SUITES.parent)
    return Outcome(done.returncode, done.stdout + done.stderr, load_record(record))
