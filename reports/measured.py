"""The load part of the view: rates, latencies and errors per RPC, thinned out over time so that long runs stay small. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from harness.histogram import Histogram
from harness.record import Arrivals, Interval, Latency, Ledger, Line, SearchLine, SectionStart, ThresholdLine
from harness.schedule import Segment
from reports.loadvalues import ErrorRow, Load, Phase, Point, RpcRow, Spectrum, Spread, StageRow
from reports.planned import offered, parts_of

MOST_WINDOWS = 240
"""How many points in time a series has at most, whatever the length of the run."""

ALL = "All RPCs"
"""What the row of all RPCs together is called."""
NINES = (50.0, 90.0, 99.0, 99.9, 99.99, 99.999, 100.0)
"""The percentiles that tables of spectra show: all of them are points of a spectrum, if it has samples enough."""

_STEPS_PER_NINE = 8


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


def spectrum_of(name: str, kind: str, histogram: Histogram) -> Spectrum:
    """Return the whole spread of a histogram of microseconds: eight points for each further nine that its samples can tell."""
    last = math.ceil(_STEPS_PER_NINE * math.log10(max(1, histogram.count)))
    steps = {round(100 - 100 * 10 ** (-step / _STEPS_PER_NINE), 10) for step in range(last)} | {50.0}
    percents = [percent for percent in sorted(steps) if (100 - percent) * histogram.count >= 100]
    points = histogram.spectrum((*percents, 100.0))
    return Spectrum(name, kind, histogram.count, tuple((percent, value / 1000) for percent, value in points))


@dataclass
class _Samples:
    """The measured samples of a run, its stages joined; calls by RPC and code, services by RPC."""

    calls: dict[str, dict[str, Histogram]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Histogram)))
    services: dict[str, Histogram] = field(default_factory=lambda: defaultdict(Histogram))
    phases: dict[str, Histogram] = field(default_factory=lambda: defaultdict(Histogram))
    errors: dict[str, Histogram] = field(default_factory=lambda: defaultdict(Histogram))
    delays: Histogram = field(default_factory=Histogram)

    def add(self, line: Latency) -> None:
        """Count the samples of a line."""
        match line.kind:
            case "rpc":
                self.calls[line.name][line.code].merge(line.histogram)
            case "service":
                if line.code == "OK":
                    self.services[line.name].merge(line.histogram)
            case "lifecycle":
                self.phases[line.name].merge(line.histogram)
            case "lifecycle_error":
                self.errors[line.name].merge(line.histogram)
            case "scheduling":
                self.delays.merge(line.histogram)

    @property
    def good(self) -> dict[str, Histogram]:
        """Calls that ended with OK, by RPC."""
        return {rpc: by_code["OK"] for rpc, by_code in self.calls.items() if "OK" in by_code and by_code["OK"].count}

    def spectra(self) -> tuple[Spectrum, ...]:
        """Return the spectrum of each RPC, and of all together from both points in time if there are two."""
        found = [spectrum_of(rpc, "rpc", histogram) for rpc, histogram in self.good.items()]
        if self.good:
            found.append(spectrum_of(ALL, "rpc", _merged(self.good.values())))
        if self.services:
            found.append(spectrum_of(ALL, "service", _merged(self.services.values())))
        return tuple(found)


def _load_view(start: SectionStart, lines: Sequence[Line]) -> Load:
    intervals = [line for line in lines if isinstance(line, Interval)]
    seconds = [line.second for line in intervals]
    span = max(seconds) - min(seconds) + 1 if seconds else start.planned
    latencies = [line for line in lines if isinstance(line, Latency)]
    samples = _Samples()
    for line in latencies:
        if line.measured:
            samples.add(line)
    calls, window, parts = samples.calls, max(1, -(-span // MOST_WINDOWS)), parts_of(start.detail)
    arrivals = tuple(line for line in lines if isinstance(line, Arrivals))
    rows = _rows_of_histograms(calls, _measured_span(arrivals, span)) if calls else _rows_of_intervals(intervals, span)
    return Load(
        detail=start.detail,
        planned=start.planned,
        seconds=float(span),
        rpcs=rows[:-1],
        total=rows[-1],
        phases=tuple(
            Phase(name, spread_of(histogram), _spread(samples.errors.get(name))) for name, histogram in samples.phases.items()
        ),
        window=window,
        series=_series(intervals, window),
        thresholds=tuple(line for line in lines if isinstance(line, ThresholdLine)),
        ledger=next((line for line in reversed(lines) if isinstance(line, Ledger)), None),
        arrivals=arrivals,
        service=_spread(_merged(samples.services.values())),
        delays=_spread(samples.delays),
        search=next((line for line in lines if isinstance(line, SearchLine)), None),
        intervals=tuple(intervals),
        stages=_stages(latencies, arrivals, parts),
        spectra=samples.spectra(),
        offered=offered(start.detail, parts),
    )


def _stages(latencies: Iterable[Latency], arrivals: Iterable[Arrivals], parts: Sequence[Segment]) -> tuple[StageRow, ...]:
    """Return a row for each stage in which calls were made, if there are several."""
    begins = dict(zip((part.name for part in parts), accumulate((part.seconds for part in parts), initial=0.0), strict=False))
    lengths = {part.name: part.seconds for part in parts} | {line.stage: line.seconds for line in arrivals}
    stages: dict[tuple[str, bool], _Samples] = defaultdict(_Samples)
    for line in latencies:
        if line.kind == "rpc":
            stages[line.stage, line.measured].add(line)
    rows = []
    for (name, measured), samples in stages.items():
        *rpcs, total = _rows_of_histograms(samples.calls, lengths.get(name, 0.0))
        rows.append(StageRow(name, measured, lengths.get(name), begins.get(name), total, tuple(rpcs)))
    return tuple(rows) if len(rows) > 1 else ()


def _merged(histograms: Iterable[Histogram]) -> Histogram:
    whole = Histogram()
    for histogram in histograms:
        whole.merge(histogram)
    return whole


def _measured_span(arrivals: Sequence[Arrivals], span: float) -> float:
    """Return the seconds of which calls were measured: of a run of `span` seconds with a warm-up, those of its other stages."""
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
    return tuple(_row(rpc, by_code, span) for rpc, by_code in (*calls.items(), (ALL, everything)))


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
        for rpc in (line.rpc, ALL):
            counts[rpc] += line.count
            for code, count in line.errors.items():
                errors[rpc][code] += count
    total = counts.pop(ALL, 0)
    return tuple(
        RpcRow(
            rpc, count, count / span if span else 0.0, None, tuple(ErrorRow(*item, None) for item in sorted(errors[rpc].items()))
        )
        for rpc, count in (*counts.items(), (ALL, total))
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
