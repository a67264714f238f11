"""`python -m harness.restart PIDFILE`: kill the embedded server as a crash would, and wait until its successor is there."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from harness.keeper import ordered

PATIENCE = 30.0
"""Seconds that the successor has to start."""


def main(arguments: list[str]) -> int:
    """Kill the process that the file names; 0 once the file names another one, 1 when it does not in time."""
    path = Path(arguments[0])
    killed = path.read_text(encoding="utf-8")
    ordered(path).touch()
    os.kill(int(killed), signal.SIGKILL)
    end = time.monotonic() + PATIENCE
    pause = threading.Event()
    while time.monotonic() < end:
        if path.read_text(encoding="utf-8") != killed:
            return 0
        pause.wait(0.02)
    sys.stderr.write(f"no successor of process {killed} within {PATIENCE:g} s\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
