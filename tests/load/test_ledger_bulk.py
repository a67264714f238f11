"""Ids that come in by the hundred: what the ledger says of them is what it would say of each alone."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.ledger import Doubt, LoadLedger
from loadtests.lifecycle import TrackedJob
from loadtests.receipts import ids_in
from tests.load.test_ledger import broken, ids_of, submission

NAMES = st.sampled_from(["", "a", "b", "c", "é", *(f"job-{number}" for number in range(30))])
ANSWERED = st.lists(
    st.tuples(
        st.lists(st.integers(1, 4), min_size=1, max_size=3),
        st.lists(st.lists(NAMES, max_size=5), max_size=4),
        st.booleans(),
    ),
    max_size=6,
)
"""How many configurations each request had, the ids that came for each, and whether somebody follows the jobs."""


@given(ANSWERED)
def test_answers_are_entered_as_if_id_by_id(answered: list[tuple[list[int], list[list[str]], bool]]) -> None:
    ledger, seen, broken_by_hand, fresh, unexpected, left = LoadLedger(), set[str](), Counter[str](), list[str](), 0, 0
    tracked: list[TrackedJob] = []
    for sizes, several, followed in answered:
        offer, before = submission(*sizes), len(fresh)
        ledger.sent(offer)
        if followed:
            tracked += ledger.acknowledged(offer, ids_in(several), "call")
        else:
            ledger.acknowledged_only(offer, ids_in(several), "call")
        if [len(ids) for ids in several] != sizes:
            broken_by_hand["EXEC-01" if len(sizes) == len(several) == 1 else "BATCH-01"] += 1
        unexpected += sum(
            max(0, len(ids) - size) for ids, size in zip(several, sizes, strict=False) if len(several) == len(sizes)
        )
        unexpected += sum(map(len, several[len(sizes) :]))
        for job_id in (job_id for ids in several for job_id in ids):
            if not job_id or job_id in seen:
                broken_by_hand["EXEC-03"] += 1
            else:
                fresh.append(job_id)
            seen.add(job_id)
        if not followed:
            left += len(fresh) - before
            del fresh[before:]
    books = ledger.summary()
    assert Counter(broken(ledger)) == broken_by_hand
    assert [job.text for job in tracked] == fresh
    assert (books.unexpected, books.not_followed, books.acknowledged_jobs) == (unexpected, left, left + len(fresh))
    assert books.unfinished == len(fresh)
    again = sum("again" in violation.observed for violation in books.violations)
    assert (books.duplicated, books.violation_count) == (again, broken_by_hand.total())


@pytest.mark.parametrize("sizes", [(2,), (1, 1)])
def test_a_submission_that_nobody_follows_has_to_be_answered_the_same_again(sizes: tuple[int, ...]) -> None:
    ledger, offer = LoadLedger(), submission(*sizes)
    ids = ids_of(("a", "b")) if len(sizes) == 1 else ids_of(("a",), ("b",))
    ledger.sent(offer)
    ledger.acknowledged_only(offer, ids, "call-1")
    ledger.replay_failed(Doubt(offer, ids, ()), "UNAVAILABLE", "call-2")
    (doubt,) = ledger.take_doubts()
    assert ledger.repeated(doubt, ids, "call-3") == ()
    assert broken(ledger) == []
    ledger.repeated(doubt, ids_of(("a", "c")), "call-4")
    ledger.not_repeated(doubt, "NOT_FOUND", "call-5")
    rule = "IDEM-01" if len(sizes) == 1 else "BATCH-05"
    assert broken(ledger) == [rule, rule]
    assert ledger.summary().duplicated == 1
