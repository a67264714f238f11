"""Numbers by chance: within their limits, by their weights and laws, and the same again for the same seed."""

from __future__ import annotations

import random
import statistics
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.config import load
from harness.draws import EXPONENTIAL, LAWS, LOGNORMAL, Counts, Draw, Sizes, draw_of, most_of, weighted
from harness.errors import ConfigError

limits = st.tuples(st.integers(1, 500), st.integers(0, 5000)).map(lambda pair: (pair[0], sum(pair)))
weights = st.dictionaries(st.integers(1, 1000), st.floats(0.001, 100) | st.just(0.0), min_size=1, max_size=6).filter(
    lambda found: any(found.values())
)
even = limits.map(lambda pair: Counts(min=pair[0], max=pair[1]))
chosen = weights.map(lambda found: Counts(choose={str(number): weight for number, weight in found.items()}))
lawful = st.builds(
    lambda pair, law, mean: Counts(min=pair[0], max=pair[1], law=law, mean=mean),
    limits,
    st.sampled_from(list(LAWS)),
    st.floats(1, 6000),
)
counts = even | chosen | lawful | st.integers(1, 100)
seeds = st.integers(0, 2**32)


def drawn(draw: Draw, times: int, seed: int = 1) -> list[int]:
    generator = random.Random(seed)  # noqa: S311 - nothing secret
    return [draw(generator) for _ in range(times)]


@given(counts, seeds)
def test_numbers_stay_within_their_limits_and_come_again(given: int | Counts, seed: int) -> None:
    numbers = drawn(draw_of(given), 50, seed)
    assert numbers == drawn(draw_of(given), 50, seed)
    assert all(type(number) is int and number <= most_of(given) for number in numbers)
    if isinstance(given, int):
        assert set(numbers) == {given}
    elif given.choose:
        assert {str(number) for number in numbers} <= {text for text, weight in given.choose.items() if weight}
    else:
        assert min(numbers) >= given.min


def test_even_numbers_all_come_equally_often() -> None:
    found = Counter(drawn(Counts(min=3, max=6).draw, 8000))
    assert set(found) == {3, 4, 5, 6}
    assert all(count == pytest.approx(2000, rel=0.1) for count in found.values())


def test_weighted_numbers_come_as_often_as_their_weights_say() -> None:
    found = Counter(drawn(Counts(choose={"1": 70, "10": 25, "100": 5, "7": 0}).draw, 10_000))
    assert set(found) == {1, 10, 100}
    assert [found[number] / 100 for number in (1, 10, 100)] == pytest.approx([70, 25, 5], abs=1.5)
    assert set(drawn(weighted({4: 0.0, 5: 2.0}), 20)) == {5}


@pytest.mark.parametrize(
    ("law", "deviation", "expected"), [(EXPONENTIAL, None, 1000), (LOGNORMAL, None, 1000), (LOGNORMAL, 100.0, 100)]
)
def test_a_law_has_its_mean_and_deviation(law: str, deviation: float | None, expected: float) -> None:
    given = Counts(min=1, max=1_000_000, law=law, mean=1000, deviation=deviation)
    found = drawn(given.draw, 40_000)
    assert statistics.fmean(found) == pytest.approx(1000, rel=0.05)
    assert statistics.pstdev(found) == pytest.approx(expected, rel=0.15)


def test_what_a_law_puts_beyond_its_caps_is_cut_off_at_them() -> None:
    found = Counter(drawn(Counts(min=5, max=8, law=EXPONENTIAL, mean=6).draw, 4000))
    assert set(found) == {5, 6, 7, 8}
    assert found[5] > found[6] + found[7]
    assert found[8] > found[6] + found[7]


def test_sizes_are_octets() -> None:
    assert set(drawn(Sizes(choose={"1KiB": 1, "2MiB": 1, "7B": 1}).draw, 100)) == {1024, 2 << 20, 7}
    assert Sizes(choose={"1KiB": 1, "2MiB": 1}).most == 2 << 20
    assert set(drawn(Sizes(min=0, max=2).draw, 100)) == {0, 1, 2}
    assert set(drawn(Sizes().draw, 3)) == {0}
    given = load("{law: lognormal, mean: 8KiB, max: 64KiB, deviation: 1KiB}", Sizes, "s")
    assert statistics.fmean(drawn(given.draw, 4000)) == pytest.approx(8192, rel=0.05)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{min: 3, max: 2}", "min (3) is above max (2)"),
        ("{choose: {x: 1}}", "choose: 'x' is not a whole number up to 1,000,000"),
        ("{choose: {1.5: 1}}", "choose: '1.5' is not a whole number up to 1,000,000"),
        ("{choose: {0: 1}}", "choose: '0' is not between 1 and 1,000,000"),
        ("{choose: {1000001: 1}}", "choose: '1000001' is not between 1 and 1,000,000"),
        ("{choose: {1: 1, 01: 1}}", "choose: '01' is there twice, written in two ways"),
        ("{choose: {1: 0, 2: 0}}", "choose: all weights are 0; give one of them a weight"),
        ("{choose: {1: -1}}", "s:1: choose.1: expected at least 0, got -1"),
        ("{choose: {1: a}}", "s:1: choose.1: expected a number, got 'a'"),
        ("{choose: {1: 1}, max: 3}", "choose does not go with min, max or a law; give one of them"),
        ("{choose: {1: 1}, law: lognormal}", "choose does not go with min, max or a law; give one of them"),
        ("{law: exponential, max: 3}", "mean is missing; a law needs mean and max"),
        ("{law: exponential, mean: 3}", "max is missing; a law needs mean and max"),
        ("{law: exponential, mean: 3, max: 9, deviation: 1}", "deviation does not go with exponential; it is for lognormal"),
        ("{mean: 3, max: 9}", "mean goes with a law; give law, one of exponential, lognormal"),
        ("{law: lognormall}", "s:1: law: expected one of exponential, lognormal (did you mean lognormal?)"),
        ("{min: 0}", "s:1: min: expected at least 1, got 0"),
        ("{least: 1}", "s:1: least: unknown key"),
    ],
)
def test_what_is_no_distribution_is_refused(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text, Counts, "s")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{choose: {1KB: 1}}", "choose: '1KB' is not a size"),
        ("{choose: {2GiB: 1}}", "choose: '2GiB' is not between 0B and 1GiB"),
        ("{choose: {1KiB: 1, 1024: 1}}", "choose: '1024' is there twice, written in two ways"),
        ("{min: 1.5}", "s:1: min: expected a size such as 64KiB or 250MiB, got 1.5"),
    ],
)
def test_what_is_no_distribution_of_sizes_is_refused(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text, Sizes, "s")
    assert told in str(caught.value)
