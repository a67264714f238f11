"""Comparisons and trends as JSON and Markdown, for programs and for merge requests. Pure.

The schemas are `reports/schemas/comparison.schema.json` and `history.schema.json`; no key changes within a version.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from reports.comparison import words
from reports.comparison.trend import History
from reports.comparison.values import CAUSES, Comparison
from reports.markup import escape, folded, joined, table

VERSION = 1
"""Version of both structures."""


def comparison_json(comparison: Comparison) -> bytes:
    """Return a comparison as indented ASCII JSON."""
    verdict = {"regressed": comparison.regressed, "label": words.label(comparison), "reason": words.reason(comparison)}
    return _encoded({"version": VERSION, **verdict, **dataclasses.asdict(comparison)})


def history_json(history: History) -> bytes:
    """Return a history as indented ASCII JSON."""
    return _encoded({"version": VERSION, **dataclasses.asdict(history)})


def _encoded(data: dict[str, Any]) -> bytes:
    return (json.dumps(data, indent=1, allow_nan=False) + "\n").encode("ascii")


def comparison_markdown(comparison: Comparison) -> bytes:
    """Return a comparison as Markdown for a merge request: the verdict, what changed, and (folded) all measures."""
    return joined(_lines(comparison)).encode()


def _lines(comparison: Comparison) -> Iterator[str]:
    yield f"## {words.label(comparison)}"
    yield ""
    yield escape(words.reason(comparison))
    yield ""
    yield f"- base: {escape(words.side(comparison.base))}"
    yield f"- new: {escape(words.side(comparison.new))}"
    for notice in comparison.notices:
        yield f"- {escape(notice)}"
    if comparison.changes:
        rows = [
            (
                change.requirement,
                change.level,
                change.before.replace("_", " "),
                change.after.replace("_", " "),
                "; ".join((*(CAUSES[cause] for cause in change.causes), *filter(None, (change.detail,)))),
            )
            for change in comparison.changes
        ]
        yield from table(("Requirement", "Level", "Before", "Now", "May be due to"), rows)
    moved = [measure for measure in comparison.measures if measure.verdict in {"regression", "improvement"}]
    if moved:
        yield from _measures(comparison, changed=True)
    if comparison.measures:
        yield from folded("All measures", [*_measures(comparison, changed=False), escape(words.method(comparison))])


def _measures(comparison: Comparison, *, changed: bool) -> Iterator[str]:
    rows = [
        (*words.figures(item), words.VERDICT_WORDS[item.verdict] or "for information")
        for item in comparison.measures
        if not changed or item.verdict in {"regression", "improvement"}
    ]
    return table(("Measure", "Base", "New", "Effect", "Interval", "Verdict"), rows)
