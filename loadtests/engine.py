"""Engine mode: one user drives many programs by callbacks in gevent's hub, without a greenlet for each.

A program that waits for an answer or rests costs a few hundred octets and no switch of stacks, so one process carries far more of
them, and each call is cheaper. Knows gevent, but not Locust.
"""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections.abc import Callable
from typing import Any

from gevent.event import Event

from harness.errors import HarnessError, NotValidError
from loadtests.program import Answer, Ask, Program
from loadtests.transport.precise import PreciseTimer

TICK = 0.0005
"""Rests end at multiples of this time, in seconds, so that many end together: a turn of the loop costs more than a step."""


class Timers:
    """Wakes many by one timer. `after` may be called by those that are woken."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._timer: Any = PreciseTimer(self._ring)
        self._armed = math.inf

    def after(self, seconds: float, wake: Callable[[], object]) -> None:
        """Call `wake` in the hub when so many seconds have passed, at the next tick."""
        due = math.ceil((self._clock() + seconds) / TICK) * TICK
        heapq.heappush(self._heap, (due, next(self._numbers), wake))
        if due < self._armed:
            self._armed = due
            self._timer.at(due)

    def close(self) -> None:
        """Wake nobody any more."""
        self._heap.clear()
        self._timer.close()

    def _ring(self) -> None:
        now, heap = self._clock(), self._heap
        self._armed = math.inf
        while heap and heap[0][0] <= now:
            heapq.heappop(heap)[2]()
        if heap and heap[0][0] < self._armed:
            self._armed = heap[0][0]
            self._timer.at(self._armed)


class Engine:
    """Runs programs. `start` makes a call without waiting, `failed` hears of errors of the harness that a program raised.

    `running` is the number of programs that are not over; `idle` is set while there are none.
    """

    def __init__(
        self,
        start: Callable[[Ask, Callable[[Answer], object]], None],
        failed: Callable[[HarnessError], None],
        timers: Timers,
    ) -> None:
        self._start = start
        self._failed = failed
        self.timers = timers
        self.running = 0
        self.idle = Event()
        self.idle.set()

    def run(self, program: Program[object], done: Callable[[], object]) -> None:
        """Begin with a program, at once; `done` is called when it is over."""
        self.running += 1
        self.idle.clear()
        _Run(self, program, done).begin()

    def ended(self, done: Callable[[], object], error: HarnessError | None) -> None:
        """Take note that a program is over."""
        if error is not None:
            self._failed(error)
        done()
        self.running -= 1
        if not self.running:
            self.idle.set()


class _Run:
    """One program under way."""

    __slots__ = ("_done", "_engine", "_program", "_send", "_start")

    def __init__(self, engine: Engine, program: Program[object], done: Callable[[], object]) -> None:
        self._engine = engine
        self._start = engine._start
        self._program = program
        self._send = program.send
        self._done = done

    def begin(self) -> None:
        """Run the program until it waits for the first time."""
        self._go_on(None)

    def _rested(self) -> None:
        self._go_on(None)

    def _go_on(self, answer: Answer | None) -> None:
        """Run the program until it waits again."""
        try:
            wish = self._send(answer)
            while True:
                if isinstance(wish, Ask):
                    try:
                        self._start(wish, self._go_on)
                    except HarnessError as error:
                        wish = self._program.throw(error)
                        continue
                    return
                self._engine.timers.after(wish, self._rested)
                return
        except StopIteration:
            self._engine.ended(self._done, None)
        except HarnessError as error:
            self._engine.ended(self._done, error)
        except Exception as error:
            self._engine.ended(self._done, crashed(error))


def crashed(error: BaseException) -> NotValidError:
    """Return what a run says of a fault in the work of a user."""
    text = f"a user crashed: {type(error).__name__}: {error}"
    return NotValidError(text, hint="this is a fault of the harness, not of the endpoint")
