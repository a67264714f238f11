"""The server's clock: wall time that never goes backwards."""

from __future__ import annotations

import time


class SteadyClock:
    """Nanoseconds since the epoch: read from the wall once, then carried on by the monotonic clock (EST-02)."""

    def __init__(self) -> None:
        self._offset = time.time_ns() - time.monotonic_ns()

    def __call__(self) -> int:
        """Return the time."""
        return time.monotonic_ns() + self._offset
