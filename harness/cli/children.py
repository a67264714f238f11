"""Run pytest and Locust as child processes: importing Locust patches a process, and a crash of theirs must not be ours.

A child tells its progress as lines of JSON on standard output. It runs in a session of its own, so that Ctrl-C reaches only
this process, which passes it on once and waits for the child to write what it has.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Event = Mapping[str, Any]
GRACE = 20.0
"""Seconds that an interrupted child has to write what it has."""
PROGRESS = "CONTROLLER_HARNESS_PROGRESS"
"""Environment variable that asks a child for progress as JSON."""


class ChildResult:
    """How a child ended: its exit code (130 when it was interrupted) and the last line of its complaints."""

    def __init__(self, code: int, complaints: str) -> None:
        self.code = code
        self.complaints = complaints

    @property
    def last_line(self) -> str:
        """The last line on standard error, if there is one."""
        lines = [line for line in self.complaints.splitlines() if line.strip()]
        return lines[-1].strip() if lines else ""


def run_child(
    command: Sequence[str], environment: Mapping[str, str], on_event: Callable[[Event], None], *, limit: float | None = None
) -> ChildResult:
    """Run a child to its end, handing each progress event to `on_event`.

    `limit` is the longest time in seconds that it may take; then it is interrupted as by Ctrl-C. Raises KeyboardInterrupt
    after the child has ended when this process was interrupted.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own program
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **environment, PROGRESS: "json", "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        timer = threading.Timer(limit, _interrupt, [process]) if limit is not None else None
        interrupted = False
        try:
            if timer is not None:
                timer.start()
            _follow(process, on_event)
            process.wait()
        except KeyboardInterrupt:
            interrupted = True
            _interrupt(process)
        finally:
            if timer is not None:
                timer.cancel()
            if process.stdout is not None:
                process.stdout.close()
        errors.seek(0)
        result = ChildResult(process.returncode, errors.read(200_000))
    if interrupted:
        raise KeyboardInterrupt
    return result


def _follow(process: subprocess.Popen[str], on_event: Callable[[Event], None]) -> None:
    assert process.stdout is not None  # noqa: S101 - opened as a pipe above
    for line in process.stdout:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            on_event(event)


def _interrupt(process: subprocess.Popen[str]) -> None:
    """Ask the child to stop, and make sure that it does."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    drain = threading.Thread(target=_discard, args=[process], daemon=True)
    drain.start()
    try:
        process.wait(GRACE)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()
    drain.join(1.0)


def _discard(process: subprocess.Popen[str]) -> None:
    # A child that still talks must not block on a full pipe while it is to stop.
    if process.stdout is not None and not process.stdout.closed:
        try:
            for _ in process.stdout:
                pass
        except ValueError:
            return
