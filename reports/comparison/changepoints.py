"""Where a series of runs changed its level: binary segmentation with a permutation test on ranks.

The statistic is that of Pettitt (Mann and Whitney's, for every split), scaled so that early and late splits count alike. Ranks
make it indifferent to outliers and to units, and a permutation test assumes nothing of how runs scatter. Pure, and seeded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from random import Random
from statistics import median

LEVEL = 0.01
"""Chance of a change point in a series that has none; the smallest number of runs that can show one is five on each side."""
SMALLEST = 3
"""Runs that a stretch between two change points has at least."""
PERMUTATIONS = 499


def change_points(values: Sequence[float], seed: int = 1, level: float = LEVEL) -> tuple[int, ...]:
    """Return the places of the first runs of each new level, in order."""
    return tuple(sorted(_split(values, 0, seed, level)))


def ranks(values: Sequence[float]) -> list[float]:
    """Return the rank of each value, from 1; equal values share the mean of theirs."""
    order = sorted(range(len(values)), key=values.__getitem__)
    found = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for place in order[start:end]:
            found[place] = (start + 1 + end) / 2
        start = end
    return found


def _split(values: Sequence[float], offset: int, seed: int, level: float) -> Iterator[int]:
    if len(values) < 2 * SMALLEST:
        return
    ranked = ranks(values)
    statistic = _strongest(ranked)
    if not statistic or _probability(ranked, statistic, seed) > level:
        return
    place = _closest_split(values)
    yield offset + place
    yield from _split(values[:place], offset, seed, level)
    yield from _split(values[place:], offset + place, seed, level)


def _strongest(ranked: Sequence[float]) -> float:
    """Return the largest scaled statistic of all splits."""
    count, seen, best = len(ranked), 0.0, 0.0
    for place in range(1, count - SMALLEST + 1):
        seen += ranked[place - 1]
        if place >= SMALLEST:
            best = max(best, abs(2 * seen - place * (count + 1)) / math.sqrt(place * (count - place)))
    return best


def _closest_split(values: Sequence[float]) -> int:
    """Return the split with the smallest distances from the medians of both sides: ranks alone can be one off."""
    places = range(SMALLEST, len(values) - SMALLEST + 1)
    return min(places, key=lambda place: _distances(values[:place]) + _distances(values[place:]))


def _distances(values: Sequence[float]) -> float:
    middle = median(values)
    return math.fsum(abs(value - middle) for value in values)


def _probability(ranked: Sequence[float], statistic: float, seed: int) -> float:
    """Return the share of orders of the same runs in which some split is as strong."""
    random, shuffled = Random(f"{seed} {len(ranked)}"), list(ranked)  # noqa: S311 - nothing here is secret
    reached = 1
    for _ in range(PERMUTATIONS):
        random.shuffle(shuffled)
        # Rounding must not decide between equals.
        reached += _strongest(shuffled) >= statistic - 1e-9
    return reached / (PERMUTATIONS + 1)
