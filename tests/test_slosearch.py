"""The search for the highest rate: right for any endpoint with a limit, and over whatever comes of its trials."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.slosearch import REPEATS, Bounds, Ending, Outcome, Search

HELD, FAILED, BEHIND = Outcome.HELD, Outcome.FAILED, Outcome.BEHIND


@st.composite
def bounds(draw: st.DrawFn) -> Bounds:
    least = draw(st.floats(0.01, 10_000))
    return Bounds(
        least=least,
        most=least * draw(st.floats(1, 10_000)),
        factor=draw(st.floats(1.1, 20)),
        precision=draw(st.floats(0.01, 0.5)),
        confirmations=draw(st.integers(1, 5)),
    )


def played(rules: Bounds, oracle: Callable[[Search], Outcome]) -> Iterator[tuple[Search, Outcome, Search]]:
    """Yield every trial of a search, its outcome and the search after it."""
    search = Search.begin(rules)
    while search.ending is None:
        outcome = oracle(search)
        before, search = search, search.after(outcome)
        yield before, outcome, search


@given(bounds(), st.floats(0, 1.5))
def test_the_limit_of_any_endpoint_is_found_within_the_precision(rules: Bounds, share: float) -> None:
    limit = rules.least * (rules.most / rules.least) ** share if share else rules.least / 2
    trials = list(played(rules, lambda search: HELD if search.rate <= limit else FAILED))
    end = trials[-1][2]
    probes = [before for before, _, _ in trials if not before.confirms]
    assert len(probes) <= rules.most_probes
    if limit < rules.least:
        assert (end.ending, end.found, len(trials)) == (Ending.LOWEST, None, 1)
        return
    assert end.found is not None
    assert end.found <= limit
    assert end.confirmations == 1
    if end.ending is Ending.MAXIMUM:
        assert end.found == rules.most <= limit
    else:
        assert end.ending is Ending.ENDPOINT
        assert end.failed is not None
        assert limit < end.failed <= end.found * (1 + rules.precision)


@given(bounds(), st.randoms(use_true_random=False))
def test_whatever_comes_of_its_trials_a_search_ends_and_stays_within_its_bounds(rules: Bounds, chance: object) -> None:
    choose = chance.choice  # type: ignore[attr-defined]
    trials = list(played(rules, lambda _: choose([HELD, FAILED, BEHIND])))
    assert sum(not before.confirms for before, _, _ in trials) <= rules.most_probes
    assert sum(before.confirms for before, _, _ in trials) <= rules.confirmations
    assert all(rules.least <= before.rate <= rules.most for before, _, _ in trials)
    confirmed = [before.rate for before, _, _ in trials if before.confirms]
    assert confirmed == sorted(confirmed, reverse=True)
    end, last = trials[-1][2], trials[-1]
    assert (end.found is not None) == (last[0].confirms and last[1] is HELD)
    if end.found is not None:
        assert end.found == last[0].rate


@given(bounds(), st.lists(st.sampled_from([HELD, FAILED, BEHIND])))
def test_a_rate_that_held_is_never_above_one_that_failed(rules: Bounds, outcomes: list[Outcome]) -> None:
    search = Search.begin(rules)
    for outcome in outcomes:
        if search.ending is not None or search.confirms:
            return
        search = search.after(outcome)
        if search.held is not None and search.failed is not None:
            assert search.held < search.failed


@given(bounds(), st.floats(0, 1))
def test_a_generator_that_falls_behind_is_never_taken_for_the_endpoint(rules: Bounds, share: float) -> None:
    """The endpoint takes everything, but from some rate on the generator cannot make it."""
    capacity = rules.least * (rules.most / rules.least) ** share
    trials = list(played(rules, lambda search: HELD if search.rate <= capacity else BEHIND))
    end = trials[-1][2]
    assert end.failed is None
    assert end.found is not None
    assert end.found <= capacity
    assert end.ending is (Ending.MAXIMUM if end.found == rules.most else Ending.GENERATOR)
    assert sum(outcome is BEHIND for _, outcome, _ in trials) == (0 if end.ending is Ending.MAXIMUM else REPEATS + 1)


def test_a_generator_that_is_always_behind_finds_nothing() -> None:
    trials = list(played(Bounds(10, 100, 2, 0.05, 3), lambda _: BEHIND))
    end = trials[-1][2]
    assert (end.ending, end.found, len(trials)) == (Ending.GENERATOR, None, REPEATS + 1)


def test_a_trial_is_made_once_more_when_the_generator_fell_behind_in_passing() -> None:
    search = Search.begin(Bounds(10, 100, 2, 0.05, 3)).after(HELD).after(BEHIND)
    assert (search.rate, search.repeats) == (20, 1)
    assert search.after(HELD).rate == 40


def test_rates_grow_by_the_factor_up_to_the_maximum_and_then_are_bisected() -> None:
    rates = [(before.rate, before.confirms) for before, _, _ in played(Bounds(10, 70, 2, 0.2, 3), lambda _: HELD)]
    assert rates == [(10, False), (20, False), (40, False), (70, False), (70, True)]
    search = Search.begin(Bounds(10, 70, 2, 0.2, 3)).after(HELD).after(FAILED)
    assert search.rate == 14.14
    assert search.after(HELD).rate == 16.82
    assert search.after(HELD).after(FAILED).confirms


def test_a_failed_confirmation_is_made_again_a_little_lower_and_not_for_ever() -> None:
    trials = list(played(Bounds(10, 40, 2, 0.25, 3), lambda search: FAILED if search.confirms else HELD))
    assert [before.rate for before, _, _ in trials if before.confirms] == [40, 32, 25.6]
    assert trials[-1][2].ending is Ending.UNCONFIRMED
    lowest = list(played(Bounds(10, 10, 2, 0.25, 3), lambda search: FAILED if search.confirms else HELD))
    assert [before.rate for before, _, _ in lowest] == [10, 10]


@pytest.mark.parametrize(("first", "ending"), [(FAILED, Ending.ENDPOINT), (BEHIND, Ending.GENERATOR)])
def test_what_kept_the_first_confirmation_from_holding_is_the_limit(first: Outcome, ending: Ending) -> None:
    search = Search.begin(Bounds(10, 10.5, 2, 0.01, 2)).after(HELD).after(HELD)
    assert (search.confirms, search.rate) == (True, 10.5)
    end = search.after(first).after(HELD)
    assert (end.ending, end.found) == (ending, 10.4)


def test_a_search_that_is_over_takes_nothing_more() -> None:
    over = Search.begin(Bounds(10, 10, 2, 0.05, 1)).after(FAILED)
    with pytest.raises(ValueError, match="the search is over"):
        over.after(HELD)
