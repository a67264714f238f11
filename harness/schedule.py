"""When the iterations of an open load are meant to start: computed from the rates and a seed before the first one runs.

The schedule never looks at answers, so a slow endpoint cannot thin it out (coordinated omission). Pure: seconds since the
start of the schedule in, seconds out.
"""

from __future__ import annotations

import bisect
import itertools
import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

EVEN = "even"
POISSON = "poisson"
SPACINGS = {
    EVEN: "equal gaps, as from a metronome",
    POISSON: "random gaps, as from many people who know nothing of each other (the number of starts is random as well)",
}
"""How the starts are spread at a given rate."""


@dataclass(frozen=True)
class Segment:
    """A part of a run: over `seconds`, the rate (starts per second) moves in a straight line from `rate` to `end_rate`.

    Samples of a part that is not `measured` are kept apart. A load by a number of users has no rates.
    """

    name: str
    seconds: float
    rate: float = 0.0
    end_rate: float = 0.0
    measured: bool = True

    @property
    def starts(self) -> float:
        """The number of starts that are due: the integral of the rate."""
        return self.seconds * (self.rate + self.end_rate) / 2

    def due_by(self, elapsed: float) -> float:
        """Return the number of starts that are due in the first `elapsed` seconds of this part."""
        return elapsed * (self.rate + (self.end_rate - self.rate) * elapsed / (2 * self.seconds))

    def when(self, count: float) -> float:
        """Return after how many seconds `count` starts are due: the inverse of `due_by`."""
        slope = (self.end_rate - self.rate) / self.seconds
        root = math.sqrt(max(0.0, self.rate * self.rate + 2 * slope * count))
        return min(self.seconds, 2 * count / (self.rate + root)) if count else 0.0


def starts(
    segments: Sequence[Segment], spacing: str, seed: int, worker: int = 0, workers: int = 1
) -> Iterator[tuple[int, float]]:
    """Yield the number of each start that falls to one of `workers`, and when it is due, in order.

    All workers draw the same schedule and take turns: together they make exactly the starts that one would make alone.
    """
    yield from itertools.islice(enumerate(_all_starts(segments, spacing, seed)), worker, None, workers)


class Timeline:
    """Tells which part of a run a moment falls in. A part may be appended while the run goes on."""

    def __init__(self, segments: Iterable[Segment] = ()) -> None:
        self._segments: list[Segment] = []
        self._begins: list[float] = []
        begin = 0.0
        for segment in segments:
            self.append(segment, begin)
            begin += segment.seconds

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The parts so far, in order."""
        return tuple(self._segments)

    def append(self, segment: Segment, begin: float) -> None:
        """Have a further part begin at a time, in seconds. Raises ValueError when that is before the last one's beginning."""
        if self._begins and begin < self._begins[-1]:
            raise ValueError(f"part {segment.name!r} begins before the one that it follows")
        self._segments.append(segment)
        self._begins.append(begin)

    def at(self, elapsed: float) -> Segment:
        """Return the part that `elapsed` seconds fall in; what is before the first or after the last belongs to it."""
        return self._segments[self._index(elapsed)]

    def around(self, elapsed: float) -> tuple[Segment, float, float]:
        """Return the part that `elapsed` seconds fall in, and from when until when things belong to it (maybe infinite)."""
        index = self._index(elapsed)
        begin = self._begins[index] if index else -math.inf
        return self._segments[index], begin, self._begins[index + 1] if index + 1 < len(self._begins) else math.inf

    def _index(self, elapsed: float) -> int:
        return max(0, bisect.bisect_right(self._begins, elapsed) - 1)


def _all_starts(segments: Sequence[Segment], spacing: str, seed: int) -> Iterator[float]:
    """Map evenly or randomly spaced points on the axis of counts back to the axis of time."""
    points = _poisson_points(seed) if spacing == POISSON else itertools.count(0.5)
    point = next(points)
    begun, before = 0.0, 0.0
    for segment in segments:
        after = before + segment.starts
        while point < after:
            yield begun + segment.when(point - before)
            point = next(points)
        begun, before = begun + segment.seconds, after


def _poisson_points(seed: int) -> Iterator[float]:
    draw = random.Random(f"arrivals:{seed}")  # noqa: S311 - a schedule, not a secret
    point = 0.0
    while True:
        point += draw.expovariate(1.0)
        yield point
