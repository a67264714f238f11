"""An open load while it runs: the schedule, the watch over the generator, and the size of the pool of users."""

from __future__ import annotations

import time
from collections.abc import Sequence

from harness.scenario import Scenario
from harness.schedule import Segment, starts
from loadtests.arrivals import Dispatch
from loadtests.pacer import Pacer
from loadtests.pulse import Pulse


class OpenLoad:
    """Runs the schedule of a scenario once the pool is filled, or the turns of number `worker` of `workers` in it.

    `begun_ns` is when that was, None before. The schedule of a search is made while it runs: by `enter`, until `conclude`.
    """

    def __init__(self, scenario: Scenario, worker: int = 0, workers: int = 1) -> None:
        self._scenario = scenario
        self._turns = (worker, workers)
        self._pulse = Pulse(scenario.starts.late_after)
        self._most = scenario.max_users or scenario.preallocated_users or 0
        self._wanted = scenario.preallocated_users or 0
        self.dispatch = Dispatch(scenario.parts, scenario.starts, time.monotonic_ns, self._pulse.is_behind)
        self._pacer = Pacer(self.dispatch)
        self._entered = 0
        self._concluded = False
        self.begun_ns: int | None = None

    def start(self) -> int:
        """Start the schedule, and return the time of its beginning."""
        schedule = starts(self._scenario.parts, self._scenario.starts.spacing, self._scenario.seed, *self._turns)
        self.begun_ns = time.monotonic_ns()
        self._pulse.start()
        if not self._scenario.is_search:
            self.dispatch.follow(schedule, self.begun_ns)
            self._pacer.go_on()
        return self.begun_ns

    def enter(self, parts: Sequence[Segment]) -> int:
        """Go on with further parts at once, and return the time of their beginning."""
        begun_ns = time.monotonic_ns()
        self._entered += 1
        self.dispatch.enter(parts, starts(parts, self._scenario.starts.spacing, self._scenario.seed + self._entered), begun_ns)
        self._pacer.go_on()
        return begun_ns

    def conclude(self) -> None:
        """Have the schedule be over: no further parts will come."""
        self._concluded = True

    @property
    def is_over(self) -> bool:
        """Whether the last start has fallen due."""
        if self._scenario.is_search:
            return self._concluded
        return self.begun_ns is not None and time.monotonic_ns() >= self.begun_ns + self._scenario.seconds * 1e9

    def stop(self) -> None:
        """End the schedule; starts that were made are seen through."""
        self._pacer.close()
        self.dispatch.close()
        self._pulse.stop()

    def pool(self, hired: int) -> int | None:
        """Return how many users the pool is to have: more, if starts found none free; None once the schedule is over."""
        if self.is_over:
            return None
        self._wanted = min(self._most, max(self._wanted, hired + self.dispatch.short))
        self.dispatch.short = 0
        return self._wanted
