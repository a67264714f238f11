"""JUnit, Markdown and JSON, and what all formats have in common."""

from __future__ import annotations

import dataclasses
import json
from importlib import resources
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from harness.errors import ConfigError
from harness.record import Record, SearchLine, SectionStart, encode, read_record
from reports import FORMATS, build_view, render
from reports.values import ERROR_BARS
from tests.reports import records as make

RECORDS = make.everything()
SCHEMA = json.loads((resources.files("reports") / "schemas" / "report.schema.json").read_text("utf-8"))
LIGHT = tuple(name for name in FORMATS if name != "html")


def junit(*records: Record) -> ElementTree.Element:
    return ElementTree.fromstring(render(build_view(records), ["junit"])["junit.xml"])  # noqa: S314 - our own output


def markdown(*records: Record) -> str:
    return render(build_view(records), ["markdown"])["summary.md"].decode()


def as_json(*records: Record) -> Any:
    return json.loads(render(build_view(records), ["json"])["report.json"])


def case(root: ElementTree.Element, name: str) -> ElementTree.Element:
    (found,) = (item for item in root.iter("testcase") if item.get("name") == name)
    return found


@pytest.mark.parametrize("name", RECORDS)
def test_same_record_same_bytes(name: str) -> None:
    first, second = render(build_view([RECORDS[name]])), render(build_view([RECORDS[name]]))
    assert list(first) == ["report.html", "junit.xml", "summary.md", "report.json"]
    assert first == second


def test_record_that_went_through_a_file_gives_the_same_report() -> None:
    record = make.failing()
    again = read_record([encode(line) for line in record.lines], record.source)
    assert render(build_view([again])) == render(build_view([record]))


def test_unknown_format_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown report format 'pdf'; known formats: html"):
        render(build_view([make.passing()]), ["html", "pdf"])


def test_only_the_wanted_formats_are_made() -> None:
    assert list(render(build_view([make.passing()]), ["json", "junit", "json"])) == ["report.json", "junit.xml"]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=30)
@given(st.text(st.characters(codec=None), min_size=1, max_size=60))
def test_whatever_an_endpoint_sends_the_files_stay_well_formed(text: str) -> None:
    files = render(build_view([make.hostile(text)]), LIGHT)
    ElementTree.fromstring(files["junit.xml"])  # noqa: S314 - our own output
    Draft202012Validator(SCHEMA).validate(json.loads(files["report.json"]))
    tables = [line for line in files["summary.md"].decode().splitlines() if line.startswith("| ")]
    assert all(len(row.replace("\\\\", "").replace("\\|", "").split("|")) - 2 in {2, 3, 4, 5, 6, 8} for row in tables)


# JUnit


def test_junit_has_a_suite_per_chapter_and_a_case_per_requirement() -> None:
    root = junit(make.failing())
    assert [suite.get("name") for suite in root] == ["UUID", "EXEC", "IDEM", "SEC"]
    assert (case(root, "EXEC-01").get("classname"), case(root, "EXEC-01").get("time")) == ("EXEC", "0.250")
    assert (root.get("tests"), root.get("failures"), root.get("errors"), root.get("skipped")) == ("9", "1", "0", "6")


def test_junit_should_fails_a_strict_run_only() -> None:
    lines = make.conformance(make.requirement("UUID-08", "SHOULD"), make.failed("c", "UUID-08", jobs=4, interleavings=2, seed=7))
    assert isinstance(lines[0], SectionStart)
    strict = dataclasses.replace(lines[0], detail={"strict": True})
    warned, failed = (junit(make.record(*found)) for found in (lines, (strict, *lines[1:])))
    assert (warned.get("failures"), failed.get("failures")) == ("0", "1")
    assert "expected of UUID-08" in (case(warned, "UUID-08").findtext("system-out") or "")
    figures = {item.get("name"): item.get("value") for item in case(warned, "UUID-08").iter("property")}
    assert {name: figures[name] for name in ("calls", "jobs", "interleavings", "seed")} == {
        "calls": "3",
        "jobs": "4",
        "interleavings": "2",
        "seed": "7",
    }


def test_junit_failure_holds_the_discrepancies() -> None:
    failure = case(junit(make.failing()), "EXEC-01").find("failure")
    assert failure is not None
    assert failure.get("type") == "MUST"
    assert (failure.text or "").count("expected of EXEC-01") == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("EXEC-10", "inconclusive: the queue never filled"),
        ("IDEM-14", "not observable: no session call is in this API"),
        ("SEC-01", "known failure: ticket 12"),
        ("SEC-02", "skipped: beyond the budget"),
    ],
)
def test_junit_what_could_not_be_said_is_skipped(name: str, message: str) -> None:
    skipped = case(junit(make.failing()), name).find("skipped")
    assert skipped is not None
    assert skipped.get("message") == message


def test_junit_passed_case_has_no_outcome() -> None:
    found = case(junit(make.failing()), "UUID-01")
    assert [child.tag for child in found] == ["properties"]


def test_junit_info_never_fails() -> None:
    root = junit(make.record(*make.conformance(make.requirement("IDEM-13", "INFO"), make.failed("c", "IDEM-13"))))
    assert root.find(".//failure") is None


def test_junit_thresholds_and_ledger_are_cases() -> None:
    broken = make.ledger(make.failed("c", "no job twice").discrepancies)
    lines = (make.interval(0), make.threshold(), make.threshold(held=False, expression="p99 < 1ms"), broken)
    root = junit(make.record(*make.load(*lines)))
    assert case(root, "GetControllerJobStatus p99 < 20ms").find("failure") is None
    missed, ledger = case(root, "p99 < 1ms").find("failure"), case(root, "ledger of jobs").find("failure")
    assert missed is not None
    assert missed.get("message") == "observed 31.7 ms"
    assert ledger is not None
    assert "observed for no job twice" in (ledger.text or "")


@pytest.mark.parametrize("name", ["incomplete", "interrupted", "empty", "header only", "unreachable", "nothing measured"])
def test_junit_run_that_says_nothing_is_an_error(name: str) -> None:
    root = junit(RECORDS[name])
    error = case(root, "valid run").find("error")
    assert error is not None
    assert error.text
    assert int(root.get("errors", "0")) >= 1


# Markdown


def test_markdown_begins_with_the_verdict() -> None:
    lines = markdown(make.failing()).splitlines()
    assert lines[0].endswith("Violated: my-controller")
    assert lines[2] == "**1 MUST requirement violated: EXEC-01.**"


def test_markdown_says_only_what_needs_eyes() -> None:
    text = markdown(make.failing())
    assert "| EXEC-01 | MUST | expected of EXEC-01 | observed for EXEC-01 (and 1 more) |" in text
    assert "| EXEC-10 | SHOULD | the queue never filled |" in text
    assert "UUID-01" not in text


def test_markdown_of_a_clean_run_has_no_tables() -> None:
    assert "|" not in markdown(make.passing())


def test_markdown_load() -> None:
    text = markdown(
        make.record(*make.load(make.interval(0), make.latency("A"), make.threshold(held=False, expression="a|b < 1")))
    )
    assert "| A | 100 | 100 | 0 % | 6.40 | 12.8 | 13.6 | 13.8 |" in text
    assert "| a\\|b \\< 1 | 31.7 ms |" in text
    assert "0 of 1 thresholds held." in text


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


def test_markdown_long_tables_are_cut() -> None:
    lines = [make.failed(f"c{number}", f"EXEC-{number:02}") for number in range(40)]
    assert "10 more are in the full report." in markdown(make.record(*make.conformance(*lines)))


@pytest.mark.parametrize("name", ["incomplete", "header only"])
def test_markdown_says_incomplete(name: str) -> None:
    assert "Incomplete" in markdown(RECORDS[name]).splitlines()[0]


# JSON


def test_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", RECORDS)
def test_json_keeps_to_its_schema(name: str) -> None:
    Draft202012Validator(SCHEMA).validate(as_json(RECORDS[name]))


def test_json_holds_the_verdicts() -> None:
    data = as_json(make.failing())
    assert data["version"] == 1
    assert data["verdict"]["kind"] == "violated"
    assert data["verdict"]["exit_code"] == 3
    verdicts = {item["id"]: item["verdict"] for item in data["conformance"]["requirements"]}
    assert verdicts["EXEC-01"] == "fail"
    assert verdicts["EXEC-02"] == "inconclusive"
    assert data["conformance"]["failures"][0]["findings"][0]["calls"] == [2, 3]
    assert data["runs"][0]["seed"] == 7


def test_every_format_shows_the_starts_of_an_open_load() -> None:
    files = render(build_view([make.record(*make.open_load())]))
    data = json.loads(files["report.json"])
    Draft202012Validator(SCHEMA).validate(data)
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
    Draft202012Validator(SCHEMA).validate(data)
    assert "Search: at least 10/s: the generator is the limit." in data["verdict"]["reason"]
    (load,) = data["loads"]
    assert (load["search"]["found"], load["search"]["at_least"], load["search"]["ending"]) == (10, True, "generator")
    assert [probe["outcome"] for probe in load["search"]["probes"]] == ["held", "failed", "behind", "held"]
    assert load["total"]["rate"] == load["total"]["count"] / 10
    assert b"| probe-2 (20/s) | 200 | 7 | failed | rpc_duration: p(99) \\< 1s | 3.2s |" in files["summary.md"]
    assert list(case(junit(make.record(*make.search())), "search")) == []
    page = files["report.html"].decode()
    assert '<th scope="row">probe-3 (14.14/s)</th>' in page
    assert "at least 10/s: the generator is the limit." in page


def test_junit_counts_a_search_that_found_nothing_as_failed() -> None:
    lines = [dataclasses.replace(line, found=0.0) if isinstance(line, SearchLine) else line for line in make.search()]
    (failure,) = case(junit(make.record(*lines)), "search")
    assert (failure.tag, failure.get("message"), failure.text) == (
        "failure",
        "nothing was found",
        "at least 10/s: the generator is the limit",
    )


def test_json_holds_the_load() -> None:
    (load,) = as_json(make.loaded())["loads"]
    assert load["rpcs"][0]["errors"][0]["code"] == "RESOURCE_EXHAUSTED"
    assert load["total"]["count"] == sum(row["count"] for row in load["rpcs"])
    assert load["thresholds"][0]["held"] is True
    assert load["ledger"]["submissions"] == 1200
