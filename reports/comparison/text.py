"""Comparisons and trends as lines for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.gates import plural
from reports.comparison import words
from reports.comparison.trend import Group, History, Trend
from reports.comparison.values import CAUSES, Change, Comparison
from reports.text import moment, one_line

_SPARKS = "▁▂▃▄▅▆▇█"
_MOST_SPARKS = 60
_MOST_SKIPPED = 20


def comparison_text(comparison: Comparison) -> str:
    """Return a comparison as text; the verdict comes last, where a terminal shows it."""
    return "\n".join(_comparison_lines(comparison))


def _comparison_lines(comparison: Comparison) -> Iterator[str]:
    yield f"base: {words.side(comparison.base)}"
    yield f"new:  {words.side(comparison.new)}"
    for notice in comparison.notices:
        yield f"note: {notice}"
    if comparison.changes:
        yield ""
        yield from _table(
            ("requirement", "level", "before", "now", "what", "may be due to"), map(_verdict_row, comparison.changes)
        )
    if comparison.measures:
        rows = [(*words.figures(item), words.VERDICT_WORDS[item.verdict]) for item in comparison.measures]
        yield ""
        yield from _table(("measure", "base", "new", "effect", "interval", "verdict"), rows)
        yield ""
        yield words.method(comparison)
    yield ""
    yield f"{words.label(comparison)}: {words.reason(comparison)}"


def _verdict_row(change: Change) -> tuple[str, ...]:
    causes = "; ".join(CAUSES[cause] for cause in change.causes)
    before, after = (verdict.replace("_", " ") for verdict in (change.before, change.after))
    return change.requirement, change.level, before, after, words.CHANGE_WORDS[change.kind], causes


def history_text(history: History) -> str:
    """Return a history as text: per group its measures with a line of blocks, then the change points."""
    return "\n".join(_history_lines(history))


def _history_lines(history: History) -> Iterator[str]:
    for group in history.groups:
        yield f"{group.title}: {plural(len(group.entries), 'run')} on {group.machine or 'a machine that is not known'}"
        if group.trends:
            yield from _table(("measure", "first", "last", "trend", "changes"), [_trend_row(trend) for trend in group.trends])
        yield from _events(group)
        yield ""
    for item in history.skipped[:_MOST_SKIPPED]:
        yield f"skipped: {one_line(item.reason)}"
    if len(history.skipped) > _MOST_SKIPPED:
        yield f"skipped: {len(history.skipped) - _MOST_SKIPPED:,} more, which the page names"
    changes = sum(len(trend.changes) for group in history.groups for trend in group.trends)
    runs = sum(len(group.entries) for group in history.groups)
    counts = ((runs, "run"), (len(history.groups), "group"), (changes, "change point"), (len(history.skipped), "skipped file"))
    yield ", ".join(plural(count, noun) for count, noun in counts)


def _trend_row(trend: Trend) -> tuple[str, ...]:
    values = [value for _, value in trend.points]
    changes = "; ".join(words.change_point(change, trend) for change in trend.changes)
    return trend.name, words.value(values[0], trend), words.value(values[-1], trend), _sparkline(values), changes


def _events(group: Group) -> Iterator[str]:
    """Yield a line for each run at which something changed."""
    for place, entry in enumerate(group.entries):
        changed = [
            f"{trend.name} {'worse' if change.worse else 'better'}: {words.change_point(change, trend)}"
            for trend in group.trends
            for change in trend.changes
            if change.place == place
        ]
        changed += [
            f"{item.requirement} {item.before.replace('_', ' ')} to {item.after.replace('_', ' ')}"
            for verdict in group.verdicts
            if verdict.place == place
            for item in verdict.changes
        ]
        if changed:
            yield f"  since {moment(entry.started)} ({entry.source}): {'; '.join(changed)}"


def _sparkline(values: Sequence[float]) -> str:
    shown = values[-_MOST_SPARKS:]
    least, most = min(shown), max(shown)
    if most - least <= 1e-9 * abs(most):
        return _SPARKS[3] * len(shown)
    return "".join(_SPARKS[round((value - least) / (most - least) * (len(_SPARKS) - 1))] for value in shown)


def _table(head: Sequence[str], rows: Iterator[tuple[str, ...]] | Sequence[tuple[str, ...]]) -> Iterator[str]:
    cells = [tuple(head), *(tuple(map(one_line, row)) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        yield ("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()
