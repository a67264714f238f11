"""What a load run measures: a histogram per stage, RPC and status code, seconds as they pass, and the phases of jobs.

Knows neither users nor Locust nor files: calls go in, lines of the record come out. Times are monotonic nanoseconds since the
start of the run; `begin` tells when its first stage began. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.histogram import Histogram
from harness.record import Interval, Latency
from harness.schedule import Segment, Timeline
from harness.thresholds import PHASES

_SECOND = 1_000_000_000
_Series = tuple[str, str, str]
"""Stage, RPC and status code."""


@dataclass
class _Second:
    """The calls of one RPC that ended within one second."""

    latencies: Histogram = field(default_factory=Histogram)
    errors: dict[str, int] = field(default_factory=lambda: defaultdict(int))


@dataclass(frozen=True)
class Recent:
    """The calls of one second, all RPCs together; percentiles in microseconds."""

    count: int
    p50: int
    p95: int
    p99: int


class Recording:
    """Collects the samples of one run. `is_open` keeps the time from the sending of a call beside that from its due time."""

    def __init__(self, parts: Sequence[Segment] = (Segment("", 0.0),), *, is_open: bool = False) -> None:
        self._timeline = Timeline(parts)
        self._is_open = is_open
        self._origin_ns = 0
        self._calls: dict[_Series, Histogram] = defaultdict(Histogram)
        self._services: dict[_Series, Histogram] = defaultdict(Histogram)
        self._phases: dict[tuple[str, str], Histogram] = defaultdict(Histogram)
        self._open: dict[int, dict[str, _Second]] = defaultdict(lambda: defaultdict(_Second))
        self._seen: dict[str, None] = {}
        self._written = 0
        self.calls = 0
        self.errors = 0
        self.recent = Recent(0, 0, 0, 0)

    def begin(self, at_ns: int) -> None:
        """Have the first stage begin at a time."""
        self._origin_ns = at_ns

    def add_call(self, rpc: str, code: str, sent_ns: int, ended_ns: int, due_ns: int | None = None) -> None:
        """Count a call in the stage in which it was due and in the second in which it ended (or the oldest still open).

        `due_ns` is when it was meant to be sent, if that was not when it was sent.
        """
        began_ns = sent_ns if due_ns is None else due_ns
        micros = (ended_ns - began_ns) // 1000
        series = self._stage_at(began_ns), rpc, code
        self._calls[series].add(micros)
        if self._is_open:
            self._services[series].add((ended_ns - sent_ns) // 1000)
        self._seen.setdefault(rpc)
        second = self._open[max(ended_ns // _SECOND, self._written)][rpc]
        second.latencies.add(micros)
        self.calls += 1
        if code != "OK":
            second.errors[code] += 1
            self.errors += 1

    def add_phase(self, phase: str, micros: int, ended_ns: int) -> None:
        """Count the time that a job spent in a phase, in the stage in which the phase was seen to end."""
        self._phases[self._stage_at(ended_ns), phase].add(micros)

    def close_seconds(self, before: int, users: int) -> list[Interval]:
        """Return the lines of all seconds below `before` that were not returned yet, a line for each RPC seen so far.

        Seconds without calls have lines as well, so that a stall shows.
        """
        lines: list[Interval] = []
        for second in range(self._written, before):
            by_rpc = self._open.pop(second, {})
            lines += [_interval(second, rpc, by_rpc.get(rpc, _Second()), users) for rpc in self._seen]
            self.recent = _recent(by_rpc)
        self._written = max(self._written, before)
        return lines

    def latencies(self) -> tuple[Latency, ...]:
        """Return all samples so far, stage by stage."""
        lines: list[Latency] = []
        for part in self._timeline.segments:
            for kind, found in (("rpc", self._calls), ("service", self._services)):
                mine = sorted((rpc, code) for at, rpc, code in found if at == part.name)
                lines += [_latency(kind, rpc, code, found[part.name, rpc, code], part) for rpc, code in mine]
            for phase in PHASES:
                if (histogram := self._phases.get((part.name, phase))) is not None:
                    lines.append(_latency("lifecycle", phase, "", histogram, part))
        return tuple(lines)

    def _stage_at(self, at_ns: int) -> str:
        return self._timeline.at((at_ns - self._origin_ns) / _SECOND).name


def _latency(kind: str, name: str, code: str, histogram: Histogram, part: Segment) -> Latency:
    return Latency(kind, name, code, histogram, part.name, part.measured)


def _interval(second: int, rpc: str, found: _Second, users: int) -> Interval:
    p50, p95, p99 = (value for _, value in found.latencies.spectrum((50, 95, 99)))
    return Interval(
        second=second,
        rpc=rpc,
        count=found.latencies.count,
        errors=dict(found.errors),
        p50=p50,
        p95=p95,
        p99=p99,
        largest=found.latencies.largest,
        users=users,
    )


def _recent(by_rpc: Mapping[str, _Second]) -> Recent:
    merged = Histogram()
    for second in by_rpc.values():
        merged.merge(second.latencies)
    p50, p95, p99 = (value for _, value in merged.spectrum((50, 95, 99)))
    return Recent(merged.count, p50, p95, p99)
