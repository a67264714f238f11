"""One job's life: what its reads, fetches and cancels allow, and what they do not."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checker import LEGAL, judge
from harness.history import Failed, Ok, Operation, Outcome, Rpc, Unknown
from harness.joblife import Violation
from harness.model import first_illegal_move
from harness.sightings import sighting
from tests.stories import LOST, NOT_FOUND, Story

SPANS = st.tuples(st.integers(0, 6), st.integers(0, 4)).map(lambda pair: (pair[0], pair[0] + pair[1]))


STATUSES = st.sampled_from(["QUEUED", "RUNNING", "POST_PROCESSING", "SUCCEEDED", "FAILED", "CANCELED"])


@given(st.lists(st.tuples(SPANS, STATUSES), max_size=5))
def test_reads_are_legal_exactly_if_some_order_explains_them(reads: list[tuple[tuple[int, int], str]]) -> None:
    story = Story()
    for span, status in reads:
        story.read("a", status, at=span)

    def explains(order: Sequence[Operation]) -> bool:
        in_time = all(not late.ended_ns < early.started_ns for early, late in itertools.combinations(order, 2))
        seen = [sighting(item).status for item in order]  # type: ignore[union-attr]
        return in_time and first_illegal_move([status for status in seen if status is not None]) is None  # type: ignore[misc]

    explained = any(explains(order) for order in itertools.permutations(story.operations))
    assert ("STA-01" not in {name for name, _ in story.broken()}) == explained


def test_overlapping_ends_break_the_one_order_too() -> None:
    story = Story()
    story.read("a", "SUCCEEDED", at=(0, 10))
    story.read("a", "FAILED", at=(5, 15))
    assert story.broken() == [("STA-01", (1, 2)), ("STA-05", (1, 2))]


@pytest.mark.parametrize("more", [{"at": (3, 30)}, {"identity": "other"}])
def test_only_its_caller_is_owed_a_status_after_the_acknowledgement(more: dict[str, Any]) -> None:
    story = Story()
    story.submit("a", at=(0, 5))
    story.read("a", None, **more)
    assert story.broken() == []


@pytest.mark.parametrize(("at", "broken"), [((40, 50), []), ((51, 60), [("STA-02", (1, 2))])])
def test_a_fetch_that_began_in_time_explains_a_forgotten_job(at: tuple[int, int], broken: list[object]) -> None:
    story = Story()
    story.submit("a")
    story.read("a", None, at=(30, 50))
    story.fetch("a", "SUCCESS", at=at)
    assert story.broken() == broken


def test_a_refused_fetch_explains_nothing() -> None:
    story = Story()
    story.submit("a")
    story.fetch("a", Failed("FAILED_PRECONDITION", "not yet"))
    story.fetch("a", NOT_FOUND)
    story.read("a", None)
    assert story.broken() == [("STA-02", (1, 4))]


def test_a_cancelled_job_may_be_forgotten_unless_it_went_on() -> None:
    story = Story()
    story.submit("a")
    story.cancel("a", outcome=LOST)
    story.read("a", None)
    assert story.broken() == []
    story.read("a", "SUCCEEDED", at=(5, 500))
    assert story.broken() == [("STA-02", (1, 3))]


@pytest.mark.parametrize("outcome", [Ok({}), NOT_FOUND, LOST])
def test_a_cancel_counts_whatever_came_of_it(outcome: Outcome) -> None:
    story = Story()
    story.submit("a")
    story.cancel("b", "a", outcome=outcome)
    story.read("a", "CANCELED")
    story.fetch("a", NOT_FOUND)
    story.fetch("a", "USER_CANCELLATION")
    assert story.broken() == []


@pytest.mark.parametrize(("started", "broken"), [(50, []), (51, [("CAN-05", (2,))])])
def test_a_cancel_that_began_after_the_read_explains_nothing(started: int, broken: list[object]) -> None:
    story = Story()
    story.submit("a")
    story.read("a", "CANCELED", at=(40, 50))
    story.cancel("a", at=(started, 60))
    assert story.broken() == broken


def test_a_result_of_a_cancellation_needs_a_cancel_too() -> None:
    story = Story()
    story.submit("a")
    story.fetch("a", "USER_CANCELLATION")
    assert story.broken() == [("CAN-05", (2,))]


def test_a_timeout_may_show_as_canceled() -> None:
    story = Story()
    story.submit("a", timeout=True)
    story.read("a", "RUNNING")
    story.read("a", "CANCELED")
    story.fetch("a", "SERVICE_FAILURE")
    assert story.broken() == []


def test_a_job_that_was_evicted_as_canceled_may_be_forgotten() -> None:
    story = Story()
    story.submit("a", timeout=True)
    story.read("a", "CANCELED")
    story.read("a", None)
    assert story.broken() == []


@pytest.mark.parametrize(("ended", "broken"), [(50, []), (49, [("CAN-02", (2, 3, 4))])])
def test_a_cancel_that_overlaps_the_sight_of_a_run_may_have_come_first(ended: int, broken: list[object]) -> None:
    story = Story()
    story.submit("a")
    story.read("a", "RUNNING", at=(40, ended))
    story.cancel("a", at=(50, 60))
    story.read("a", "CANCELED", at=(45, 90))
    assert story.broken() == broken


def test_of_two_ends_none_is_held_against_a_result() -> None:
    story = Story()
    story.read("a", "SUCCEEDED", at=(0, 10))
    story.read("a", "FAILED", at=(5, 15))
    story.fetch("a", "USER_CANCELLATION")
    assert story.broken() == [("STA-01", (1, 2)), ("STA-05", (1, 2))]


def test_no_answer_is_no_loss_whatever_its_code() -> None:
    story = Story()
    story.submit("a")
    story.add(Rpc.STATUS, {"job_id": "a"}, Unknown("NOT_FOUND", "cut"))
    story.add(Rpc.STATUS, {"job_id": "a"}, Failed("PERMISSION_DENIED", "no"))
    assert story.broken() == []


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED", "CANCELED"])
@pytest.mark.parametrize("result", ["SUCCESS", "USER_FAILURE", "SERVICE_FAILURE", "USER_CANCELLATION"])
def test_results_tell_of_the_same_end(status: str, result: str) -> None:
    story = Story()
    story.submit("a", timeout=True)
    story.fetch("a", result)
    story.read("a", status)
    agree = {"SUCCEEDED": ["SUCCESS"], "FAILED": ["USER_FAILURE", "SERVICE_FAILURE"]}
    legal = result in agree.get(status, ["USER_CANCELLATION", "USER_FAILURE", "SERVICE_FAILURE"])
    assert story.broken() == ([] if legal else [("RES-01", (3, 2))])


def test_another_result_is_a_warning() -> None:
    story = Story()
    story.submit("a")
    story.fetch("a", "USER_FAILURE")
    story.fetch("a", "SERVICE_FAILURE")
    judgement = judge(story.operations)
    expected = Violation("RES-05", "the same result of job a again: USER_FAILURE", "SERVICE_FAILURE", (2, 3))
    assert (judgement.verdict, judgement.violations) == (LEGAL, (expected,))


def test_values_beyond_the_enumerations_are_not_judged() -> None:
    story = Story()
    story.submit("a")
    story.add(Rpc.STATUS, {"job_id": "a"}, Ok({"status": 99}))
    story.fetch("a", Ok({"result": {"status": 99}}))
    assert story.broken() == []
