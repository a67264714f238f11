"""What reports in other forms than HTML say of a comparison with a baseline."""

from __future__ import annotations

import dataclasses
import json
from importlib import resources
from xml.etree import ElementTree

from jsonschema import Draft202012Validator

from harness.record import Record
from reports import build_view, render
from reports.comparison import Comparison, Measure, compare
from tests.reports import records as make

LIGHT = ("junit", "markdown", "json", "openmetrics")
STRUCTURE = json.loads((resources.files("reports") / "schemas" / "report.schema.json").read_text("utf-8"))
MEASURE = Measure(
    "p50 of A", "A", "p50", "ms", 10.0, 13.0, 30.0, "%", 20.0, 40.0, 5.0, 1, gates=True, verdict="regression", reason=""
)


def files(record: Record, comparison: Comparison | None) -> dict[str, str]:
    made = render(dataclasses.replace(build_view([record]), baseline=comparison), LIGHT)
    Draft202012Validator(STRUCTURE).validate(json.loads(made["report.json"]))
    return {name: data.decode() for name, data in made.items()}


def outcome(xml: str) -> ElementTree.Element:
    (case,) = ElementTree.fromstring(xml).iterfind(".//testcase[@name='nothing became worse']")  # noqa: S314 - our own output
    return case


def loads(record: Record, *measures: Measure) -> dict[str, str]:
    return files(record, dataclasses.replace(compare([record], [record]), measures=measures, notices=()))


def test_without_a_baseline_nothing_is_said_of_one() -> None:
    made = files(make.failing(), None)
    assert json.loads(made["report.json"])["baseline"] is None
    assert "baseline" not in made["summary.md"]
    assert "regressions" not in made["metrics.txt"]
    assert "became worse" not in made["junit.xml"]


def test_verdicts_that_became_worse_come_right_after_the_verdict() -> None:
    made = files(make.failing(), compare([make.passing()], [make.failing()]))
    text = made["summary.md"]
    assert text.index("### Since the baseline: Regression") < text.index("### Failed")
    assert "| EXEC-01 | MUST | pass | fail | suite: " in text
    assert "<summary>5 other changed verdicts</summary>" in text
    assert "\ncontroller_harness_regressions 2\n" in made["metrics.txt"]
    (failure,) = outcome(made["junit.xml"])
    assert (failure.tag, failure.get("message"), failure.text) == (
        "failure",
        "2 regressions",
        "2 regressions\n\nUUID-08\nEXEC-01",
    )
    data = json.loads(made["report.json"])["baseline"]
    assert data["regressed"] is True
    assert [change["requirement"] for change in data["changes"] if change["kind"] == "regression"] == ["UUID-08", "EXEC-01"]


def test_measures_that_moved_are_shown_and_the_others_counted() -> None:
    better = dataclasses.replace(MEASURE, name="p95 of A", effect=-12.0, low=-20.0, high=-4.0, verdict="improvement")
    same = dataclasses.replace(MEASURE, name="rate", verdict="unchanged")
    made = loads(make.loaded(), same, better, MEASURE)
    rows = [line for line in made["summary.md"].splitlines() if line.startswith("| p")]
    assert rows == [
        "| p50 of A | 10 ms | 13 ms | \\+30.0 % | \\+20.0 to +40.0 | worse |",
        "| p95 of A | 10 ms | 13 ms | \\-12.0 % | \\-20.0 to -4.0 | better |",
    ]
    assert "Worse: p50 of A. Better: p95 of A. 1 of 3 gating measures unchanged." in made["summary.md"]
    assert "Bootstrap over blocks of seconds;" in made["summary.md"]
    assert "rate" not in made["summary.md"].partition("### Load")[0]


def test_a_measure_without_an_interval_is_shown_without_one() -> None:
    bare = dataclasses.replace(MEASURE, base=None, low=None, high=None)
    assert "| p50 of A | \\- | 13 ms | \\+30.0 % | \\- | worse |" in loads(make.loaded(), bare)["summary.md"]


def test_nothing_became_worse() -> None:
    made = files(make.passing(), compare([make.passing()], [make.passing()]))
    assert "### Since the baseline: No regression" in made["summary.md"]
    assert "\ncontroller_harness_regressions 0\n" in made["metrics.txt"]
    assert list(outcome(made["junit.xml"])) == []


def test_a_baseline_that_cannot_be_compared_is_named() -> None:
    made = files(make.passing(), compare([make.incomplete()], [make.passing()]))
    assert "### Since the baseline: Not comparable" in made["summary.md"]
    assert "record is incomplete" in made["summary.md"]
    assert "regressions" not in made["metrics.txt"]
    (skipped,) = outcome(made["junit.xml"])
    assert skipped.tag == "skipped"
    assert json.loads(made["report.json"])["baseline"]["refusals"]
