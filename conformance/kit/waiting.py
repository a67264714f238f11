"""Waiting for a state with a deadline: short pauses that grow, on a monotonic clock."""

from __future__ import annotations

import threading
import time

_FIRST = 0.002
_LONGEST = 0.05
_GROWTH = 1.5


class Patience:
    """A deadline in seconds, and the pauses until then, none longer than `longest` seconds."""

    def __init__(self, seconds: float, *, longest: float = _LONGEST) -> None:
        self._longest = longest
        self._end = time.monotonic() + seconds
        self._next = _FIRST
        self._bell = threading.Event()

    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() >= self._end

    def pause(self) -> None:
        """Wait a little, never beyond the deadline."""
        self._bell.wait(min(self._next, max(0.0, self._end - time.monotonic())))
        self._next = min(self._next * _GROWTH, self._longest)
