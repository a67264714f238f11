"""What changed since a baseline, in Markdown: what became worse, then what else changed; what stayed is only counted. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from harness.gates import plural
from reports.comparison import words
from reports.comparison.values import Change, Comparison, Measure
from reports.markup import escape, folded, table


def changes(comparison: Comparison) -> Iterator[str]:
    """Yield the lines of the section."""
    yield f"### Since the baseline: {words.label(comparison)}"
    yield ""
    yield escape(words.reason(comparison))
    yield ""
    for notice in comparison.notices:
        yield f"- {escape(notice)}"
    yield ""
    worse = [change for change in comparison.changes if change.kind == "regression"]
    rest = [change for change in comparison.changes if change.kind != "regression"]
    moved = [measure for measure in comparison.measures if measure.verdict in {"regression", "improvement"}]
    if worse:
        yield from _verdicts(worse)
    if moved:
        yield from _measures(sorted(moved, key=lambda measure: measure.verdict != "regression"))
    if rest:
        yield from folded(plural(len(rest), "other changed verdict"), _verdicts(rest))
    if moved:
        yield words.method(comparison)
        yield ""


def _verdicts(found: Iterable[Change]) -> Iterator[str]:
    rows = (
        (
            item.requirement,
            item.level,
            item.before.replace("_", " "),
            item.after.replace("_", " "),
            ": ".join(filter(None, (", ".join(item.causes), item.detail))),
        )
        for item in found
    )
    return table(("Requirement", "Level", "Before", "Now", "May be due to"), rows)


def _measures(found: Iterable[Measure]) -> Iterator[str]:
    rows = (
        (
            item.name,
            words.value(item.base, item),
            words.value(item.new, item),
            words.effect(item),
            words.interval(item),
            words.VERDICT_WORDS[item.verdict],
        )
        for item in found
    )
    return table(("Measure", "Before", "Now", "Effect", "Interval", "Verdict"), rows)
