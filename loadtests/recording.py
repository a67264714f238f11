"""What a load run measures: a histogram per stage, RPC and status code, seconds as they pass, and the phases of jobs.

Knows neither users nor Locust nor files: calls go in, lines of the record come out. Samples are gathered in plain lists, and
folded into histograms when the second in which they ended is over: that costs a fraction of folding each by itself. Times are
monotonic nanoseconds since the start of the run; `begin` tells when its first stage began. Pure.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.histogram import Histogram
from harness.record import Interval, Latency
from harness.schedule import Segment, Timeline
from harness.thresholds import PHASES
from loadtests.lifecycle import Phase

_SECOND = 1_000_000_000
_Series = tuple[str, str, str]
"""Stage, RPC and status code."""


class _Batch:
    """Calls of one series that ended in the present second: microseconds since they were due, and since they were sent."""

    __slots__ = ("micros", "octets", "services")

    def __init__(self) -> None:
        self.micros: list[int] = []
        self.services: list[int] = []
        self.octets = 0


@dataclass(frozen=True)
class Fold:
    """Calls that were counted together: how often each latency (in microseconds) occurred, and the octets of their answers."""

    rpc: str
    code: str
    counts: Mapping[int, int]
    octets: int


@dataclass(frozen=True)
class SecondOfCalls:
    """The calls of one RPC that ended within one second of the run; errors by gRPC code."""

    second: int
    rpc: str
    latencies: Histogram = field(default_factory=Histogram)
    errors: Mapping[str, int] = field(default_factory=dict)


@dataclass
class _Second:
    latencies: Histogram = field(default_factory=Histogram)
    errors: dict[str, int] = field(default_factory=lambda: defaultdict(int))


@dataclass(frozen=True)
class Recent:
    """The calls of one second, all RPCs together; percentiles in microseconds."""

    count: int
    p50: int
    p95: int
    p99: int


def _ignore(_: Fold) -> None:
    """Nobody else wants to know of the calls."""


class Recording:
    """Collects the samples of one run. `is_open` keeps the time from the sending of a call beside that from its due time.

    `on_fold` hears of all calls, many at a time.
    """

    def __init__(
        self,
        parts: Sequence[Segment] = (Segment("", 0.0),),
        *,
        is_open: bool = False,
        on_fold: Callable[[Fold], None] = _ignore,
    ) -> None:
        self._timeline = Timeline(parts or (Segment("", 0.0),))
        self._is_open = is_open
        self._on_fold = on_fold
        self._origin_ns = 0
        self._batches: dict[str, dict[tuple[str, str], _Batch]] = {}
        self._second, self._second_from, self._second_to = 0, 0, _SECOND
        self._calls: dict[_Series, Histogram] = defaultdict(Histogram)
        self._services: dict[_Series, Histogram] = defaultdict(Histogram)
        self._phases: dict[tuple[str, str, str], Histogram] = defaultdict(Histogram)
        self._open: dict[int, dict[str, _Second]] = defaultdict(lambda: defaultdict(_Second))
        self._seen: dict[str, None] = {}
        self._taken = 0
        self._folded_calls = 0
        self._folded_errors = 0
        self._enter_stage(0)

    def begin(self, at_ns: int) -> None:
        """Have the first stage begin at a time."""
        self._origin_ns = at_ns
        self._enter_stage(at_ns)

    def enter(self, segment: Segment, at_ns: int) -> None:
        """Have a further stage begin at a time, which may be yet to come."""
        self._timeline.append(segment, (at_ns - self._origin_ns) / _SECOND)
        self._enter_stage(at_ns)

    def add_call(  # noqa: PLR0917 - called once per call, and names of arguments take time
        self, rpc: str, code: str, sent_ns: int, ended_ns: int, due_ns: int | None = None, octets: int = 0
    ) -> None:
        """Count a call in the stage in which it was due and in the second in which it ended (or the oldest still open).

        `due_ns` is when it was meant to be sent, if that was not when it was sent; `octets` the size of its answer.
        """
        began_ns = sent_ns if due_ns is None else due_ns
        if not self._second_from <= ended_ns < self._second_to:
            self._enter_second(ended_ns)
        if not self._stage_from <= began_ns < self._stage_to:
            self._enter_stage(began_ns)
        try:
            batch = self._present[rpc, code]
        except KeyError:
            batch = self._present[rpc, code] = _Batch()
        batch.micros.append((ended_ns - began_ns) // 1000)
        batch.octets += octets
        if self._is_open:
            batch.services.append((ended_ns - sent_ns) // 1000)

    def add_phase(self, phase: Phase, ended_ns: int) -> None:
        """Count the time that a job spent in a phase, and its error bar, in the stage in which the phase was seen to end."""
        if not self._stage_from <= ended_ns < self._stage_to:
            self._enter_stage(ended_ns)
        self._phases[self._stage, "lifecycle", phase.name].add(phase.micros)
        self._phases[self._stage, "lifecycle_error", phase.name].add(phase.error_micros)

    @property
    def calls(self) -> int:
        """Calls so far."""
        return self._folded_calls + sum(len(batch.micros) for _, _, batch in self._pending())

    @property
    def errors(self) -> int:
        """Calls so far that ended with another code than OK."""
        return self._folded_errors + sum(len(batch.micros) for _, code, batch in self._pending() if code != "OK")

    def take_seconds(self, before: int) -> list[SecondOfCalls]:
        """Return the calls of all seconds below `before` that were not taken yet, for each RPC seen so far.

        Seconds without calls are among them, so that a stall shows.
        """
        self._fold()
        taken: list[SecondOfCalls] = []
        for second in range(self._taken, before):
            by_rpc = self._open.pop(second, {})
            for rpc in self._seen:
                found = by_rpc.get(rpc) or _Second()
                taken.append(SecondOfCalls(second, rpc, found.latencies, dict(found.errors)))
        self._taken = max(self._taken, before)
        self._enter_second(max(self._second_from, self._taken * _SECOND))
        return taken

    def latencies(self) -> tuple[Latency, ...]:
        """Return all samples so far, stage by stage."""
        self._fold()
        lines: list[Latency] = []
        for part in self._timeline.segments:
            for kind, found in (("rpc", self._calls), ("service", self._services)):
                mine = sorted((rpc, code) for at, rpc, code in found if at == part.name)
                lines += [_latency(kind, rpc, code, found[part.name, rpc, code], part) for rpc, code in mine]
            for phase in PHASES:
                for kind in ("lifecycle", "lifecycle_error"):
                    if (histogram := self._phases.get((part.name, kind, phase))) is not None:
                        lines.append(_latency(kind, phase, "", histogram, part))
        return tuple(lines)

    def _enter_stage(self, at_ns: int) -> None:
        segment, begin, end = self._timeline.around((at_ns - self._origin_ns) / _SECOND)
        self._stage = segment.name
        self._stage_from = begin if math.isinf(begin) else self._origin_ns + math.ceil(begin * _SECOND)
        self._stage_to = end if math.isinf(end) else self._origin_ns + math.ceil(end * _SECOND)
        self._present = self._batches.setdefault(self._stage, {})

    def _enter_second(self, ended_ns: int) -> None:
        self._fold()
        self._second = max(ended_ns // _SECOND, self._taken)
        # What ended before the oldest open second is counted in that one.
        self._second_from = self._second * _SECOND if self._second > self._taken else 0
        self._second_to = (self._second + 1) * _SECOND

    def _pending(self) -> Iterable[tuple[str, str, _Batch]]:
        for batches in self._batches.values():
            for (rpc, code), batch in batches.items():
                yield rpc, code, batch

    def _fold(self) -> None:
        for stage, batches in self._batches.items():
            for (rpc, code), batch in batches.items():
                counts = Counter(batch.micros)
                self._calls[stage, rpc, code].add_all(counts)
                if self._is_open:
                    self._services[stage, rpc, code].add_all(Counter(batch.services))
                self._seen.setdefault(rpc)
                second = self._open[self._second][rpc]
                second.latencies.add_all(counts)
                self._folded_calls += len(batch.micros)
                if code != "OK":
                    second.errors[code] += len(batch.micros)
                    self._folded_errors += len(batch.micros)
                self._on_fold(Fold(rpc, code, counts, batch.octets))
            batches.clear()


def intervals(seconds: Iterable[SecondOfCalls], users: int) -> list[Interval]:
    """Return the lines of the record for seconds."""
    return [_interval(second, users) for second in seconds]


def recent_of(seconds: Iterable[SecondOfCalls]) -> Recent:
    """Return the latest of some seconds, all RPCs together."""
    taken = list(seconds)
    last = max((second.second for second in taken), default=0)
    merged = Histogram()
    for second in taken:
        if second.second == last:
            merged.merge(second.latencies)
    p50, p95, p99 = (value for _, value in merged.spectrum((50, 95, 99)))
    return Recent(merged.count, p50, p95, p99)


def _latency(kind: str, name: str, code: str, histogram: Histogram, part: Segment) -> Latency:
    return Latency(kind, name, code, histogram, part.name, part.measured)


def _interval(found: SecondOfCalls, users: int) -> Interval:
    p50, p95, p99 = (value for _, value in found.latencies.spectrum((50, 95, 99)))
    return Interval(
        second=found.second,
        rpc=found.rpc,
        count=found.latencies.count,
        errors=dict(found.errors),
        p50=p50,
        p95=p95,
        p99=p99,
        largest=found.latencies.largest,
        users=users,
    )
