"""Run `controller-harness` as its users do: as a process of its own, in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from harness.record import Record
from harness.recorder import load_record
from reports import FORMATS

COMMAND = [sys.executable, "-P", "-m", "harness.cli"]
PATIENCE = 60.0
"""Seconds after which a command that has not ended has failed the test; none takes that long in a healthy run."""
REPORT_FILES = sorted(["record.jsonl", *FORMATS.values()])
CLEAN = {name: value for name, value in os.environ.items() if name not in {"CI", "FORCE_COLOR", "PYTEST_ADDOPTS", "COLUMNS"}}

SCENARIO = """\
name: tiny
executor: constant-users
users: 2
duration: 1s
workload: {single: 1, pause: {min: 5ms, max: 10ms}}
follow: {poll_min: 5ms, poll_max: 50ms, deadline: 5s}
thresholds: ["errors: rate < 1%"]
"""
PROFILE = """\
name: test-endpoint
address: {address}
target: {{quantum_processor_id: qpu-1}}
jobs:
  quick: {{text: controller-job duration=2ms estimate=2ms, duration: 2ms}}
  slow: {{text: controller-job duration=800ms estimate=800ms, duration: 800ms}}
facts: {{gateway: true, executors: 1}}
{more}
"""


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    def complaint(self, code: int) -> str:
        """Return the one line on standard error of a command that ended with `code`, without its prefix."""
        assert self.code == code, (self.code, self.out, self.err)
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("controller-harness: "), self.err
        return self.err.removeprefix("controller-harness: ").rstrip("\n")


@dataclass(frozen=True)
class Cli:
    """The command line in one folder."""

    folder: Path

    def __call__(self, *arguments: str | Path, env: Mapping[str, str] | None = None, stdout: Any = subprocess.PIPE) -> Ended:
        """Run a command to its end."""
        done = subprocess.run(
            [*COMMAND, *map(str, arguments)],
            cwd=self.folder,
            env={**CLEAN, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="backslashreplace",
            timeout=PATIENCE,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Ended(done.returncode, done.stdout or "", done.stderr)

    @contextlib.contextmanager
    def started(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Iterator[Started]:
        """Start a command; at the end of the block it is gone."""
        process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            cwd=self.folder,
            env={**CLEAN, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield Started(process)
        finally:
            process.kill()
            process.communicate(timeout=PATIENCE)

    def write(self, name: str, text: str) -> Path:
        """Put a file into the folder."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def profile(self, address: str, more: str = "") -> Path:
        """Put a profile of an endpoint into the folder."""
        return self.write("profile.yaml", PROFILE.format(address=address, more=more))

    def record(self, out: str) -> Record:
        """Return the record of a run; all files of a report must lie beside it, and nothing half-written."""
        files = sorted(path.name for path in (self.folder / out).iterdir() if path.is_file() and path.suffix != ".protoset")
        assert files == REPORT_FILES
        return load_record(self.folder / out / "record.jsonl")


@dataclass(frozen=True)
class Started:
    """A command under way."""

    process: subprocess.Popen[str]

    def line(self, wanted: str) -> str:
        """Return the first line from here on that holds some text."""
        output: IO[str] | None = self.process.stdout
        assert output is not None
        for line in output:
            if wanted in line:
                return line
        raise AssertionError(f"ended with code {self.process.wait(PATIENCE)} and without {wanted!r}")

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that the command does."""
        end = time.monotonic() + PATIENCE
        while not holds():
            assert self.process.poll() is None, "the command ended"
            assert time.monotonic() < end, "waited in vain"
            threading.Event().wait(0.02)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def end(self) -> Ended:
        """Wait for the end."""
        out, err = self.process.communicate(timeout=PATIENCE)
        assert "Traceback" not in err, err
        return Ended(self.process.returncode, out, err)

    def offspring(self) -> list[int]:
        """Return the processes that the command has started, and those that they have."""
        parents: dict[int, int] = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal():
                with contextlib.suppress(OSError):
                    fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
                    parents[int(folder.name)] = int(fields[1])
        found = [self.process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found[1:]


def alive(pids: list[int]) -> list[int]:
    """Return which of some processes are still there."""
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]
