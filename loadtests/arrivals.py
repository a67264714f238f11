"""Gives the starts of an open load to free users, and keeps count of what became of each.

A start is never put off by an answer that is missing: without a free user it is dropped (or waits, if the scenario says so),
and what the generator itself delays is told apart from that. Knows neither gevent nor Locust: clock, waiting and the state of
the generator come in as functions. Times are nanoseconds of one monotonic clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from harness.executors import Starts
from harness.histogram import Histogram
from harness.record import Arrivals, Latency
from harness.schedule import Segment, Timeline

BURST = 64
"""Starts that are made in a row, when many are due, before users have a turn."""


class Seat:
    """A user's place in the pool. `due_ns` is the start that it was given, None for none; `wake` tells its user so."""

    __slots__ = ("due_ns", "waited_ns", "wake")

    def __init__(self, wake: Callable[[], object]) -> None:
        self.wake = wake
        self.due_ns: int | None = None
        self.waited_ns = 0


@dataclass
class _Tally:
    """The starts of one part of the run."""

    delays: Histogram = field(default_factory=Histogram)
    waited: int = 0
    late: int = 0
    dropped: int = 0
    dropped_behind: int = 0


class Dispatch:
    """The starts of one run. `short` counts those that found no free user; whoever lets the pool grow sets it back."""

    def __init__(
        self, parts: Sequence[Segment], rules: Starts, clock_ns: Callable[[], int], is_behind: Callable[[], bool]
    ) -> None:
        self._timeline = Timeline(parts)
        self._rules = rules
        self._late_ns, self._wait_ns = round(rules.late_after * 1e9), round(rules.wait * 1e9)
        self._clock_ns = clock_ns
        self._is_behind = is_behind
        self._tallies = [(part, _Tally()) for part in parts]
        self._by_name = {part.name: tally for part, tally in self._tallies}
        self._idle: list[Seat] = []
        self._waiting: deque[tuple[int, int]] = deque()
        self._begun_ns = 0
        self._schedule: Iterator[int] = iter(())
        self._next_ns: int | None = None
        self._closed = False
        self.short = 0

    def run(self, schedule: Iterable[tuple[int, float]], begun_ns: int, sleep: Callable[[float], object]) -> None:
        """Offer each start at its time (seconds since `begun_ns`), until there are no more or `close` is called."""
        self._begun_ns = begun_ns
        self._schedule = (begun_ns + round(at * 1e9) for _, at in schedule)
        self._next_ns = next(self._schedule, None)
        burst = 0
        while self._next_ns is not None and not self._closed:
            left = self._next_ns - self._clock_ns()
            if left > 0 or burst == BURST:
                burst = 0
                sleep(max(left, 0) / 1e9)
                if self._closed:
                    return
                continue
            burst += 1
            due_ns, self._next_ns = self._next_ns, next(self._schedule, None)
            self.offer(due_ns)

    def offer(self, due_ns: int) -> None:
        """Give a start that is due to a free user, or else have it wait or drop it."""
        self._drop_overdue()
        if self._idle:
            self._give(self._idle.pop(), due_ns, 0)
            return
        self.short += 1
        if self._wait_ns:
            self._waiting.append((due_ns, self._clock_ns()))
        else:
            self._drop(due_ns, self._clock_ns())

    def free(self, seat: Seat) -> None:
        """Take in a user that is free, and give it a start that has waited for one, if there is any."""
        seat.due_ns = None
        self._drop_overdue()
        if not self._waiting:
            self._idle.append(seat)
            return
        due_ns, offered_ns = self._waiting.popleft()
        self._tally(due_ns).waited += 1
        # Had the generator kept up, the user might have been free long since.
        self._give(seat, due_ns, 0 if self._is_behind() else self._clock_ns() - offered_ns)

    def begin(self, seat: Seat) -> int:
        """Note that the user of a seat now begins its start, and return when that was due."""
        assert seat.due_ns is not None  # noqa: S101 - users begin what they were given only
        tally = self._tally(seat.due_ns)
        delay_ns = self._clock_ns() - seat.due_ns - seat.waited_ns
        tally.delays.add(delay_ns // 1000)
        tally.late += delay_ns > self._late_ns
        return seat.due_ns

    def leave(self, seat: Seat) -> None:
        """Take a user out that goes home."""
        if seat in self._idle:
            self._idle.remove(seat)

    def close(self) -> None:
        """Offer nothing any more; what still waits, or is due and was not offered yet, is dropped."""
        self._closed = True
        now = self._clock_ns()
        while self._next_ns is not None and self._next_ns <= now:
            self._drop(self._next_ns, now)
            self._next_ns = next(self._schedule, None)
        while self._waiting:
            self._drop(*self._waiting.popleft())

    @property
    def dropped(self) -> int:
        """Starts dropped so far."""
        return sum(tally.dropped for _, tally in self._tallies)

    @property
    def late(self) -> int:
        """Starts made too late so far."""
        return sum(tally.late for _, tally in self._tallies)

    def delays(self) -> tuple[Latency, ...]:
        """Return by how much the generator was late, stage by stage."""
        return tuple(
            Latency("scheduling", "start", "", tally.delays, part.name, part.measured)
            for part, tally in self._tallies
            if tally.delays.count
        )

    def summary(self) -> tuple[Arrivals, ...]:
        """Return what became of all starts so far, stage by stage."""
        return tuple(
            Arrivals(
                stage=part.name,
                measured=part.measured,
                seconds=part.seconds,
                scheduled=tally.delays.count + tally.dropped,
                started=tally.delays.count,
                waited=tally.waited,
                late=tally.late,
                dropped=tally.dropped,
                dropped_behind=tally.dropped_behind,
                late_after=self._rules.late_after,
                behind_limit=self._rules.behind_limit,
            )
            for part, tally in self._tallies
        )

    def _give(self, seat: Seat, due_ns: int, waited_ns: int) -> None:
        seat.due_ns, seat.waited_ns = due_ns, waited_ns
        seat.wake()

    def _drop_overdue(self) -> None:
        while self._waiting and self._clock_ns() - self._waiting[0][1] > self._wait_ns:
            self._drop(*self._waiting.popleft())

    def _drop(self, due_ns: int, offered_ns: int) -> None:
        tally = self._tally(due_ns)
        tally.dropped += 1
        tally.dropped_behind += offered_ns - due_ns > self._late_ns or self._is_behind()

    def _tally(self, due_ns: int) -> _Tally:
        return self._by_name[self._timeline.at((due_ns - self._begun_ns) / 1e9).name]
