"""Runs checks on several targets at the same time, while whoever asks for their verdicts sees them in order.

A lane is one target with a thread of its own; inside a lane one check runs after the other. So a check never shares its
target with another check of ours, and one that is `alone` shares nothing at all. Knows neither pytest nor the endpoint.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

ALERT = 0.5
"""Seconds after which whoever waits looks up: a signal that comes just before a wait does not end it, and Python attends to
it only between two steps of the main thread."""
GRACE = 5.0
"""Seconds that checks under way have to end once a run has been stopped; whatever hangs longer is left behind."""


class Work(Protocol):
    """Something to be done on a lane."""

    @property
    def alone(self) -> bool:
        """Whether nothing else may run meanwhile, on any lane."""

    @property
    def ahead(self) -> bool:
        """Whether a lane may do it before its turn; if not, whoever waits does it, with all lanes idle."""

    @property
    def long(self) -> bool:
        """Whether it takes so long that lanes begin with it: begun last, it would keep one lane when the others are done."""

    def run(self, lane: int) -> None:
        """Do it, on the lane's thread."""

    def give_up(self) -> None:
        """Have `run` end soon; called from another thread."""

    def withdraw(self, patience: float) -> None:
        """Take back what was left behind at the endpoint, within so many seconds; called after `give_up`."""


class Lanes:
    """Lanes that do a list of work as far ahead of whoever waits as they get: what is long first, then the rest in its order.

    One lane alone keeps to the order and does not run ahead. `is_over` tells, after each piece, whether there is no use in
    going on.
    """

    def __init__(self, work: Sequence[Work], count: int, is_over: Callable[[], bool] = lambda: False) -> None:
        self._work = tuple(work)
        self._is_over = is_over
        self._changed = threading.Condition()
        early = [place for place, item in enumerate(self._work) if count > 1 and item.long and item.ahead]
        self._waiting = deque([*early, *(place for place in range(len(self._work)) if place not in early)])
        self._reached = -1
        self._running: set[int] = set()
        self._done: set[int] = set()
        self._broken: dict[int, BaseException] = {}
        self._end: float | None = None
        self._threads = [
            threading.Thread(target=self._serve, args=(lane,), name=f"lane {lane + 1}", daemon=True) for lane in range(count)
        ]
        self._started = False

    def reach(self, place: int) -> None:
        """Say that the work at `place` is due now; what is before it is no longer waited for."""
        with self._changed:
            self._reached = max(self._reached, place)
            self._changed.notify_all()
            started, self._started = self._started, True
        if not started:
            for thread in self._threads:
                thread.start()

    def wait(self, place: int) -> bool:
        """Wait until the work at `place` is done; False when it will not be. Raises what broke it."""
        with self._changed:
            while place not in self._done:
                if self._end is not None and (place not in self._running or time.monotonic() >= self._end):
                    return False
                self._changed.wait(ALERT if self._end is None else max(0.0, min(ALERT, self._end - time.monotonic())))
        if place in self._broken:
            raise self._broken[place]
        return True

    def wait_idle(self) -> None:
        """Wait until nothing runs: work that is due and not `ahead` keeps the rest from starting."""
        with self._changed:
            while self._running:
                self._changed.wait(ALERT)

    def stop(self) -> None:
        """Start nothing any more, and have what is under way end soon."""
        with self._changed:
            if self._end is None:
                self._end = time.monotonic() + GRACE
            running = sorted(self._running)
            self._changed.notify_all()
        for place in running:
            self._work[place].give_up()

    def close(self) -> None:
        """Stop, and take back what work that did not end by itself has left behind; takes no longer than twice `GRACE`."""
        with self._changed:
            abandoned = sorted(self._running)
        self.stop()
        end = time.monotonic() + GRACE
        for thread in self._threads if self._started else ():
            thread.join(max(0.0, end - time.monotonic()))
        end = time.monotonic() + GRACE
        for place in abandoned:
            self._work[place].withdraw(max(0.1, end - time.monotonic()))

    def _serve(self, lane: int) -> None:
        while (place := self._take()) is not None:
            try:
                self._work[place].run(lane)
            except BaseException as error:
                self._broken[place] = error
            with self._changed:
                self._running.discard(place)
                self._done.add(place)
                self._changed.notify_all()
            if self._is_over():
                self.stop()

    def _take(self) -> int | None:
        """Wait for the next work that may start, and return its place; None when there is none any more."""
        with self._changed:
            while self._end is None and self._waiting:
                place = self._waiting[0]
                if not self._work[place].ahead and place < self._reached:
                    self._waiting.popleft()
                elif self._may_start(place):
                    self._running.add(self._waiting.popleft())
                    return place
                else:
                    self._changed.wait()
            self._changed.notify_all()
            return None

    def _may_start(self, place: int) -> bool:
        work = self._work[place]
        due = place <= self._reached or len(self._threads) > 1
        free = not self._running if work.alone else not any(self._work[other].alone for other in self._running)
        return work.ahead and due and free
