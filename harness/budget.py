"""The budget of a run, held in one place while calls are made: what would exceed it does not start."""

from __future__ import annotations

import threading

from harness.errors import HarnessError
from harness.facts import Budget


class BudgetExceededError(HarnessError):
    """A call was not made because the profile's budget does not allow it."""


class Spending:
    """Counts calls and jobs of one run against the profile's budget. Safe to share between threads."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._lock = threading.Lock()
        self.calls = 0
        self.jobs = 0

    def spend(self, *, jobs: int = 0) -> None:
        """Account for one call that submits `jobs` jobs. Raises BudgetExceededError, and then counts nothing."""
        limit = self._budget
        with self._lock:
            if limit.calls is not None and self.calls + 1 > limit.calls:
                raise BudgetExceededError(f"the profile's budget of {limit.calls} calls is spent", hint="raise budget.calls")
            if limit.jobs is not None and self.jobs + jobs > limit.jobs:
                raise BudgetExceededError(
                    f"{jobs} more jobs exceed the profile's budget of {limit.jobs} ({self.jobs} spent)", hint="raise budget.jobs"
                )
            self.calls += 1
            self.jobs += jobs
