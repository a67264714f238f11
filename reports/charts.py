"""Charts of a load run as SVG: Vega-Lite draws the marks and axes, the page around them has titles, legends and colours.

Colours are classes (`c1` to `c8`, `q50`, `q95`, `q99`, `axis`, `grid`), so that they follow the reader's light or dark
mode; the text alternative is made here as well. Nothing is loaded from anywhere, and the same points give the same bytes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

import vl_convert

from reports.text import duration, number
from reports.values import Load, Point

WIDTH, HEIGHT = 440, 190
"""Size of every chart in CSS pixels, before the page scales it to its column."""
MOST_LATENCY_CHARTS = 12
"""How many RPCs get a chart of their latencies."""

_PALETTE = 8
_DASHES = ("", "6 3", "2 3", "8 3 2 3")
_SENTINEL = "#fe{:04x}"
_CLASSES: Mapping[str, str] = {
    _SENTINEL.format(place): name
    for place, name in enumerate((*(f"c{item + 1}" for item in range(_PALETTE)), "q50", "q95", "q99", "axis", "grid"))
}
_COLOUR_OF = {name: colour for colour, name in _CLASSES.items()}
_KEPT = frozenset(("transform", "d", "x2", "y2", "stroke-width", "stroke-dasharray", "text-anchor", "font-size"))
_LONG_FRACTION = re.compile(r"(\d\.\d\d)\d+")
_STEPS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
_MOST_TICKS = 6
_POINTS_UP_TO = 40


@dataclass(frozen=True)
class Series:
    """One line of a chart: its name, its colour class and dashes (as in SVG), and points (seconds, value)."""

    name: str
    colour: str
    dash: str
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Chart:
    """A chart with its words; `svg` is one element without a namespace, fit for HTML."""

    title: str
    unit: str
    description: str
    series: tuple[Series, ...]
    svg: str


def charts_of(load: Load) -> tuple[Chart, ...]:
    """Draw throughput, errors (if any), users (if they change) and the latencies of each RPC over time."""
    if not load.series:
        return ()
    rpcs = list(dict.fromkeys((*(row.rpc for row in load.rpcs), *(point.rpc for point in load.series))))
    by_rpc: dict[str, list[Point]] = defaultdict(list)
    for point in load.series:
        by_rpc[point.rpc].append(point)
    rpcs = [rpc for rpc in rpcs if rpc in by_rpc]
    seconds = sorted({point.second for point in load.series})
    charts = [_chart("Throughput", "calls per second", _filled({rpc: _rates(by_rpc[rpc]) for rpc in rpcs}, seconds))]
    errors = _error_rates(load)
    if errors:
        charts.append(_chart("Errors", "errors per second", _filled(errors, seconds)))
    users = {second: max(point.users for point in load.series if point.second == second) for second in seconds}
    if len(set(users.values())) > 1:
        charts.append(_chart("Users", "at the same time", (Series("Users", "c1", "", tuple(sorted(users.items()))),)))
    for rpc in rpcs[:MOST_LATENCY_CHARTS]:
        charts.append(_chart(f"Latency of {rpc}", "milliseconds", _percentiles(by_rpc[rpc])))  # noqa: PERF401 - reads as the others
    return tuple(charts)


def _rates(points: Iterable[Point]) -> dict[int, float]:
    return {point.second: point.rate for point in points}


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
        Series(
            name,
            f"c{place % _PALETTE + 1}",
            _DASHES[place // _PALETTE % len(_DASHES)],
            tuple((second, points.get(second, 0.0)) for second in seconds),
        )
        for place, (name, points) in enumerate(values.items())
    )


def _percentiles(points: Sequence[Point]) -> tuple[Series, ...]:
    return tuple(
        Series(name, f"q{name[1:]}", dash, tuple((point.second, float(getattr(point, name))) for point in points))
        for name, dash in (("p99", "2 3"), ("p95", "6 3"), ("p50", ""))
    )


def _chart(title: str, unit: str, series: tuple[Series, ...]) -> Chart:
    svg = tostring(_slimmed(fromstring(_drawn(series))), encoding="unicode")  # noqa: S314 - the library's own output
    return Chart(title, unit, _described(title, unit, series), series, svg)


def _described(title: str, unit: str, series: Iterable[Series]) -> str:
    """Say in words what the chart shows: mean and peak of each line."""
    parts = []
    for line in series:
        second, peak = max(line.points, key=lambda point: (point[1], -point[0]))
        mean = sum(value for _, value in line.points) / len(line.points)
        parts.append(f"{line.name}: mean {number(mean)}, highest {number(peak)} at {duration(second)}")
    return f"{title} over time, {unit}. {'; '.join(parts)}."


def _drawn(series: Sequence[Series]) -> str:
    """Return the SVG that Vega-Lite draws, with sentinels for colours and without any text but the labels of the axes."""
    names = [str(place) for place in range(len(series))]
    last = max(second for line in series for second, _ in line.points)
    few = max(len(line.points) for line in series) <= _POINTS_UP_TO
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": WIDTH - 64,
        "height": HEIGHT - 44,
        "padding": {"left": 50, "top": 12, "right": 14, "bottom": 32},
        "autosize": "none",
        "data": {
            "values": [{"x": x, "y": y, "s": name} for name, line in zip(names, series, strict=True) for x, y in line.points]
        },
        "mark": {"type": "line", "strokeWidth": 1.75, "point": {"size": 14, "filled": True} if few else False},
        "encoding": {
            "x": {
                "field": "x",
                "type": "quantitative",
                "title": None,
                "scale": {"nice": False, "zero": True},
                "axis": _x_axis(last),
            },
            "y": {"field": "y", "type": "quantitative", "title": None, "axis": _y_axis()},
            "color": _scale(names, [_COLOUR_OF[line.colour] for line in series]),
            "strokeDash": _scale(names, [[int(part) for part in line.dash.split()] or [1, 0] for line in series]),
        },
        "config": {"background": None, "view": {"stroke": None}},
    }
    svg: str = vl_convert.vegalite_to_svg(spec, vl_version="5.21", allowed_base_urls=[])
    return svg


def _scale(names: Sequence[str], values: Sequence[object]) -> dict[str, Any]:
    return {"field": "s", "type": "nominal", "legend": None, "scale": {"domain": list(names), "range": list(values)}}


def _axis() -> dict[str, Any]:
    colours = {f"{part}Color": _COLOUR_OF["axis"] for part in ("domain", "tick", "label")}
    return colours | {"gridColor": _COLOUR_OF["grid"], "labelFontSize": 11, "labelPadding": 6, "labelFlush": False}


def _x_axis(last: int) -> dict[str, Any]:
    step = next((step for step in _STEPS if last / step <= _MOST_TICKS), _STEPS[-1] * (1 + last // (_STEPS[-1] * _MOST_TICKS)))
    label = "format(datum.value, ',') + ' s'" if last <= 120 else "format(datum.value / 60, ',~f') + ' min'"
    return _axis() | {"values": list(range(0, last + 1, step)), "grid": False, "labelExpr": label, "tickSize": 4}


def _y_axis() -> dict[str, Any]:
    label = "datum.value >= 100000 ? format(datum.value, '.3~s') : format(datum.value, ',~f')"
    return _axis() | {"tickCount": 4, "domain": False, "ticks": False, "labelExpr": label}


def _slimmed(drawn: Element) -> Element:
    """Return the drawing with nothing but marks, lines and labels, colours turned into classes."""
    root = Element("svg", {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "width": str(WIDTH), "height": str(HEIGHT), "fill": "none"})
    for child in drawn:
        _copy(child, root)
    return root


def _copy(source: Element, parent: Element) -> None:
    tag = source.tag.rpartition("}")[2]
    if tag not in {"g", "path", "line", "text"} or source.get("display") == "none":
        return
    if tag == "path" and "background" in source.get("class", ""):
        return
    kept = {name: _LONG_FRACTION.sub(r"\1", value) for name, value in source.attrib.items() if name in _KEPT}
    classes = [f"{kind}-{_CLASSES[source.attrib[kind]]}" for kind in ("fill", "stroke") if source.get(kind) in _CLASSES]
    element = SubElement(parent, tag, kept)
    if classes:
        element.set("class", " ".join(classes))
    element.text = source.text
    for child in source:
        _copy(child, element)
    if tag == "g" and not len(element):
        parent.remove(element)
