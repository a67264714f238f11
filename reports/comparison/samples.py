"""What was measured in the load runs of one side: per second where there is one run, per run where there are several. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, geometric_mean, median
from typing import Any

from harness.record import Interval, Line, Record, SectionStart
from reports.comparison.bootstrap import Ratio
from reports.loadvalues import Load, RpcRow, Spread
from reports.measured import load_views

PERCENTILES: Mapping[str, int] = {"p50": 2, "p95": 20, "p99": 100}
"""Percentiles that are compared, and how many calls it takes for one of them to lie beyond."""


@dataclass(frozen=True)
class LoadRun:
    """One load run: what its report would show, and its measured seconds by RPC (without the one in which users were started)."""

    load: Load
    seconds: Mapping[str, tuple[Interval, ...]]

    @property
    def rpcs(self) -> Mapping[str, RpcRow]:
        """The RPCs that were called."""
        return {row.rpc: row for row in self.load.rpcs}

    @property
    def failed(self) -> float:
        """The share of all calls that failed, in per cent."""
        total = self.load.total
        return 100 * total.error_count / total.count if total.count else 0.0

    def percentile(self, rpc: str, statistic: str) -> float | None:
        """Return a percentile, or the mean, of calls that ended with OK, in milliseconds; None without any."""
        row = self.rpcs.get(rpc)
        return None if row is None else _figure(row.spread, statistic)

    def phase(self, name: str, statistic: str) -> float | None:
        """Return a percentile of the times that jobs spent in a phase, in milliseconds; None without any."""
        return next((_figure(phase.spread, statistic) for phase in self.load.phases if phase.name == name), None)

    def typical(self, rpc: str, statistic: str) -> tuple[Ratio, ...]:
        """Return the logarithm of a percentile in each second in which the RPC was called, each to count the same."""
        values = (getattr(line, statistic) for line in self.seconds.get(rpc, ()) if line.count)
        return tuple((math.log(value / 1000), 1.0) for value in values if value)

    def latency(self, rpcs: Sequence[str]) -> float:
        """Return the geometric mean of the p50 of some RPCs, in milliseconds; 0 without any."""
        values = [value for rpc in rpcs if (value := self.percentile(rpc, "p50"))]
        return geometric_mean(values) if values and len(values) == len(rpcs) else 0.0

    def typical_of_all(self, rpcs: Sequence[str]) -> tuple[Ratio, ...]:
        """Return the logarithm of that mean in each second in which all of these RPCs were called, each to count the same."""
        by_second: dict[int, list[float]] = {}
        for rpc in rpcs:
            for line in self.seconds.get(rpc, ()):
                if line.count and line.p50:
                    by_second.setdefault(line.second, []).append(math.log(line.p50 / 1000))
        return tuple((fmean(by_second[second]), 1.0) for second in sorted(by_second) if len(by_second[second]) == len(rpcs))

    def calls_per_second(self, rpc: str) -> float:
        """Return how many calls the RPC had in half of the measured seconds at least."""
        counts = [line.count for line in self.seconds.get(rpc, ())]
        return median(counts) if counts else 0.0

    def rates(self) -> tuple[Ratio, ...]:
        """Return the calls of each second, over all RPCs."""
        return tuple((float(count), 1.0) for count, _ in self._totals())

    def failures(self) -> tuple[Ratio, ...]:
        """Return the failed calls among the calls of each second, over all RPCs."""
        return tuple((float(failed), float(count)) for count, failed in self._totals())

    def _totals(self) -> list[tuple[int, int]]:
        """Return the calls, and the failed ones, of each second; one in which the endpoint stood still has none."""
        lines = [line for lines in self.seconds.values() for line in lines]
        places = [line.second for line in lines]
        totals = dict.fromkeys(range(min(places), max(places) + 1), (0, 0)) if places else {}
        for line in lines:
            count, failed = totals[line.second]
            totals[line.second] = (count + line.count, failed + sum(line.errors.values()))
        return list(totals.values())


def _figure(spread: Spread | None, statistic: str) -> float | None:
    value: float | None = None if spread is None else getattr(spread, statistic)
    return value or None


def load_runs(records: Sequence[Record]) -> tuple[LoadRun, ...]:
    """Return the load runs of all records, in their order."""
    return tuple(
        LoadRun(load, _seconds(load.detail, intervals))
        for record in records
        for load, intervals in zip(load_views(record.lines), _intervals(record.lines), strict=True)
    )


def _intervals(lines: Sequence[Line]) -> list[list[Interval]]:
    """Return the intervals of each load section."""
    sections: list[list[Interval]] = []
    current: list[Interval] = []
    for line in lines:
        if isinstance(line, SectionStart):
            current = []
            if line.section == "load":
                sections.append(current)
        elif isinstance(line, Interval):
            current.append(line)
    return sections


def _seconds(detail: Mapping[str, Any], intervals: Sequence[Interval]) -> dict[str, tuple[Interval, ...]]:
    """Return the whole seconds that were measured, by RPC."""
    spans = _measured_spans(detail)
    found: dict[str, list[Interval]] = {}
    for line in sorted(intervals, key=lambda line: line.second):
        if line.second and any(start <= line.second and line.second + 1 <= end for start, end in spans):
            found.setdefault(line.rpc, []).append(line)
    return {rpc: tuple(lines) for rpc, lines in sorted(found.items())}


def _measured_spans(detail: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Return from when to when a run measured, in seconds, as its scenario has it; all of it if that is not said."""
    begun = float(detail.get("warm_up") or 0.0)
    stages = detail.get("stages") or ()
    if not all(isinstance(stage, Mapping) and "duration" in stage for stage in stages):
        stages = ()
    if not stages:
        return [(begun, begun + float(detail.get("duration") or math.inf))]
    spans = []
    for stage in stages:
        if stage.get("measured", True):
            spans.append((begun, begun + stage["duration"]))
        begun += stage["duration"]
    return spans
