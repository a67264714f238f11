"""How a user comes by its work: by itself, one submission after the other, or from the schedule of an open load."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gevent.event import Event

from loadtests.arrivals import Dispatch, Seat
from loadtests.driver import Driver
from loadtests.program import Program


class Worker(Protocol):
    """The work of one user."""

    def work(self, asked_to_stop: Event) -> None:
        """Work until asked to stop, then finish what was begun. Raises HarnessError."""


class Looper:
    """A user of a closed loop: it rests after a submission and makes the next one. `run` runs a program and waits for its end."""

    def __init__(self, driver: Driver, run: Callable[[Program[object]], None]) -> None:
        self._driver = driver
        self._run = run

    def work(self, asked_to_stop: Event) -> None:
        """Make submissions and see them through, until asked to stop. Raises HarnessError."""
        while not asked_to_stop.is_set():
            self._run(self._driver.step())
            asked_to_stop.wait(self._driver.pause())


class Waiter:
    """A user of the pool of an open load: it makes a submission whenever it is given a start."""

    def __init__(self, driver: Driver, run: Callable[[Program[object]], None], dispatch: Dispatch, origin_ns: int) -> None:
        self._driver = driver
        self._run = run
        self._dispatch = dispatch
        self._origin_ns = origin_ns

    def work(self, asked_to_stop: Event) -> None:
        """Make the submissions that it is given, until asked to stop. Raises HarnessError."""
        bell = Event()
        seat = Seat(bell.set)
        asked_to_stop.rawlink(lambda _: bell.set())
        try:
            while True:
                bell.clear()
                self._dispatch.free(seat)
                if not asked_to_stop.is_set():
                    bell.wait()
                if seat.due_ns is None:
                    return
                self._run(self._driver.step(self._dispatch.begin(seat) - self._origin_ns))
        finally:
            self._dispatch.leave(seat)
