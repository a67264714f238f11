"""What all formats of a report have in common: the same bytes again, from any record, whole or cut off."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from harness.errors import ConfigError
from harness.record import VERDICTS, Interval, Ledger, Line, Record, ThresholdLine, encode, read_record
from reports import FORMATS, build_view, render
from reports.loadvalues import ERROR_BARS
from tests.reports import records as make

RECORDS = make.everything()
LIGHT = tuple(name for name in FORMATS if name != "html")
SCHEMA_OF_REPORTS = json.loads((resources.files("reports") / "schemas" / "report.schema.json").read_text("utf-8"))


def whole_record() -> Record:
    """Return a record of both parts, with a line of every kind."""
    known = make.failing().lines[1:-1]
    return make.record(*known, *make.load(*make.busy_load(4, {"UNAVAILABLE": 2})), *make.search(), exit_code=3)


@pytest.mark.parametrize("name", RECORDS)
def test_same_record_same_bytes(name: str) -> None:
    first, second = render(build_view([RECORDS[name]])), render(build_view([RECORDS[name]]))
    assert list(first) == ["report.html", "junit.xml", "summary.md", "report.json", "metrics.txt", "series.csv"]
    assert first == second


def test_record_that_went_through_a_file_gives_the_same_report() -> None:
    record = make.failing()
    again = read_record([encode(line) for line in record.lines], record.source)
    assert render(build_view([again])) == render(build_view([record]))


@pytest.mark.parametrize(("seed", "zone", "language"), [("1", "Pacific/Auckland", "C"), ("2", "America/New_York", "de_DE.UTF-8")])
def test_another_process_elsewhere_makes_the_same_bytes(tmp_path: Path, seed: str, zone: str, language: str) -> None:
    record = whole_record()
    path = tmp_path / "record.jsonl"
    path.write_text("".join(encode(line) + "\n" for line in record.lines), encoding="utf-8")
    words = [sys.executable, "-P", "-m", "harness.cli", "report", "record.jsonl", "record.jsonl", "--out", "out"]
    places = {"PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": language, "LANG": language}
    done = subprocess.run(words, cwd=tmp_path, env={**os.environ, **places}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (3, "")
    again = read_record(path.read_text(encoding="utf-8").splitlines(), "record.jsonl")
    here = render(build_view([again, again]))
    assert {name: (tmp_path / "out" / name).read_bytes() for name in FORMATS.values()} == here


def test_unknown_format_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown report format 'pdf'; known formats: html"):
        render(build_view([make.passing()]), ["html", "pdf"])


def test_only_the_wanted_formats_are_made() -> None:
    assert list(render(build_view([make.passing()]), ["json", "junit", "json"])) == ["report.json", "junit.xml"]


def assert_well_formed(files: dict[str, bytes]) -> None:
    ElementTree.fromstring(files["junit.xml"])  # noqa: S314 - our own output
    Draft202012Validator(SCHEMA_OF_REPORTS).validate(json.loads(files["report.json"]))
    assert list(text_string_to_metric_families(files["metrics.txt"].decode()))  # type: ignore[no-untyped-call]
    files["summary.md"].decode()
    files["series.csv"].decode()


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=30)
@given(st.text(st.characters(codec=None), min_size=1, max_size=60))
def test_whatever_an_endpoint_sends_the_files_stay_well_formed(text: str) -> None:
    assert_well_formed(render(build_view([make.hostile(text)]), LIGHT))


# The forms say the same

LEVELS = st.sampled_from(("MUST", "SHOULD", "INFO"))
CHECKS = st.lists(
    st.tuples(LEVELS, st.sampled_from(VERDICTS), st.text(max_size=8), st.integers(0, 9)), min_size=1, max_size=8
).map(
    lambda drawn: [
        line
        for place, (level, verdict, reason, jobs) in enumerate(drawn)
        for line in (
            make.requirement(f"EXEC-{place:02}", level),
            make.check(f"c{place}", f"EXEC-{place:02}", verdict=verdict, reason=reason, jobs=jobs),
        )
    ]
)
SECONDS = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from("AB"), st.integers(0, 50), st.integers(0, 3)),
    max_size=8,
    unique_by=lambda drawn: drawn[:2],
).map(lambda drawn: [make.interval(at, rpc, {"UNAVAILABLE": bad} if bad else {}, count=n + bad) for at, rpc, n, bad in drawn])
LIMITS = st.lists(st.builds(make.threshold, st.booleans(), st.sampled_from(("a < 1", "b < 2"))), max_size=4)
BOOKS = st.none() | st.builds(
    lambda lost, named: make.ledger(make.failed("c", *named).discrepancies, lost=lost),
    st.integers(0, 2),
    st.lists(st.sampled_from(("EXEC-05", "STA-01", "NEW-01")), max_size=3, unique=True),
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(CHECKS, SECONDS, LIMITS, BOOKS, st.booleans())
def test_all_forms_say_the_same(
    checks: list[Line], seconds: list[Interval], limits: list[ThresholdLine], books: Ledger | None, strict: bool
) -> None:
    lines = (*make.conformance(*checks), *make.load(*seconds, *limits, *([books] if books else [])))
    view = build_view([make.record(*lines)], strict=strict)
    files = render(view, LIGHT)
    assert_well_formed(files)
    data, xml = json.loads(files["report.json"]), ElementTree.fromstring(files["junit.xml"])  # noqa: S314 - our own output
    metrics = {
        (sample.name.removeprefix("controller_harness_"), *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(files["metrics.txt"].decode())  # type: ignore[no-untyped-call]
        for sample in family.samples
    }
    (load,) = data["loads"]
    verdicts = Counter((item["level"], item["verdict"]) for item in data["conformance"]["requirements"])
    assert all(metrics["requirements", *key] == count for key, count in verdicts.items())
    gating = ("MUST", "SHOULD") if strict else ("MUST",)
    failed = sum(verdicts[level, "fail"] for level in gating) + sum(not line["held"] for line in load["thresholds"])
    broken = 0 if books is None else len(books.violations) + bool(books.lost)
    assert int(xml.get("failures", "")) == failed + broken
    assert sum(metrics.get(("load_calls_total", code, "load", rpc), 0) for code in ("OK", "UNAVAILABLE") for rpc in "AB") == sum(
        line.count for line in seconds
    )
    rows = list(csv.DictReader(io.StringIO(files["series.csv"].decode(), newline="")))
    assert sum(int(row["calls"]) for row in rows) == load["total"]["count"]
    assert sum(int(row["errors"]) for row in rows) == load["total"]["error_count"]
    assert metrics["exit_code",] == data["verdict"]["exit_code"] == view.verdict.exit_code
    assert files["summary.md"].decode().count("| MUST | What EXEC-") == verdicts["MUST", "fail"]


# Records that were cut off


def cuts(text: str) -> Iterator[str]:
    """Yield a record as it was when its writer was killed: after each line but the last, in the middle of all but the first."""
    lines = text.splitlines(keepends=True)
    for count in range(1, len(lines)):
        before = "".join(lines[:count])
        yield before
        yield before + lines[count][: len(lines[count]) // 2]


def assert_incomplete(files: dict[str, bytes]) -> None:
    """Check that each format says that a record is incomplete."""
    error = ElementTree.fromstring(files["junit.xml"]).find(".//testcase[@name='valid run']/error")  # noqa: S314 - our own output
    assert error is not None
    assert "incomplete" in files["summary.md"].decode().splitlines()[0].lower()
    data = json.loads(files["report.json"])
    assert data["runs"][0]["incomplete"]
    assert "ncomplete" in data["verdict"]["label"]
    assert b'\ncontroller_harness_run_complete{run="1"} 0\n' in files["metrics.txt"]
    assert all(row.endswith(b",incomplete") for row in files["series.csv"].splitlines()[1:])
    if "report.html" in files:
        assert "ncomplete" in files["report.html"].decode()


def test_a_record_that_was_cut_anywhere_gives_a_report_that_says_so() -> None:
    text = "".join(encode(line) + "\n" for line in whole_record().lines)
    found = list(cuts(text))
    assert len(found) > 50
    for place, cut in enumerate(found):
        view = build_view([read_record(cut.splitlines(), "record.jsonl")])
        files = render(view, FORMATS if place % 20 == 0 else LIGHT)
        assert view.verdict.exit_code in {3, 4}
        assert_incomplete(files)
        assert_well_formed(files)


# What every format shows


def test_every_format_says_what_became_of_the_jobs() -> None:
    books = make.ledger(make.failed("c", "EXEC-05").discrepancies, lost=11, duplicated=22, unexpected=33)
    files = render(build_view([make.record(*make.load(make.interval(0), make.latency("A"), books))]))
    said = "3,690 attempted, 3,600 acknowledged, 3,500 finished, 0 unfinished, 11 lost, 22 duplicated, 33 unexpected, 90 unknown."
    assert f"Jobs: {said}" in files["summary.md"].decode()
    kept = json.loads(files["report.json"])["loads"][0]["ledger"]
    assert (kept["lost"], kept["duplicated"], kept["unexpected"], kept["not_followed"]) == (11, 22, 33, 100)
    page = files["report.html"].decode()
    for label, count in (("jobs attempted", "3,690"), ("lost", "11"), ("duplicated", "22"), ("unexpected", "33")):
        assert f"<dt>{label}</dt><dd>{count}</dd>" in page


def test_phases_of_jobs_show_their_error_bars_in_every_format() -> None:
    files = render(build_view([make.loaded()]), LIGHT)
    text = files["summary.md"].decode()
    assert "| queued | 100 | 22.4 ± 4.40 | 28.8 ± 10.8 | 29.6 ± 11.6 | 29.8 ± 11.8 |" in text
    assert ERROR_BARS in text
    queued, running = json.loads(files["report.json"])["loads"][0]["phases"]
    assert (queued["spread"]["largest"], queued["error"]["largest"], running["error"]) == (29.801, 11.801, None)


def test_every_format_shows_the_starts_of_an_open_load() -> None:
    files = render(build_view([make.record(*make.open_load())]))
    data = json.loads(files["report.json"])
    Draft202012Validator(SCHEMA_OF_REPORTS).validate(data)
    (load,) = data["loads"]
    assert [(line["stage"], line["dropped"]) for line in load["arrivals"]] == [("warm-up", 3), ("steady", 3)]
    assert load["service"]["p50"] < load["total"]["spread"]["p50"]
    assert b"| warm-up (not measured) | 103 | 100 | 1.94 % | 2.91 % |" in files["summary.md"]
    page = files["report.html"].decode()
    assert "from when they were meant to start" in page
    assert '<th scope="row">warm-up (not measured)</th>' in page


def test_every_format_shows_the_trials_of_a_search() -> None:
    files = render(build_view([make.record(*make.search())]))
    data = json.loads(files["report.json"])
    Draft202012Validator(SCHEMA_OF_REPORTS).validate(data)
    assert "Search: at least 10/s: the generator is the limit." in data["verdict"]["reason"]
    (load,) = data["loads"]
    assert (load["search"]["found"], load["search"]["at_least"], load["search"]["ending"]) == (10, True, "generator")
    assert [probe["outcome"] for probe in load["search"]["probes"]] == ["held", "failed", "behind", "held"]
    assert load["total"]["rate"] == load["total"]["count"] / 10
    assert b"| probe-2 (20/s) | 200 | 7 | failed | rpc_duration: p(99) \\< 1s | 3.2s |" in files["summary.md"]
    trials = ElementTree.fromstring(files["junit.xml"]).find(".//testcase[@name='search']")  # noqa: S314 - our own output
    assert trials is not None
    assert list(trials) == []
    page = files["report.html"].decode()
    assert '<th scope="row">probe-3 (14.14/s)</th>' in page
    assert "at least 10/s: the generator is the limit." in page
