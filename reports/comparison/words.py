"""What is said of comparisons and trends, the same in every form. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.gates import plural
from reports.comparison.trend import ChangePoint, Trend
from reports.comparison.values import Comparison, Measure, Side
from reports.text import number

VERDICT_WORDS: Mapping[str, str] = {
    "regression": "worse",
    "improvement": "better",
    "unchanged": "unchanged",
    "inconclusive": "inconclusive",
    "informative": "",
}
"""How the verdicts on measures are called."""
CHANGE_WORDS: Mapping[str, str] = {
    "regression": "worse",
    "found": "fails, was not judged",
    "lost": "not judged any more",
    "fixed": "fixed",
    "other": "other",
}
"""How the kinds of changed verdicts are called."""
_NAMED_AT_MOST = 4


def label(comparison: Comparison) -> str:
    """Return the verdict on everything in a word or two."""
    if comparison.refusals:
        return "Not comparable"
    if comparison.regressed:
        return "Regression"
    gating = [measure.verdict for measure in comparison.measures if measure.gates]
    if gating and set(gating) == {"inconclusive"}:
        return "Inconclusive"
    return "No regression"


def reason(comparison: Comparison) -> str:
    """Return why, in a few sentences."""
    if comparison.refusals:
        return " ".join(f"{refusal.text.rstrip('.')}." for refusal in comparison.refusals)
    parts = [f"Worse: {_some(comparison.regressions)}."] if comparison.regressed else []
    better = [measure.name for measure in comparison.measures if measure.verdict == "improvement"]
    fixed = [change.requirement for change in comparison.changes if change.kind == "fixed"]
    parts += [f"Better: {_some([*fixed, *better])}."] if better or fixed else []
    gating = [measure.verdict for measure in comparison.measures if measure.gates]
    for verdict, words in (("unchanged", "unchanged"), ("inconclusive", "inconclusive")):
        count = gating.count(verdict)
        parts += [f"{count} of {plural(len(gating), 'gating measure')} {words}."] if count else []
    if not comparison.changes and not comparison.measures:
        parts.append("No verdict changed.")
    return " ".join(parts)


def method(comparison: Comparison) -> str:
    """Return how the intervals came about."""
    what = {"runs": "whole runs", "seconds": "blocks of seconds"}.get(comparison.unit, "")
    return (
        f"Bootstrap over {what}; the intervals of the gating measures hold together with {number(comparison.confidence)} %. "
        f"Worse or better: the interval excludes zero and the effect is beyond the floor of {number(comparison.floor)} %."
        if what
        else ""
    )


def side(origin: Side) -> str:
    """Return where one side comes from."""
    return f"{plural(len(origin.sources), 'record')} of {', '.join(origin.endpoints)} ({_some(origin.sources)})"


def value(figure: float | None, measure: Measure | Trend) -> str:
    """Write a value with its unit."""
    return "-" if figure is None else f"{number(figure)}{'' if measure.unit == '/s' else ' '}{measure.unit}"


def effect(measure: Measure) -> str:
    """Write the effect with its sign."""
    return "-" if measure.effect is None else f"{signed(measure.effect)} {measure.effect_unit}"


def interval(measure: Measure) -> str:
    """Write the interval, or why there is none."""
    if measure.low is None or measure.high is None:
        return measure.reason or "-"
    return f"{signed(measure.low)} to {signed(measure.high)}"


def figures(measure: Measure) -> tuple[str, str, str, str, str]:
    """Write a measure's row of a table, but for the verdict: its name, both sides, effect and interval."""
    return measure.name, value(measure.base, measure), value(measure.new, measure), effect(measure), interval(measure)


def change_point(change: ChangePoint, trend: Trend) -> str:
    """Write what happened at a change point."""
    return f"{value(change.before, trend)} to {value(change.after, trend)} ({signed(change.effect)} {trend.effect_unit})"


def signed(figure: float) -> str:
    """Write a number with its sign, to a tenth; what rounds to nothing has none."""
    text = f"{figure:+,.1f}" if abs(figure) < 100 else f"{figure:+,.0f}"
    return "0.0" if text in {"+0.0", "-0.0"} else text


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED_AT_MOST
    return ", ".join(names[:_NAMED_AT_MOST]) + (f" and {rest:,} more" if rest > 0 else "")
