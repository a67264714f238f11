"""JUnit XML: valid for Jenkins, and the same cases in every run for GitLab and GitHub."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.record import Arrivals, Ledger, Line, Record, SearchLine, SectionStart
from reports import build_view, render
from reports.loadruns import COUNTS, INVARIANTS
from tests.reports import records as make

RECORDS = make.everything()
ROOT = Path(__file__).parents[2]

OUTCOMES = ("skipped", "error", "failure")
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase", "system-out", "system-err"},
    "testcase": {*OUTCOMES, "system-out", "system-err"},
}
"""What may be in what, after the schema of Jenkins' xUnit plugin (as far as we use it)."""
REQUIRED = {"testsuites": set(), "testsuite": {"name", "tests", "failures", "errors"}, "testcase": {"name"}}
ALLOWED = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "time", "skipped", "timestamp", "hostname", "id", "package"},
    "testcase": {"name", "time", "classname", "group"},
    **{outcome: {"type", "message"} for outcome in OUTCOMES},
}
TIME = re.compile(r"(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]*)?")


def junit(*records: Record) -> ElementTree.Element:
    return ElementTree.fromstring(render(build_view(records), ["junit"])["junit.xml"])  # noqa: S314 - our own output


def case(root: ElementTree.Element, name: str) -> ElementTree.Element:
    (found,) = (item for item in root.iter("testcase") if item.get("name") == name)
    return found


def names(root: ElementTree.Element) -> list[tuple[str, str]]:
    """Return what GitLab tells cases apart by."""
    return [(item.get("classname", ""), item.get("name", "")) for item in root.iter("testcase")]


def assert_valid(element: ElementTree.Element) -> None:
    """Hold a document against the rules of the schema, and its counts against its cases."""
    tag, attributes = element.tag, set(element.keys())
    assert REQUIRED.get(tag, set()) <= attributes <= ALLOWED.get(tag, set()), tag
    assert {child.tag for child in element} <= CHILDREN.get(tag, set())
    assert TIME.fullmatch(element.get("time", "0"))
    if tag in {"testsuites", "testsuite"}:
        cases = list(element.iter("testcase"))
        assert element.get("tests") == str(len(cases))
        for attribute, outcome in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert element.get(attribute) in {None, str(sum(item.find(outcome) is not None for item in cases))}
    if tag in OUTCOMES:
        assert " ".join((element.text or "").split()).startswith(element.get("message", "")[:400]), "GitLab shows the text only"
    if tag == "testcase":
        assert sum(child.tag in OUTCOMES for child in element) <= 1
    for child in element:
        assert_valid(child)


@pytest.mark.parametrize("name", RECORDS)
def test_every_report_is_valid_and_no_two_cases_are_the_same(name: str) -> None:
    root = junit(RECORDS[name])
    assert root.tag == "testsuites"
    assert_valid(root)
    assert len(set(names(root))) == len(names(root))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=30)
@given(st.text(st.characters(codec=None), min_size=1, max_size=60))
def test_hostile_text_leaves_it_valid(text: str) -> None:
    assert_valid(junit(make.hostile(text)))


def test_runs_line_up_whatever_their_outcome_and_whenever_they_were() -> None:
    broken = make.ledger(make.failed("c", "EXEC-05").discrepancies, lost=1)
    good = make.load(make.interval(0), make.latency("A"), make.ledger(), make.threshold())
    bad = make.load(make.interval(0), make.latency("A"), broken, make.threshold(held=False))
    first = make.record(*make.passing().lines[1:-1], *good)
    lines = (*make.failing().lines[1:-1], *bad)
    second = make.record(*lines, exit_code=3, run_id="another", started="2027-01-01T00:00:00Z", seed=8, tool_version="9")
    assert names(junit(first)) == names(junit(second))


def test_several_loads_are_told_apart_by_their_scenarios() -> None:
    lines = make.load(make.interval(0), make.latency("A"))
    start = lines[0]
    assert isinstance(start, SectionStart)
    rate = (dataclasses.replace(start, detail={"name": "rate"}), *lines[1:])
    root = junit(make.record(*rate), make.record(*lines), make.record(*rate))
    assert [suite.get("name") for suite in root] == ["load.rate", "load.load", "load.rate (2)", "run"]


# Requirements


def test_a_suite_per_chapter_and_a_case_per_requirement() -> None:
    root = junit(make.failing())
    assert [suite.get("name") for suite in root] == ["UUID", "EXEC", "IDEM", "SEC", "run"]
    assert (case(root, "EXEC-01").get("classname"), case(root, "EXEC-01").get("time")) == ("EXEC", "0.250")
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("10", "1", "0")
    assert [suite.get("skipped") for suite in root] == ["0", "2", "2", "2", "0"]


def test_should_fails_a_strict_run_only() -> None:
    lines = make.conformance(make.requirement("UUID-08", "SHOULD"), make.failed("c", "UUID-08", jobs=4, interleavings=2, seed=7))
    assert isinstance(lines[0], SectionStart)
    strict = dataclasses.replace(lines[0], detail={"strict": True})
    warned, failed = (junit(make.record(*found)) for found in (lines, (strict, *lines[1:])))
    assert (warned.get("failures"), failed.get("failures")) == ("0", "1")
    told = case(warned, "UUID-08").findtext("system-out") or ""
    assert told.startswith("warning: What UUID-08 asks for holds.")
    assert "expected of UUID-08" in told
    assert told.endswith("c: fail; 3 calls, 4 jobs, 2 interleavings, seed 7")


def test_failure_holds_the_discrepancies() -> None:
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
def test_what_could_not_be_said_is_skipped(name: str, message: str) -> None:
    skipped = case(junit(make.failing()), name).find("skipped")
    assert skipped is not None
    assert skipped.get("message") == message


def test_passed_case_has_no_outcome() -> None:
    found = case(junit(make.failing()), "UUID-01")
    assert [child.tag for child in found] == ["system-out"]
    assert found.findtext("system-out") == "MUST: What UUID-01 asks for holds.\nuuid: pass; 3 calls, 0 jobs, seed 0"


def test_info_never_fails() -> None:
    root = junit(make.record(*make.conformance(make.requirement("IDEM-13", "INFO"), make.failed("c", "IDEM-13"))))
    assert root.find(".//failure") is None
    assert "observed for IDEM-13" in (case(root, "IDEM-13").findtext("system-out") or "")


# Load


def ledger_case(ledger: Ledger, name: str) -> ElementTree.Element:
    return case(junit(make.record(*make.load(make.interval(0), make.latency("A"), ledger))), name)


def test_each_threshold_is_a_case() -> None:
    lines = (make.interval(0), make.threshold(), make.threshold(held=False, expression="p99 < 1ms"), make.threshold())
    root = junit(make.record(*make.load(*lines)))
    assert case(root, "GetControllerJobStatus p99 < 20ms").find("failure") is None
    assert case(root, "GetControllerJobStatus p99 < 20ms (2)").find("failure") is None
    missed = case(root, "p99 < 1ms").find("failure")
    assert missed is not None
    assert (missed.get("message"), missed.text) == ("observed 31.7 ms", "observed 31.7 ms\n\nabove the limit")


def test_each_invariant_of_the_ledger_is_a_case() -> None:
    books = make.ledger(make.failed("c", "EXEC-05", "NEW-01").discrepancies, lost=2)
    root = junit(make.record(*make.load(make.interval(0), make.latency("A"), books)))
    found = [name for group, name in names(root) if group == "load.load.ledger"]
    assert found == [*COUNTS, *INVARIANTS, "NEW-01"]
    failed = [item.get("name") for item in root.iter("testcase") if item.find("failure") is not None]
    assert failed == ["lost", "EXEC-05", "NEW-01"]
    failure = case(root, "EXEC-05").find("failure")
    assert failure is not None
    assert (failure.get("message"), failure.text) == (
        INVARIANTS["EXEC-05"],
        f"{INVARIANTS['EXEC-05']}\n\nexpected: expected of EXEC-05\nobserved: observed for EXEC-05",
    )


def test_invariants_that_may_be_among_those_that_were_only_counted_are_skipped() -> None:
    books = make.ledger(make.failed("c", "EXEC-05").discrepancies, violation_count=7)
    skipped = ledger_case(books, "STA-01").find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "6 violations more were counted, but not named"
    assert ledger_case(books, "EXEC-05").find("failure") is not None
    assert ledger_case(books, "lost").find("skipped") is None


def test_the_invariants_are_those_that_the_ledger_keeps() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "loadtests").glob("*.py")))
    kept = set(re.findall(r'"([A-Z]+-[0-9]{2})"', sources))
    assert kept == set(INVARIANTS)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (make.load(), "nothing was measured"),
        (make.load(make.interval(0), outcome="crashed", reason="the disk is full", exit_code=4), "the disk is full"),
        (make.load(make.interval(0), outcome="interrupted", exit_code=130), "the load run was interrupted"),
        (make.load(make.interval(0), make.latency("A"))[:-1], "the load run did not come to its end"),
        (make.load(make.interval(0), reason="worker 2 fell silent", exit_code=4), "worker 2 fell silent"),
    ],
)
def test_a_load_run_that_is_not_valid_is_an_error(lines: tuple[Line, ...], message: str) -> None:
    error = case(junit(make.record(*lines)), "valid load run").find("error")
    assert error is not None
    assert error.get("message") == message


def test_a_generator_that_fell_behind_is_an_error() -> None:
    lines = [dataclasses.replace(line, late=60) if isinstance(line, Arrivals) else line for line in make.open_load()]
    error = case(junit(make.record(*lines)), "valid load run").find("error")
    assert error is not None
    assert (error.get("message") or "").startswith("The generator fell behind")


def test_an_aborted_load_run_is_valid() -> None:
    lines = make.load(make.interval(0), make.latency("A"), make.threshold(held=False), outcome="aborted", exit_code=1)
    assert list(case(junit(make.record(*lines)), "valid load run")) == []


def test_a_search_that_found_nothing_has_failed() -> None:
    lines = [dataclasses.replace(line, found=0.0) if isinstance(line, SearchLine) else line for line in make.search()]
    (failure,) = case(junit(make.record(*lines)), "search")
    assert (failure.tag, failure.get("message"), failure.text) == (
        "failure",
        "nothing was found",
        "nothing was found\n\nat least 10/s: the generator is the limit",
    )


# The whole


@pytest.mark.parametrize("name", ["incomplete", "interrupted", "empty", "header only", "unreachable", "nothing measured"])
def test_run_that_says_nothing_is_an_error(name: str) -> None:
    root = junit(RECORDS[name])
    error = case(root, "valid run").find("error")
    assert error is not None
    assert error.text
    assert int(root.get("errors", "0")) >= 1


def test_an_incomplete_record_is_an_error_beside_its_violations() -> None:
    root = junit(make.record(*make.failing().lines[1:-2], incomplete="line 12 is cut off"))
    error = case(root, "valid run").find("error")
    assert error is not None
    assert error.text == "Incomplete\n\nruns/one/record.jsonl is incomplete: line 12 is cut off"
    assert case(root, "EXEC-01").find("failure") is not None


@pytest.mark.parametrize("name", ["passing", "failing", "loaded"])
def test_a_run_that_says_what_it_was_to_say_is_valid(name: str) -> None:
    assert list(case(junit(RECORDS[name]), "valid run")) == []
