"""Gives the starts of an open load to free users, and keeps count of what became of each.

A start is never put off by an answer that is missing: without a free user it is dropped (or waits, if the scenario says so),
and what the generator itself delays is told apart from that. Knows neither gevent nor Locust: clock and the state of the
generator come in as functions, and whoever has a timer takes the starts that are due. Times are nanoseconds of one monotonic
clock.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence

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


class _Tally:
    """The starts of one part of the run. `fresh` are delays, in microseconds, that were not folded into the histogram yet."""

    __slots__ = ("_delays", "dropped", "dropped_behind", "fresh", "late", "waited")

    def __init__(self) -> None:
        self._delays = Histogram()
        self.fresh: list[int] = []
        self.waited = 0
        self.late = 0
        self.dropped = 0
        self.dropped_behind = 0

    @property
    def delays(self) -> Histogram:
        """By how much each start was late."""
        self._delays.add_all(Counter(self.fresh))
        self.fresh.clear()
        return self._delays

    @property
    def started(self) -> int:
        """Starts that were begun."""
        return self._delays.count + len(self.fresh)


class Dispatch:
    """The starts of one run: a schedule for all its parts (`follow`), or further parts one after the other (`enter`).

    `next_due_ns` is when the next start that was not taken yet is due, None for none. `short` counts the starts that found no
    free user; whoever lets the pool grow sets it back. `busy` counts the users that are at work on a start.
    """

    def __init__(
        self, parts: Sequence[Segment], rules: Starts, clock_ns: Callable[[], int], is_behind: Callable[[], bool]
    ) -> None:
        self._timeline = Timeline(parts)
        self._rules = rules
        self._late_ns, self._wait_ns = round(rules.late_after * 1e9), round(rules.wait * 1e9)
        self._clock_ns = clock_ns
        self._is_behind = is_behind
        self._tallies = {part.name: _Tally() for part in parts}
        self._present, self._present_from, self._present_to = _Tally(), math.inf, -math.inf
        self._idle: list[Seat] = []
        self._waiting: deque[tuple[int, int]] = deque()
        self._origin_ns = 0
        self._schedule: Iterator[int] = iter(())
        self._closed = False
        self.next_due_ns: int | None = None
        self.short = 0
        self.busy = 0

    def follow(self, schedule: Iterable[tuple[int, float]], begun_ns: int) -> None:
        """Take the schedule of the whole run: numbers of starts, and when they are due, in seconds since `begun_ns`."""
        self._origin_ns = begun_ns
        self._set(schedule, begun_ns)

    def enter(self, parts: Sequence[Segment], schedule: Iterable[tuple[int, float]], begun_ns: int) -> None:
        """Go on with further parts, the first of which begins at `begun_ns`, and with their schedule from then on."""
        if not self._timeline.segments:
            self._origin_ns = begun_ns
        elapsed = (begun_ns - self._origin_ns) / 1e9
        for part in parts:
            self._timeline.append(part, elapsed)
            self._tallies[part.name] = _Tally()
            elapsed += part.seconds
        self._present_from, self._present_to = math.inf, -math.inf
        self._set(schedule, begun_ns)

    def take_due(self, now_ns: int, most: int = BURST) -> list[int]:
        """Take the starts that are due by now off the schedule, the oldest first, so many at most."""
        due: list[int] = []
        next_ns, schedule = self.next_due_ns, self._schedule
        while next_ns is not None and next_ns <= now_ns and len(due) < most:
            due.append(next_ns)
            next_ns = next(schedule, None)
        self.next_due_ns = next_ns
        return due

    def offer(self, due_ns: int) -> None:
        """Give a start that is due to a free user, or else have it wait or drop it."""
        if self._waiting:
            self._drop_overdue()
        if self._idle:
            self._give(self._idle.pop(), due_ns, 0)
            return
        self.short += 1
        if self._wait_ns:
            self._waiting.append((due_ns, self._clock_ns()))
        else:
            self.drop(due_ns, self._clock_ns())

    def free(self, seat: Seat) -> None:
        """Take in a user that is free, and give it a start that has waited for one, if there is any."""
        self._vacate(seat)
        if self._waiting:
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
        self.begun(seat.due_ns, self._clock_ns(), seat.waited_ns)
        return seat.due_ns

    def begun(self, due_ns: int, now_ns: int, waited_ns: int = 0) -> None:
        """Count a start that begins now; `waited_ns` of its delay were for want of a free user."""
        tally = self._tally(due_ns)
        delay_ns = now_ns - due_ns - waited_ns
        tally.fresh.append(delay_ns // 1000)
        tally.late += delay_ns > self._late_ns

    def drop(self, due_ns: int, offered_ns: int) -> None:
        """Count a start that nobody makes; `offered_ns` is when that was found."""
        tally = self._tally(due_ns)
        tally.dropped += 1
        tally.dropped_behind += offered_ns - due_ns > self._late_ns or self._is_behind()

    def leave(self, seat: Seat) -> None:
        """Take a user out that goes home."""
        self._vacate(seat)
        if seat in self._idle:
            self._idle.remove(seat)

    def close(self) -> None:
        """Offer nothing any more; what still waits, or is due and was not offered yet, is dropped."""
        now = self._clock_ns()
        while due := self.take_due(now):
            for due_ns in due:
                self.drop(due_ns, now)
        while self._waiting:
            self.drop(*self._waiting.popleft())
        self._closed = True
        self._schedule, self.next_due_ns = iter(()), None

    @property
    def dropped(self) -> int:
        """Starts dropped so far."""
        return sum(tally.dropped for tally in self._tallies.values())

    @property
    def late(self) -> int:
        """Starts made too late so far."""
        return sum(tally.late for tally in self._tallies.values())

    def delays(self) -> tuple[Latency, ...]:
        """Return by how much the generator was late, stage by stage."""
        found = [(part, self._tallies[part.name].delays) for part in self._timeline.segments]
        return tuple(
            Latency("scheduling", "start", "", delays, part.name, part.measured) for part, delays in found if delays.count
        )

    def summary(self) -> tuple[Arrivals, ...]:
        """Return what became of all starts so far, stage by stage."""
        return tuple(
            Arrivals(
                stage=part.name,
                measured=part.measured,
                seconds=part.seconds,
                scheduled=tally.started + tally.dropped,
                started=tally.started,
                waited=tally.waited,
                late=tally.late,
                dropped=tally.dropped,
                dropped_behind=tally.dropped_behind,
                late_after=self._rules.late_after,
                behind_limit=self._rules.behind_limit,
            )
            for part, tally in ((part, self._tallies[part.name]) for part in self._timeline.segments)
        )

    def _set(self, schedule: Iterable[tuple[int, float]], begun_ns: int) -> None:
        if not self._closed:
            self._schedule = (begun_ns + round(at * 1e9) for _, at in schedule)
            self.next_due_ns = next(self._schedule, None)

    def _give(self, seat: Seat, due_ns: int, waited_ns: int) -> None:
        seat.due_ns, seat.waited_ns = due_ns, waited_ns
        self.busy += 1
        seat.wake()

    def _vacate(self, seat: Seat) -> None:
        self.busy -= seat.due_ns is not None
        seat.due_ns = None

    def _drop_overdue(self) -> None:
        while self._waiting and self._clock_ns() - self._waiting[0][1] > self._wait_ns:
            self.drop(*self._waiting.popleft())

    def _tally(self, due_ns: int) -> _Tally:
        if not self._present_from <= due_ns < self._present_to:
            part, begin, end = self._timeline.around((due_ns - self._origin_ns) / 1e9)
            self._present = self._tallies[part.name]
            self._present_from, self._present_to = self._to_ns(begin), self._to_ns(end)
        return self._present

    def _to_ns(self, elapsed: float) -> float:
        return self._origin_ns + math.ceil(elapsed * 1e9) if math.isfinite(elapsed) else elapsed
