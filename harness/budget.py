"""The budget of a run, held in one place while calls are made: what would exceed it does not start.

A run spends from one `Spending`; each check has an `Account` in it, with limits of its own where the tier sets them.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Protocol

from harness.errors import HarnessError
from harness.facts import Budget


class BudgetExceededError(HarnessError):
    """A call was not made because the profile's budget, or the tier, does not allow it."""


class TierError(Exception):
    """A check tried to change something in a run that may only read: a mistake in the suite."""


@dataclass(frozen=True)
class Cost:
    """What something takes: jobs in submissions (accepted or not) and calls of any kind."""

    jobs: int = 0
    calls: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.jobs + other.jobs, self.calls + other.calls)

    def beyond(self, spent: Cost) -> Cost:
        """Return what is left of this when so much of it is spent, never below zero."""
        return Cost(max(0, self.jobs - spent.jobs), max(0, self.calls - spent.calls))


class Spender(Protocol):
    """Whatever calls are accounted to."""

    def spend(self, *, jobs: int = 0, changes: bool = False) -> None:
        """Account for one call that submits `jobs` jobs; `changes` says that it may change something on the endpoint."""


class Spending:
    """Counts calls and jobs of one run against the profile's budget. Safe to share between threads."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._lock = threading.Lock()
        self._accounts: list[Account] = []
        self.calls = 0
        self.jobs = 0

    def spend(self, *, jobs: int = 0, changes: bool = False) -> None:  # noqa: ARG002 - accounts look at it
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

    def account(self, *, reads_only: bool = False, most_jobs: int | None = None) -> Account:
        """Open an account for one check: `reads_only` refuses whatever changes something, `most_jobs` is its own limit."""
        return Account(self, reads_only=reads_only, most_jobs=most_jobs)

    def reserve(self, account: Account, cost: Cost) -> None:
        """Set aside what a check is going to cost, until its account is closed. Raises BudgetExceededError.

        Accounts share what is left: what others have set aside and not yet spent is not there any more.
        """
        with self._lock:
            reserved = sum((other.reserved.beyond(other.spent) for other in self._accounts), Cost())
            for what, limit, spent, aside, wanted in (
                ("jobs", self._budget.jobs, self.jobs, reserved.jobs, cost.jobs),
                ("calls", self._budget.calls, self.calls, reserved.calls, cost.calls),
            ):
                if limit is not None and spent + aside + wanted > limit:
                    left = max(0, limit - spent - aside)
                    text = f"it takes about {wanted:,} {what}, and {left:,} are left of the profile's budget of {limit:,}"
                    raise BudgetExceededError(text, hint=f"raise budget.{what}")
            account.reserved = cost
            self._accounts.append(account)

    def release(self, account: Account) -> None:
        """Give back what an account has set aside and not spent."""
        with self._lock:
            self._accounts = [other for other in self._accounts if other is not account]


class Account:
    """What one check spends, on its own and for the run. Safe to share between threads."""

    def __init__(self, whole: Spending, *, reads_only: bool, most_jobs: int | None) -> None:
        self._whole = whole
        self._reads_only = reads_only
        self._most_jobs = most_jobs
        self._lock = threading.Lock()
        self.spent = Cost()
        self.reserved = Cost()

    def spend(self, *, jobs: int = 0, changes: bool = False) -> None:
        """Account for one call. Raises TierError or BudgetExceededError, and then counts nothing."""
        if self._reads_only and (changes or jobs):
            raise TierError("a check of the tier read-only tried to submit or to cancel")
        with self._lock:
            if self._most_jobs is not None and self.spent.jobs + jobs > self._most_jobs:
                raise BudgetExceededError(f"the tier allows a check {self._most_jobs} jobs", hint="choose a larger --tier")
            self._whole.spend(jobs=jobs, changes=changes)
            self.spent += Cost(jobs, 1)

    def reserve(self, cost: Cost) -> None:
        """Set aside what the check is going to cost. Raises BudgetExceededError when that is not there."""
        if self._most_jobs is not None and cost.jobs > self._most_jobs:
            text = f"it takes about {cost.jobs:,} jobs, and the tier allows a check {self._most_jobs}"
            raise BudgetExceededError(text, hint="choose a larger --tier")
        self._whole.reserve(self, cost)

    def close(self) -> None:
        """Give back what was set aside and not spent."""
        self._whole.release(self)
