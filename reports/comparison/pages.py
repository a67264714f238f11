"""Comparisons and trends as HTML: one file each, that needs no network and no script, in the look of the report.

The only markup put in as it is are the charts, as in `reports.html`. Pure.
"""

from __future__ import annotations

from markupsafe import Markup

from reports.comparison import drawing, words
from reports.comparison.trend import Group, History, Trend
from reports.comparison.values import CAUSES, Comparison
from reports.html import VERDICT_NAMES, environment

MOST_TRENDS = 40
"""How many trends of a group are drawn."""


def comparison_html(comparison: Comparison) -> bytes:
    """Return a comparison as UTF-8 HTML."""
    chart = drawing.intervals([measure for measure in comparison.measures if measure.gates], comparison.floor)
    kind = "usage" if comparison.refusals else "violated" if comparison.regressed else "pass"
    text = (
        environment()
        .get_template("comparison.html.j2")
        .render(
            comparison=comparison,
            kind=kind,
            chart=Markup(chart),  # noqa: S704 - see module
            words=words,
            causes=CAUSES,
            verdicts=VERDICT_NAMES,
        )
    )
    return text.encode()


def history_html(history: History) -> bytes:
    """Return a history as UTF-8 HTML."""
    groups = [(group, _charts(group)) for group in history.groups]
    text = (
        environment().get_template("history.html.j2").render(history=history, groups=groups, words=words, verdicts=VERDICT_NAMES)
    )
    return text.encode()


def _charts(group: Group) -> list[tuple[Trend, Markup]]:
    shown = [trend for trend in group.trends if len(trend.points) > 1 and any(value for _, value in trend.points)]
    return [(trend, Markup(drawing.trend(trend, len(group.entries)))) for trend in shown[:MOST_TRENDS]]  # noqa: S704 - see module
