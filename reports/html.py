"""The report as one HTML file that needs no network and no script.

Autoescaping is on and every value from a record goes through it; the only markup put in as it is are the charts, which
`reports.vega` rebuilds from marks and labels. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.gates import REQUIREMENT_VERDICTS, plural
from reports.charts import Chart, latency_charts, rate_charts
from reports.comparison import Comparison, drawing, words
from reports.comparison.values import CAUSES
from reports.exhibits import Exhibition, proofs
from reports.loadruns import flaw, load_runs
from reports.loadvalues import ERROR_BARS, Load, Point
from reports.measured import NINES
from reports.spread_charts import life_chart, phase_name, spectrum_charts
from reports.text import duration, moment, number, percent, with_bar
from reports.values import Conformance, Observed, RequirementView, View
from reports.view import flattened

LEVELS = ("MUST", "SHOULD", "INFO")
"""The columns of the matrix."""
MOST_TABLE_ROWS = 60
"""How many rows the table behind the charts has at most."""

VERDICT_NAMES: Mapping[str, str] = {
    "pass": "pass",
    "fail": "fail",
    "inconclusive": "inconclusive",
    "known_failure": "known failure",
    "not_applicable": "not applicable",
    "skipped": "skipped",
    "not_observable": "not observable",
    "not_checked": "not checked",
}
"""How verdicts are called."""

MARKS: Mapping[str, str] = {"fail": " \u2715", "inconclusive": " ?", "known_failure": " !"}
"""What sets verdicts apart for those who do not see colours."""

_BREAKS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[_./:])(?=\w)")
_PLAIN_ID = re.compile(r"[A-Z]{1,20}-[0-9]{1,6}", re.ASCII)


def render_html(view: View) -> bytes:
    """Return the report as UTF-8 HTML; the same view gives the same bytes."""
    conformance = view.conformance
    checks = {} if conformance is None else {check.key: check for check in conformance.checks}
    text = (
        environment()
        .get_template("report.html.j2")
        .render(
            view=view,
            anchors={} if conformance is None else anchors(conformance.requirements),
            checks=checks,
            tally=() if conformance is None else tally(conformance),
            observed={} if conformance is None else by_requirement(conformance.observations),
            levels_of={} if conformance is None else {item.id: item.level for item in conformance.requirements},
            exhibition=Exhibition(),
            proofs=lambda requirement: proofs(requirement, checks),
            loads=[(run.name, run.load, _charts(run.load), series_rows(run.load), flaw(run)) for run in load_runs(view)],
            intervals="" if view.baseline is None else _markup(_intervals(view.baseline)),
            words=words,
            causes=CAUSES,
            nines=NINES,
            phase_name=phase_name,
            levels=LEVELS,
            verdicts=VERDICT_NAMES,
            marks=MARKS,
        )
    )
    return text.encode()


def _charts(load: Load) -> dict[str, list[tuple[Chart, Markup]]]:
    life = life_chart(load.phases)
    parts = {
        "rates": rate_charts(load),
        "latencies": latency_charts(load),
        "spectra": spectrum_charts(load),
        "life": () if life is None else (life,),
    }
    return {name: [(chart, _markup(chart.svg)) for chart in charts] for name, charts in parts.items()}


def _intervals(baseline: Comparison) -> str:
    return drawing.intervals([measure for measure in baseline.measures if measure.gates], baseline.floor)


def _markup(svg: str) -> Markup:
    return Markup(svg)  # noqa: S704 - see module


@cache
def environment() -> Environment:
    """Return the templates with the filters that they share."""
    environment = Environment(
        loader=PackageLoader("reports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "number": number,
        "duration": duration,
        "moment": moment,
        "breakable": breakable,
        "verdict_name": lambda verdict: VERDICT_NAMES.get(verdict, verdict),
    }
    environment.globals |= {"percent": percent, "plural": plural, "flattened": flattened, "with_bar": with_bar}
    environment.globals |= {"error_bars": ERROR_BARS, "per_second": per_second}
    return environment


def per_second(count: int, seconds: float) -> str:
    """Write a rate."""
    return number(count / seconds) if seconds > 0 else "-"


def breakable(name: str) -> Markup:
    """Return a name as HTML that may be broken between its words."""
    return Markup("<wbr>").join(_BREAKS.split(name))


def anchors(requirements: Iterable[RequirementView]) -> dict[str, str]:
    """Return a unique HTML id per requirement: its own id where that can be one."""
    return {
        item.id: item.id if _PLAIN_ID.fullmatch(item.id) else f"requirement.{place}"
        for place, item in enumerate(requirements, start=1)
    }


def tally(conformance: Conformance) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return each verdict that occurs, with its count per level and in all."""
    rows = ((verdict, tuple(conformance.count(verdict, level) for level in (*LEVELS, ""))) for verdict in REQUIREMENT_VERDICTS)
    return tuple((verdict, counts) for verdict, counts in rows if counts[-1])


def by_requirement(observations: Sequence[Observed]) -> dict[str, list[Observed]]:
    """Group observations by requirement, the same text once."""
    groups: dict[str, dict[str, Observed]] = {}
    for item in observations:
        groups.setdefault(item.requirement, {}).setdefault(item.text, item)
    return {requirement: list(items.values()) for requirement, items in groups.items()}


def series_rows(load: Load) -> tuple[Point, ...]:
    """Return the points behind the charts, evenly thinned out to what a table can hold."""
    seconds = sorted({point.second for point in load.series})
    rpcs = max(1, len({point.rpc for point in load.series}))
    step = max(1, -(-len(seconds) * rpcs // MOST_TABLE_ROWS))
    shown = set(seconds[::step])
    return tuple(point for point in load.series if point.second in shown)
