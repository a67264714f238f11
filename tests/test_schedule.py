"""The schedule of an open load: how many starts, how spread, and the same ones for any number of workers."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.schedule import EVEN, POISSON, SPACINGS, Segment, Timeline, starts

rates = st.one_of(st.just(0.0), st.floats(0.01, 200))
segments = st.lists(st.builds(Segment, st.just("s"), st.floats(0.01, 8), rates, rates), min_size=1, max_size=5)
spacings = st.sampled_from(sorted(SPACINGS))
seeds = st.integers(0, 2**32)


def times(parts: list[Segment], spacing: str, seed: int = 1) -> list[float]:
    return [at for _, at in starts(parts, spacing, seed)]


def due_by(parts: list[Segment], elapsed: float) -> float:
    """Integrate the rate over the first `elapsed` seconds."""
    total = 0.0
    for part in parts:
        inside = min(max(elapsed, 0.0), part.seconds)
        at_end = part.rate + (part.end_rate - part.rate) * inside / part.seconds
        total += inside * (part.rate + at_end) / 2
        elapsed -= part.seconds
    return total


@given(segments, spacings, seeds)
def test_starts_are_in_order_and_within_the_run(parts: list[Segment], spacing: str, seed: int) -> None:
    found = times(parts, spacing, seed)
    assert found == sorted(found)
    assert all(0 <= at <= sum(part.seconds for part in parts) * (1 + 1e-12) for at in found)
    assert [number for number, _ in starts(parts, spacing, seed)] == list(range(len(found)))


@given(segments, st.floats(0, 40))
def test_even_starts_follow_the_integral_of_the_rate_to_half_a_start(parts: list[Segment], elapsed: float) -> None:
    found = times(parts, EVEN)
    assert abs(sum(at <= elapsed for at in found) - due_by(parts, elapsed)) <= 0.5 + 1e-6


@given(st.floats(0.1, 500), st.floats(0.1, 10))
def test_even_starts_at_one_rate_are_equally_far_apart(rate: float, seconds: float) -> None:
    found = times([Segment("s", seconds, rate, rate)], EVEN)
    assert all(math.isclose(after - before, 1 / rate, rel_tol=1e-6) for before, after in itertools.pairwise(found))
    assert abs(len(found) - rate * seconds) <= 0.5 + 1e-6


@given(segments, spacings, seeds, st.integers(1, 5))
def test_workers_share_the_very_starts_that_one_would_make(parts: list[Segment], spacing: str, seed: int, workers: int) -> None:
    shares = [list(starts(parts, spacing, seed, worker, workers)) for worker in range(workers)]
    assert sorted(itertools.chain(*shares)) == list(starts(parts, spacing, seed))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(segments, seeds)
def test_a_seed_gives_its_schedule_again(parts: list[Segment], seed: int) -> None:
    assert times(parts, POISSON, seed) == times(parts, POISSON, seed)


def test_poisson_gaps_are_those_of_the_exponential_distribution() -> None:
    found = times([Segment("s", 100, 100, 100)], POISSON)
    gaps = [after - before for before, after in itertools.pairwise(found)]
    mean = sum(gaps) / len(gaps)
    assert len(found) == pytest.approx(10_000, abs=400)
    assert math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) == pytest.approx(mean, rel=0.05)
    assert sum(gap > mean for gap in gaps) / len(gaps) == pytest.approx(math.exp(-1), abs=0.02)
    assert times([Segment("s", 100, 100, 100)], POISSON, seed=2) != found


def test_poisson_starts_follow_a_ramp() -> None:
    found = times([Segment("up", 10, 0, 1000), Segment("down", 10, 1000, 0)], POISSON)
    shares = [sum(low <= at < low + 5 for at in found) / len(found) for low in (0, 5, 10, 15)]
    assert shares == pytest.approx([1 / 8, 3 / 8, 3 / 8, 1 / 8], abs=0.02)


@given(st.floats(0.01, 8), rates, rates, st.floats(0, 1))
def test_when_and_due_by_are_inverse(seconds: float, rate: float, end_rate: float, share: float) -> None:
    part = Segment("s", seconds, rate, end_rate)
    count = part.starts * share
    assert part.due_by(part.when(count)) == pytest.approx(count, rel=1e-6, abs=1e-6)


@given(segments, st.floats(0, 40))
def test_every_moment_falls_in_one_part(parts: list[Segment], elapsed: float) -> None:
    named = [replace(part, name=str(index)) for index, part in enumerate(parts)]
    index = int(Timeline(named).at(elapsed).name)
    begins = sum(part.seconds for part in parts[:index])
    assert begins <= elapsed * (1 + 1e-12)
    assert index == len(parts) - 1 or elapsed <= begins + parts[index].seconds


@given(st.lists(st.floats(0, 10), min_size=1, max_size=6), st.floats(-5, 70))
def test_parts_that_are_appended_while_a_run_goes_on_begin_when_they_say(gaps: list[float], elapsed: float) -> None:
    timeline, begins = Timeline(), list(itertools.accumulate(gaps))
    for index, begin in enumerate(begins):
        timeline.append(Segment(str(index), 1.0), begin)
    part, low, high = timeline.around(elapsed)
    assert part is timeline.at(elapsed)
    assert timeline.segments[int(part.name)] is part
    assert low == (begins[int(part.name)] if part.name != "0" else -math.inf)
    assert low <= elapsed < high
    with pytest.raises(ValueError, match="begins before the one that it follows"):
        timeline.append(Segment("late", 1.0), begins[-1] - 0.1)
