"""What a record amounts to: verdicts per requirement and exit codes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ExitCode
from harness.gates import (
    REQUIREMENT_VERDICTS,
    conformance_exit,
    load_exit,
    outcomes_of,
    plural,
    record_exit,
    requirement_verdicts,
)
from harness.record import VERDICTS, Arrivals, CheckLine, Discrepancy, Line, SearchLine
from tests.reports import records as make

BROKEN = (Discrepancy("EXEC-01", "a", "b", (1,)),)


def verdict_of(identifier: str, *lines: Line) -> str:
    return requirement_verdicts((make.requirement("EXEC-01"), make.requirement("EXEC-02"), *lines))[identifier].verdict


def crashed(*requirements: str) -> CheckLine:
    return make.check("broken", *requirements, verdict="inconclusive", reason="KeyError", reason_kind="crashed")


# Requirements


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (("pass",), "pass"),
        (("pass", "pass"), "pass"),
        (("pass", "inconclusive"), "inconclusive"),
        (("pass", "not_applicable"), "pass"),
        (("not_applicable", "skipped"), "not_applicable"),
        (("known_failure", "skipped"), "known_failure"),
        (("skipped",), "skipped"),
        ((), "not_checked"),
    ],
)
def test_verdict_of_a_requirement_without_discrepancies(verdicts: tuple[str, ...], expected: str) -> None:
    for order in itertools.permutations(verdicts):
        checks = [make.check(f"c{place}", "EXEC-01", verdict=verdict) for place, verdict in enumerate(order)]
        assert verdict_of("EXEC-01", *checks) == expected


def test_any_discrepancy_fails_what_it_names() -> None:
    stranger = make.failed("other", "EXEC-02", breaks=("EXEC-01",))
    lines = (make.check("own", "EXEC-01"), stranger)
    assert verdict_of("EXEC-01", *lines) == "fail"
    assert verdict_of("EXEC-02", *lines) == "inconclusive"


def test_discrepancy_of_an_inconclusive_check_counts() -> None:
    assert verdict_of("EXEC-01", make.check("c", "EXEC-01", verdict="inconclusive", discrepancies=BROKEN)) == "fail"


def test_failed_check_that_names_nothing_fails_all_it_covers() -> None:
    lines = (make.check("stale", "EXEC-01", "EXEC-02", verdict="fail", reason="a known failure passed"),)
    assert {verdict_of(name, *lines) for name in ("EXEC-01", "EXEC-02")} == {"fail"}


def test_known_failure_is_neither_pass_nor_fail() -> None:
    known = make.check("c", "EXEC-01", verdict="known_failure", reason="ticket 1", discrepancies=BROKEN)
    found = requirement_verdicts((make.requirement("EXEC-01"), make.check("d", "EXEC-01"), known))["EXEC-01"]
    assert (found.verdict, found.reason, found.checks) == ("known_failure", "ticket 1", ("d", "c"))


def test_known_failure_does_not_hide_another_failure() -> None:
    known = make.check("c", "EXEC-01", verdict="known_failure", discrepancies=BROKEN)
    assert verdict_of("EXEC-01", known, make.failed("d", "EXEC-01")) == "fail"


def test_unobservable_requirement_says_why() -> None:
    found = requirement_verdicts((make.requirement("IDEM-14", "INFO", unobservable="no such call"),))["IDEM-14"]
    assert (found.verdict, found.reason, found.level) == ("not_observable", "no such call", "INFO")


def test_unobservable_requirement_that_was_checked_after_all() -> None:
    lines = (make.requirement("IDEM-14", unobservable="no such call"), make.check("c", "IDEM-14"))
    assert requirement_verdicts(lines)["IDEM-14"].verdict == "pass"


def test_requirement_outside_the_catalogue_is_a_must() -> None:
    found = requirement_verdicts((make.failed("c", "NEW-01"),))["NEW-01"]
    assert (found.level, found.verdict) == ("MUST", "fail")


def test_reason_is_that_of_the_check_that_decides() -> None:
    lines = (make.requirement("EXEC-01"), make.check("c", "EXEC-01", verdict="inconclusive", reason="no observer"))
    assert requirement_verdicts(lines)["EXEC-01"].reason == "no observer"


@given(
    st.lists(st.tuples(st.sampled_from(VERDICTS), st.sets(st.sampled_from(("A-01", "A-02", "A-03"))), st.booleans()), max_size=6)
)
def test_verdicts_do_not_depend_on_the_order_of_checks(plan: list[tuple[str, set[str], bool]]) -> None:
    lines: list[Line] = [make.requirement(name) for name in ("A-01", "A-02", "A-03")]
    for place, (verdict, names, broken) in enumerate(plan):
        found = tuple(Discrepancy(name, "a", "b") for name in sorted(names)[:1] if broken)
        lines.append(make.check(f"c{place}", *sorted(names), verdict=verdict, discrepancies=found))
    forward, backward = requirement_verdicts(lines), requirement_verdicts(lines[:3] + lines[:2:-1])
    assert {name: item.verdict for name, item in forward.items()} == {name: item.verdict for name, item in backward.items()}
    assert all(item.verdict in REQUIREMENT_VERDICTS for item in forward.values())
    assert not any(
        item.verdict == "pass" and (verdict, name) == ("fail", item.id)
        for item in forward.values()
        for verdict, names, _ in plan
        for name in names
    )


# Conformance


def test_all_pass_is_ok() -> None:
    code, reason = conformance_exit(make.passing().lines)
    assert code is ExitCode.OK
    assert reason == "No MUST requirement was violated: 3 of 5 passed."


def test_failed_must_is_a_violation_that_names_it() -> None:
    code, reason = conformance_exit((make.requirement("EXEC-01"), make.failed("c", "EXEC-01")))
    assert (code, reason) == (ExitCode.VIOLATION, "1 MUST requirement violated: EXEC-01.")


def test_failed_should_only_counts_when_strict() -> None:
    lines = (make.requirement("EXEC-10", "SHOULD"), make.failed("c", "EXEC-10"))
    assert conformance_exit(lines)[0] is ExitCode.OK
    assert conformance_exit(lines, strict=True) == (ExitCode.VIOLATION, "1 SHOULD requirement violated: EXEC-10.")


def test_info_never_fails() -> None:
    lines = (make.requirement("IDEM-13", "INFO"), make.failed("c", "IDEM-13"))
    assert conformance_exit(lines, strict=True)[0] is ExitCode.OK


def test_crashed_check_of_a_must_makes_the_run_invalid() -> None:
    lines = (make.requirement("EXEC-01"), make.requirement("EXEC-02"), make.check("c", "EXEC-02"), crashed("EXEC-01"))
    assert conformance_exit(lines) == (ExitCode.NOT_VALID, "1 check of MUST requirements crashed: broken.")


@pytest.mark.parametrize("level", ["SHOULD", "INFO"])
def test_crashed_check_of_another_level_does_not(level: str) -> None:
    lines = (make.requirement("EXEC-01", level), make.requirement("EXEC-02"), make.check("c", "EXEC-02"), crashed("EXEC-01"))
    assert conformance_exit(lines)[0] is ExitCode.OK


def test_violation_outranks_a_crash() -> None:
    lines = (make.requirement("EXEC-01"), make.failed("c", "EXEC-01"), crashed("EXEC-01"))
    assert conformance_exit(lines)[0] is ExitCode.VIOLATION


@pytest.mark.parametrize("verdict", ["skipped", "not_applicable", "inconclusive"])
def test_run_that_judged_nothing_is_not_valid(verdict: str) -> None:
    lines = (make.requirement("EXEC-01"), make.check("c", "EXEC-01", verdict=verdict))
    assert conformance_exit(lines) == (ExitCode.NOT_VALID, "Nothing was judged: none of 1 check reached a verdict.")


def test_inconclusive_requirements_are_named_in_the_reason() -> None:
    lines = (make.requirement("EXEC-01"), make.requirement("EXEC-02"), make.check("c", "EXEC-01"))
    undecided = make.check("d", "EXEC-02", verdict="inconclusive", reason_kind="unobservable")
    assert conformance_exit((*lines, undecided))[1].endswith("1 of 2 passed; 1 other could not be judged.")


def test_many_violations_are_counted_rather_than_listed() -> None:
    names = [f"EXEC-{number:02}" for number in range(1, 10)]
    reason = conformance_exit([make.failed("c", *names)])[1]
    assert reason == "9 MUST requirements violated: EXEC-01, EXEC-02, EXEC-03, EXEC-04, EXEC-05, EXEC-06 and 3 more."


# Load


def test_load_that_held_everything() -> None:
    assert load_exit((make.interval(0), make.ledger(), make.threshold())) == (ExitCode.OK, "1 of 1 thresholds held.")


def test_load_without_thresholds() -> None:
    assert load_exit((make.latency("A"),)) == (ExitCode.OK, "No threshold was set.")


def test_missed_threshold() -> None:
    lines = (make.interval(0), make.threshold(), make.threshold(held=False, expression="p99 < 1ms"))
    assert load_exit(lines) == (ExitCode.BELOW_THRESHOLD, "1 of 2 thresholds missed: p99 < 1ms.")


def test_ledger_outranks_thresholds_and_missing_samples() -> None:
    lines = (make.ledger(BROKEN), make.threshold(held=False))
    assert load_exit(lines) == (ExitCode.VIOLATION, "The ledger of jobs shows 1 violated invariant (EXEC-01).")


@pytest.mark.parametrize("count", ["lost", "duplicated", "unexpected"])
def test_a_job_too_few_or_too_many_outranks_every_threshold(count: str) -> None:
    lines = (make.latency("A"), make.ledger(BROKEN, **{count: 2}), make.threshold(expression="ledger_violations: count < 5"))
    said = f"The ledger of jobs shows 1 violated invariant (EXEC-01); jobs: 2 {count}."
    assert load_exit(lines) == (ExitCode.VIOLATION, said)


@pytest.mark.parametrize(
    ("late", "dropped_behind", "measured"), [(3, 0, True), (0, 3, True), (2, 1, True), (2, 0, True), (50, 50, False)]
)
def test_open_load_whose_generator_fell_behind_is_not_valid(late: int, dropped_behind: int, measured: bool) -> None:
    starts = Arrivals("", measured, 10.0, 100, 80, 0, late, 20, dropped_behind, 0.02, 0.02)
    code, reason = load_exit((make.latency("A"), make.ledger(), starts, make.threshold(held=False)))
    if measured and late + dropped_behind > 2:
        assert code is ExitCode.NOT_VALID
        assert f"{late} were more than 20 ms late and {dropped_behind} were dropped" in reason
    else:
        assert code is ExitCode.BELOW_THRESHOLD


@pytest.mark.parametrize(
    ("ending", "found", "code", "told"),
    [
        ("endpoint", 40.0, ExitCode.OK, "Search: why. 1 of 1 thresholds held."),
        ("generator", 40.0, ExitCode.OK, "Search: why. 1 of 1 thresholds held."),
        ("lowest", 0.0, ExitCode.BELOW_THRESHOLD, "Search: why."),
        ("unconfirmed", 0.0, ExitCode.BELOW_THRESHOLD, "Search: why."),
        ("generator", 0.0, ExitCode.NOT_VALID, "Search: why."),
        ("unfinished", 0.0, ExitCode.OK, "1 of 1 thresholds held."),
    ],
)
def test_a_search_that_found_nothing_falls_short_or_is_not_valid(ending: str, found: float, code: ExitCode, told: str) -> None:
    search = SearchLine(found, at_least=False, ending=ending, reason="why", probes=())
    assert load_exit((make.latency("A"), search, make.threshold())) == (code, told)
    assert load_exit((make.latency("A"), search, make.threshold(held=False)))[0] is not ExitCode.OK


def test_warm_up_is_not_enough_of_a_run() -> None:
    only = [line for line in make.open_load() if not getattr(line, "measured", True)]
    assert load_exit(only)[0] is ExitCode.NOT_VALID


def test_load_without_samples_is_not_valid() -> None:
    lines = (make.latency("queued", kind="lifecycle"), make.interval(0, count=0), make.threshold(held=False))
    assert load_exit(lines)[0] is ExitCode.NOT_VALID


# Records


def test_exit_codes_of_whole_records() -> None:
    codes = {name: record_exit(record)[0] for name, record in make.everything().items() if not name.startswith("hostile")}
    assert codes == {
        "passing": ExitCode.OK,
        "failing": ExitCode.VIOLATION,
        "loaded": ExitCode.OK,
        "incomplete": ExitCode.NOT_VALID,
        "interrupted": ExitCode.INTERRUPTED,
        "searched": ExitCode.OK,
        "empty": ExitCode.NOT_VALID,
        "nothing judged": ExitCode.NOT_VALID,
        "nothing measured": ExitCode.NOT_VALID,
        "header only": ExitCode.NOT_VALID,
        "unreachable": ExitCode.UNREACHABLE,
    }


def test_every_outcome_has_a_reason() -> None:
    for record in make.everything().values():
        outcomes = outcomes_of(record)
        assert outcomes
        assert all(reason for _, reason in outcomes)
        assert len(set(outcomes)) == len(outcomes)


def test_incomplete_record_says_so() -> None:
    assert record_exit(make.incomplete()) == (ExitCode.NOT_VALID, "The record is incomplete: the footer is missing.")


def test_section_without_its_end() -> None:
    record = make.record(*make.load(make.interval(0))[:-1])
    assert record_exit(record) == (ExitCode.NOT_VALID, "The load run did not come to its end.")


def test_stored_outcome_of_a_section_counts_with_its_reason() -> None:
    record = make.record(*make.load(make.interval(0), exit_code=4, reason="the generator was saturated"), exit_code=4)
    assert record_exit(record) == (ExitCode.NOT_VALID, "The generator was saturated.")


def test_crashed_section_is_not_valid() -> None:
    record = make.record(*make.load(make.interval(0), outcome="crashed"))
    assert record_exit(record) == (ExitCode.NOT_VALID, "The load run crashed.")


def test_stored_exit_code_without_a_reason() -> None:
    record = make.record(*make.load(make.interval(0)), exit_code=1)
    assert record_exit(record) == (ExitCode.BELOW_THRESHOLD, "The command ended with a missed threshold.")


def test_unknown_stored_exit_code_is_not_valid() -> None:
    assert record_exit(make.record(*make.load(make.interval(0)), exit_code=77))[0] is ExitCode.NOT_VALID


def test_strict_reaches_the_checks() -> None:
    record = make.record(*make.conformance(make.requirement("EXEC-10", "SHOULD"), make.failed("c", "EXEC-10")))
    assert [record_exit(record, strict)[0] for strict in (False, True)] == [ExitCode.OK, ExitCode.VIOLATION]


@pytest.mark.parametrize(("count", "text"), [(0, "0 checks"), (1, "1 check"), (1200, "1,200 checks")])
def test_plural(count: int, text: str) -> None:
    assert plural(count, "check") == text
