"""Charts of comparisons and trends: effects with their intervals, and measures over runs with their change points. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reports.comparison.trend import Trend
from reports.comparison.values import Measure
from reports.vega import COLOUR_OF, axis, rules, scale, svg_of, value_axis

WIDTH = 760
"""Width of the chart of intervals in CSS pixels."""
TREND_WIDTH, TREND_HEIGHT = 440, 190
"""Size of a trend."""
WIDEST = 60.0
"""Effects beyond so many per cent are cut off."""

_ROW = 26
_LABELS = 250
_COLOURS = {"regression": "q99", "improvement": "c3", "unchanged": "axis", "inconclusive": "c4"}
_POINTS_UP_TO = 80


def intervals(measures: Sequence[Measure], floor: float) -> str:
    """Draw the effect of each measure with its interval; dashed lines are the floor. "" without any interval."""
    shown = [measure for measure in measures if measure.low is not None and measure.effect_unit == "%"]
    if not shown:
        return ""
    furthest = max(abs(bound) for item in shown for bound in (item.low or 0.0, item.high or 0.0))
    reach = min(1.05 * max(2 * floor, furthest, 1.0), WIDEST)
    rows = [
        {"name": item.name, "verdict": item.verdict}
        | {name: max(-reach, min(reach, getattr(item, name))) for name in ("low", "high", "effect")}
        for item in shown
    ]
    y_axis = axis() | {"domain": False, "ticks": False, "labelFontSize": 12, "labelLimit": _LABELS - 20}
    y = {"field": "name", "type": "nominal", "sort": None, "title": None, "axis": y_axis}
    label = "(datum.value > 0 ? '+' : '') + format(datum.value, ',~f') + ' %'"
    x = {
        "type": "quantitative",
        "title": None,
        "scale": {"domain": [-reach, reach], "nice": False},
        "axis": axis() | {"labelExpr": label, "tickCount": 7},
    }
    colour = scale(list(_COLOURS), [COLOUR_OF[name] for name in _COLOURS.values()], "verdict")
    bars = {"y": y, "x": x | {"field": "low"}, "x2": {"field": "high"}, "color": colour}
    points = {"y": y, "x": x | {"field": "effect"}, "color": colour}
    height = _ROW * len(rows)
    spec = {
        "width": WIDTH - _LABELS - 40,
        "height": height,
        "padding": {"left": _LABELS, "top": 10, "right": 40, "bottom": 34},
        "data": {"values": rows},
        "layer": [
            rules("x", [0.0], "axis"),
            rules("x", [bound for bound in (-floor, floor) if abs(bound) < reach], "axis", (3, 3)),
            {"mark": {"type": "rule", "strokeWidth": 4}, "encoding": bars},
            {"mark": {"type": "point", "filled": True, "size": 60, "shape": "diamond"}, "encoding": points},
        ],
    }
    return svg_of(spec, WIDTH, height + 44)


def trend(found: Trend, runs: int) -> str:
    """Draw a measure over the runs of its group, with a line at each change point."""
    numbers = list(range(1, runs + 1, max(1, -(-runs // 8))))
    x_axis = axis() | {"values": numbers, "grid": False, "tickSize": 4, "labelExpr": "format(datum.value, 'd')"}
    encoding = {
        "x": {
            "field": "x",
            "type": "quantitative",
            "title": None,
            "scale": {"domain": [0.5, runs + 0.5], "nice": False},
            "axis": x_axis,
        },
        "y": {"field": "y", "type": "quantitative", "title": None, "scale": {"zero": True}, "axis": value_axis()},
    }
    point: Any = {"size": 18, "filled": True, "color": COLOUR_OF["c1"]} if runs <= _POINTS_UP_TO else False
    line = {"type": "line", "strokeWidth": 1.75, "color": COLOUR_OF["c1"], "point": point}
    worse, better = ([change.place + 0.5 for change in found.changes if change.worse is bad] for bad in (True, False))
    spec = {
        "width": TREND_WIDTH - 64,
        "height": TREND_HEIGHT - 44,
        "padding": {"left": 50, "top": 12, "right": 14, "bottom": 32},
        "data": {"values": [{"x": place + 1, "y": value} for place, value in found.points]},
        "layer": [
            *(rules("x", places, colour, (5, 3)) for places, colour in ((worse, "q99"), (better, "c3")) if places),
            {"mark": line, "encoding": encoding},
        ],
    }
    return svg_of(spec, TREND_WIDTH, TREND_HEIGHT)
