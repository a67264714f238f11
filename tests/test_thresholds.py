"""The grammar of limits and how they are compared with a run."""

from __future__ import annotations

import operator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ConfigError
from harness.histogram import Histogram
from harness.measurements import ENOUGH, Excerpt, Measurements, broken, evaluate, evaluate_all
from harness.record import Arrivals, Latency, Ledger
from harness.thresholds import METRICS, OPERATORS, SHORT_NAMES, Limit, Threshold, parse_threshold

EMPTY_LEDGER = Ledger(0, 0, 0, 0, 0, 0, 0, 0, 0, ())
TIME_UNITS = {"us": 1, "ms": 1000, "s": 1_000_000, "min": 60_000_000}


def histogram(values: list[int]) -> Histogram:
    result = Histogram()
    for value in values:
        result.add(value)
    return result


def calls(rpc: str, code: str, values: list[int]) -> Latency:
    return Latency("rpc", rpc, code, histogram(values))


def measured(*latencies: Latency, ledger: Ledger = EMPTY_LEDGER, seconds: float = 10.0) -> Measurements:
    return Measurements(seconds, latencies, ledger)


@st.composite
def thresholds(draw: st.DrawFn) -> Threshold:
    name = draw(st.sampled_from(sorted(METRICS)))
    metric = METRICS[name]
    chosen = {key for key in metric.selectors if key in metric.required or draw(st.booleans())}
    selectors = tuple((key, draw(st.sampled_from(metric.selectors[key]))) for key in sorted(chosen))
    aggregate = draw(st.sampled_from(metric.aggregates))
    percent = draw(st.integers(1, 1000)) / 10 if aggregate == "p(N)" else None
    aggregate = "p" if percent is not None else aggregate
    units = {"count": [""], "rate": [metric.rate_unit]}.get(aggregate, sorted(TIME_UNITS))
    unit = draw(st.sampled_from(units))
    number = draw(st.integers(0, 10**9)) / draw(st.sampled_from([1, 10, 1000]))
    limit = Threshold("", name, selectors, aggregate, percent, draw(st.sampled_from(sorted(OPERATORS))), number, unit)
    return replace(limit, expression=limit.canonical)


@given(thresholds())
def test_every_limit_that_can_be_written_is_read_back(limit: Threshold) -> None:
    assert parse_threshold(limit.canonical) == limit


@given(thresholds(), st.data())
def test_white_space_between_the_parts_changes_nothing(limit: Threshold, data: st.DataObject) -> None:
    spaced = limit.canonical
    for part in (":", "{", "}", ",", limit.op):
        space = data.draw(st.sampled_from(["", " ", "  "]))
        spaced = spaced.replace(part, f"{space}{part}{space}")
    assert replace(parse_threshold(spaced), expression="") == replace(limit, expression="")


@given(st.text(max_size=60))
def test_any_text_is_a_limit_or_a_clear_error(text: str) -> None:
    told, limit = "", None
    try:
        limit = parse_threshold(text, "scenario.yaml", 7)
    except ConfigError as error:
        told = str(error)
    assert (limit is not None and limit.metric in METRICS) or told.startswith("scenario.yaml:7: threshold ")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rpc_durations: p(99) < 1s", "unknown metric 'rpc_durations'; did you mean 'rpc_duration'?"),
        ("errors{rcp:GetControllerJobStatus}: count == 0", "unknown selector of errors 'rcp'; did you mean 'rpc'?"),
        ("errors{rpc:GetControllerJobState}: count == 0", "unknown value of rpc 'GetControllerJobState'; did you mean"),
        ("errors{code:unavailable}: count == 0", "did you mean 'UNAVAILABLE'?"),
        ("errors{code:OK}: count == 0", "unknown value of code 'OK'"),
        ("rpcs: rat > 1/s", "unknown aggregate of rpcs 'rat'; did you mean 'rate'?"),
        ("rpc_duration: rate > 1/s", "unknown aggregate of rpc_duration 'rate'"),
        ("rpc_duration: p(99) < 50", "a number without a unit does not go with rpc_duration: p; expected us or ms or s or min"),
        ("rpc_duration: p(99) < 50 sec", "the unit 'sec' does not go with"),
        ("errors: rate < 1", "expected %"),
        ("errors: count < 1%", "expected no unit"),
        ("rpcs: rate > 100%", "expected /s"),
        ("rpc_duration: p < 50ms", "p needs a percentile"),
        ("rpc_duration: p(0) < 50ms", "p(0) is no percentile"),
        ("rpc_duration: p(100.1) < 50ms", "p(100.1) is no percentile"),
        ("rpc_duration: avg(3) < 50ms", "avg takes no number in parentheses"),
        ("job_duration: p(95) < 1s", "job_duration needs the selector 'phase': one of queued, running"),
        ("replays{rpc:GetControllerJobStatus}: count > 1", "replays has no selectors"),
        ("errors{}: count == 0", "'' is no selector"),
        ("errors{rpc}: count == 0", "'rpc' is no selector"),
        ("errors{code:UNAVAILABLE,code:INTERNAL}: count == 0", "the selector 'code' is given twice"),
        ("errors: count = 0", "not of the form"),
        ("errors", "not of the form"),
    ],
)
def test_what_could_never_be_measured_is_refused_with_a_way_out(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_threshold(text, "load.yaml", 12, "thresholds[3]")
    assert str(caught.value).startswith(f"load.yaml:12: thresholds[3]: threshold {text!r}: ")
    assert told in str(caught.value)


@given(
    st.lists(st.integers(0, 10**7), min_size=1, max_size=50),
    st.sampled_from(sorted(OPERATORS)),
    st.integers(0, 10**7),
    st.booleans(),
)
def test_times_are_compared_in_any_unit_as_their_exact_value(values: list[int], op: str, micros: int, slow: bool) -> None:
    run = measured(calls("GetControllerJobStatus", "OK", values))
    expected = getattr(operator, {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}[op])
    wanted = max(values) if slow else min(values)
    line = evaluate(parse_threshold(f"rpc_duration: {'max' if slow else 'min'} {op} {micros}us"), run)
    assert line.held == expected(wanted, micros)
    assert bool(line.reason) != line.held


@given(st.lists(st.integers(0, 10**6), max_size=20), st.lists(st.integers(0, 10**6), max_size=20), st.integers(0, 100))
def test_the_share_of_errors_is_that_of_all_calls(good: list[int], bad: list[int], percent: int) -> None:
    run = measured(calls("GetControllerJobStatus", "OK", good), calls("GetControllerJobStatus", "UNAVAILABLE", bad))
    line = evaluate(parse_threshold(f"errors: rate <= {percent}%"), run)
    total = len(good) + len(bad)
    assert line.held == (total > 0 and 100 * len(bad) <= percent * total)


RUN = measured(
    calls("GetControllerJobStatus", "OK", [1000] * 90 + [9000] * 10),
    calls("GetControllerJobStatus", "UNAVAILABLE", [100_000] * 5),
    calls("ExecuteControllerJob", "OK", [2000] * 20),
    calls("ExecuteControllerJob", "RESOURCE_EXHAUSTED", [500] * 5),
    Latency("lifecycle", "to_result", "", histogram([1_500_000])),
    Latency("lifecycle_error", "to_result", "", histogram([9_000_000])),
    ledger=Ledger(30, 60, 58, 6, 2, 2, 1, 3, 4, (), lost=7, duplicated=8, unexpected=9),
    seconds=13.0,
)


@pytest.mark.parametrize(
    ("text", "observed"),
    [
        ("rpc_duration{rpc:GetControllerJobStatus,code:OK}: p(90) <= 1ms", "1ms"),
        ("rpc_duration{code:OK,rpc:GetControllerJobStatus}: avg == 1.8ms", "1.8ms"),
        ("rpc_duration: max >= 100ms", "100ms"),
        ("rpc_duration{rpc:ExecuteControllerJob}: med == 2000us", "2ms"),
        ("rpc_duration{rpc:ExecuteControllerJob}: min < 1s", "500us"),
        ("rpc_duration{rpc:ExecuteControllerJob}: count == 25", "25"),
        ("rpcs: count == 130", "130"),
        ("rpcs: rate >= 10/s", "10/s"),
        ("rpcs{code:UNAVAILABLE}: count == 5", "5"),
        ("errors: count == 10", "10"),
        ("errors{rpc:ExecuteControllerJob}: rate == 20%", "20%"),
        ("errors{code:RESOURCE_EXHAUSTED}: count == 5", "5"),
        ("errors{rpc:CancelControllerJobs}: count == 0", "0"),
        ("job_duration{phase:to_result}: max < 2s", "1.5s"),
        ("job_duration{phase:running}: count == 0", "0"),
        ("jobs_submitted: count == 60", "60"),
        ("jobs_finished: count > 57", "58"),
        ("jobs_finished{status:SUCCEEDED}: count == 50", "50"),
        ("jobs_finished{status:CANCELED}: count == 6", "6"),
        ("jobs_finished{status:FAILED}: count == 2", "2"),
        ("jobs_finished: rate > 4/s", "4.462/s"),
        ("jobs_unfinished: count < 3", "2"),
        ("jobs_lost: count == 7", "7"),
        ("jobs_duplicated: count == 8", "8"),
        ("jobs_unexpected: count == 9", "9"),
        ("unknown_submissions: count == 1", "1"),
        ("replays: count != 0", "3"),
        ("ledger_violations: count == 4", "4"),
    ],
)
def test_each_metric_reads_its_own_part_of_the_run(text: str, observed: str) -> None:
    line = evaluate(parse_threshold(text), RUN)
    assert (line.expression, line.observed, line.held, line.reason) == (text, observed, True, "")


@pytest.mark.parametrize(
    "text",
    [
        "rpc_duration{rpc:CancelControllerJobs}: p(99) < 1s",
        "rpc_duration{rpc:CancelControllerJobs}: count < 5",
        "rpcs{rpc:CancelControllerJobs}: count < 5",
        "errors{rpc:CancelControllerJobs}: rate < 1%",
        "job_duration{phase:running}: p(95) < 1s",
    ],
)
def test_a_limit_on_something_that_was_not_measured_has_not_held(text: str) -> None:
    line = evaluate(parse_threshold(text), RUN)
    assert not line.held
    assert line.observed == "no samples"
    assert line.reason.startswith("no samples: ")


@given(thresholds())
def test_nothing_holds_of_a_run_that_measured_nothing(limit: Threshold) -> None:
    line = evaluate(limit, measured())
    assert not line.held
    assert line.reason


def test_a_missed_limit_says_what_was_measured_and_what_was_allowed() -> None:
    line = evaluate(parse_threshold("ledger_violations: count == 0"), RUN)
    assert (line.held, line.reason) == (False, "measured 4, the limit is == 0")


def test_limits_are_evaluated_in_their_order() -> None:
    texts = ["rpcs: count > 1", "replays: count > 100", "errors: count > 1"]
    lines = evaluate_all([parse_threshold(text) for text in texts], RUN)
    assert [(line.expression, line.held) for line in lines] == list(zip(texts, [True, False, True], strict=True))


OPEN_RUN = Measurements(
    12.0,
    (
        replace(calls("ExecuteControllerJob", "OK", [90_000] * 9), stage="warm-up", measured=False),
        replace(calls("ExecuteControllerJob", "OK", [9000] * 10), stage="steady"),
        replace(calls("ExecuteControllerJob", "OK", [20_000] * 20), stage="peak"),
        Latency("service", "ExecuteControllerJob", "OK", histogram([2000] * 30), "steady"),
        Latency("scheduling", "start", "", histogram([100] * 30), "peak"),
    ),
    EMPTY_LEDGER,
    (
        Arrivals("warm-up", False, 5.0, 9, 9, 0, 9, 0, 0, 0.02, 0.01),
        Arrivals("steady", True, 5.0, 10, 10, 0, 1, 0, 0, 0.02, 0.01),
        Arrivals("peak", True, 5.0, 40, 20, 3, 0, 20, 5, 0.02, 0.01),
    ),
    {"warm-up": 5.0, "steady": 5.0, "peak": 5.0},
)


@pytest.mark.parametrize(
    ("text", "observed"),
    [
        ("rpc_duration: max <= 20ms", "20ms"),
        ("rpc_duration{stage:steady}: max <= 9ms", "9ms"),
        ("service_duration: p(99) <= 2ms", "2ms"),
        ("scheduling_delay{stage:peak}: p(99) == 100us", "100us"),
        ("rpcs: count == 30", "30"),
        ("rpcs{stage:peak}: rate == 4/s", "4/s"),
        ("rpcs: rate == 2.5/s", "2.5/s"),
        ("iterations: count == 30", "30"),
        ("iterations: rate == 3/s", "3/s"),
        ("iterations{stage:steady}: rate == 2/s", "2/s"),
        ("dropped: rate == 40%", "40%"),
        ("dropped{stage:steady}: count == 0", "0"),
        ("late: rate == 2%", "2%"),
        ("errors{stage:peak}: count == 0", "0"),
    ],
)
def test_metrics_of_an_open_load_leave_the_warm_up_out(text: str, observed: str) -> None:
    line = evaluate(parse_threshold(text, stages=("steady", "peak")), OPEN_RUN)
    assert (line.observed, line.held, line.reason) == (observed, True, "")


def test_a_closed_loop_has_one_time_and_no_starts() -> None:
    assert evaluate(parse_threshold("service_duration: max == 100ms"), RUN).held
    assert evaluate(parse_threshold("dropped: rate < 1%"), RUN).reason == "no samples: no start was scheduled"
    assert not evaluate(parse_threshold("scheduling_delay: max < 1s"), RUN).held


@pytest.mark.parametrize("short", sorted(SHORT_NAMES))
def test_an_rpc_may_be_called_by_its_short_name(short: str) -> None:
    limit = parse_threshold(f"errors{{rpc:{short}}}: rate < 1%")
    assert limit.selected("rpc") == SHORT_NAMES[short]
    assert limit.expression == f"errors{{rpc:{short}}}: rate < 1%"
    assert limit.canonical == f"errors{{rpc:{SHORT_NAMES[short]}}}: rate < 1%"
    assert replace(parse_threshold(limit.canonical), expression="") == replace(limit, expression="")


def test_every_rpc_has_one_short_name() -> None:
    assert set(SHORT_NAMES.values()) == set(METRICS["rpcs"].selectors["rpc"])
    assert len(SHORT_NAMES) == len(METRICS["rpcs"].selectors["rpc"])


def aborting(text: str, delay: float = 0.0) -> Threshold:
    return parse_threshold(Limit(text, abort_on_fail=True, delay=delay))


@given(thresholds(), st.floats(0, 100))
def test_a_run_without_samples_is_never_ended_early(limit: Threshold, elapsed: float) -> None:
    try:
        found = aborting(limit.canonical)
    except ConfigError:
        return
    assert broken([found], measured(), elapsed) is None


@given(thresholds(), st.floats(0, 100))
def test_what_ends_a_run_early_has_not_held(limit: Threshold, elapsed: float) -> None:
    try:
        found = aborting(limit.canonical, delay=50.0)
    except ConfigError:
        return
    line = broken([found], RUN, elapsed)
    assert line is None or (elapsed >= 50.0 and line == evaluate(found, RUN) and not line.held)


def test_a_limit_that_was_not_asked_to_ends_nothing() -> None:
    assert broken([parse_threshold("errors: rate < 1%")], RUN, 99.0) is None
    assert broken([aborting("errors: rate < 1%", delay=10)], RUN, 9.9) is None
    line = broken([parse_threshold("rpcs: count < 1"), aborting("errors: rate < 1%", delay=10)], RUN, 10.0)
    assert line is not None
    assert line.reason == "measured 7.692%, the limit is < 1%"


@pytest.mark.parametrize(("good", "ends"), [(ENOUGH - 2, False), (ENOUGH - 1, True)])
def test_a_share_of_few_calls_says_nothing_yet(good: int, ends: bool) -> None:
    run = measured(calls("GetControllerJobStatus", "OK", [5] * good), calls("GetControllerJobStatus", "UNAVAILABLE", [5]))
    assert (broken([aborting("errors: rate < 1%")], run, 1.0) is not None) is ends


@pytest.mark.parametrize(
    ("text", "needed"), [("p(50)", ENOUGH), ("p(99)", 100), ("p(99.9)", 1000), ("p(100)", ENOUGH), ("avg", ENOUGH)]
)
def test_a_percentile_needs_samples_beyond_it(text: str, needed: int) -> None:
    for count in (needed - 1, needed):
        run = measured(calls("GetControllerJobStatus", "OK", [5000] * count))
        assert (broken([aborting(f"rpc_duration: {text} < 1ms")], run, 1.0) is not None) is (count == needed)


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("errors: count < 11", False),
        ("errors: count < 10", True),
        ("errors: count <= 10", False),
        ("errors: count <= 9", True),
        ("errors: count == 10", False),
        ("errors: count == 11", False),
        ("errors: count == 9", True),
        ("errors: count == 0", True),
    ],
)
def test_a_count_ends_a_run_once_it_cannot_come_to_hold(text: str, ends: bool) -> None:
    assert (broken([aborting(text)], RUN, 1.0) is not None) is ends


def test_the_rate_of_a_stage_that_is_not_over_is_that_of_its_time_so_far() -> None:
    half = replace(OPEN_RUN, stages={"warm-up": 5.0, "steady": 5.0, "peak": 2.5})
    assert evaluate(parse_threshold("iterations{stage:peak}: rate == 8/s", stages=("peak",)), half).held


def test_an_excerpt_of_a_run_is_one_stage_and_what_the_ledger_has_beyond_what_was_in_it_before() -> None:
    before = replace(EMPTY_LEDGER, submissions=10, acknowledged_jobs=10, finished=8, unfinished=2)
    after = replace(EMPTY_LEDGER, submissions=70, acknowledged_jobs=70, finished=68, unfinished=2, violation_count=1)
    part = Excerpt("warm-up", seconds=5.0, counted=6.0, before=before).of(OPEN_RUN.latencies, OPEN_RUN.arrivals, after)
    texts = ["rpcs: count > 0", "rpcs: rate > 0/s", "iterations: rate > 0/s", "late: rate < 1%", "jobs_finished: count > 0"]
    texts += ["jobs_finished: rate > 0/s", "jobs_unfinished: count == 0", "ledger_violations: count == 0"]
    observed = [evaluate(parse_threshold(text), part).observed for text in texts]
    assert observed == ["9", "1.8/s", "1.8/s", "100%", "60", "10/s", "0", "1"]
    assert {line.stage for line in part.latencies if line.measured} == {"warm-up"}
