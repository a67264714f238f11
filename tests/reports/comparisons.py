"""Synthetic load runs that scatter as real ones do: from run to run, from second to second, and from call to call."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from harness.histogram import Histogram
from harness.record import Interval, Latency, Line, Record
from reports.comparison import Comparison, Measure
from tests.reports import records

RPC = "GetControllerJobStatus"
CALLS = 40
"""Calls of a second."""


def run(
    seed: int,
    *,
    level: float = 5000.0,
    seconds: int = 6,
    scatter: float = 0.02,
    errors: float = 0.0,
    rpcs: Sequence[str] = (RPC,),
    **changes: Any,
) -> Record:
    """Return a run whose calls take about `level` microseconds; runs scatter by `scatter`, and so do seconds."""
    random = Random(seed)  # noqa: S311 - nothing secret
    lines: list[Line] = []
    for rpc in rpcs:
        histogram, drift = Histogram(), 0.0
        own = level * math.exp(random.gauss(0, scatter))
        failed = 0
        for second in range(seconds):
            drift = 0.5 * drift + random.gauss(0, scatter)
            calls = sorted(round(own * math.exp(drift + random.gauss(0, 0.25))) for _ in range(CALLS))
            for call in calls:
                histogram.add(call)
            bad = round(errors * CALLS)
            failed += bad
            codes = {"INTERNAL": bad} if bad else {}
            lines.append(Interval(second, rpc, CALLS, codes, calls[CALLS // 2], calls[-2], calls[-1], calls[-1], 4))
        lines.append(Latency("rpc", rpc, "OK", histogram))
        lines += [Latency("rpc", rpc, "INTERNAL", records.histogram([1000] * failed))] if failed else []
    return records.record(*records.load(*lines), run_id=f"run-{seed}", **changes)


def runs(first: int, count: int, **how: Any) -> list[Record]:
    """Return several runs with seeds of their own."""
    return [run(first + place, **how) for place in range(count)]


def measures(comparison: Comparison) -> Mapping[str, Measure]:
    """Return the measures by name."""
    assert not comparison.refusals
    return {measure.name: measure for measure in comparison.measures}
