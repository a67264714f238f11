"""Run pytest and Locust as child processes: importing Locust patches a process, and a crash of theirs must not be ours.

A child tells its progress as lines of JSON on standard output. It runs in a session of its own, so that Ctrl-C reaches only
this process, which passes it on once and waits for the child to write what it has.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from harness.cli.signals import on_signals

Event = Mapping[str, Any]
GRACE = 20.0
"""Seconds that an interrupted child has to write what it has."""
ENVIRONMENT = {
    "CONTROLLER_HARNESS_PROGRESS": "json",
    "PYTHONUNBUFFERED": "1",
    # Modules of the folder that a person happens to be in, and a person's options for pytest, are none of a child's business.
    "PYTHONSAFEPATH": "1",
    "PYTEST_ADDOPTS": "",
}
"""What every child finds in its environment."""
_PREFIXES = ("controller-harness: ", "Exit: ", "ERROR: ")
"""What the children put before a complaint; pytest has words of its own."""


@dataclass(frozen=True)
class ChildResult:
    """How a child ended: its exit code, the last line of its complaints, and whether it was stopped for taking too long."""

    code: int
    complaint: str
    overdue: bool


def run_child(
    command: Sequence[str],
    environment: Mapping[str, str],
    on_event: Callable[[Event], None],
    *,
    limit: float | None = None,
    on_interrupt: Callable[[], None] = lambda: None,
) -> ChildResult:
    """Run a child to its end, handing each progress event to `on_event`.

    `limit` is the longest time in seconds that it may take; then it is interrupted as by Ctrl-C. When this process is
    interrupted, the child is as well, `on_interrupt` is called, and KeyboardInterrupt is raised after the child has ended.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        with _started(command, environment, errors) as process, _stopped(process, after=limit) as stopped:
            try:
                _follow(process, on_event)
                process.wait()
            except KeyboardInterrupt:
                # Whoever asks a second time gets it at once.
                with _stopped(process, after=0.0), on_signals(process.kill):
                    on_interrupt()
                    _follow(process, lambda _: None)
                    process.wait()
                raise
        errors.seek(0)
        return ChildResult(process.returncode, last_line(errors.read(200_000)), stopped.is_set())


@contextlib.contextmanager
def _started(command: Sequence[str], environment: Mapping[str, str], errors: IO[str]) -> Iterator[subprocess.Popen[str]]:
    """Start a child; at the end of the block it is gone, whatever ended it."""
    process = subprocess.Popen(  # noqa: S603 - our own program
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env={**os.environ, **ENVIRONMENT, **environment},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextlib.contextmanager
def _stopped(process: subprocess.Popen[str], *, after: float | None) -> Iterator[threading.Event]:
    """Interrupt a child that is still there after so many seconds (None: never), and kill it when that does not help.

    The event tells whether it came to that.
    """
    stopped = threading.Event()

    def interrupt() -> None:
        stopped.set()
        process.send_signal(signal.SIGINT)

    timers = [] if after is None else [threading.Timer(after, interrupt), threading.Timer(after + GRACE, process.kill)]
    try:
        for timer in timers:
            timer.daemon = True
            timer.start()
        yield stopped
    finally:
        for timer in timers:
            timer.cancel()


def _follow(process: subprocess.Popen[str], on_event: Callable[[Event], None]) -> None:
    assert process.stdout is not None  # noqa: S101 - opened as a pipe above
    for line in process.stdout:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            on_event(event)


def last_line(complaints: str) -> str:
    """Return what a child complained of last, without what its tools put before it."""
    lines = [line.strip() for line in complaints.splitlines() if line.strip()]
    found = lines[-1] if lines else ""
    for prefix in _PREFIXES:
        found = found.removeprefix(prefix)
    return found
