"""The course of a load run as its scenario planned it, read back from its record: stages, and how many starts a second. Pure.

What a record holds of its scenario is for people: it is believed as far as it makes sense, and never an error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from harness.executors import OPEN, SLO_SEARCH, SOAK, SPIKE, Stage, ramp, soak, spike
from harness.schedule import Segment


def parts_of(detail: Mapping[str, Any]) -> tuple[Segment, ...]:
    """Return the parts of a run with their rates per second; none if the record does not say, as of a search."""
    try:
        parts = () if detail.get("executor") == SLO_SEARCH else _parts(detail)
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return ()
    sane = all(part.seconds > 0 and min(part.rate, part.end_rate) >= 0 for part in parts)
    return parts if sane and all(math.isfinite(part.seconds + part.rate + part.end_rate) for part in parts) else ()


def offered(detail: Mapping[str, Any], parts: Sequence[Segment]) -> tuple[tuple[float, float], ...]:
    """Return the corners (second, starts per second) of the line that the rate of an open load follows; none for closed loads."""
    if str(detail.get("executor")) not in OPEN:
        return ()
    corners: list[tuple[float, float]] = []
    begun = 0.0
    for part in parts:
        corners += [(begun, part.rate), (begun + part.seconds, part.end_rate)]
        begun += part.seconds
    return tuple(dict.fromkeys(corners))


def _parts(detail: Mapping[str, Any]) -> tuple[Segment, ...]:
    unit = float(detail.get("time_unit") or 1.0)
    rate, seconds = _number(detail, "rate") / unit, _number(detail, "duration")
    if detail.get("stages"):
        return ramp(tuple(map(_stage, detail["stages"])), _number(detail, "start_rate") / unit, unit)
    if not seconds > 0:
        return ()
    if detail.get("executor") == SPIKE:
        return spike(rate, _number(detail, "peak_rate") / unit, seconds)
    if detail.get("executor") == SOAK:
        return soak(rate, _number(detail, "warm_up"), seconds)
    return (Segment("", seconds, rate, rate),)


def _stage(item: Mapping[str, Any]) -> Stage:
    return Stage(
        duration=float(item["duration"]),
        rate=_number(item, "rate"),
        name=str(item.get("name") or ""),
        measured=item.get("measured") is not False,
    )


def _number(detail: Mapping[str, Any], key: str) -> float:
    return float(detail.get(key) or 0.0)
