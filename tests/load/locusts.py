"""Load runs as the command line makes them: Locust as a child process, against a reference Controller on loopback."""

from __future__ import annotations

import os
import subprocess
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from harness.record import Line, Record
from harness.recorder import load_record
from harness.scenario import WIRE
from loadtests.runner import PROGRESS_VARIABLE, command

T = TypeVar("T")

LONGEST = 90.0
"""Seconds after which a run that does not end has failed the test."""

SCENARIO = """\
name: test
executor: constant-users
users: 3
duration: {duration}
transport: {transport}
connections: 2
workload:
  single: 1
  batch: 1
  requests_per_batch: {{min: 1, max: 3}}
  configurations_per_request: {{min: 1, max: 4}}
  cancelled: 0.2
  replayed: 0.3
  pause: {{min: 1ms, max: 10ms}}
follow: {{poll_min: 5ms, poll_max: 50ms, deadline: {patience}}}
thresholds: [{thresholds}]
"""


@dataclass(frozen=True)
class Files:
    """The files of one run."""

    profile: Path
    scenario: Path
    record: Path

    def start(self, *extra: str, progress: bool = False) -> subprocess.Popen[str]:
        """Start the run."""
        environment = {**os.environ, **({PROGRESS_VARIABLE: "json"} if progress else {})}
        return subprocess.Popen(
            command(self.profile, self.scenario, self.record, extra),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *extra: str, progress: bool = False) -> Ended:
        """Run to the end."""
        return self.wait(self.start(*extra, progress=progress))

    def wait(self, process: subprocess.Popen[str]) -> Ended:
        """Wait for the end of a run, and kill it if there is none."""
        try:
            told, complaints = process.communicate(timeout=LONGEST)
        finally:
            process.kill()
        return Ended(process.returncode, told, complaints)

    def read(self) -> Record:
        """Return the record."""
        return load_record(self.record)


@dataclass(frozen=True)
class Ended:
    """How a run ended and what it said."""

    code: int
    stdout: str
    stderr: str


def files(
    folder: Path,
    address: str,
    *,
    duration: str = "2s",
    patience: str = "10s",
    thresholds: Sequence[str] = ("ledger_violations: count == 0",),
    job: str = "controller-job duration=2ms estimate=2ms",
    extra: str = "",
    transport: str = WIRE,
) -> Files:
    """Write a profile and a scenario; `extra` are more lines of the profile."""
    profile, scenario = folder / "profile.yaml", folder / "scenario.yaml"
    profile.write_text(
        f"name: test\naddress: {address}\ntarget: {{quantum_processor_id: qpu-1}}\njobs:\n  quick: {{text: {job}}}\n{extra}"
    )
    quoted = ", ".join(f'"{text}"' for text in thresholds)
    scenario.write_text(SCENARIO.format(duration=duration, patience=patience, thresholds=quoted, transport=transport))
    return Files(profile, scenario, folder / "record.jsonl")


def lines_of(lines: Sequence[Line], kind: type[T]) -> list[T]:
    """Return the lines of one kind."""
    return [line for line in lines if isinstance(line, kind)]


def metrics(url: str) -> dict[str, float]:
    """Return the samples of a Prometheus page by name and labels."""
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - our own server on loopback
        text = response.read().decode()
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in pairs}
