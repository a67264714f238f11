"""The budget: exact at its limits, whatever the number of threads."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.budget import BudgetExceededError, Spending
from harness.errors import ExitCode
from harness.facts import Budget
from tests.edge.endpoints import PATIENCE

limits = st.none() | st.integers(0, 30)


@given(limits, limits, st.lists(st.integers(0, 12), max_size=20))
def test_what_is_spent_never_exceeds_the_budget_and_nothing_less_is_refused(
    jobs: int | None, calls: int | None, wishes: list[int]
) -> None:
    spending = Spending(Budget(jobs=jobs, calls=calls))
    for wish in wishes:
        before = (spending.calls, spending.jobs)
        fits = (calls is None or before[0] + 1 <= calls) and (jobs is None or before[1] + wish <= jobs)
        try:
            spending.spend(jobs=wish)
        except BudgetExceededError:
            assert not fits
            assert (spending.calls, spending.jobs) == before
        else:
            assert fits
            assert (spending.calls, spending.jobs) == (before[0] + 1, before[1] + wish)


def test_no_budget_no_limit() -> None:
    spending = Spending(Budget())
    for _ in range(100):
        spending.spend(jobs=1_000_000)
    assert (spending.calls, spending.jobs) == (100, 100_000_000)


def test_threads_share_it_exactly() -> None:
    spending, refused, start = Spending(Budget(jobs=1000, calls=400)), list[int](), threading.Barrier(8)

    def work() -> None:
        start.wait(PATIENCE)
        for _ in range(200):
            try:
                spending.spend(jobs=1)
            except BudgetExceededError:
                refused.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert (spending.calls, spending.jobs, len(refused)) == (400, 400, 1200)


def test_the_error_says_what_to_raise() -> None:
    with pytest.raises(
        BudgetExceededError, match=r"4 more jobs exceed the profile's budget of 3 \(0 spent\); raise budget\.jobs"
    ) as caught:
        Spending(Budget(jobs=3)).spend(jobs=4)
    assert caught.value.exit_code is ExitCode.USAGE
