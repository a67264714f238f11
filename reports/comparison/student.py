"""Student's t distribution with a whole number of degrees of freedom: the standard library has the normal one only. Pure."""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist

NEARLY_NORMAL = 300
"""Degrees of freedom from which on the normal distribution stands in for it: by then the quantiles differ by less than 1 %."""


def probability(value: float, freedom: int) -> float:
    """Return P(T <= value); Abramowitz and Stegun 26.7.3 and 26.7.4. `freedom` is 1 or more."""
    angle = math.atan2(value, math.sqrt(freedom))
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = freedom % 2
    term, total = (cosine if odd else 1.0), 0.0
    for place in range(1 + odd, freedom, 2):
        total += term
        term *= cosine * cosine * place / (place + 1)
    within = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return (1 + within) / 2


@cache
def quantile(share: float, freedom: int) -> float:
    """Return the value below which `share` (0.5 < share < 1) of the distribution lies."""
    if freedom >= NEARLY_NORMAL:
        return NormalDist().inv_cdf(share)
    low, high = 0.0, 1.0
    while probability(high, freedom) < share:
        low, high = high, 2 * high
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if probability(middle, freedom) < share else (low, middle)
    return (low + high) / 2
