"""Keep one server process: start it, start it again on the same ports when it was killed on purpose, stop it for good.

So a check can crash the embedded server and find it again where it was. A server that dies of itself stays dead: nothing may
hide that.
"""

from __future__ import annotations

import contextlib
import json
import select
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, UnreachableError
from harness.recorder import write_atomically

START_PATIENCE = 30.0
"""Seconds that the server has to say where it listens."""
STOP_PATIENCE = 10.0
"""Seconds that the server has to end after SIGTERM."""
MAX_RESTARTS = 50
"""How often a killed server is started again."""


def ordered(pid_file: Path) -> Path:
    """Return the file that orders a restart of the process in `pid_file`."""
    return pid_file.with_suffix(".restart")


class Keeper:
    """One server and its successors. `command` starts it on free ports; it announces itself as a line of JSON."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._command = list(command)
        self._folder = folder
        self._ports: list[str] = ["--port", "0", "--observer-port", "0"]
        self._lock = threading.Lock()
        self._stopping = False
        self._process: subprocess.Popen[str] | None = None
        self._watcher = threading.Thread(target=self._watch, name="keeper", daemon=True)

    @property
    def pid_file(self) -> Path:
        """File that holds the process id of the server that runs now."""
        return self._folder / "server.pid"

    @property
    def order(self) -> Path:
        """File whose presence says that the death of the server is on purpose (`harness.restart` makes it)."""
        return ordered(self.pid_file)

    def start(self) -> Mapping[str, Any]:
        """Start the server and return its announcement. Raises HarnessError or UnreachableError."""
        bound = self._launch()
        self._ports = ["--port", str(bound["port"]), "--observer-port", str(bound["observer_port"])]
        self._watcher.start()
        return bound

    def stop(self) -> None:
        """Stop the server, and do not start it again."""
        with self._lock:
            self._stopping = True
            process = self._process
        if process is not None:
            _stop(process)
        if self._watcher.is_alive():
            self._watcher.join(STOP_PATIENCE)

    def _launch(self) -> Mapping[str, Any]:
        complaints = self._folder / "errors.txt"
        with self._lock, complaints.open("w", encoding="utf-8") as errors:
            if self._stopping:
                raise UnreachableError("the reference Controller is being stopped")
            self._process = process = subprocess.Popen(  # noqa: S603 - our own program
                [*self._command, *self._ports],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        bound = _announcement(process, complaints)
        write_atomically(self.pid_file, str(process.pid).encode())
        return bound

    def _watch(self) -> None:
        for _ in range(MAX_RESTARTS):
            process = self._process
            if process is None:
                return
            process.wait()
            with self._lock:
                if self._stopping or not self.order.exists():
                    return
            self.order.unlink()
            _close(process)
            with contextlib.suppress(HarnessError):
                self._launch()


def _announcement(process: subprocess.Popen[str], complaints: Path) -> Mapping[str, Any]:
    assert process.stdout is not None  # noqa: S101 - opened as a pipe above
    ready, _, _ = select.select([process.stdout], [], [], START_PATIENCE)
    if not ready:
        raise UnreachableError(f"the reference Controller did not start within {START_PATIENCE:g} s")
    try:
        bound: Mapping[str, Any] = json.loads(process.stdout.readline())
    except ValueError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_PATIENCE)
        told = complaints.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        why = told[-1].removeprefix("controller-harness: ") if told else f"it ended with code {process.returncode}"
        raise HarnessError(f"the reference Controller did not start: {why}") from None
    return bound


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_PATIENCE)
    except subprocess.TimeoutExpired:
        pass
    finally:
        # Also when this process is interrupted while it waits.
        process.kill()
        process.wait()
        _close(process)


def _close(process: subprocess.Popen[str]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
