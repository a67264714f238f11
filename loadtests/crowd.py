"""The one user of engine mode: all users of a closed loop in one, or all starts of an open load.

Knows gevent, but not Locust. What it drives are drivers' programs, on an `Engine`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from gevent.event import Event

from loadtests.arrivals import Dispatch, Seat
from loadtests.driver import Driver
from loadtests.engine import Engine

REFILL = 0.05
"""Seconds between two looks at how many users are due."""


class Crowd:
    """Stands for all users of a closed loop. `due` says how many there are to be now, `hire` makes one more."""

    def __init__(self, engine: Engine, hire: Callable[[], Driver], due: Callable[[], int]) -> None:
        self._engine = engine
        self._hire = hire
        self._due = due
        self._most = 0
        self._idle: list[Driver] = []
        self.users = 0

    def work(self, asked_to_stop: Event) -> None:
        """Keep as many users at work as are due, until asked to stop; then see through what they have begun."""
        while not asked_to_stop.is_set():
            self._resize(self._due())
            asked_to_stop.wait(REFILL)
        self._resize(0)
        self._engine.idle.wait()

    def _resize(self, most: int) -> None:
        self._most = most
        while self.users < most:
            self.users += 1
            self._next(self._idle.pop() if self._idle else self._hire())

    def _next(self, driver: Driver) -> None:
        """Have a user make its next submission, or go home if there are too many."""
        if self.users > self._most:
            self.users -= 1
            self._idle.append(driver)
            return
        self._engine.run(driver.step(), lambda: self._rest(driver))

    def _rest(self, driver: Driver) -> None:
        pause = driver.pause()
        if pause:
            self._engine.timers.after(pause, lambda: self._next(driver))
        else:
            self._next(driver)


class Stream:
    """Stands for the users of an open load: a pool of so many at first and so many at most, each with a seat in the dispatch.

    The run begins at `origin_ns`.
    """

    def __init__(
        self, engine: Engine, hire: Callable[[], Driver], dispatch: Dispatch, pool: tuple[int, int], origin_ns: int
    ) -> None:
        self._engine = engine
        self._hire = hire
        self._dispatch = dispatch
        self._origin_ns = origin_ns
        self._first, self._most = pool
        self._present = 0
        self._grow(self._first)

    def work(self, asked_to_stop: Event) -> None:
        """Make the submissions that fall due, until asked to stop; then see through what has begun."""
        while not asked_to_stop.is_set():
            short, self._dispatch.short = self._dispatch.short, 0
            self._grow(min(self._most, self._present + short))
            asked_to_stop.wait(REFILL)
        self._engine.idle.wait()

    def _grow(self, users: int) -> None:
        while self._present < users:
            self._present += 1
            driver = self._hire()
            seat = Seat(lambda: None)
            seat.wake = functools.partial(self._begin, driver, seat)
            self._dispatch.free(seat)

    def _begin(self, driver: Driver, seat: Seat) -> None:
        due_ns = self._dispatch.begin(seat) - self._origin_ns
        self._engine.run(driver.step(due_ns), functools.partial(self._dispatch.free, seat))
