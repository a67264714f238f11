"""Numbers that a scenario leaves to chance: how each is distributed, and how it is drawn. Pure: the generator comes in."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.config import format_size, option, parse_size

EXPONENTIAL = "exponential"
LOGNORMAL = "lognormal"
LAWS: Mapping[str, str] = {
    EXPONENTIAL: "many small numbers, few large ones",
    LOGNORMAL: "most numbers around the mean, few far above it",
}
"""Laws by which a number can be drawn."""

MOST = 1_000_000
"""Largest count that can be asked for."""
MOST_OCTETS = 1 << 30
"""Largest size that can be asked for."""

Draw = Callable[[random.Random], int]
"""Draws a number; the same state of the generator gives the same one."""


@dataclass(frozen=True)
class Counts:
    """A whole number drawn evenly between two limits, from weighted values, or by a law that is cut off at two limits."""

    min: int = option("smallest number", default=1, minimum=1, maximum=MOST)
    max: int | None = option("largest number; unset: `min`; a law needs it", default=None, minimum=1, maximum=MOST, example="10")
    choose: Mapping[str, float] = option(
        'weight of each number, in place of the limits, as in {"1": 70, "10": 25}',
        default={},
        minimum=0,
        maximum=1_000_000,
        example='"10": 25',
    )
    law: str | None = option(
        "law by which the number is drawn, then cut off at the limits; unset: evenly", default=None, choices=tuple(LAWS)
    )
    mean: float | None = option("mean of the law, before it is cut off", default=None, minimum=0.001, maximum=MOST, example="4")
    deviation: float | None = option(
        "standard deviation of a lognormal law; unset: the mean", default=None, minimum=0.001, maximum=MOST, example="2"
    )

    def __post_init__(self) -> None:
        _check(self, (1, None), (1, MOST))

    @property
    def most(self) -> int:
        """The largest number that can come out."""
        return max(self._weights) if self.choose else self.max or self.min

    @property
    def draw(self) -> Draw:
        """How it is drawn; get it once, it is not free."""
        return _draw_of(self, self._weights)

    @property
    def _weights(self) -> dict[int, float]:
        return {int(text): weight for text, weight in self.choose.items()}


@dataclass(frozen=True)
class Sizes:
    """A size drawn evenly between two limits, from weighted values, or by a law that is cut off at two limits."""

    min: int = option("smallest size", kind="size", default=0, minimum=0, maximum=MOST_OCTETS)
    max: int | None = option(
        "largest size; unset: `min`; a law needs it", kind="size", default=None, minimum=0, maximum=MOST_OCTETS, example="64KiB"
    )
    choose: Mapping[str, float] = option(
        "weight of each size, in place of the limits, as in {1KiB: 70, 1MiB: 5}",
        default={},
        minimum=0,
        maximum=1_000_000,
        example="1KiB: 70",
    )
    law: str | None = option(
        "law by which the size is drawn, then cut off at the limits; unset: evenly", default=None, choices=tuple(LAWS)
    )
    mean: int | None = option(
        "mean of the law, before it is cut off", kind="size", default=None, minimum=1, maximum=MOST_OCTETS, example="8KiB"
    )
    deviation: int | None = option(
        "standard deviation of a lognormal law; unset: the mean",
        kind="size",
        default=None,
        minimum=1,
        maximum=MOST_OCTETS,
        example="4KiB",
    )

    def __post_init__(self) -> None:
        _check(self, (0, None), (0, MOST_OCTETS))

    @property
    def most(self) -> int:
        """The largest size that can come out, in octets."""
        return max(self._weights) if self.choose else self.max or self.min

    @property
    def draw(self) -> Draw:
        """How it is drawn, in octets; get it once, it is not free."""
        return _draw_of(self, self._weights)

    @property
    def _weights(self) -> dict[int, float]:
        return {parse_size(text): weight for text, weight in self.choose.items()}


def draw_of(number: int | Counts | Sizes) -> Draw:
    """Return how a number is drawn that may be given as such."""
    return number.draw if isinstance(number, Counts | Sizes) else _always(number)


def most_of(number: int | Counts | Sizes) -> int:
    """Return the largest number that can come out."""
    return number.most if isinstance(number, Counts | Sizes) else number


def weighted(weights: Mapping[int, float]) -> Draw:
    """Return a draw of the keys by their weights, of which one at least is above 0."""
    numbers = tuple(number for number, weight in weights.items() if weight)
    if len(numbers) == 1:
        return _always(numbers[0])
    bounds = tuple(itertools.accumulate(weight for weight in weights.values() if weight))
    return lambda generator: generator.choices(numbers, cum_weights=bounds)[0]


def _check(given: Counts | Sizes, unset: tuple[int, None], limits: tuple[int, int]) -> None:
    shaped = [key for key in ("law", "mean", "deviation") if getattr(given, key) is not None]
    if given.choose:
        if shaped or (given.min, given.max) != unset:
            raise ValueError("choose does not go with min, max or a law; give one of them")
        _check_weights(given, given.choose, limits)
        return
    if given.max is not None and given.min > given.max:
        raise ValueError(f"min ({given.min}) is above max ({given.max})")
    if given.law is None:
        if shaped:
            raise ValueError(f"{shaped[0]} goes with a law; give law, one of {', '.join(LAWS)}")
    elif given.mean is None or given.max is None:
        raise ValueError(f"{'mean' if given.mean is None else 'max'} is missing; a law needs mean and max")
    elif given.deviation is not None and given.law != LOGNORMAL:
        raise ValueError(f"deviation does not go with {given.law}; it is for {LOGNORMAL}")


def _check_weights(given: Counts | Sizes, weights: Mapping[str, float], limits: tuple[int, int]) -> None:
    numbers: set[int] = set()
    for text in weights:
        number = _number(given, text)
        if not limits[0] <= number <= limits[1]:
            shown = [format_size(limit) if isinstance(given, Sizes) else f"{limit:,}" for limit in limits]
            raise ValueError(f"choose: {text!r} is not between {shown[0]} and {shown[1]}")
        if number in numbers:
            raise ValueError(f"choose: {text!r} is there twice, written in two ways")
        numbers.add(number)
    if not any(weights.values()):
        raise ValueError("choose: all weights are 0; give one of them a weight")


def _number(given: Counts | Sizes, text: str) -> int:
    if isinstance(given, Sizes):
        try:
            return parse_size(text)
        except ValueError as error:
            raise ValueError(f"choose: {error}") from None
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MOST))):
        raise ValueError(f"choose: {text!r} is not a whole number up to {MOST:,}")
    return int(text)


def _draw_of(given: Counts | Sizes, weights: Mapping[int, float]) -> Draw:
    if weights:
        return weighted(weights)
    low, high = given.min, given.max or given.min
    if low == high:
        return _always(low)
    if given.law is None:
        return lambda generator: generator.randint(low, high)
    mean = float(given.mean or 0)
    if given.law == EXPONENTIAL:
        return lambda generator: _cut(generator.expovariate(1 / mean), low, high)
    # The parameters of the normal law underneath, from mean and deviation of the lognormal one.
    spread = math.log1p(((given.deviation or mean) / mean) ** 2)
    middle, sigma = math.log(mean) - spread / 2, math.sqrt(spread)
    return lambda generator: _cut(generator.lognormvariate(middle, sigma), low, high)


def _cut(value: float, low: int, high: int) -> int:
    return low if value <= low else high if value >= high else round(value)


def _always(number: int) -> Draw:
    return lambda _: number
