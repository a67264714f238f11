"""All formats of a report by name. Pure: the files are written by the caller."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from harness.errors import ConfigError
from reports.html import render_html
from reports.json_report import render_json
from reports.junit import render_junit
from reports.markdown import render_markdown
from reports.openmetrics import render_openmetrics
from reports.series_csv import render_series
from reports.values import View

FORMATS: Mapping[str, str] = {
    "html": "report.html",
    "junit": "junit.xml",
    "markdown": "summary.md",
    "json": "report.json",
    "openmetrics": "metrics.txt",
    "csv": "series.csv",
}
"""The file name of each format."""

_RENDERERS: Mapping[str, Callable[[View], bytes]] = {
    "html": render_html,
    "junit": render_junit,
    "markdown": render_markdown,
    "json": render_json,
    "openmetrics": render_openmetrics,
    "csv": render_series,
}


def render(view: View, formats: Iterable[str] = tuple(FORMATS)) -> dict[str, bytes]:
    """Return the files of a report by name; the same view gives the same bytes. Raises ConfigError for an unknown format."""
    wanted = list(dict.fromkeys(formats))
    unknown = [name for name in wanted if name not in FORMATS]
    if unknown:
        raise ConfigError(f"unknown report format {unknown[0]!r}", hint=f"known formats: {', '.join(FORMATS)}")
    return {FORMATS[name]: _RENDERERS[name](view) for name in wanted}
