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
from loadtests.ledger import Doubt, LoadLedger
from loadtests.ledgers import merge
from loadtests.lifecycle import TrackedJob
from loadtests.receipts import Ids, ids_in
from loadtests.violations import SHOWN_IN_FULL
from loadtests.workload import Submission

KEYS = random.Random(7)  # noqa: S311 - nothing secret


def submission(*sizes: int) -> Submission:
    return Submission(Rpc.EXECUTE if len(sizes) == 1 else Rpc.BATCH, random_key(KEYS), sizes, False, False)


def ids_of(*several: tuple[str, ...]) -> Ids:
    """Return the ids of an answer: some for each of its requests."""
    return ids_in([list(ids) for ids in several])


def opened(*ids: str, status: Status | None = None) -> tuple[LoadLedger, tuple[TrackedJob, ...]]:
    """Return books with the jobs of one acknowledged request, and these jobs."""
    ledger, offer = LoadLedger(), submission(len(ids))
    ledger.offered(offer)
    ledger.sent(offer)
    jobs = ledger.acknowledged(offer, ids_of(ids), "call-1")
    if status is not None:
        for job in jobs:
            ledger.saw_status(job, status, "call-2")
    return ledger, jobs


def broken(ledger: LoadLedger) -> list[str]:
    return [item.requirement for item in ledger.summary().violations]


def test_a_run_without_faults_breaks_nothing_and_adds_up() -> None:
    ledger, offer = LoadLedger(), submission(2, 1)
    ledger.offered(offer)
    ledger.sent(offer)
    jobs = ledger.acknowledged(offer, ids_of(("a", "b"), ("c",)), "call-1")
    assert [job.text for job in jobs] == ["a", "b", "c"]
    ledger.replayed(offer, ids_of(("a", "b"), ("c",)), ids_of(("a", "b"), ("c",)), "call-2")
    for job, last, result in (
        (jobs[0], Status.SUCCEEDED, ResultStatus.SUCCESS),
        (jobs[1], Status.FAILED, ResultStatus.USER_FAILURE),
    ):
        for status in (Status.QUEUED, Status.RUNNING, Status.POST_PROCESSING, last, last):
            ledger.saw_status(job, status, "call-3")
        ledger.saw_result(job, result, "call-4")
        ledger.settle(job)
    ledger.saw_status(jobs[2], Status.CANCELED, "call-5")
    ledger.settle(jobs[2])
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
    ledger.acknowledged(offer, ids_of(*ids), "call-9")
    assert broken(ledger) == [requirement]
    assert "request id call-9" in ledger.summary().violations[0].observed


def test_an_id_that_another_submission_had_is_noticed_even_when_that_is_long_settled() -> None:
    ledger, (job,) = opened("a", status=Status.SUCCEEDED)
    ledger.settle(job)
    again = submission(2)
    ledger.sent(again)
    assert [job.text for job in ledger.acknowledged(again, ids_of(("b", "a")), "call-3")] == ["b"]
    assert broken(ledger) == ["EXEC-03"]
    assert ledger.summary().acknowledged_jobs == 2


@pytest.mark.parametrize(("sizes", "requirement"), [((2,), "IDEM-01"), ((1, 1), "BATCH-05")])
def test_a_replay_with_other_ids_or_a_denial_is_noticed(sizes: tuple[int, ...], requirement: str) -> None:
    ledger, offer = LoadLedger(), submission(*sizes)
    ledger.replayed(offer, ids_of(("a",), ("b",)), ids_of(("b",), ("a",)), "call-1")
    doubt = Doubt(offer, ids_of(("a",), ("b",)), ())
    ledger.replay_failed(doubt, "NOT_FOUND", "call-2")
    ledger.replay_failed(doubt, "UNAVAILABLE", "call-3")
    ledger.replay_failed(doubt, "INTERNAL", "call-4")
    assert broken(ledger) == [requirement, requirement]
    assert ledger.take_doubts() == [doubt]
    assert ledger.take_doubts() == []
    assert (ledger.summary().replays, ledger.summary().duplicated) == (4, 0)


@given(st.lists(st.sampled_from([status for status in Status if status is not Status.UNKNOWN]), min_size=1, max_size=8))
def test_status_moves_are_judged_as_by_the_model(seen: list[Status]) -> None:
    ledger, (job,) = opened("a")
    for status in seen:
        ledger.saw_status(job, status, "call")
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
        (lambda ledger, job: ledger.saw_status(job, Status.UNKNOWN, "c"), "STA-02"),
        (lambda ledger, job: ledger.status_failed(job, "NOT_FOUND", "c"), "STA-02"),
        (lambda ledger, job: ledger.saw_result(job, None, "c"), "RES-03"),
        (lambda ledger, job: ledger.saw_result(job, ResultStatus.UNKNOWN, "c"), "RES-03"),
        (lambda ledger, job: ledger.saw_result(job, ResultStatus.USER_FAILURE, "c"), "RES-01"),
        (lambda ledger, job: ledger.result_failed(job, "NOT_FOUND", "c"), "RES-01"),
    ],
)
def test_denied_jobs_and_results_that_disagree_are_noticed(
    fault: Callable[[LoadLedger, TrackedJob], None], requirement: str
) -> None:
    ledger, (job,) = opened("a", status=Status.SUCCEEDED)
    fault(ledger, job)
    assert broken(ledger) == [requirement]


@pytest.mark.parametrize("code", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "INTERNAL"])
def test_troubles_of_the_moment_break_no_promise(code: str) -> None:
    ledger, (job,) = opened("a", status=Status.SUCCEEDED)
    ledger.status_failed(job, code, "call")
    ledger.result_failed(job, code, "call")
    assert broken(ledger) == []


def test_unanswered_submissions_are_unknown_until_they_are_resolved() -> None:
    ledger = LoadLedger()
    lost, refused, resolved = submission(3), submission(1), submission(1)
    for offer in (lost, refused, resolved):
        ledger.offered(offer)
        ledger.sent(offer)
    ledger.refused(refused)
    assert ledger.unknown == (lost, resolved)
    ledger.sent(resolved)
    ledger.acknowledged(resolved, ids_of(("a",)), "call")
    books = ledger.summary()
    assert (books.submissions, books.unknown_submissions, books.acknowledged_jobs, books.unfinished) == (3, 1, 1, 1)
    assert (books.attempted_jobs, books.unknown_jobs) == (5, 3)
    assert books.violation_count == 0


def test_many_violations_are_all_counted_but_not_all_kept() -> None:
    ledger, jobs = opened(*(f"job-{number}" for number in range(SHOWN_IN_FULL + 25)))
    for job in jobs:
        ledger.saw_status(job, Status.UNKNOWN, "call")
    books = ledger.summary()
    assert books.violation_count == SHOWN_IN_FULL + 25
    assert len(books.violations) == SHOWN_IN_FULL


def test_a_job_that_is_denied_again_and_again_is_one_violation_and_given_up() -> None:
    ledger, (job,) = opened("a")
    assert [ledger.status_failed(job, "NOT_FOUND", "call") for _ in range(4)] == [False, False, True, True]
    assert broken(ledger) == ["STA-02"]


@pytest.mark.parametrize(("known", "lost"), [(False, 1), (True, 0)])
def test_only_a_job_that_is_denied_at_last_is_lost(known: bool, lost: int) -> None:
    ledger, (job,) = opened("a")
    ledger.status_failed(job, "NOT_FOUND", "call-2")
    ledger.settle(job)
    assert ledger.take_left() == [job]
    if known:
        ledger.saw_status(job, Status.RUNNING, "call-3")
    else:
        ledger.saw_status(job, Status.UNKNOWN, "call-3")
    ledger.close(job, "call-3")
    books = ledger.summary()
    assert (books.lost, books.unfinished) == (lost, 1 - lost)
    assert broken(ledger) == ["STA-02", "EXEC-05"][: 1 + lost]


def test_a_job_that_nobody_could_ask_for_again_is_unfinished_and_not_lost() -> None:
    ledger, (job,) = opened("a", status=Status.QUEUED)
    ledger.settle(job)
    (left,) = ledger.take_left()
    ledger.status_failed(left, "UNAVAILABLE", "call-3")
    ledger.close(left, "call-3")
    books = ledger.summary()
    assert (books.lost, books.unfinished, books.violation_count) == (0, 1, 0)


def test_a_finished_job_that_is_gone_before_its_result_was_fetched_is_lost() -> None:
    ledger, (job,) = opened("a", status=Status.SUCCEEDED)
    ledger.result_failed(job, "RESOURCE_EXHAUSTED", "call-3")
    ledger.settle(job)
    (left,) = ledger.take_left()
    ledger.status_failed(left, "NOT_FOUND", "call-4")
    ledger.close(left, "call-4")
    books = ledger.summary()
    assert (books.finished, books.lost, books.unfinished) == (1, 1, 0)
    assert broken(ledger) == ["STA-02", "EXEC-05"]


@pytest.mark.parametrize("fetched", [True, False])
def test_a_job_may_be_forgotten_once_its_result_was_fetched_or_may_have_been(fetched: bool) -> None:
    ledger, (job,) = opened("a", status=Status.SUCCEEDED)
    if fetched:
        ledger.saw_result(job, ResultStatus.SUCCESS, "call-3")
    else:
        ledger.result_failed(job, "DEADLINE_EXCEEDED", "call-3")
    ledger.settle(job)
    assert ledger.take_left() == ([] if fetched else [job])
    assert ledger.status_failed(job, "NOT_FOUND", "call-4")
    ledger.result_failed(job, "NOT_FOUND", "call-5")
    ledger.close(job, "call-5")
    assert (ledger.summary().lost, broken(ledger)) == (0, [])


@pytest.mark.parametrize("status", [None, Status.QUEUED, Status.CANCELED])
def test_a_job_that_was_to_be_cancelled_may_be_forgotten_and_counts_as_cancelled(status: Status | None) -> None:
    ledger, (job,) = opened("a", status=status)
    ledger.cancel_asked([job])
    assert ledger.status_failed(job, "NOT_FOUND", "call-3")
    ledger.settle(job)
    books = ledger.summary()
    assert ledger.take_left() == []
    assert (books.canceled, books.finished, books.unfinished, books.violation_count) == (1, 1, 0, 0)


def test_a_running_job_may_not_be_forgotten_whatever_was_asked() -> None:
    ledger, (job,) = opened("a", status=Status.RUNNING)
    ledger.cancel_asked([job])
    assert not ledger.status_failed(job, "NOT_FOUND", "call-3")
    assert broken(ledger) == ["STA-02"]


def test_jobs_that_are_left_alone_are_neither_unfinished_nor_asked_for() -> None:
    ledger, jobs = opened("a", "b")
    ledger.left_alone(jobs)
    for job in jobs:
        ledger.settle(job)
    assert ledger.take_left() == []
    assert (ledger.summary().not_followed, ledger.summary().unfinished) == (2, 0)


def test_a_result_belongs_to_its_own_configuration() -> None:
    ledger, offer = LoadLedger(), submission(2, 2)
    ledger.sent(offer)
    jobs = ledger.acknowledged(offer, ids_of(("a", "b"), ("c", "d")), "call-1")
    assert [job.place for job in jobs] == [0, 1, 2, 3]
    for job, shown in zip(jobs, (0, 2, 1, None), strict=True):
        ledger.saw_result(job, ResultStatus.SUCCESS, "call-2", shown)
    assert broken(ledger) == ["EXEC-02", "EXEC-02"]


@pytest.mark.parametrize(
    ("again", "duplicated", "requirements"),
    [(("a", "b"), 0, []), (("b", "a"), 0, ["IDEM-01"]), (("a", "x"), 1, ["IDEM-01"]), (("x", "y"), 2, ["IDEM-01"])],
)
def test_jobs_that_a_replay_makes_are_doubled(again: tuple[str, ...], duplicated: int, requirements: list[str]) -> None:
    ledger, offer = LoadLedger(), submission(2)
    ledger.replayed(offer, ids_of(("a", "b")), ids_of(again), "call")
    assert (ledger.summary().duplicated, broken(ledger)) == (duplicated, requirements)


@pytest.mark.parametrize("over", [True, False])
def test_a_doubtful_replay_may_make_new_jobs_only_when_the_first_ones_may_be_forgotten(over: bool) -> None:
    ledger, offer = LoadLedger(), submission(1)
    ledger.sent(offer)
    jobs = ledger.acknowledged(offer, ids_of(("a",)), "call-1")
    ledger.replay_failed(Doubt(offer, ids_of(("a",)), jobs), "UNAVAILABLE", "call-2")
    ledger.saw_status(jobs[0], Status.SUCCEEDED, "call-3")
    if over:
        ledger.saw_result(jobs[0], ResultStatus.SUCCESS, "call-4")
    (doubt,) = ledger.take_doubts()
    fresh = ledger.repeated(doubt, ids_of(("b",)), "call-5")
    ledger.not_repeated(doubt, "NOT_FOUND", "call-6")
    ledger.not_repeated(doubt, "UNAVAILABLE", "call-7")
    books = ledger.summary()
    assert [job.text for job in fresh] == (["b"] if over else [])
    assert (books.acknowledged_jobs, books.replays) == (1 + over, 1)
    assert (books.duplicated, broken(ledger)) == ((0, []) if over else (1, ["IDEM-01", "IDEM-01"]))


def test_ids_beyond_those_asked_for_are_unexpected() -> None:
    ledger = LoadLedger()
    for sizes, ids in (((1,), (("a", "b", "c"),)), ((1, 2), (("d",), ("e", "f", "g"))), ((1, 1), (("h",), ("i",), ("j", "k")))):
        offer = submission(*sizes)
        ledger.offered(offer)
        ledger.sent(offer)
        ledger.acknowledged(offer, ids_of(*ids), "call")
    books = ledger.summary()
    assert (books.unexpected, books.attempted_jobs, books.acknowledged_jobs) == (2 + 1 + 2, 6, 11)


def books_of(*ids: str, key: bytes = b"k") -> LoadLedger:
    ledger, offer = LoadLedger(key), submission(len(ids))
    ledger.offered(offer)
    ledger.sent(offer)
    ledger.acknowledged(offer, ids_of(ids), "call")
    return ledger


def test_the_books_of_several_processes_add_up_and_show_ids_that_two_were_given() -> None:
    ledgers = [books_of("a", "b", "c"), books_of("d", "a"), books_of("a", "c", "c")]
    apart = merge([ledger.summary() for ledger in ledgers])
    assert (apart.attempted_jobs, apart.acknowledged_jobs, apart.duplicated, apart.violation_count) == (8, 7, 1, 1)
    whole = merge([ledger.summary() for ledger in ledgers], [ledger.digests() for ledger in ledgers])
    assert (whole.acknowledged_jobs, whole.duplicated, whole.violation_count) == (7, 4, 4)
    assert whole.violations[0].requirement == "EXEC-03"
    assert "3 of them at two processes" in whole.violations[0].observed
    assert whole.violations[1:] == apart.violations


PATHS = st.lists(
    st.sampled_from([Status.QUEUED, Status.RUNNING, Status.POST_PROCESSING, Status.SUCCEEDED, Status.FAILED, Status.CANCELED]),
    max_size=5,
).filter(lambda seen: first_illegal_move(seen) is None)


@given(st.lists(st.tuples(PATHS, st.booleans(), st.booleans()), min_size=1, max_size=6))
def test_whatever_a_sound_endpoint_does_breaks_nothing_and_every_job_is_accounted_for(
    plans: list[tuple[list[Status], bool, bool]],
) -> None:
    ledger, jobs = opened(*(f"job-{place}" for place in range(len(plans))))
    for job, (path, cancelled, answered) in zip(jobs, plans, strict=True):
        if cancelled:
            ledger.cancel_asked([job])
        for status in path:
            ledger.saw_status(job, status, "call")
        last = path[-1] if path else None
        if last in {Status.SUCCEEDED, Status.FAILED}:
            if answered:
                good = ResultStatus.SUCCESS if last is Status.SUCCEEDED else ResultStatus.SERVICE_FAILURE
                ledger.saw_result(job, good, "call")
            else:
                ledger.result_failed(job, "UNAVAILABLE", "call")
        ledger.settle(job)
        if last in TERMINAL or (cancelled and last in {None, Status.QUEUED}):
            ledger.status_failed(job, "NOT_FOUND", "call")
    left = ledger.take_left()
    for job in left:
        ledger.close(job, "call")
    books = ledger.summary()
    assert (books.violation_count, books.lost, books.duplicated) == (0, 0, 0)
    assert books.finished + books.unfinished == books.acknowledged_jobs == len(plans)
    assert {job.text for job in jobs if job.status not in TERMINAL} <= {job.text for job in left}


@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_each_job_that_is_denied_to_the_end_is_lost_and_no_other(denied: list[bool]) -> None:
    ledger, jobs = opened(*(f"job-{place}" for place in range(len(denied))), status=Status.RUNNING)
    for job in jobs:
        ledger.settle(job)
    for job, is_denied in zip(ledger.take_left(), denied, strict=True):
        if is_denied:
            ledger.status_failed(job, "NOT_FOUND", "call")
        ledger.close(job, "call")
    books = ledger.summary()
    assert (books.lost, books.unfinished) == (sum(denied), len(denied) - sum(denied))
    assert books.violation_count == 2 * sum(denied)
