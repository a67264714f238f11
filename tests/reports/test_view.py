"""From records to what a report shows."""

from __future__ import annotations

import dataclasses

import pytest

from harness.errors import ExitCode
from harness.record import Observation, SectionStart
from reports import build_view
from reports.judged import MOST_CALLS
from reports.loadvalues import Load
from reports.measured import MOST_WINDOWS, spread_of
from reports.values import Conformance, View
from reports.view import LABELS, flattened
from tests.reports import records as make


def conformance_of(view: View) -> Conformance:
    assert view.conformance is not None
    return view.conformance


def load_of(view: View) -> Load:
    (load,) = view.loads
    return load


def test_no_record_is_no_report() -> None:
    with pytest.raises(ValueError, match="at least one"):
        build_view([])


@pytest.mark.parametrize(
    ("name", "kind", "label"),
    [
        ("passing", "pass", "Passed"),
        ("failing", "violated", "Violated"),
        ("loaded", "pass", "Passed"),
        ("incomplete", "incomplete", "Incomplete"),
        ("interrupted", "interrupted", "Interrupted"),
        ("empty", "not_valid", "Not valid"),
        ("header only", "incomplete", "Incomplete"),
        ("unreachable", "unreachable", "Unreachable"),
    ],
)
def test_overall_verdict(name: str, kind: str, label: str) -> None:
    verdict = build_view([make.everything()[name]]).verdict
    assert (verdict.kind, verdict.label) == (kind, label)
    assert verdict.reason.endswith(".")


def test_missed_threshold_is_a_verdict_of_its_own() -> None:
    view = build_view([make.record(*make.load(make.interval(0), make.threshold(held=False)))])
    assert (view.verdict.kind, view.verdict.exit_code) == ("thresholds_missed", ExitCode.BELOW_THRESHOLD)


def test_every_exit_code_has_a_label() -> None:
    for code in ExitCode:
        view = build_view([make.record(*make.load(make.interval(0)), exit_code=int(code))])
        assert view.verdict.label == LABELS[view.verdict.kind]
        assert view.verdict.exit_code is code


def test_failed_should_is_a_warning() -> None:
    lines = (
        make.requirement("EXEC-01"),
        make.requirement("EXEC-10", "SHOULD"),
        make.check("a", "EXEC-01"),
        make.failed("b", "EXEC-10"),
    )
    record = make.record(*make.conformance(*lines))
    view = build_view([record])
    assert view.verdict.label == "Passed, with warnings"
    assert view.notices == ("1 SHOULD requirement not met: a warning, no violation (without --strict).",)
    assert build_view([record], strict=True).verdict.kind == "violated"


@pytest.mark.parametrize(
    ("detail", "plan"),
    [
        ({}, ""),
        ({"plan": "tier full: 2 checks"}, "tier full: 2 checks"),
        ({"plan": "tier full: 2 checks", "lanes": 1}, "tier full: 2 checks"),
        ({"plan": "tier full: 2 checks", "lanes": 6}, "tier full: 2 checks, on 6 targets at once"),
    ],
)
def test_the_plan_says_on_how_many_targets_checks_ran(detail: dict[str, object], plan: str) -> None:
    start, *rest = make.conformance(make.check("a", "EXEC-01"))
    assert isinstance(start, SectionStart)
    view = build_view([make.record(dataclasses.replace(start, detail=detail), *rest)])
    assert conformance_of(view).plan == plan


def test_violation_found_before_an_interruption_is_a_notice() -> None:
    lines = make.conformance(make.failed("c", "EXEC-01"), outcome="interrupted", reason="interrupted", exit_code=130)
    view = build_view([make.record(*lines, exit_code=130)])
    assert view.verdict.kind == "interrupted"
    assert view.notices == ("1 MUST requirement violated: EXEC-01.",)


def test_violation_in_an_incomplete_record_says_both() -> None:
    view = build_view([make.record(*make.conformance(make.failed("c", "EXEC-01"))[:-1], incomplete="line 9 is cut off")])
    assert view.verdict.label == "Violated, incomplete"
    assert view.notices == ("The record is incomplete: line 9 is cut off.",)


def test_failures_come_by_level_with_the_calls_that_show_them() -> None:
    conformance = conformance_of(build_view([make.failing()]))
    assert [item.requirement.id for item in conformance.failures] == ["EXEC-01", "UUID-08"]
    first = conformance.failures[0]
    assert len(first.findings) == 2
    assert [call.number for call in first.findings[0].calls] == [2, 3]
    assert first.findings[0].calls[0].code == "NOT_FOUND"
    assert first.findings[0].calls[1].undecided
    assert [item.requirement.id for item in conformance.known_failures] == ["SEC-01"]
    assert conformance.known_failures[0].findings


def test_failed_check_without_discrepancies_is_shown_with_its_reason() -> None:
    lines = (make.requirement("EXEC-01"), make.check("c", "EXEC-01", verdict="fail", reason="it passed"))
    (failure,) = conformance_of(build_view([make.record(*make.conformance(*lines))])).failures
    assert [finding.observed for finding in failure.findings] == ["it passed"]


def test_named_calls_come_first_when_there_are_too_many() -> None:
    calls = tuple(make.operation(number) for number in range(1, 200))
    check = make.failed("c", "EXEC-01", calls=calls, discrepancies=make.failed("x", "EXEC-01").discrepancies)
    late = make.failed("d", "EXEC-01", calls=calls[100:])
    (first, second) = conformance_of(build_view([make.record(*make.conformance(check, late))])).checks
    assert len(first.calls) == MOST_CALLS
    assert first.calls_left_out == len(calls) - MOST_CALLS
    assert {2, 3} <= {call.number for call in first.calls}
    assert [call.number for call in second.calls] == sorted(call.number for call in second.calls)


def test_checks_of_several_records_are_judged_together() -> None:
    one = make.record(*make.conformance(make.requirement("EXEC-01"), make.check("a", "EXEC-01")))
    two = make.record(*make.conformance(make.requirement("EXEC-01"), make.failed("b", "EXEC-01")), endpoint="other:1")
    view = build_view([one, two])
    (requirement,) = conformance_of(view).requirements
    assert requirement.verdict == "fail"
    assert len(requirement.checks) == 2
    assert len(view.runs) == 2
    assert view.notices == ("The records concern different endpoints: 127.0.0.1:50051, other:1.",)


def test_conformance_and_load_in_one_report() -> None:
    view = build_view([make.passing(), make.loaded()])
    assert view.conformance is not None
    assert len(view.loads) == 1
    assert view.verdict.reason == "No MUST requirement was violated: 3 of 5 passed. 1 of 1 thresholds held."


def test_command_is_quoted_for_a_shell() -> None:
    (run,) = build_view([make.passing()]).runs
    assert run.command == "controller-harness run --profile 'my profile.yaml' --seed 7"
    assert run.seconds == 72.5


def test_observations_are_kept_with_their_requirement() -> None:
    check = make.check("c", "IDEM-13", observations=(Observation("IDEM-13", "replays"),))
    (item,) = conformance_of(build_view([make.record(*make.conformance(check))])).observations
    assert (item.requirement, item.check, item.text) == ("IDEM-13", "c", "replays")


def test_load_table() -> None:
    load = load_of(build_view([make.loaded()]))
    row = load.rpcs[0]
    assert row.rpc == "GetControllerJobStatus"
    assert row.count == 109
    assert row.rate == pytest.approx(109 / 60)
    assert {error.code: error.count for error in row.errors} == {"RESOURCE_EXHAUSTED": 2, "UNAVAILABLE": 7}
    assert row.spread is not None
    assert (row.spread.count, row.spread.largest) == (100, 12.801)
    assert row.spread.p50 == pytest.approx(5.4, rel=0.01)
    assert load.total.count == sum(item.count for item in load.rpcs)
    assert [phase.name for phase in load.phases] == ["queued", "running"]


def test_phases_have_error_bars_where_the_record_holds_them() -> None:
    queued, running = load_of(build_view([make.loaded()])).phases
    assert queued.error == spread_of(make.latency("", base=2_000).histogram)
    assert queued.error is not None
    assert queued.shown("p50") == (queued.spread.p50, queued.error.p50)
    assert running.error is None
    assert running.shown("largest") == (running.spread.largest, None)


def test_a_kind_of_time_that_is_not_known_is_no_call() -> None:
    lines = (make.latency("A"), make.latency("A", kind="a later kind"), make.latency("queued", kind="lifecycle_error"))
    load = load_of(build_view([make.record(*make.load(*lines))]))
    assert [(row.rpc, row.count) for row in (*load.rpcs, load.total)] == [("A", 100), ("All RPCs", 100)]
    assert load.phases == ()


def test_load_that_was_cut_off_still_has_its_counts() -> None:
    load = load_of(build_view([make.interrupted()]))
    assert load.total.count == sum(make.interval(second).count for second in range(5))
    assert load.total.spread is None
    assert load.seconds == 5


def test_errors_of_a_load_that_was_cut_off() -> None:
    record = make.record(
        *make.load(make.interval(0, errors={"INTERNAL": 3}), make.interval(1, errors={"INTERNAL": 2}))[:-1], incomplete="x"
    )
    (error,) = load_of(build_view([record])).rpcs[0].errors
    assert (error.code, error.count, error.spread) == ("INTERNAL", 5, None)


@pytest.mark.parametrize("seconds", [1, MOST_WINDOWS, MOST_WINDOWS + 1, 3600])
def test_long_runs_are_thinned_out_without_losing_a_call(seconds: int) -> None:
    intervals = [make.interval(second, errors={"INTERNAL": 1}) for second in range(seconds)]
    load = load_of(build_view([make.record(*make.load(*intervals))]))
    assert len(load.series) <= MOST_WINDOWS
    assert sum(point.count for point in load.series) == sum(line.count for line in intervals)
    assert sum(point.errors["INTERNAL"] for point in load.series) == seconds
    assert max(point.p99 for point in load.series) * 1000 == max(line.p99 for line in intervals)
    assert load.window == -(-seconds // MOST_WINDOWS)


def test_rate_of_a_window_is_per_second() -> None:
    intervals = [make.interval(second, count=50) for second in range(MOST_WINDOWS * 2 + 1)]
    load = load_of(build_view([make.record(*make.load(*intervals))]))
    assert {point.rate for point in load.series} == {50}


def test_flattened() -> None:
    value = {"a": {"b": [1, 2], "c": None, "d": {}}, "e": True, "f": "", "g": 0}
    assert flattened(value) == (("a.b", "1, 2"), ("e", "true"), ("g", "0"))
    assert flattened({"a": [{"b": 1}, {"b": None, "c": [2]}], "d": []}) == (("a.1.b", "1"), ("a.2.c", "2"))


def test_an_open_load_keeps_the_kinds_of_time_and_the_warm_up_apart() -> None:
    load = load_of(build_view([make.record(*make.open_load())]))
    assert [(row.rpc, row.count) for row in load.rpcs] == [("A", 100)]
    assert load.phases == ()
    assert load.service == spread_of(make.latency("", base=1000).histogram)
    assert load.delays == spread_of(make.latency("", base=10).histogram)
    assert [(line.stage, line.measured) for line in load.arrivals] == [("warm-up", False), ("steady", True)]


def test_stages_are_kept_apart() -> None:
    load = load_of(build_view([make.record(*make.staged_load())]))
    assert [(stage.name, stage.measured, stage.seconds, stage.begin) for stage in load.stages] == [
        ("warm-up", False, 10.0, 0.0),
        ("steady", True, 10.0, 10.0),
        ("peak", True, 10.0, 20.0),
    ]
    peak = load.stages[2]
    assert (peak.total.count, peak.total.rate, peak.total.error_count) == (901, 90.1, 1)
    assert [row.rpc for row in peak.rpcs] == ["ExecuteControllerJob", "GetControllerJobStatus", "GetControllerJobResults"]
    assert load.total.count == 1802


def test_a_load_without_stages_has_no_rows_of_them() -> None:
    assert load_of(build_view([make.loaded()])).stages == ()


def test_stages_whose_length_is_not_known_have_no_rate() -> None:
    lines = [dataclasses.replace(make.latency("A"), stage=stage) for stage in ("one", "two")]
    load = load_of(build_view([make.record(*make.load(*lines))]))
    assert [(stage.seconds, stage.begin, stage.total.rate) for stage in load.stages] == [(None, None, 0.0)] * 2


def test_spectra_join_the_measured_stages() -> None:
    load = load_of(build_view([make.record(*make.staged_load())]))
    assert [(item.name, item.kind, item.count) for item in load.spectra] == [
        *((row.rpc, "rpc", 600) for row in load.rpcs),
        ("All RPCs", "rpc", 1800),
        ("All RPCs", "service", 1800),
    ]
    assert load.spectra[-1].at(90) == 2.5
    assert load.spectra[0].at(99.9) is None


def test_a_baseline_is_compared_and_what_became_worse_is_a_notice() -> None:
    view = build_view([make.failing()], baseline=[make.passing()])
    assert view.baseline is not None
    assert view.baseline.regressed
    assert "Worse than the baseline: UUID-08, EXEC-01." in view.notices
    assert view.verdict == build_view([make.failing()]).verdict
    same = build_view([make.passing()], baseline=[make.passing()])
    assert not any("baseline" in notice for notice in same.notices)
    assert build_view([make.passing()]).baseline is None


def test_commands_that_run_stored_evidence_again_are_kept() -> None:
    commands = ("controller-harness replay plans/p.json --profile x",)
    (check,) = conformance_of(build_view([make.record(*make.conformance(make.check("a", "EXEC-01", commands=commands)))])).checks
    assert check.commands == commands
