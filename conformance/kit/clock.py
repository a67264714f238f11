"""Seconds since a moment, on a monotonic clock, and waiting for a given age."""

from __future__ import annotations

import threading
import time


class Stopwatch:
    """Counts from its creation."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def seconds(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._start

    def wait_until(self, age: float) -> None:
        """Wait until `age` seconds since the start: for checks that are about time itself passing."""
        threading.Event().wait(max(0.0, age - self.seconds()))
