"""An open load while it runs: the schedule's greenlet, the watch over the generator, and the size of the pool of users."""

from __future__ import annotations

import time

import gevent

from harness.scenario import Scenario
from harness.schedule import starts
from loadtests.arrivals import Dispatch
from loadtests.pulse import Pulse


class OpenLoad:
    """Runs the schedule of a scenario once the pool is filled. `begun_ns` is when that was, None before."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._pulse = Pulse(scenario.starts.late_after)
        self._most = scenario.max_users or scenario.preallocated_users or 0
        self._wanted = scenario.preallocated_users or 0
        self._greenlet: gevent.Greenlet | None = None
        self.dispatch = Dispatch(scenario.parts, scenario.starts, time.monotonic_ns, self._pulse.is_behind)
        self.begun_ns: int | None = None

    def start(self) -> int:
        """Start the schedule, and return the time of its beginning."""
        schedule = starts(self._scenario.parts, self._scenario.starts.spacing, self._scenario.seed)
        self.begun_ns = time.monotonic_ns()
        self._pulse.start()
        self._greenlet = gevent.spawn(self.dispatch.run, schedule, self.begun_ns, gevent.sleep)
        return self.begun_ns

    def stop(self) -> None:
        """End the schedule; starts that were made are seen through."""
        self.dispatch.close()
        self._pulse.stop()
        if self._greenlet is not None:
            self._greenlet.kill()

    def pool(self, hired: int) -> int | None:
        """Return how many users the pool is to have: more, if starts found none free; None once the schedule is over."""
        if self.begun_ns is not None and time.monotonic_ns() >= self.begun_ns + self._scenario.seconds * 1e9:
            return None
        self._wanted = min(self._most, max(self._wanted, hired + self.dispatch.short))
        self.dispatch.short = 0
        return self._wanted
