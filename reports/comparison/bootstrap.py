"""Bootstrap confidence intervals for the difference between two small, autocorrelated or clustered samples.

Two ways to resample, after what was repeated: blocks of neighbouring seconds within one run on each side (the circular block
bootstrap of Politis and Romano, because seconds that follow each other are alike), or whole runs (the residual bootstrap, which
pools what runs of one side differ by). Percentile intervals of so few units are too narrow, so they are expanded to what
Student's t says of that many (Hesterberg 2015). Swapping the sides negates the interval, exactly. Pure, and seeded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from statistics import NormalDist, pvariance

from reports.comparison.student import quantile

DRAWS = 2000
"""Resamples of each interval."""
MOST_BLOCKS = 120
"""Blocks that a long run is cut into at most."""
FEWEST_SECONDS = 5
"""Seconds that a run must have measured for an interval over blocks."""

TRIM_FROM = 8
"""Runs of one side from which on its mean leaves out a fifth of them, evenly from both ends: noisy machines make outliers."""

Ratio = tuple[float, float]
"""A part of a ratio of sums: numerator and denominator."""
Transform = Callable[[float], float]
Halves = tuple[list[float], list[float]]
"""Resampled values, made with two streams of random numbers."""

_TAIL = 0.025
_NORMAL = NormalDist().inv_cdf(1 - _TAIL)


@dataclass(frozen=True)
class Estimate:
    """A difference and its confidence interval."""

    difference: float
    low: float
    high: float


def of_blocks(
    base: Sequence[Ratio], new: Sequence[Ratio], *, transform: Transform, tail: float, seed: int, between: float = 0.0
) -> Estimate | None:
    """Return by how much the transformed ratio of sums over the seconds of one run differs from that of another.

    `tail` is the chance to miss on each side of the interval. `between` is the standard deviation by which whole runs differ,
    which no data of one run shows; it is taken as given. None: too little data, or a ratio without a value.
    """
    if min(len(base), len(new)) < FEWEST_SECONDS:
        return None
    draws = _block_draws(base, transform, seed), _block_draws(new, transform, seed)
    centre = _value(new, transform) - _value(base, transform)
    counts = [_number_of_blocks(len(side)) for side in (base, new)]
    freedom = _welch([pvariance((*halves[0], *halves[1])) for halves in draws], counts)
    scale = math.sqrt(min(counts) / (min(counts) - 1))
    estimate = _interval(centre, draws, scale, tail, freedom)
    if estimate is None or not between:
        return estimate
    margin = NormalDist().inv_cdf(1 - tail) * between * math.sqrt(2)
    return Estimate(
        centre, centre - math.hypot(centre - estimate.low, margin), centre + math.hypot(estimate.high - centre, margin)
    )


def of_runs(base: Sequence[float], new: Sequence[float], *, tail: float, seed: int) -> Estimate | None:
    """Return by how much the (trimmed) mean over runs differs; None for fewer than three runs in all.

    The scatter of a trimmed mean is that of the values that are left, with the others moved to the outermost of them (Yuen 1974).
    """
    if min(len(base), len(new)) < 1 or len(base) + len(new) < 3:
        return None
    pooled = sorted([*_residuals(base), *_residuals(new)])
    kept = [len(side) - 2 * _trimmed(len(side)) for side in (base, new)]
    draws = _residual_draws(pooled, len(base), kept[0], seed), _residual_draws(pooled, len(new), kept[1], seed)
    scale = math.sqrt(len(pooled) / (len(pooled) - 2))
    return _interval(trimmed_mean(new) - trimmed_mean(base), draws, scale, tail, sum(kept) - 2)


def trimmed_mean(values: Sequence[float]) -> float:
    """Return the mean; of `TRIM_FROM` values or more, without the outer ones."""
    cut = _trimmed(len(values))
    kept = sorted(values)[cut : len(values) - cut] if cut else values
    return math.fsum(kept) / len(kept)


def _residuals(values: Sequence[float]) -> list[float]:
    """Return by how much each value is off the trimmed mean; one that this leaves out, as the outermost that is left."""
    ordered, cut, middle = sorted(values), _trimmed(len(values)), trimmed_mean(values)
    least, most = ordered[cut], ordered[len(ordered) - 1 - cut]
    return [min(max(value, least), most) - middle for value in ordered]


def _trimmed(count: int) -> int:
    """Return how many values are left out at each end."""
    return round(count / 10) if count >= TRIM_FROM else 0


def _interval(centre: float, draws: tuple[Halves, Halves], scale: float, tail: float, freedom: int) -> Estimate | None:
    """Return the expanded percentile interval; the draws of each side come in two halves, and unlike halves are paired."""
    base, new = draws
    differences = sorted(
        after - before for halves in ((base[0], new[1]), (base[1], new[0])) for before, after in zip(*halves, strict=True)
    )
    if not all(map(math.isfinite, (centre, differences[0], differences[-1], sum(differences)))):
        return None
    middle = _middle(differences)
    place = math.floor(len(differences) * _TAIL)
    below, above = middle - differences[place], differences[-1 - place] - middle
    widened = scale * quantile(1 - tail, freedom) / _NORMAL
    return Estimate(centre, centre - widened * below, centre + widened * above)


def _welch(variances: Sequence[float], counts: Sequence[float]) -> int:
    """Return the degrees of freedom of a difference of two means of `counts` blocks (Welch and Satterthwaite)."""
    largest = max(variances)
    if not math.isfinite(largest) or not largest:
        return 1
    # In units of the larger one, so that no square of a tiny number vanishes.
    shares = [variance / largest for variance in variances]
    below = math.fsum(share * share / (count - 1) for share, count in zip(shares, counts, strict=True))
    return max(1, math.floor(math.fsum(shares) ** 2 / below + 1e-9))


def _middle(ordered: Sequence[float]) -> float:
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _block_length(count: int) -> int:
    """Return how many neighbours are drawn together: the cube root of all is best for the variance of a mean."""
    return max(round(math.cbrt(count)), math.ceil(count / MOST_BLOCKS))


def _number_of_blocks(count: int) -> int:
    return count // _block_length(count)


def _value(parts: Sequence[Ratio], transform: Transform) -> float:
    return _transformed(sum(part[0] for part in parts), sum(part[1] for part in parts), transform)


def _transformed(above: float, below: float, transform: Transform) -> float:
    try:
        return transform(above / below)
    except (ValueError, ZeroDivisionError):
        return math.nan


def _block_draws(parts: Sequence[Ratio], transform: Transform, seed: int) -> Halves:
    length, count = _block_length(len(parts)), len(parts)
    circle = [*parts, *parts[: length - 1]]
    blocks = [
        (sum(part[0] for part in circle[start : start + length]), sum(part[1] for part in circle[start : start + length]))
        for start in range(count)
    ]
    one, two = (
        [
            _transformed(sum(block[0] for block in drawn), sum(block[1] for block in drawn), transform)
            for drawn in (random.choices(blocks, k=_number_of_blocks(count)) for _ in range(DRAWS // 2))
        ]
        for random in _streams(seed)
    )
    return one, two


def _residual_draws(pooled: Sequence[float], count: int, kept: int, seed: int) -> Halves:
    """Return what the mean of `count` runs, of which `kept` remain, may be off."""
    one, two = ([sum(random.choices(pooled, k=count)) / kept for _ in range(DRAWS // 2)] for random in _streams(seed))
    return one, two


def _streams(seed: int) -> tuple[Random, Random]:
    return Random(f"{seed} one"), Random(f"{seed} two")  # noqa: S311 - nothing here is secret
