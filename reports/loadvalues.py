"""What a report shows of a load run, as frozen values; `reports.values` has the rest, and the same rules.

Latencies are in milliseconds, times of the run in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.record import Arrivals, Interval, Ledger, SearchLine, ThresholdLine


@dataclass(frozen=True)
class Spread:
    """How latencies are spread, in milliseconds."""

    count: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    p999: float
    largest: float


@dataclass(frozen=True)
class ErrorRow:
    """Calls that ended with one gRPC code other than OK."""

    code: str
    count: int
    spread: Spread | None


@dataclass(frozen=True)
class RpcRow:
    """One RPC under load: calls, calls per second, the spread of those that succeeded (if on record), errors by code."""

    rpc: str
    count: int
    rate: float
    spread: Spread | None
    errors: tuple[ErrorRow, ...]

    @property
    def error_count(self) -> int:
        """Calls that did not end with OK."""
        return sum(error.count for error in self.errors)


@dataclass(frozen=True)
class Spectrum:
    """The whole spread of the latencies of one series of calls that ended with OK, up to its last one.

    `points` are pairs of per cent and milliseconds, both growing; they end with 100 %. `kind` is as in the record: `rpc` or
    `service`.
    """

    name: str
    kind: str
    count: int
    points: tuple[tuple[float, float], ...]

    def at(self, percent: float) -> float | None:
        """Return the latency of one of the points; None if there are too few samples for it."""
        return dict(self.points).get(percent)


@dataclass(frozen=True)
class StageRow:
    """What was measured in one stage of a run, all RPCs together and each of them.

    `seconds` is its length, `begin` when it began, both as planned and None if the record does not say.
    """

    name: str
    measured: bool
    seconds: float | None
    begin: float | None
    total: RpcRow
    rpcs: tuple[RpcRow, ...]


@dataclass(frozen=True)
class Phase:
    """How long jobs spent in one phase of their life.

    A job's true time is at most its error bar off, which the time between two polls makes; `error` is the spread of the error
    bars (None: the record does not hold them).
    """

    name: str
    spread: Spread
    error: Spread | None = None

    def shown(self, figure: str) -> tuple[float, float | None]:
        """Return a figure of the spread, by name, and the error bar to show with it: the same figure of the error bars."""
        return getattr(self.spread, figure), None if self.error is None else getattr(self.error, figure)


ERROR_BARS = (
    "Times of jobs come from polling: each is known to within an error bar that the time between two polls makes. "
    "What stands behind ± is the same percentile of the jobs' error bars; behind a largest time, the largest of them."
)
"""What reports say of error bars."""


@dataclass(frozen=True)
class Point:
    """A window of `Load.window` seconds of one RPC; percentiles are those of its slowest second, in milliseconds."""

    second: int
    rpc: str
    count: int
    rate: float
    errors: Mapping[str, int]
    p50: float
    p95: float
    p99: float
    largest: float
    users: int


@dataclass(frozen=True)
class Load:
    """All that one load run measured; in an open load `rpcs` count from when calls were meant to start.

    Of open loads only: what became of the starts of each stage, the times of calls that ended with OK from when they were really
    sent, by how much the generator was late, and `offered`: the planned starts per second, as corners (second, rate) of a line.
    Of searches for the highest rate: what they found. `stages` are those of runs that have several. `intervals` are the seconds
    behind `series`, all of them.
    """

    detail: Mapping[str, Any]
    planned: int
    seconds: float
    rpcs: tuple[RpcRow, ...]
    total: RpcRow
    phases: tuple[Phase, ...]
    window: int
    series: tuple[Point, ...]
    thresholds: tuple[ThresholdLine, ...]
    ledger: Ledger | None
    arrivals: tuple[Arrivals, ...] = ()
    service: Spread | None = None
    delays: Spread | None = None
    search: SearchLine | None = None
    intervals: tuple[Interval, ...] = ()
    stages: tuple[StageRow, ...] = ()
    spectra: tuple[Spectrum, ...] = ()
    offered: tuple[tuple[float, float], ...] = ()
