"""Offers the starts of an open load when they are due, by a timer in gevent's loop.

Many starts are made per turn of the loop when they come thick and fast: a turn costs more than a start. Knows gevent only.
"""

from __future__ import annotations

import time

from loadtests.arrivals import BURST, Dispatch
from loadtests.transport.precise import PreciseTimer

TICK_NS = 250_000
"""Least time between two looks at the schedule: what is due meanwhile is made together, half a tick late on average."""


class Pacer:
    """Follows the schedule of a `Dispatch`."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self._timer = PreciseTimer(self._look)

    def go_on(self) -> None:
        """Follow the schedule, from now on or again after it was extended."""
        if self._dispatch.next_due_ns is not None:
            self._timer.at(self._dispatch.next_due_ns / 1e9)

    def close(self) -> None:
        """Follow it no longer."""
        self._timer.close()

    def _look(self) -> None:
        now = time.monotonic_ns()
        due = self._dispatch.take_due(now)
        for due_ns in due:
            self._dispatch.offer(due_ns)
        next_ns = self._dispatch.next_due_ns
        if next_ns is not None:
            # After a burst, users have a turn at once; else what is due soon is gathered.
            self._timer.at((now if len(due) == BURST else max(next_ns, now + TICK_NS)) / 1e9)
