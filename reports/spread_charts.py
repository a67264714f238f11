"""Charts of how times are spread: percentiles with ever more nines, and the lives of jobs with their error bars. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from reports.charts import PADDING, WIDTH, Chart, Series, channels, coloured, rows, rpc_names
from reports.loadvalues import Load, Phase, Spectrum
from reports.text import number, with_bar
from reports.vega import COLOUR_OF, axis, scale, svg_of, value_axis

SPECTRUM_HEIGHT = 250
"""Height of a spectrum in CSS pixels."""
PHASE_NAMES = {"queued": "queued", "running": "running", "post_processing": "post-processing", "to_result": "to the result"}
"""How the phases of jobs are called."""

_ROW = 48
_LABELS = 110
_FIGURES = (("p50", "q50"), ("p95", "q95"), ("p99", "q99"))
_MOST_TICKS = 7


def spectrum_charts(load: Load) -> tuple[Chart, ...]:
    """Draw the percentile spectrum of each RPC; of open loads also that of all calls, from when they were due and were sent."""
    colours = coloured(rpc_names(load))
    single = [item for item in load.spectra if item.kind == "rpc" and item.name in colours]
    charts = [_spectrum("Percentile spectrum by RPC", [_line(item, item.name, *colours[item.name]) for item in single])]
    both = [item for item in load.spectra if item.name not in colours]
    if len(both) > 1:
        words = {"rpc": ("from when they were meant to start", "c1", ""), "service": ("from when they were sent", "c2", "6 3")}
        charts.append(_spectrum("Percentile spectrum of all calls", [_line(item, *words[item.kind]) for item in both]))
    return tuple(chart for chart in charts if chart is not None)


def life_chart(phases: Sequence[Phase]) -> Chart | None:
    """Draw percentiles of the phases of jobs, each with its error bar; None without phases."""
    if not phases:
        return None
    series = tuple(Series(figure, colour, "", ()) for figure, colour in _FIGURES)
    words = "; ".join(
        f"{phase_name(phase.name)}: " + ", ".join(f"{figure} {with_bar(*phase.shown(figure))}" for figure, _ in _FIGURES)
        for phase in phases
    )
    return Chart(
        "Life of a job",
        "milliseconds, with error bars",
        f"Times of jobs by phase, in milliseconds. {words}.",
        series,
        _life(phases),
    )


def phase_name(name: str) -> str:
    """Return what a phase is called."""
    return PHASE_NAMES.get(name, name)


def _line(spectrum: Spectrum, name: str, colour: str, dash: str) -> Series:
    """Return the points of a spectrum, by how many nines their percentile has: one for 90 %, two for 99 %."""
    last = math.log10(spectrum.count) if spectrum.count > 1 else 0.0
    nines = [(-math.log10(1 - percent / 100) if percent < 100 else last, value) for percent, value in spectrum.points]
    # A logarithmic axis has no zero: half of the least time that records can tell stands for it.
    return Series(name, colour, dash, tuple((round(at, 4), max(value, 0.0005)) for at, value in nines))


def _spectrum(title: str, series: Sequence[Series]) -> Chart | None:
    if not series:
        return None
    words = "; ".join(f"{line.name}: {_named(line)}" for line in series)
    return Chart(title, "milliseconds by percentile", f"{title}, in milliseconds. {words}.", tuple(series), _drawn(series))


def _named(line: Series) -> str:
    shown = {round(at, 4): value for at, value in line.points}
    places = ((round(math.log10(2), 4), "50 %"), *((float(nines), _percent(nines)) for nines in range(1, 9)))
    parts = [f"{name} {number(value)}" for at, name in places if (value := shown.get(at)) is not None]
    last = line.points[-1][1]
    return ", ".join([*parts, f"longest {number(last or 0.0)}"])


def _percent(nines: int) -> str:
    return "90 %" if nines == 1 else f"99{'.' if nines > 2 else ''}{'9' * (nines - 2)} %"


def _drawn(series: Sequence[Series]) -> str:
    reach = max(1.0, *(at for line in series for at, _ in line.points))
    values = [value for line in series for _, value in line.points if value is not None]
    ticks = log_ticks(min(values), max(values))
    x_axis = axis() | {
        "values": [math.log10(2), *range(1, int(reach) + 1)],
        "grid": True,
        "tickSize": 4,
        "labelExpr": _nines(int(reach)),
    }
    y_axis = axis() | {"values": ticks, "domain": False, "ticks": False, "labelExpr": "format(datum.value, ',~r')"}
    x = {"field": "x", "type": "quantitative", "title": None, "scale": {"domain": [0, reach], "nice": False}, "axis": x_axis}
    y_scale = {"type": "log", "domain": [min(ticks[0], *values), max(ticks[-1], *values)], "nice": False}
    y = {"field": "y", "type": "quantitative", "title": None, "scale": y_scale, "axis": y_axis}
    spec = {
        "width": WIDTH - PADDING["left"] - PADDING["right"],
        "height": SPECTRUM_HEIGHT - PADDING["top"] - PADDING["bottom"],
        "padding": PADDING,
        "data": {"values": rows(series)},
        "mark": {"type": "line", "strokeWidth": 1.75},
        "encoding": {"x": x, "y": y, **channels(series)},
    }
    return svg_of(spec, WIDTH, SPECTRUM_HEIGHT)


def _nines(reach: int) -> str:
    """Return an expression that writes places of the axis as percentiles."""
    names = "".join(f"datum.value == {nines} ? '{_percent(nines)}' : " for nines in range(1, reach + 1))
    return f"{names}'50 %'"


def log_ticks(low: float, high: float) -> list[float]:
    """Return round values that enclose a range of positive numbers: 1, 2 and 5 of each power of ten, or fewer if it is wide."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 2)
    ticks: list[float] = []
    for digits in ((1, 2, 5), (1,)):
        values = [float(f"{digit}e{power}") for power in powers for digit in digits]
        first = max(place for place, value in enumerate(values) if value <= low or not place)
        last = next(place for place, value in enumerate(values) if value >= high and place > first)
        ticks = values[first : last + 1]
        if len(ticks) <= _MOST_TICKS:
            break
    return ticks[:: -(-len(ticks) // _MOST_TICKS)]


def _life(phases: Sequence[Phase]) -> str:
    names = [str(place) for place in range(len(phases))]
    data: list[dict[str, Any]] = []
    for name, phase in zip(names, phases, strict=True):
        for figure, _ in _FIGURES:
            value, error = phase.shown(figure)
            bar = error or 0.0
            data.append({"phase": name, "s": figure, "value": value, "low": max(0.0, value - bar), "high": value + bar})
    # Names from a record stay out of expressions: those that are not known are numbered.
    shown = {name: PHASE_NAMES.get(phase.name, f"phase {int(name) + 1}") for name, phase in zip(names, phases, strict=True)}
    labels = "".join(f"datum.value == '{name}' ? '{text}' : " for name, text in shown.items())
    y_axis = axis() | {
        "domain": False,
        "ticks": False,
        "labelFontSize": 12,
        "labelLimit": _LABELS - 12,
        "labelExpr": f"{labels}''",
    }
    shared = {
        "y": {"field": "phase", "type": "nominal", "sort": names, "title": None, "axis": y_axis, "scale": {"padding": 0.15}},
        "yOffset": {"field": "s", "type": "nominal", "sort": [figure for figure, _ in _FIGURES], "scale": {"paddingOuter": 0.3}},
        "color": scale([figure for figure, _ in _FIGURES], [COLOUR_OF[colour] for _, colour in _FIGURES]),
    }
    x = {"type": "quantitative", "title": None, "axis": value_axis() | {"tickCount": 5}}
    bars = {"x": x | {"field": "low"}, "x2": {"field": "high"}, **shared}
    height = _ROW * len(phases)
    spec = {
        "width": WIDTH - _LABELS - PADDING["right"] - 12,
        "height": height,
        "padding": PADDING | {"left": _LABELS, "right": PADDING["right"] + 12},
        "data": {"values": data},
        "layer": [
            {"mark": {"type": "rule", "strokeWidth": 1.75}, "encoding": bars},
            {"mark": {"type": "tick", "thickness": 1.75, "bandSize": 7}, "encoding": {"x": x | {"field": "low"}, **shared}},
            {"mark": {"type": "tick", "thickness": 1.75, "bandSize": 7}, "encoding": {"x": x | {"field": "high"}, **shared}},
            {
                "mark": {"type": "point", "filled": True, "size": 46, "opacity": 1},
                "encoding": {"x": x | {"field": "value"}, **shared},
            },
        ],
    }
    return svg_of(spec, WIDTH, height + PADDING["top"] + PADDING["bottom"])
