"""The books of a load run: what they count, and each broken promise that they notice."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.history import Rpc
from harness.ids import random_key
from harness.model import TERMINAL, ResultStatus, Status, first_illegal_move
from loadtests.ledger import SHOWN_IN_FULL, LoadLedger
from loadtests.workload import Submission

KEYS = random.Random(7)  # noqa: S311 - nothing secret


def submission(*sizes: int) -> Submission:
    return Submission(Rpc.EXECUTE if len(sizes) == 1 else Rpc.BATCH, random_key(KEYS), sizes, False, False)


def opened(*ids: str, status: Status | None = None) -> LoadLedger:
    """Return books with the jobs of one acknowledged request."""
    ledger, offer = LoadLedger(), submission(len(ids))
    ledger.offered()
    ledger.sent(offer)
    ledger.acknowledged(offer, (ids,), "call-1")
    if status is not None:
        for job_id in ids:
            ledger.saw_status(job_id, status, "call-2")
    return ledger


def broken(ledger: LoadLedger) -> list[str]:
    return [item.requirement for item in ledger.summary().violations]


def test_a_run_without_faults_breaks_nothing_and_adds_up() -> None:
    ledger, offer = LoadLedger(), submission(2, 1)
    ledger.offered()
    ledger.sent(offer)
    assert ledger.acknowledged(offer, (("a", "b"), ("c",)), "call-1") == ("a", "b", "c")
    ledger.replayed(offer, (("a", "b"), ("c",)), (("a", "b"), ("c",)), "call-2")
    for job_id, last, result in (
        ("a", Status.SUCCEEDED, ResultStatus.SUCCESS),
        ("b", Status.FAILED, ResultStatus.USER_FAILURE),
    ):
        for status in (Status.QUEUED, Status.RUNNING, Status.POST_PROCESSING, last, last):
            ledger.saw_status(job_id, status, "call-3")
        ledger.saw_result(job_id, result, "call-4")
        ledger.settle(job_id)
    ledger.saw_status("c", Status.CANCELED, "call-5")
    ledger.settle("c")
    books = ledger.summary()
    assert (books.submissions, books.acknowledged_jobs, books.replays, books.unknown_submissions) == (1, 3, 1, 0)
    assert (books.finished, books.canceled, books.failed, books.unfinished) == (3, 1, 1, 0)
    assert (books.violation_count, books.violations) == (0, ())


@pytest.mark.parametrize(
    ("sizes", "ids", "requirement"),
    [
        ((3,), (("a", "b"),), "EXEC-01"),
        ((1,), (("a", "b"),), "EXEC-01"),
        ((2,), ((),), "EXEC-01"),
        ((2, 1), (("a", "b"),), "BATCH-01"),
        ((2, 1), (("a",), ("b", "c")), "BATCH-01"),
        ((2,), (("a", "a"),), "EXEC-03"),
        ((2,), (("a", ""),), "EXEC-03"),
        ((1, 1), (("a",), ("a",)), "EXEC-03"),
    ],
)
def test_wrong_ids_in_an_answer_are_noticed(sizes: tuple[int, ...], ids: tuple[tuple[str, ...], ...], requirement: str) -> None:
    ledger, offer = LoadLedger(), submission(*sizes)
    ledger.sent(offer)
    ledger.acknowledged(offer, ids, "call-9")
    assert broken(ledger) == [requirement]
    assert "request id call-9" in ledger.summary().violations[0].observed


def test_an_id_that_another_submission_had_is_noticed_even_when_that_is_long_settled() -> None:
    ledger = opened("a", status=Status.SUCCEEDED)
    ledger.settle("a")
    again = submission(2)
    ledger.sent(again)
    assert ledger.acknowledged(again, (("b", "a"),), "call-3") == ("b",)
    assert broken(ledger) == ["EXEC-03"]
    assert ledger.summary().acknowledged_jobs == 2


@pytest.mark.parametrize(("sizes", "requirement"), [((2,), "IDEM-01"), ((1, 1), "BATCH-05")])
def test_a_replay_with_other_ids_or_a_denial_is_noticed(sizes: tuple[int, ...], requirement: str) -> None:
    ledger, offer = LoadLedger(), submission(*sizes)
    ledger.replayed(offer, (("a",), ("b",)), (("b",), ("a",)), "call-1")
    ledger.replay_failed(offer, "NOT_FOUND", "call-2")
    ledger.replay_failed(offer, "UNAVAILABLE", "call-3")
    assert broken(ledger) == [requirement, requirement]
    assert ledger.summary().replays == 3


@given(st.lists(st.sampled_from([status for status in Status if status is not Status.UNKNOWN]), min_size=1, max_size=8))
def test_status_moves_are_judged_as_by_the_model(seen: list[Status]) -> None:
    ledger = opened("a")
    for status in seen:
        ledger.saw_status("a", status, "call")
    illegal = first_illegal_move(seen) is not None
    assert set(broken(ledger)) == ({"STA-01"} if illegal else set())
    finished = [status for status in seen if status in TERMINAL]
    books = ledger.summary()
    assert books.finished == bool(finished)
    assert books.unfinished == (not finished)
    assert books.canceled == (finished[:1] == [Status.CANCELED])
    assert books.failed == (finished[:1] == [Status.FAILED])


@pytest.mark.parametrize(
    ("fault", "requirement"),
    [
        (lambda ledger: ledger.saw_status("a", Status.UNKNOWN, "c"), "STA-02"),
        (lambda ledger: ledger.status_failed("a", "NOT_FOUND", "c"), "STA-02"),
        (lambda ledger: ledger.saw_result("a", None, "c"), "RES-03"),
        (lambda ledger: ledger.saw_result("a", ResultStatus.UNKNOWN, "c"), "RES-03"),
        (lambda ledger: ledger.saw_result("a", ResultStatus.USER_FAILURE, "c"), "RES-01"),
        (lambda ledger: ledger.result_failed("a", "NOT_FOUND", "c"), "RES-01"),
    ],
)
def test_denied_jobs_and_results_that_disagree_are_noticed(fault: Callable[[LoadLedger], None], requirement: str) -> None:
    ledger = opened("a", status=Status.SUCCEEDED)
    fault(ledger)
    assert broken(ledger) == [requirement]


@pytest.mark.parametrize("code", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "INTERNAL"])
def test_troubles_of_the_moment_break_no_promise(code: str) -> None:
    ledger = opened("a", status=Status.SUCCEEDED)
    ledger.status_failed("a", code, "call")
    ledger.result_failed("a", code, "call")
    assert broken(ledger) == []


def test_unanswered_submissions_are_unknown_until_they_are_resolved() -> None:
    ledger = LoadLedger()
    lost, refused, resolved = submission(1), submission(1), submission(1)
    for offer in (lost, refused, resolved):
        ledger.offered()
        ledger.sent(offer)
    ledger.refused(refused)
    assert ledger.unknown == (lost, resolved)
    ledger.sent(resolved)
    ledger.acknowledged(resolved, (("a",),), "call")
    books = ledger.summary()
    assert (books.submissions, books.unknown_submissions, books.acknowledged_jobs, books.unfinished) == (3, 1, 1, 1)
    assert books.violation_count == 0


def test_many_violations_are_all_counted_but_not_all_kept() -> None:
    ledger = opened("a")
    for _ in range(SHOWN_IN_FULL + 25):
        ledger.saw_status("a", Status.UNKNOWN, "call")
    books = ledger.summary()
    assert books.violation_count == SHOWN_IN_FULL + 25
    assert len(books.violations) == SHOWN_IN_FULL
