"""Whether this process keeps up with its own work: how long the event loop is busy without a look at its sockets and timers.

An answer that has arrived but lies unread, and a start that is due but not made, look like a slow endpoint. The loop tells the
two apart: with a slow endpoint it idles, with a slow generator it never does. Knows gevent only.
"""

from __future__ import annotations

import time
from typing import Any

from gevent import get_hub

LEAST_IDLE = 0.05
"""Share of a window that the loop of a generator that keeps up idles at least."""
WINDOW_NS = 250_000_000
"""Length of a window."""
MEMORY_NS = 1_000_000_000
"""How long after it was behind the generator counts as behind: what was held up meanwhile shows later."""


class Pulse:
    """Watches the loop of this thread. It is behind when a single turn takes longer than `longest` seconds, or it never idles."""

    def __init__(self, longest: float) -> None:
        self._longest_ns = int(longest * 1e9)
        loop: Any = get_hub().loop
        # The last thing before the loop waits, and the first thing after.
        self._before, self._after = loop.prepare(priority=loop.MINPRI), loop.check(priority=loop.MAXPRI)
        self._awake_ns = self._window_ns = time.monotonic_ns()
        self._asleep_ns: int | None = None
        self._idle_ns = 0
        self._behind_until_ns = 0

    def start(self) -> None:
        """Begin to watch."""
        self._awake_ns = self._window_ns = time.monotonic_ns()
        self._before.start(self._fall_asleep)
        self._after.start(self._wake)

    def stop(self) -> None:
        """Cease to watch."""
        self._before.stop()
        self._after.stop()

    def is_behind(self) -> bool:
        """Whether the generator is behind, or was within the last second."""
        now = time.monotonic_ns()
        return now < self._behind_until_ns or now - self._awake_ns > self._longest_ns

    def _fall_asleep(self) -> None:
        now = self._asleep_ns = time.monotonic_ns()
        if now - self._awake_ns > self._longest_ns:
            self._behind_until_ns = now + MEMORY_NS

    def _wake(self) -> None:
        now = self._awake_ns = time.monotonic_ns()
        if self._asleep_ns is not None:
            self._idle_ns += now - self._asleep_ns
        if now - self._window_ns >= WINDOW_NS:
            if self._idle_ns < LEAST_IDLE * (now - self._window_ns):
                self._behind_until_ns = now + MEMORY_NS
            self._window_ns, self._idle_ns = now, 0
