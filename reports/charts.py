"""Charts of a load run: what each one shows, in series and in words, and how Vega-Lite draws it over time.

Colours are classes (`c1` to `c8`, `q50`, `q95`, `q99`, `axis`, `grid`), so that they follow the reader's light or dark
mode; the page around a chart has its title and legend. The same points give the same bytes. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.history import Rpc
from reports.loadvalues import Load, Point
from reports.text import duration, number
from reports.vega import COLOUR_OF, PALETTE, axis, rules, scale, svg_of, value_axis

WIDTH, HEIGHT = 440, 190
"""Size of every chart over time in CSS pixels, before the page scales it to its column."""
PADDING = {"left": 50, "top": 12, "right": 14, "bottom": 32}
"""What a chart has around its plot, in CSS pixels."""
MOST_LATENCY_CHARTS = 12
"""How many RPCs get a chart of their latencies."""
SUBMISSIONS = (Rpc.EXECUTE.value, Rpc.BATCH.value)
"""The calls by which iterations of an open load start."""

_DASHES = ("", "6 3", "2 3", "8 3 2 3")
_STEPS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
_MOST_TICKS = 6
_POINTS_UP_TO = 40

Points = tuple[tuple[float, float | None], ...]
"""Places on the x axis and their values; None leaves a gap."""


@dataclass(frozen=True)
class Series:
    """One line of a chart: its name, its colour class and dashes (as in SVG), and its points."""

    name: str
    colour: str
    dash: str
    points: Points


@dataclass(frozen=True)
class Chart:
    """A chart with its words; `svg` is one element without a namespace, fit for HTML."""

    title: str
    unit: str
    description: str
    series: tuple[Series, ...]
    svg: str


def rate_charts(load: Load) -> tuple[Chart, ...]:
    """Draw offered against achieved (open loads), throughput, errors (if any) and users (if they change) over time."""
    if not load.series:
        return ()
    by_rpc = _by_rpc(load)
    seconds = sorted({point.second for point in load.series})
    stages = stage_begins(load)
    charts = [_over_time("Starts", "per second", _offered(load, seconds), stages)] if load.offered else []
    throughput = _filled({rpc: {point.second: point.rate for point in points} for rpc, points in by_rpc.items()}, seconds)
    charts.append(_over_time("Throughput", "calls per second", throughput, stages))
    errors = _error_rates(load)
    if errors:
        charts.append(_over_time("Errors", "errors per second", _filled(errors, seconds), stages))
    users: dict[int, int] = defaultdict(int)
    for point in load.series:
        users[point.second] = max(users[point.second], point.users)
    if len(set(users.values())) > 1:
        line = Series("Users", "c1", "", tuple((float(second), float(count)) for second, count in sorted(users.items())))
        charts.append(_over_time("Users", "at the same time", (line,), stages))
    return tuple(charts)


def latency_charts(load: Load) -> tuple[Chart, ...]:
    """Draw the percentiles of each RPC over time."""
    stages = stage_begins(load)
    return tuple(
        _over_time(f"Latency of {rpc}", "milliseconds", _percentiles(points), stages)
        for rpc, points in list(_by_rpc(load).items())[:MOST_LATENCY_CHARTS]
        if any(point.count for point in points)
    )


def stage_begins(load: Load) -> tuple[float, ...]:
    """Return when the stages after the first one began, if the record says so."""
    return tuple(stage.begin for stage in load.stages if stage.begin)


def coloured(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return a colour and dashes for each name; no two of the first 32 are the same."""
    return {
        name: (PALETTE[place % len(PALETTE)], _DASHES[place // len(PALETTE) % len(_DASHES)]) for place, name in enumerate(names)
    }


def rpc_names(load: Load) -> tuple[str, ...]:
    """Return all RPCs of a run in the order in which tables have them, by which charts give them colours."""
    return tuple(dict.fromkeys((*(row.rpc for row in load.rpcs), *(point.rpc for point in load.series))))


def channels(series: Sequence[Series]) -> dict[str, Any]:
    """Return colour and dashes of lines whose field `s` is their place in the sequence."""
    names = [str(place) for place in range(len(series))]
    dashes = [[int(part) for part in line.dash.split()] or [1, 0] for line in series]
    return {"color": scale(names, [COLOUR_OF[line.colour] for line in series]), "strokeDash": scale(names, dashes)}


def rows(series: Sequence[Series]) -> list[dict[str, Any]]:
    """Return the points of lines as data; names of things never get into a drawing."""
    return [{"x": x, "y": y, "s": str(place)} for place, line in enumerate(series) for x, y in line.points]


def _by_rpc(load: Load) -> dict[str, list[Point]]:
    found: dict[str, list[Point]] = {rpc: [] for rpc in rpc_names(load)}
    for point in load.series:
        found[point.rpc].append(point)
    return {rpc: points for rpc, points in found.items() if points}


def _offered(load: Load, seconds: Sequence[int]) -> tuple[Series, ...]:
    answered = dict.fromkeys(seconds, 0.0)
    for point in load.series:
        if point.rpc in SUBMISSIONS:
            answered[point.second] += point.rate
    return (
        Series("offered: starts that the scenario plans", "c2", "6 3", load.offered),
        Series("achieved: submissions that were answered", "c1", "", tuple((float(at), rate) for at, rate in answered.items())),
    )


def _error_rates(load: Load) -> dict[str, dict[int, float]]:
    """Return errors per second by code and window."""
    rates: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for point in load.series:
        for code, count in point.errors.items():
            rates[code][point.second] += count * point.rate / point.count if point.count else 0.0
    return {code: dict(rates[code]) for code in sorted(rates)}


def _filled(values: Mapping[str, Mapping[int, float]], seconds: Sequence[int]) -> tuple[Series, ...]:
    """Return series in which a window without calls counts as zero."""
    return tuple(
        Series(name, *coloured(values)[name], tuple((float(second), points.get(second, 0.0)) for second in seconds))
        for name, points in values.items()
    )


def _percentiles(points: Sequence[Point]) -> tuple[Series, ...]:
    """Return a line per percentile, with a gap where nothing was called."""
    return tuple(
        Series(
            name,
            f"q{name[1:]}",
            dash,
            tuple((float(point.second), float(getattr(point, name)) if point.count else None) for point in points),
        )
        for name, dash in (("p99", "2 3"), ("p95", "6 3"), ("p50", ""))
    )


def _over_time(title: str, unit: str, series: tuple[Series, ...], stages: Sequence[float]) -> Chart:
    return Chart(title, unit, _described(title, unit, series), series, _drawn(series, stages))


def _described(title: str, unit: str, series: Iterable[Series]) -> str:
    """Say in words what the chart shows: mean and peak of each line."""
    parts = []
    for line in series:
        known = [(x, y) for x, y in line.points if y is not None]
        second, peak = max(known, key=lambda point: (point[1], -point[0]))
        mean = sum(value for _, value in known) / len(known)
        parts.append(f"{line.name}: mean {number(mean)}, highest {number(peak)} at {duration(second)}")
    return f"{title} over time, {unit}. {'; '.join(parts)}."


def _drawn(series: Sequence[Series], stages: Sequence[float]) -> str:
    last = max(second for line in series for second, _ in line.points)
    few = max(len(line.points) for line in series) <= _POINTS_UP_TO
    x = {
        "field": "x",
        "type": "quantitative",
        "title": None,
        "scale": {"nice": False, "zero": True},
        "axis": _x_axis(int(last)),
    }
    y = {"field": "y", "type": "quantitative", "title": None, "axis": value_axis()}
    mark = {"type": "line", "strokeWidth": 1.75, "invalid": "break-paths-filter-domains"}
    lines = {
        "data": {"values": rows(series)},
        "mark": mark | {"point": {"size": 14, "filled": True} if few else False},
        "encoding": {"x": x, "y": y, **channels(series)},
    }
    spec = {
        "width": WIDTH - PADDING["left"] - PADDING["right"],
        "height": HEIGHT - PADDING["top"] - PADDING["bottom"],
        "padding": PADDING,
        "layer": [*([rules("x", [at for at in stages if at < last], "axis", (1, 3))] if stages else []), lines],
    }
    return svg_of(spec, WIDTH, HEIGHT)


def _x_axis(last: int) -> dict[str, Any]:
    step = next((step for step in _STEPS if last / step <= _MOST_TICKS), _STEPS[-1] * (1 + last // (_STEPS[-1] * _MOST_TICKS)))
    label = "format(datum.value, ',') + ' s'" if last <= 120 else "format(datum.value / 60, ',~f') + ' min'"
    return axis() | {"values": list(range(0, last + 1, step)), "grid": False, "labelExpr": label, "tickSize": 4}
