"""The judge's rules about a job's life, checked against an independent list of what is legal."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model import RESULTS_OF, STARTED, TERMINAL, ResultStatus, Status, first_illegal_move, is_legal_move

LIVES = [
    "QUEUED RUNNING POST_PROCESSING SUCCEEDED",
    "QUEUED RUNNING POST_PROCESSING FAILED",
    "QUEUED RUNNING POST_PROCESSING CANCELED",
    "QUEUED CANCELED",
]
"""Every course that a job can take; what is seen is part of one, with any steps missed or seen several times."""

LEGAL = {(Status(one), Status(two)) for life in LIVES for one, two in itertools.combinations_with_replacement(life.split(), 2)}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(Status, Status)))
def test_a_move_is_legal_exactly_if_some_life_has_it(before: Status, after: Status) -> None:
    assert is_legal_move(before, after) == ((before, after) in LEGAL)


@st.composite
def sightings(draw: st.DrawFn) -> list[Status]:
    """Draw what is seen of one life: any of its steps, in order, each any number of times."""
    life = draw(st.sampled_from(LIVES)).split()
    return [Status(step) for step in life for _ in range(draw(st.integers(0, 3)))]


@given(sightings())
def test_whatever_is_seen_of_a_life_is_legal(seen: list[Status]) -> None:
    assert first_illegal_move(seen) is None


@given(st.lists(st.sampled_from(Status), max_size=8))
def test_the_first_illegal_move_ends_the_longest_legal_beginning(seen: list[Status]) -> None:
    index = first_illegal_move(seen)
    legal = [status is not Status.UNKNOWN for status in seen[:1]] + [move in LEGAL for move in itertools.pairwise(seen)]
    assert index == (legal.index(False) if False in legal else None)


@given(sightings().filter(lambda seen: len(set(seen)) > 1))
def test_a_reversed_life_is_illegal(seen: list[Status]) -> None:
    assert first_illegal_move(seen[::-1]) is not None


@pytest.mark.parametrize("end", sorted(TERMINAL))
@pytest.mark.parametrize("after", sorted(Status))
def test_a_terminal_status_stays(end: Status, after: Status) -> None:
    assert is_legal_move(end, after) == (end is after)


def test_a_started_job_was_never_only_queued() -> None:
    assert Status.QUEUED not in STARTED
    assert all(not is_legal_move(started, Status.QUEUED) for started in STARTED)


def test_results_agree_with_terminal_statuses() -> None:
    assert RESULTS_OF.keys() == TERMINAL
    assert [status for status in TERMINAL if ResultStatus.SUCCESS in RESULTS_OF[status]] == [Status.SUCCEEDED]
    assert [status for status in TERMINAL if ResultStatus.USER_CANCELLATION in RESULTS_OF[status]] == [Status.CANCELED]
    assert all(ResultStatus.UNKNOWN not in results for results in RESULTS_OF.values())
