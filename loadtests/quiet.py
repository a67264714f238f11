"""One line instead of a traceback, whatever ends a load run. Imports nothing heavy, so that it works from the very start."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn

from harness.errors import ExitCode, HarnessError


def complain(error: HarnessError) -> None:
    """Say in one line on standard error what went wrong."""
    sys.stderr.write(f"controller-harness: {' '.join(str(error).split())}\n")


def leave_quietly() -> None:
    """Have Ctrl-C and SIGTERM end the process at once, until a session takes them over."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave_at_once)


def _leave_at_once(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - the signature of signal handlers
    complain(HarnessError("interrupted"))
    sys.exit(int(ExitCode.INTERRUPTED))
