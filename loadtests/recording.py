"""What a load run measures: one histogram per RPC and status code, seconds as they pass, and the phases of jobs.

Knows neither users nor Locust nor files: calls go in, lines of the record come out. Times are monotonic nanoseconds since the
start of the run. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.histogram import Histogram
from harness.record import Interval, Latency
from harness.thresholds import PHASES

_SECOND = 1_000_000_000


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
    """Collects the samples of one run."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, str], Histogram] = defaultdict(Histogram)
        self._phases: dict[str, Histogram] = defaultdict(Histogram)
        self._open: dict[int, dict[str, _Second]] = defaultdict(lambda: defaultdict(_Second))
        self._seen: dict[str, None] = {}
        self._written = 0
        self.calls = 0
        self.errors = 0
        self.recent = Recent(0, 0, 0, 0)

    def add_call(self, rpc: str, code: str, started_ns: int, ended_ns: int) -> None:
        """Count a call in the second in which it ended (or in the oldest one that is still open)."""
        micros = (ended_ns - started_ns) // 1000
        self._calls[rpc, code].add(micros)
        self._seen.setdefault(rpc)
        second = self._open[max(ended_ns // _SECOND, self._written)][rpc]
        second.latencies.add(micros)
        self.calls += 1
        if code != "OK":
            second.errors[code] += 1
            self.errors += 1

    def add_phase(self, phase: str, micros: int) -> None:
        """Count the time that a job spent in a phase."""
        self._phases[phase].add(micros)

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
        """Return all samples so far."""
        calls = (Latency("rpc", rpc, code, histogram) for (rpc, code), histogram in sorted(self._calls.items()))
        phases = (Latency("lifecycle", name, "", histogram) for name in PHASES if (histogram := self._phases.get(name)))
        return (*calls, *phases)


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
