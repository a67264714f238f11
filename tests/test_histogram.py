"""The histogram against the plain list of its samples."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.histogram import Histogram, bounds_of, bucket_of

VALUES = st.integers(0, 1 << 50) | st.integers(0, 5000)
SAMPLES = st.lists(VALUES, max_size=60)
PERCENTS = st.sampled_from([0, 1, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 100]) | st.floats(0, 100)


def histogram_of(samples: Iterable[int]) -> Histogram:
    histogram = Histogram()
    for sample in samples:
        histogram.add(sample)
    return histogram


@given(VALUES)
def test_a_value_lies_in_its_bucket(value: int) -> None:
    low, high = bounds_of(bucket_of(value))
    assert low <= value <= high
    assert bucket_of(low) == bucket_of(high) == bucket_of(value)
    assert high - low < max(1, low / 1000)


@given(st.integers(0, 60_000))
def test_buckets_follow_each_other_without_gaps(bucket: int) -> None:
    assert bounds_of(bucket + 1)[0] == bounds_of(bucket)[1] + 1


@given(SAMPLES)
def test_count_sum_and_extremes_are_exact(samples: list[int]) -> None:
    histogram = histogram_of(samples)
    assert (histogram.count, histogram.total) == (len(samples), sum(samples))
    assert (histogram.smallest, histogram.largest) == (min(samples, default=0), max(samples, default=0))
    assert histogram.mean == pytest.approx(sum(samples) / len(samples) if samples else 0)


@given(SAMPLES.filter(bool), PERCENTS)
def test_a_percentile_is_off_by_less_than_a_thousandth(samples: list[int], percent: float) -> None:
    rank = max(1, math.ceil(Fraction(str(percent)) * len(samples) / 100))
    exact = sorted(samples)[rank - 1]
    found = histogram_of(samples).percentile(percent)
    assert exact <= found <= exact * 1.001


@given(st.integers(1, 2000), PERCENTS)
def test_ranks_are_exact_where_values_are(count: int, percent: float) -> None:
    rank = max(1, math.ceil(Fraction(str(percent)) * count / 100))
    assert histogram_of(range(count)).percentile(percent) == rank - 1


@given(SAMPLES.filter(bool))
def test_the_ends_are_exact_and_percentiles_rise(samples: list[int]) -> None:
    histogram = histogram_of(samples)
    values = [value for _, value in histogram.spectrum([0, 10, 50, 90, 99, 100])]
    assert values == sorted(values)
    assert values[-1] == max(samples)
    assert values[0] >= min(samples)


@given(SAMPLES, SAMPLES)
def test_merging_is_adding(one: list[int], two: list[int]) -> None:
    merged = histogram_of(one)
    merged.merge(histogram_of(two))
    assert merged.to_json() == histogram_of(one + two).to_json()


@given(SAMPLES, SAMPLES)
def test_merging_leaves_the_other_alone(one: list[int], two: list[int]) -> None:
    other = histogram_of(two)
    histogram_of(one).merge(other)
    assert other.to_json() == histogram_of(two).to_json()


@given(VALUES, st.integers(1, 50))
def test_adding_several_times_is_adding_often(value: int, times: int) -> None:
    histogram = Histogram()
    histogram.add(value, times)
    assert histogram.to_json() == histogram_of([value] * times).to_json()


@given(SAMPLES)
def test_json_round_trips(samples: list[int]) -> None:
    histogram = histogram_of(samples)
    assert Histogram.from_json(json.loads(json.dumps(histogram.to_json()))).to_json() == histogram.to_json()


def test_negative_values_count_as_zero() -> None:
    assert histogram_of([-5]).to_json() == histogram_of([0]).to_json()


def test_nothing_was_measured() -> None:
    assert Histogram().percentile(99) == 0
    assert Histogram().mean == 0


@pytest.mark.parametrize(
    "change",
    [
        {"count": 3},
        {"count": "2"},
        {"total": -1},
        {"largest": 1.5},
        {"smallest": None},
        {"buckets": 5},
        {"buckets": [[1]]},
        {"buckets": [[1, "1"], [2, 1]]},
        {"buckets": [[1, float("inf")]]},
        {"buckets": [5]},
    ],
)
def test_what_is_no_histogram_is_refused(change: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Histogram.from_json({**histogram_of([1, 2]).to_json(), **change})


@pytest.mark.parametrize("key", ["count", "total", "smallest", "largest", "buckets"])
def test_every_part_is_needed(key: str) -> None:
    data = histogram_of([1]).to_json()
    del data[key]
    with pytest.raises(KeyError, match=key):
        Histogram.from_json(data)


@given(SAMPLES)
def test_a_packed_histogram_is_the_same_again(samples: list[int]) -> None:
    histogram = histogram_of(samples)
    assert Histogram.unpack(histogram.pack()).to_json() == histogram.to_json()


@given(SAMPLES, st.integers(1, 80))
def test_a_packed_histogram_that_is_cut_off_is_refused(samples: list[int], cut: int) -> None:
    with pytest.raises(ValueError, match=r"not a packed histogram|does not match"):
        Histogram.unpack(histogram_of(samples).pack()[:-cut])
