"""The load part of the view: rates, latencies and errors per RPC, thinned out over time so that long runs stay small. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from harness.histogram import Histogram
from harness.record import Arrivals, Interval, Latency, Ledger, Line, SearchLine, SectionStart, ThresholdLine
from reports.values import ErrorRow, Load, Phase, Point, RpcRow, Spread

MOST_WINDOWS = 240
"""How many points in time a series has at most, whatever the length of the run."""

_ALL = "All RPCs"


def load_views(lines: Iterable[Line]) -> tuple[Load, ...]:
    """Return one value per load section among the lines, in their order."""
    sections: list[tuple[SectionStart, list[Line]]] = []
    current: list[Line] = []
    for line in lines:
        if isinstance(line, SectionStart):
            current = []
            if line.section == "load":
                sections.append((line, current))
        else:
            current.append(line)
    return tuple(_load_view(start, members) for start, members in sections)


def spread_of(histogram: Histogram) -> Spread:
    """Return the spread of a histogram of microseconds, in milliseconds."""
    p50, p90, p95, p99, p999 = (value / 1000 for _, value in histogram.spectrum((50, 90, 95, 99, 99.9)))
    return Spread(histogram.count, histogram.mean / 1000, p50, p90, p95, p99, p999, histogram.largest / 1000)


def _load_view(start: SectionStart, lines: Sequence[Line]) -> Load:
    intervals = [line for line in lines if isinstance(line, Interval)]
    seconds = [line.second for line in intervals]
    span = max(seconds) - min(seconds) + 1 if seconds else start.planned
    calls: dict[str, dict[str, Histogram]] = defaultdict(lambda: defaultdict(Histogram))
    phases: dict[str, Histogram] = defaultdict(Histogram)
    errors: dict[str, Histogram] = defaultdict(Histogram)
    service, delays = Histogram(), Histogram()
    for line in lines:
        if isinstance(line, Latency) and line.measured:
            match line.kind:
                case "lifecycle":
                    phases[line.name].merge(line.histogram)
                case "lifecycle_error":
                    errors[line.name].merge(line.histogram)
                case "scheduling":
                    delays.merge(line.histogram)
                case "service":
                    if line.code == "OK":
                        service.merge(line.histogram)
                case "rpc":
                    calls[line.name][line.code].merge(line.histogram)
    rows = _rows_of_histograms(calls, _measured_span(lines, span)) if calls else _rows_of_intervals(intervals, span)
    window = max(1, -(-span // MOST_WINDOWS))
    return Load(
        detail=start.detail,
        planned=start.planned,
        seconds=float(span),
        rpcs=rows[:-1],
        total=rows[-1],
        phases=tuple(Phase(name, spread_of(histogram), _spread(errors.get(name))) for name, histogram in phases.items()),
        window=window,
        series=_series(intervals, window),
        thresholds=tuple(line for line in lines if isinstance(line, ThresholdLine)),
        ledger=next((line for line in reversed(lines) if isinstance(line, Ledger)), None),
        arrivals=tuple(line for line in lines if isinstance(line, Arrivals)),
        service=_spread(service),
        delays=_spread(delays),
        search=next((line for line in lines if isinstance(line, SearchLine)), None),
    )


def _measured_span(lines: Iterable[Line], span: float) -> float:
    """Return the seconds of which calls were measured: of a run of `span` seconds with a warm-up, those of its other stages."""
    arrivals = [line for line in lines if isinstance(line, Arrivals)]
    measured = sum(line.seconds for line in arrivals if line.measured)
    return measured if measured and any(not line.measured for line in arrivals) else span


def _spread(histogram: Histogram | None) -> Spread | None:
    return spread_of(histogram) if histogram is not None and histogram.count else None


def _rows_of_histograms(calls: Mapping[str, Mapping[str, Histogram]], span: float) -> tuple[RpcRow, ...]:
    """Return a row per RPC, and one for all."""
    everything: dict[str, Histogram] = defaultdict(Histogram)
    for by_code in calls.values():
        for code, histogram in by_code.items():
            everything[code].merge(histogram)
    return tuple(_row(rpc, by_code, span) for rpc, by_code in (*calls.items(), (_ALL, everything)))


def _row(rpc: str, by_code: Mapping[str, Histogram], span: float) -> RpcRow:
    count = sum(histogram.count for histogram in by_code.values())
    good = by_code.get("OK")
    errors = tuple(
        ErrorRow(code, histogram.count, spread_of(histogram))
        for code, histogram in sorted(by_code.items())
        if code != "OK" and histogram.count
    )
    return RpcRow(rpc, count, count / span if span else 0.0, spread_of(good) if good is not None and good.count else None, errors)


def _rows_of_intervals(intervals: Sequence[Interval], span: float) -> tuple[RpcRow, ...]:
    """Return the rows of a run that ended before its histograms were written: counts are known, percentiles are not."""
    counts: dict[str, int] = defaultdict(int)
    errors: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for line in intervals:
        for rpc in (line.rpc, _ALL):
            counts[rpc] += line.count
            for code, count in line.errors.items():
                errors[rpc][code] += count
    total = counts.pop(_ALL, 0)
    return tuple(
        RpcRow(
            rpc, count, count / span if span else 0.0, None, tuple(ErrorRow(*item, None) for item in sorted(errors[rpc].items()))
        )
        for rpc, count in (*counts.items(), (_ALL, total))
    )


def _series(intervals: Sequence[Interval], window: int) -> tuple[Point, ...]:
    if not intervals:
        return ()
    first, last = min(line.second for line in intervals), max(line.second for line in intervals)
    windows: dict[tuple[int, str], list[Interval]] = defaultdict(list)
    for line in intervals:
        windows[first + (line.second - first) // window * window, line.rpc].append(line)
    return tuple(_point(second, rpc, min(window, last - second + 1), lines) for (second, rpc), lines in sorted(windows.items()))


def _point(second: int, rpc: str, seconds: int, lines: Sequence[Interval]) -> Point:
    errors: dict[str, int] = defaultdict(int)
    for line in lines:
        for code, times in line.errors.items():
            errors[code] += times
    count = sum(line.count for line in lines)
    return Point(
        second=second,
        rpc=rpc,
        count=count,
        rate=count / seconds,
        errors=dict(sorted(errors.items())),
        p50=max(line.p50 for line in lines) / 1000,
        p95=max(line.p95 for line in lines) / 1000,
        p99=max(line.p99 for line in lines) / 1000,
        largest=max(line.largest for line in lines) / 1000,
        users=max(line.users for line in lines),
    )
