"""Locust's view of a scenario: how many users there are at any moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from locust import LoadTestShape

from harness.scenario import CALLBACKS, Scenario, users_at

MOST_AT_ONCE = 100.0
"""Users per second above which Locust warns of trouble of its own."""


class ScenarioShape(LoadTestShape):
    """Moves the number of users as the scenario says; Locust asks once a second.

    `scenario` is set before the first run. In an open load, `pool` tells the size of the pool of users (None: the run is over);
    it is None until there is a run. `finished` says whether the last run came to the scenario's own end. While it is `held`, as
    workers are ending, nothing changes any more.
    """

    scenario: Scenario
    pool: Callable[[], int | None] | None = None

    def __init__(self) -> None:
        self.reset_time()

    def reset_time(self) -> None:
        """Start over; Locust calls this when a run begins."""
        self._started = time.monotonic()
        self._last: tuple[int, float] | None = None
        self._processes = 0
        self.held = False
        self._cut_short = False
        self.finished = False

    def cut_short(self) -> None:
        """End the run at the next look, within a second."""
        self._cut_short = True

    def tick(self) -> tuple[int, float] | None:
        """Return the number of users due and how many to start or stop per second; None ends the run."""
        if self.held and not self._cut_short:
            return self._last
        users = self._due()
        if users is not None and self.scenario.engine == CALLBACKS:
            # One in each process drives all that are due there; of a process that is lost, nobody takes the place.
            runner: Any = self.runner
            self._processes = self._processes or (1 if runner is None else runner.worker_count)
            users = self._processes
        self.finished = users is None and not self._cut_short
        self._last = None if users is None or self._cut_short else (users, self._rate(users))
        return self._last

    def _due(self) -> int | None:
        if not self.scenario.is_open:
            return users_at(self.scenario, time.monotonic() - self._started)
        return self.scenario.preallocated_users if self.pool is None else self.pool()

    def _rate(self, users: int) -> float:
        if self.scenario.users is not None and self.scenario.engine != CALLBACKS:
            return self.scenario.spawn_rate or min(float(users), MOST_AT_ONCE)
        present = self.runner.user_count if self.runner is not None else 0
        return min(float(max(1, abs(users - present))), MOST_AT_ONCE)
