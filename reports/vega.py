"""Drawings by Vega-Lite as bare SVG: marks, axes and labels only, with colours as classes that follow the reader's mode.

Whoever draws gives a specification; titles, legends and the text alternative belong to the page. Nothing is loaded from
anywhere, and the same specification gives the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

import vl_convert

PALETTE = tuple(f"c{place}" for place in range(1, 9))
"""The colours of series without a meaning of their own."""
COLOURS = (*PALETTE, "q50", "q95", "q99", "axis", "grid")
"""All colours, as the style sheet of reports knows them."""

_SENTINEL = "#fe{:04x}"
_CLASSES: Mapping[str, str] = {_SENTINEL.format(place): name for place, name in enumerate(COLOURS)}
COLOUR_OF: Mapping[str, str] = {name: colour for colour, name in _CLASSES.items()}
"""What stands for each of the `COLOURS` in a specification."""

_KEPT = frozenset(
    (
        *("transform", "d", "x2", "y2", "stroke-width", "stroke-dasharray", "text-anchor", "font-size"),
        *("stroke-opacity", "fill-opacity", "opacity"),
    )
)
_PLAIN = {"opacity": "1", "stroke-opacity": "1", "fill-opacity": "1"}
_LONG_FRACTION = re.compile(r"(\d\.\d\d)\d+")


def svg_of(spec: Mapping[str, Any], width: int, height: int) -> str:
    """Draw a specification of `width` times `height` CSS pixels (padding included) as one element, fit for HTML."""
    whole = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "autosize": "none",
        "config": {"background": None, "view": {"stroke": None}},
        **spec,
    }
    drawn = fromstring(vl_convert.vegalite_to_svg(whole, vl_version="5.21", allowed_base_urls=[]))  # noqa: S314 - the library's own
    root = Element("svg", {"viewBox": f"0 0 {width} {height}", "width": str(width), "height": str(height), "fill": "none"})
    for child in drawn:
        _copy(child, root)
    return tostring(root, encoding="unicode")


def axis() -> dict[str, Any]:
    """Return what all axes have in common."""
    colours = {f"{part}Color": COLOUR_OF["axis"] for part in ("domain", "tick", "label")}
    return colours | {"gridColor": COLOUR_OF["grid"], "labelFontSize": 11, "labelPadding": 6, "labelFlush": False}


def value_axis() -> dict[str, Any]:
    """Return the axis of a figure that starts at zero."""
    label = "datum.value >= 100000 ? format(datum.value, '.3~s') : format(datum.value, ',~f')"
    return axis() | {"tickCount": 4, "domain": False, "ticks": False, "labelExpr": label}


def scale(names: Sequence[str], values: Sequence[object], field: str = "s") -> dict[str, Any]:
    """Return a channel that gives each of the names in a field its own value, without a legend."""
    return {"field": field, "type": "nominal", "legend": None, "scale": {"domain": list(names), "range": list(values)}}


def rules(channel: str, places: Sequence[float], colour: str, dash: Sequence[int] = (1, 0)) -> dict[str, Any]:
    """Return a layer of straight lines across the chart at these places of an axis."""
    mark = {"type": "rule", "color": COLOUR_OF[colour], "strokeWidth": 1, "strokeDash": list(dash)}
    # Its own data: else each line would be drawn once for every row of the chart.
    return {
        "data": {"values": [{"at": place} for place in places]},
        "mark": mark,
        "encoding": {channel: {"field": "at", "type": "quantitative"}},
    }


def _copy(source: Element, parent: Element) -> None:
    """Copy marks, lines and labels, colours turned into classes, and leave everything else behind."""
    tag = source.tag.rpartition("}")[2]
    if tag not in {"g", "path", "line", "text"} or source.get("display") == "none":
        return
    if tag == "path" and "background" in source.get("class", ""):
        return
    kept = {
        name: _LONG_FRACTION.sub(r"\1", value)
        for name, value in source.attrib.items()
        if name in _KEPT and _PLAIN.get(name) != value
    }
    classes = [f"{kind}-{_CLASSES[source.attrib[kind]]}" for kind in ("fill", "stroke") if source.get(kind) in _CLASSES]
    element = SubElement(parent, tag, kept)
    if classes:
        element.set("class", " ".join(classes))
    element.text = source.text
    for child in source:
        _copy(child, element)
    if tag == "g" and not len(element):
        parent.remove(element)
