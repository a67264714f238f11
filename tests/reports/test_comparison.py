"""What a comparison finds in records: shifts, no shifts, changed verdicts and why, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.record import Interval, Latency, Record, RequirementLine, SearchLine, SectionStart
from reports.comparison import Comparison, Settings, compare
from reports.comparison.compare import ONE_AFTER_THE_OTHER
from reports.comparison.values import CHANGE_KINDS
from tests.reports import records
from tests.reports.comparisons import RPC, measures, run, runs

TRIALS = 40
FEW = settings(max_examples=10, deadline=None)


def shifted(count: int, seconds: int, shift: float) -> list[Comparison]:
    """Return comparisons of runs that all have seeds of their own; the new ones take longer by `shift`."""
    per_trial = 2 * count
    return [
        compare(
            runs(trial * per_trial, count, seconds=seconds),
            runs(trial * per_trial + count, count, seconds=seconds, level=5000 * (1 + shift)),
        )
        for trial in range(TRIALS)
    ]


@pytest.mark.parametrize(("count", "seconds"), [(5, 6), (3, 6), (1, 30)])
def test_equal_sides_raise_no_alarm_and_a_fifth_is_found(count: int, seconds: int) -> None:
    false_alarms = sum(comparison.regressed for comparison in shifted(count, seconds, 0.0))
    found = sum(comparison.regressed for comparison in shifted(count, seconds, 0.2))
    assert false_alarms <= 0.05 * TRIALS
    assert found >= 0.95 * TRIALS


def test_a_slower_build_is_a_regression_and_a_faster_one_is_not() -> None:
    slower = compare(runs(0, 5), runs(5, 5, level=6000))
    faster = compare(runs(5, 5, level=6000), runs(0, 5))
    assert slower.regressed
    assert f"p50 of {RPC}" in slower.regressions
    assert not faster.regressed
    assert measures(faster)[f"p50 of {RPC}"].verdict == "improvement"


@FEW
@given(st.integers(0, 10**6), st.sampled_from([1, 3]), st.floats(0.7, 1.4))
def test_swapped_sides_swap_the_verdicts(seed: int, count: int, factor: float) -> None:
    base = runs(seed, count, seconds=8, errors=0.05)
    new = runs(seed + count, count, seconds=8, level=5000 * factor)
    one, two = measures(compare(base, new)), measures(compare(new, base))
    other = {"regression": "improvement", "improvement": "regression"}
    for name, measure in one.items():
        mirrored = two[name]
        assert mirrored.verdict == other.get(measure.verdict, measure.verdict)
        assert (mirrored.base, mirrored.new) == (measure.new, measure.base)
        if measure.low is not None and mirrored.high is not None and measure.effect_unit == "%":
            assert (1 + measure.low / 100) * (1 + mirrored.high / 100) == pytest.approx(1)


@FEW
@given(st.integers(0, 10**6), st.sampled_from([1, 3]), st.integers(2, 50))
def test_the_unit_of_time_does_not_matter(seed: int, count: int, factor: int) -> None:
    sides = [runs(seed, count, seconds=8), runs(seed + count, count, seconds=8)]
    longer = [runs(seed, count, seconds=8, level=5000 * factor), runs(seed + count, count, seconds=8, level=5000 * factor)]
    one, two = measures(compare(sides[0], sides[1])), measures(compare(longer[0], longer[1]))
    for name, measure in one.items():
        assert two[name].effect == pytest.approx(measure.effect, abs=0.3)


@FEW
@given(st.integers(0, 10**6), st.sampled_from([1, 3]))
def test_a_side_compared_with_itself_has_not_changed(seed: int, count: int) -> None:
    side = runs(seed, count, seconds=10)
    found = compare(side, side)
    assert not found.regressed
    assert {measure.effect for measure in found.measures if measure.effect is not None} == {0.0}
    assert any("on both sides" in notice for notice in found.notices)


def test_the_same_records_give_the_same_comparison() -> None:
    sides = runs(0, 3), runs(3, 3)
    assert compare(*sides, Settings(seed=4)) == compare(*sides, Settings(seed=4))
    assert compare(*sides, Settings(seed=4)).measures != compare(*sides, Settings(seed=5)).measures


def test_an_effect_within_the_floor_is_no_regression() -> None:
    quiet: dict[str, Any] = {"scatter": 0.001, "seconds": 40}
    base, new = runs(0, 5, **quiet), runs(5, 5, level=5000 * 1.03, **quiet)
    assert not compare(base, new).regressed
    assert measures(compare(base, new))[f"p50 of {RPC}"].verdict == "unchanged"
    assert compare(base, new, Settings(floor=2)).regressed


def test_an_effect_that_chance_explains_is_inconclusive() -> None:
    base, new = runs(0, 3, scatter=0.3), runs(3, 3, level=6000, scatter=0.3)
    found = measures(compare(base, new))[f"p50 of {RPC}"]
    assert found.verdict == "inconclusive"
    assert found.low is not None
    assert found.low < 0


@pytest.mark.parametrize("count", [1, 4])
def test_more_failed_calls_are_a_regression(count: int) -> None:
    found = compare(runs(0, count, seconds=30), runs(9, count, seconds=30, errors=0.1))
    assert "errors of all calls" in found.regressions
    few = compare(runs(0, count, seconds=30, errors=0.05), runs(9, count, seconds=30, errors=0.05))
    assert not few.regressed


def test_what_is_measured_names_its_unit() -> None:
    assert compare(runs(0, 3), runs(3, 3)).unit == "runs"
    assert compare(runs(0, 1), runs(3, 1)).unit == "seconds"
    assert compare(runs(0, 1), runs(3, 2)).unit == "runs"
    assert compare([records.passing()], [records.passing()]).unit == ""


def test_short_runs_are_inconclusive_with_a_reason() -> None:
    found = measures(compare([run(1, seconds=4)], [run(2, seconds=4, level=9000)]))
    assert found[f"p50 of {RPC}"].verdict == "inconclusive"
    assert found[f"p50 of {RPC}"].reason == "3 whole seconds measured, and it takes 5"
    assert found[f"p50 of {RPC}"].effect == pytest.approx(80, abs=10)


def test_seconds_without_any_call_lower_the_rate() -> None:
    def stalling(record: Record) -> Record:
        kept = (line for line in record.lines if not (isinstance(line, Interval) and line.second % 4 == 2))
        return replace(record, lines=tuple(kept))

    rate = measures(compare([run(1, seconds=30)], [stalling(run(2, seconds=30))]))["rate of all calls"]
    assert rate.effect == pytest.approx(-25, abs=3)


@pytest.mark.parametrize("count", [1, 3])
def test_a_few_calls_have_no_latency(count: int) -> None:
    def sparse(record: Record) -> Record:
        lines = (replace(line, count=1) if isinstance(line, Interval) else line for line in record.lines)
        one = (replace(line, histogram=records.histogram([5000])) if isinstance(line, Latency) else line for line in lines)
        return replace(record, lines=tuple(one))

    found = compare([sparse(item) for item in runs(0, count)], [sparse(item) for item in runs(5, count)])
    latency = measures(found)["latency of all calls"]
    assert (latency.gates, latency.verdict, latency.reason) == (False, "informative", "too few calls")
    assert not found.regressed


def test_an_rpc_on_one_side_only_is_no_gate() -> None:
    for count in (1, 3):
        found = measures(compare(runs(0, count, seconds=9, rpcs=(RPC, "Other")), runs(5, count, seconds=9)))
        assert not found["p50 of Other"].gates
        assert "base only" in found["p50 of Other"].reason or "not in every run" in found["p50 of Other"].reason


def test_searches_are_compared_by_what_they_found() -> None:
    def searched(rate: float) -> Record:
        lines = [replace(line, found=rate) if isinstance(line, SearchLine) else line for line in records.search()]
        return records.record(*lines, run_id=f"run-{rate}")

    found = compare([searched(rate) for rate in (100, 101, 99, 102)], [searched(rate) for rate in (80, 81, 79, 82)])
    assert found.regressions == ("highest rate",)
    assert [measure.name for measure in found.measures] == ["highest rate"]
    single = compare([searched(100)], [searched(50)])
    assert not single.regressed
    assert single.measures[0].verdict == "inconclusive"


# Verdicts


def checked(verdict: str, *, entry: RequirementLine | None = None, **changes: Any) -> Record:
    """Return a record of a requirement and the verdict of its check, and of another one that passes."""
    line = records.failed("c", "EXEC-01") if verdict == "fail" else records.check("c", "EXEC-01", verdict=verdict, reason="why")
    entries = entry or records.requirement("EXEC-01"), records.requirement("EXEC-02")
    lines = records.conformance(*entries, line, records.check("other", "EXEC-02"))
    return records.record(*lines, **{"run_id": f"run-{verdict}", **changes})


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("pass", "fail", "regression"),
        ("known_failure", "fail", "found"),
        ("fail", "pass", "fixed"),
        ("fail", "known_failure", "other"),
        ("pass", "known_failure", "lost"),
        ("pass", "not_applicable", "lost"),
    ],
)
def test_verdicts_that_changed(before: str, after: str, kind: str) -> None:
    found = compare([checked(before)], [checked(after)])
    (change,) = found.changes
    assert (change.requirement, change.before, change.after, change.kind) == ("EXEC-01", before, after, kind)
    assert found.regressed is (kind == "regression")
    assert kind in CHANGE_KINDS


def test_verdicts_that_stayed_are_not_named() -> None:
    assert compare([checked("pass")], [checked("pass")]).changes == ()
    assert not compare([checked("fail")], [checked("fail")]).regressed


def test_what_fails_in_one_of_several_runs_fails() -> None:
    found = compare([checked("pass"), checked("pass")], [checked("pass"), checked("fail")])
    assert found.regressions == ("EXEC-01",)
    assert not compare([checked("pass"), checked("fail")], [checked("fail")]).changes


def test_nothing_else_differs_so_it_is_the_endpoint() -> None:
    (change,) = compare([checked("pass")], [checked("fail", endpoint="10.0.0.1:1")]).changes
    assert change.causes == ("endpoint",)


def test_another_suite_is_named() -> None:
    (change,) = compare([checked("pass")], [checked("fail", tool_version="9.9")]).changes
    assert change.causes == ("suite",)
    assert "tool version 0.1.0 against 9.9" in change.detail
    anew = records.requirement("EXEC-01", statement="Something else.")
    (change,) = compare([checked("pass")], [checked("fail", entry=anew)]).changes
    assert change.causes == ("suite",)
    assert "written anew" in change.detail


def test_another_choice_of_checks_is_named() -> None:
    lines = records.requirement("EXEC-01"), records.requirement("EXEC-02"), records.check("other", "EXEC-02")
    more = records.record(*records.conformance(*lines, records.failed("d", "EXEC-01")))
    (change,) = compare([checked("pass")], [more]).changes
    assert change.causes == ("suite",)
    assert "checks no longer run: c" in change.detail
    assert "checks run only now: d" in change.detail


def test_another_profile_is_named_where_it_is_allowed() -> None:
    other = {**records.header().profile, "facts": {"executors": 2}}
    new = [checked("fail", profile=other)]
    assert compare([checked("pass")], new).refusals
    found = compare([checked("pass")], new, Settings(allowed=("profile",)))
    (change,) = found.changes
    assert change.causes == ("profile",)
    assert found.notices == ("The profiles differ, as allowed, in facts.executors (1 against 2).",)


# Refusals


@pytest.mark.parametrize(
    ("kind", "changes", "named"),
    [
        ("profile", {"profile": {"name": "other"}}, 'name ("my-controller" against "other")'),
        ("machine", {"machine": {"cores": 3}}, "cores (2 against 3)"),
    ],
)
def test_records_that_differ_are_refused_unless_told(kind: str, changes: dict[str, Any], named: str) -> None:
    base, new = [run(1, seconds=9)], [run(2, seconds=9, **changes)]
    found = compare(base, new)
    assert [refusal.kind for refusal in found.refusals] == [kind]
    assert named in found.refusals[0].text
    assert (found.measures, found.changes, found.regressed) == ((), (), False)
    allowed = compare(base, new, Settings(allowed=(kind,)))
    assert not allowed.refusals
    assert allowed.measures
    assert named in allowed.notices[0]


def test_another_scenario_is_refused_wherever_it_is() -> None:
    usual = run(3)
    lines = (replace(line, detail={"seed": 2}) if isinstance(line, SectionStart) else line for line in usual.lines)
    odd = replace(usual, lines=tuple(lines))
    for base, new in (([run(1)], [odd]), ([run(1), odd], [run(2)])):
        assert "scenario" in [refusal.kind for refusal in compare(base, new).refusals]


def test_two_builds_may_have_two_addresses() -> None:
    def at(port: int, mutant: str | None) -> Record:
        profile = {
            "name": "n",
            "address": f"127.0.0.1:{port}",
            "facts": {"observer": {"url": f"http://127.0.0.1:{port + 1}"}, "restart_command": [str(port)], "executors": 1},
            "embedded": {"mutant": mutant, "executors": 1},
        }
        return run(port, seconds=9, profile=profile, endpoint=f"127.0.0.1:{port}")

    assert compare([at(1000, None)], [at(2000, "exec-lost-job")]).refusals == ()


@pytest.mark.parametrize("name", ["incomplete", "interrupted", "empty", "nothing measured", "header only", "unreachable"])
def test_runs_that_are_not_valid_are_refused(name: str) -> None:
    broken = records.everything()[name]
    for base, new in (([broken], [run(1)]), ([run(1)], [broken])):
        (refusal,) = compare(base, new).refusals
        assert refusal.kind == "invalid"
        assert refusal.text.startswith(broken.source)


def test_missed_thresholds_and_violations_are_no_reason_to_refuse() -> None:
    assert not compare([records.failing()], [records.failing()]).refusals
    missed = records.record(*records.load(*run(1).lines[2:-2], records.threshold(held=False), exit_code=1), exit_code=1)
    assert not compare([run(2)], [missed]).refusals


def test_checks_and_load_have_nothing_in_common() -> None:
    (refusal,) = compare([records.passing()], [run(1)]).refusals
    assert refusal.kind == "nothing"
    assert refusal.text.endswith("the base has checks, the new side has load")


def test_what_only_one_side_has_is_told() -> None:
    both = records.record(*records.passing().lines[1:-1], *run(1).lines[1:-1])
    assert any("Checks were made on the base only" in notice for notice in compare([both], [run(2)]).notices)


def test_a_run_that_is_given_twice_counts_once() -> None:
    twice, once = compare([*runs(0, 3), run(0)], runs(3, 3)), compare(runs(0, 3), runs(3, 3))
    assert twice.measures == once.measures
    assert "1 record of runs that were there already: each run counts once." in twice.notices


@pytest.mark.parametrize(("hours", "told"), [((1, 3, 2, 4), False), ((1, 2, 3, 4), True), ((3, 4, 1, 2), True)])
def test_runs_that_did_not_take_turns_are_told(hours: tuple[int, ...], told: bool) -> None:
    found = [run(hour, started=f"2026-01-01T{hour:02}:00:00Z") for hour in hours]
    assert (ONE_AFTER_THE_OTHER in compare(found[:2], found[2:]).notices) is told


def test_a_side_without_a_record_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least one record"):
        compare([], [run(1)])


@pytest.mark.parametrize("seed", range(3))
def test_order_of_the_runs_does_not_matter(seed: int) -> None:
    base, new = runs(0, 4), runs(4, 4, level=5600)
    mixed = Random(seed).sample(base, 4)  # noqa: S311 - nothing secret
    one, two = measures(compare(base, new)), measures(compare(mixed, new))
    assert {name: measure.verdict for name, measure in one.items()} == {name: measure.verdict for name, measure in two.items()}
    assert one[f"p50 of {RPC}"].effect == pytest.approx(two[f"p50 of {RPC}"].effect)


def test_the_latency_of_all_calls_sees_what_single_rpcs_do_not() -> None:
    rpcs = [f"Rpc{number}" for number in range(6)]
    base, new = runs(0, 3, rpcs=rpcs, scatter=0.05), runs(3, 3, rpcs=rpcs, scatter=0.05, level=6000)
    found = compare(base, new)
    assert found.regressions[0] == "latency of all calls"
    assert any(measure.verdict == "inconclusive" for measure in found.measures)
    assert found.measures[0].effect == pytest.approx(20, abs=6)


@pytest.mark.parametrize("count", [1, 3])
def test_rare_rpcs_do_not_enter_the_latency_of_all_calls(count: int) -> None:
    def with_rare(record: Record) -> Record:
        rare = (
            Latency("rpc", "Rare", "OK", records.histogram([10**6])),
            Interval(3, "Rare", 1, {}, 10**6, 10**6, 10**6, 10**6, 4),
        )
        return replace(record, lines=(*record.lines[:2], *rare, *record.lines[2:]))

    usual, rare = runs(0, count, seconds=9), [with_rare(record) for record in runs(0, count, seconds=9)]
    assert measures(compare(rare, rare))["latency of all calls"].base == pytest.approx(
        measures(compare(usual, usual))["latency of all calls"].base
    )
