"""Intervals of differences: swapping negates, units do not matter, and they are as wide as few units make them."""

from __future__ import annotations

import math
from random import Random
from statistics import NormalDist, fmean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.comparison.bootstrap import FEWEST_SECONDS, TRIM_FROM, Estimate, of_blocks, of_runs
from reports.comparison.student import NEARLY_NORMAL, probability, quantile

TAIL = 0.025
VALUES = st.lists(st.floats(-3, 3), min_size=3, max_size=12)
POSITIVE = st.lists(st.tuples(st.floats(1, 1000), st.just(1.0)), min_size=FEWEST_SECONDS, max_size=30)


@pytest.mark.parametrize(
    ("share", "freedom", "expected"),
    [(0.975, 1, 12.706), (0.975, 2, 4.303), (0.975, 5, 2.571), (0.975, 10, 2.228), (0.995, 4, 4.604), (0.9995, 8, 5.041)],
)
def test_quantiles_are_those_of_the_tables(share: float, freedom: int, expected: float) -> None:
    assert quantile(share, freedom) == pytest.approx(expected, abs=6e-4)


@given(st.floats(-30, 30), st.integers(1, NEARLY_NORMAL))
def test_probabilities_are_symmetric(value: float, freedom: int) -> None:
    assert probability(value, freedom) + probability(-value, freedom) == pytest.approx(1)


@given(st.floats(0.51, 0.9999), st.integers(1, NEARLY_NORMAL - 1))
def test_a_quantile_has_its_share_below_it(share: float, freedom: int) -> None:
    assert probability(quantile(share, freedom), freedom) == pytest.approx(share, abs=1e-9)


@given(st.floats(0.51, 0.9999), st.integers(1, NEARLY_NORMAL))
def test_few_degrees_of_freedom_have_wide_tails(share: float, freedom: int) -> None:
    assert quantile(share, freedom) > quantile(share, freedom + 1) - 1e-9
    assert quantile(share, freedom) >= NormalDist().inv_cdf(share) - 1e-9


def negated(estimate: Estimate | None) -> Estimate | None:
    return estimate and Estimate(-estimate.difference, -estimate.high, -estimate.low)


@settings(max_examples=25)
@given(VALUES, VALUES, st.integers(0, 99))
def test_swapped_runs_negate_the_interval(base: list[float], new: list[float], seed: int) -> None:
    assert of_runs(new, base, tail=TAIL, seed=seed) == negated(of_runs(base, new, tail=TAIL, seed=seed))


@settings(max_examples=25)
@given(POSITIVE, POSITIVE, st.integers(0, 99), st.sampled_from([0.0, 0.02]))
def test_swapped_seconds_negate_the_interval(
    base: list[tuple[float, float]], new: list[tuple[float, float]], seed: int, between: float
) -> None:
    one = of_blocks(base, new, transform=math.log, tail=TAIL, seed=seed, between=between)
    two = of_blocks(new, base, transform=math.log, tail=TAIL, seed=seed, between=between)
    assert one is not None
    assert two == negated(one)


@settings(max_examples=25)
@given(POSITIVE, POSITIVE, st.floats(0.01, 100))
def test_the_unit_of_a_ratio_does_not_matter(
    base: list[tuple[float, float]], new: list[tuple[float, float]], factor: float
) -> None:
    scaled = [[(part[0] * factor, part[1]) for part in side] for side in (base, new)]
    one = of_blocks(base, new, transform=math.log, tail=TAIL, seed=1)
    two = of_blocks(scaled[0], scaled[1], transform=math.log, tail=TAIL, seed=1)
    assert one is not None
    assert two is not None
    assert (two.difference, two.low, two.high) == pytest.approx((one.difference, one.low, one.high), abs=1e-6)


@settings(max_examples=25)
@given(VALUES, VALUES, st.floats(-5, 5))
def test_a_shift_of_one_side_shifts_the_interval(base: list[float], new: list[float], shift: float) -> None:
    one = of_runs(base, new, tail=TAIL, seed=1)
    two = of_runs(base, [value + shift for value in new], tail=TAIL, seed=1)
    assert one is not None
    assert two is not None
    assert (two.low - one.low, two.high - one.high) == pytest.approx((shift, shift), abs=1e-6)


@settings(max_examples=25)
@given(VALUES, VALUES)
def test_an_interval_holds_its_estimate_and_grows_with_confidence(base: list[float], new: list[float]) -> None:
    narrow, wide = of_runs(base, new, tail=0.05, seed=1), of_runs(base, new, tail=0.005, seed=1)
    assert narrow is not None
    assert wide is not None
    assert wide.low <= narrow.low <= narrow.difference <= narrow.high <= wide.high


def test_an_interval_of_few_runs_is_that_of_students_test() -> None:
    random = Random(5)  # noqa: S311 - nothing secret
    base, new = ([random.gauss(mean, 1) for _ in range(TRIM_FROM - 1)] for mean in (0, 0.5))
    found = of_runs(base, new, tail=TAIL, seed=1)
    assert found is not None
    pooled = math.sqrt((stdev(base) ** 2 + stdev(new) ** 2) / len(base))
    assert found.difference == pytest.approx(fmean(new) - fmean(base))
    assert (found.high - found.low) / 2 == pytest.approx(quantile(0.975, 2 * len(base) - 2) * pooled, rel=0.08)


def test_an_interval_of_many_runs_is_that_of_yuens_test() -> None:
    """A run that something else disturbed neither moves nor widens it."""
    random = Random(5)  # noqa: S311 - nothing secret
    base, new = ([random.gauss(mean, 1) for _ in range(20)] for mean in (0, 0.5))
    found = of_runs(base, new, tail=TAIL, seed=1)
    disturbed = of_runs([*base[:-1], max(base) + 100], new, tail=TAIL, seed=1)
    assert found is not None
    assert disturbed is not None
    kept = [sorted(side)[2:-2] for side in (base, new)]
    winsorized = [[side[0]] * 2 + side + [side[-1]] * 2 for side in kept]
    error = math.sqrt(sum(stdev(side) ** 2 * 19 / (16 * 15) for side in winsorized))
    assert found.difference == pytest.approx(fmean(kept[1]) - fmean(kept[0]))
    assert (found.high - found.low) / 2 == pytest.approx(quantile(0.975, 30) * error, rel=0.08)
    assert abs(disturbed.difference - found.difference) < 0.3
    assert disturbed.high - disturbed.low < 1.3 * (found.high - found.low)


def test_seconds_that_are_alike_say_less_than_others() -> None:
    random = Random(5)  # noqa: S311 - nothing secret
    steps = [random.gauss(0, 0.1) for _ in range(240)]
    alike, level = [], 0.0
    for step in steps:
        level = 0.9 * level + step * math.sqrt(1 - 0.9**2)
        alike.append((level, 1.0))
    apart = [(step, 1.0) for step in steps]
    tied, free = (of_blocks(side, side, transform=float, tail=TAIL, seed=1) for side in (alike, apart))
    assert tied is not None
    assert free is not None
    assert tied.high - tied.low > 1.5 * (free.high - free.low)


def test_what_is_assumed_of_runs_widens_the_interval() -> None:
    flat = [(1.0, 1.0)] * 10
    found = of_blocks(flat, flat, transform=float, tail=TAIL, seed=1, between=0.02)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((-1.96 * 0.02 * math.sqrt(2), 1.96 * 0.02 * math.sqrt(2)), rel=1e-3)


@pytest.mark.parametrize(("base", "new"), [(1, 1), (0, 5), (5, 0)])
def test_too_few_runs_have_no_interval(base: int, new: int) -> None:
    assert of_runs([1.0] * base, [1.0] * new, tail=TAIL, seed=1) is None


def test_one_run_against_three_has_a_wide_interval() -> None:
    found = of_runs([0.0], [0.1, -0.1, 0.0], tail=TAIL, seed=1)
    assert found is not None
    assert found.high > 0.2


@pytest.mark.parametrize("seconds", [0, 1, FEWEST_SECONDS - 1])
def test_too_few_seconds_have_no_interval(seconds: int) -> None:
    many = [(1.0, 1.0)] * 20
    assert of_blocks(many, many[:seconds], transform=float, tail=TAIL, seed=1) is None
    assert of_blocks(many[:seconds], many, transform=float, tail=TAIL, seed=1) is None


def test_a_ratio_without_a_value_has_no_interval() -> None:
    silent = [(0.0, 1.0)] * 20
    assert of_blocks(silent, [(1.0, 1.0)] * 20, transform=math.log, tail=TAIL, seed=1) is None


def test_the_seed_decides_the_draws() -> None:
    values = [0.1, 0.5, 0.2, 0.9, 0.4]
    one, again, other = (of_runs(values, values[::-1], tail=TAIL, seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other
