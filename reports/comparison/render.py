"""The files of a comparison and of a history by name. Pure: the files are written by the caller."""

from __future__ import annotations

from reports.comparison.forms import comparison_json, comparison_markdown, history_json
from reports.comparison.pages import comparison_html, history_html
from reports.comparison.trend import History
from reports.comparison.values import Comparison


def comparison_files(comparison: Comparison) -> dict[str, bytes]:
    """Return the files of a comparison; the same comparison gives the same bytes."""
    return {
        "comparison.json": comparison_json(comparison),
        "comparison.md": comparison_markdown(comparison),
        "comparison.html": comparison_html(comparison),
    }


def history_files(history: History) -> dict[str, bytes]:
    """Return the files of a history; the same history gives the same bytes."""
    return {"history.html": history_html(history), "history.json": history_json(history)}
