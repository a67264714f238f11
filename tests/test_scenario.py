"""Scenarios: what they accept, how they complain, and how many users they ask for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.draws import Counts
from harness.endpoint import read_text
from harness.errors import ConfigError
from harness.executors import CONSTANT_USERS, RAMPING_USERS, Stage
from harness.scenario import Scenario, load_scenario, users_at
from harness.slosearch import Bounds
from harness.template import masked, template
from loadtests.runner import SCENARIOS

RATE = "name: s\nexecutor: constant-arrival-rate\nrate: 5\nduration: 2s\npreallocated_users: 10\n"
RAMP = """\
name: s
executor: ramping-arrival-rate
preallocated_users: 10
start_rate: 60
time_unit: 1min
stages:
- {duration: 10s, rate: 120, name: up}
- {duration: 10s, rate: 0}
"""
SEARCH = "name: s\nexecutor: slo-search\nrate: 60\nmax_rate: 6000\ntime_unit: 1min\nduration: 30s\npreallocated_users: 10\n"
CONSTANT = "name: s\nexecutor: constant-users\nusers: 4\nduration: 2s\n"


def constant(users: int, duration: float) -> Scenario:
    return Scenario(name="s", executor=CONSTANT_USERS, users=users, duration=duration)


stages = st.builds(Stage, duration=st.floats(0.1, 100), users=st.integers(0, 500))
ramps = (
    st.lists(stages, min_size=1, max_size=6)
    .filter(lambda found: any(stage.users for stage in found))
    .map(lambda found: Scenario(name="s", executor=RAMPING_USERS, stages=tuple(found)))
)


@given(st.integers(1, 1000), st.floats(0.001, 1000), st.floats(0, 2000))
def test_constant_users_are_there_until_the_end(users: int, duration: float, elapsed: float) -> None:
    assert users_at(constant(users, duration), elapsed) == (users if elapsed < duration else None)


@given(ramps, st.floats(0, 700))
def test_a_ramp_stays_between_the_numbers_of_its_stages(scenario: Scenario, elapsed: float) -> None:
    users = users_at(scenario, elapsed)
    if elapsed >= scenario.seconds:
        assert users is None
        return
    assert users is not None
    begun, before = 0.0, 0
    for stage in scenario.stages:
        if elapsed < begun + stage.duration:
            assert min(before, stage.users or 0) <= users <= max(before, stage.users or 0)
            return
        begun, before = begun + stage.duration, stage.users or 0


def test_a_ramp_starts_from_nobody_moves_in_a_straight_line_and_holds() -> None:
    scenario = load_scenario(
        "name: r\nexecutor: ramping-users\nstages:\n- {duration: 10s, users: 20}\n- {duration: 5s, users: 20}\n", "r.yaml"
    )
    assert [users_at(scenario, at) for at in (0, 2.5, 5, 10, 14.9, 15)] == [0, 5, 10, 20, 20, None]
    assert scenario.seconds == 15


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_scenarios_that_come_with_the_project_load_and_limit_something(path: Path) -> None:
    scenario = load_scenario(read_text(path), str(path))
    assert scenario.limits
    assert any(limit.metric == "ledger_violations" for limit in scenario.limits)


def test_numbers_are_given_as_such_or_drawn() -> None:
    text = """
workload:
  requests_per_batch: 3
  configurations_per_request: {choose: {"1": 70, "10": 25}}
  memory_values_per_configuration: {law: exponential, mean: 16, max: 64}
  payload_size: 250MiB
  followed: 0.5
follow: {poll_min: 0s}
"""
    workload = load_scenario(CONSTANT + text, "s.yaml").workload
    assert workload.requests_per_batch == 3
    assert workload.configurations_per_request == Counts(choose={"1": 70, "10": 25})
    assert workload.memory_values_per_configuration == Counts(law="exponential", mean=16, max=64)
    assert (workload.payload_size, workload.followed, workload.roles) == (250 << 20, 0.5, {"quick": 1})
    assert workload.most_octets == (250 << 20) + 10 * (2 + 64 * 8)


def test_there_are_scenarios_that_come_with_the_project() -> None:
    assert {path.stem for path in SCENARIOS.glob("*.yaml")} >= {"quick", "steady", "ramp", "search"}


def test_the_template_loads_and_the_values_go_into_a_record() -> None:
    scenario = load_scenario(template(Scenario), "template.yaml")
    assert json.loads(json.dumps(masked(scenario)))["workload"]["job"] == "quick"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (CONSTANT + "stages: [{duration: 1s, users: 1}]\n", "s.yaml:1: stages does not go with constant-users"),
        ("name: s\nexecutor: constant-users\nusers: 4\n", "s.yaml:1: duration is missing"),
        ("name: s\nexecutor: constant-users\nduration: 4s\n", "s.yaml:1: users is missing"),
        ("name: s\nexecutor: ramping-users\nusers: 4\n", "s.yaml:1: users does not go with ramping-users"),
        ("name: s\nexecutor: ramping-users\nspawn_rate: 4\n", "s.yaml:1: spawn_rate does not go with ramping-users"),
        ("name: s\nexecutor: ramping-users\n", "s.yaml:1: ramping-users needs at least one stage with users"),
        ("name: s\nexecutor: ramping-users\nstages: [{duration: 1s, users: 0}]\n", "needs at least one stage with users"),
        ("name: s\nexecutor: constant-user\n", "s.yaml:2: executor: expected one of constant-users, ramping-users"),
        (RATE.replace("rate: 5\n", ""), "rate is missing; constant-arrival-rate needs rate and duration and preallocated_users"),
        (SEARCH.replace("max_rate: 6000\n", ""), "max_rate is missing; slo-search needs rate and max_rate and duration and"),
        (SEARCH.replace("6000", "59"), "max_rate (59) is below rate (60)"),
        (SEARCH + "search: {precision: 0.001}\n", "search.precision: expected at least 0.01"),
        (
            SEARCH + 'thresholds: [{limit: "errors: rate < 1%", abort_on_fail: true}]\n',
            "abort_on_fail does not go with slo-search",
        ),
        (SEARCH + 'thresholds: ["errors{stage:probe-1}: rate < 1%"]\n', "the scenario has no stages to select from"),
        (RATE + "search: {factor: 3}\n", "search does not go with constant-arrival-rate; it is for slo-search"),
        (RATE + "max_rate: 7\n", "max_rate does not go with constant-arrival-rate; it is for slo-search"),
        (RATE + "users: 3\n", "users does not go with constant-arrival-rate; it is for constant-users"),
        (RATE + "stages: [{duration: 1s, rate: 1}]\n", "stages does not go with constant-arrival-rate"),
        (RATE + "max_users: 9\n", "max_users (9) is below preallocated_users (10)"),
        (RATE + "workload: {pause: {max: 1s}}\n", "workload.pause does not go with constant-arrival-rate"),
        (RATE + "starts: {spacing: random}\n", "starts.spacing: expected one of even, poisson"),
        (CONSTANT + "starts: {spacing: poisson}\n", "starts does not go with constant-users"),
        (CONSTANT + 'thresholds: ["errors{stage:a}: count == 0"]\n', "the scenario has no stages to select from"),
        (RAMP + "- {duration: 1s, users: 3}\n", "stage 3: users does not go with ramping-arrival-rate; give rate"),
        (RAMP + "- {duration: 1s}\n", "stage 3: rate is missing"),
        (RAMP + "- {duration: 1s, rate: 3, name: up}\n", "two stages have the name 'up'"),
        (RAMP + "- {duration: 1s, rate: 3, name: 'a:b'}\n", "the name 'a:b' holds one of"),
        (
            RAMP.replace(", name: up", ", measured: false").replace("rate: 0}", "rate: 0, measured: false}"),
            "no stage is measured",
        ),
        (RAMP + 'thresholds: ["errors{stage:ap}: count == 0"]\n', "unknown value of stage 'ap'; did you mean 'up'?"),
        (CONSTANT + "workload: {single: 0}\n", "s.yaml:5: workload: single and batch are both 0"),
        (
            CONSTANT + "workload:\n  requests_per_batch:\n    min: 3\n    max: 2\n",
            "s.yaml:7: workload.requests_per_batch: min (3)",
        ),
        (
            CONSTANT + "workload:\n  configurations_per_request:\n    choose: {ten: 1}\n",
            "s.yaml:7: workload.configurations_per_request: choose: 'ten' is not a whole number",
        ),
        (CONSTANT + "workload: {requests_per_batch: 0}\n", "s.yaml:5: workload.requests_per_batch: expected at least 1, got 0"),
        (CONSTANT + "workload: {requests_per_batch: ten}\n", "requests_per_batch: expected a whole number, got 'ten'"),
        (CONSTANT + "workload:\n  payload_size: {law: exponential}\n", "s.yaml:6: workload.payload_size: mean is missing"),
        (CONSTANT + "workload: {payload_size: 2GiB}\n", "workload.payload_size: expected at most 1GiB"),
        (CONSTANT + "workload: {memory_region: theta}\n", "memory_region goes with memory_values_per_configuration"),
        (CONSTANT + "workload: {jobs: {quick: 0}}\n", "jobs: all weights are 0; give one of them a weight"),
        (CONSTANT + "workload: {jobs: {quik: 1}}\n", "workload.jobs.quik: unknown key; did you mean 'quick'?"),
        (CONSTANT + "workload: {job: slow, jobs: {quick: 1}}\n", "job and jobs are both given; give one of them"),
        (
            CONSTANT + "workload: {batch: 1, requests_per_batch: 1000, payload_size: 250MiB}\n",
            "s.yaml:5: workload: a submission may come to",
        ),
        (CONSTANT + "workload: {pause: {min: 2s, max: 1s}}\n", "s.yaml:5: workload.pause: min is above max"),
        (CONSTANT + "workload:\n  job: quik\n", "s.yaml:6: workload.job: expected one of quick"),
        (CONSTANT + "workload:\n  cancelled: 1.5\n", "s.yaml:6: workload.cancelled: expected at most 1"),
        (CONSTANT + "follow: {poll_min: 2s}\n", "s.yaml:5: follow: poll_min is above poll_max"),
        (CONSTANT + "trhesholds: []\n", "s.yaml:5: trhesholds: unknown key; did you mean 'thresholds'?"),
        (
            CONSTANT + 'thresholds:\n- "errors: rate < 1%"\n- "erors: rate < 1%"\n',
            "s.yaml:7: thresholds[1]: threshold 'erors: rate < 1%': unknown metric 'erors'; did you mean 'errors'?",
        ),
        (
            CONSTANT + "thresholds:\n- errors: rate < 1%\n",
            "s.yaml:6: thresholds[0]: a mapping without a limit; put a limit in quotes",
        ),
        (CONSTANT + "thresholds:\n- 5\n", "s.yaml:6: thresholds[0]: expected text (put it in quotes), got 5"),
        (
            CONSTANT + 'thresholds:\n- abort_on_fail: true\n  limit: "errors{rpc:GetStat}: rate < 1%"\n',
            "threshold 'errors{rpc:GetStat}: rate < 1%': unknown value of rpc 'GetStat'; did you mean 'GetStatus'?",
        ),
        (
            CONSTANT + 'thresholds:\n- abort_on_fail: true\n  limit: "eror: rate < 1%"\n',
            "s.yaml:7: thresholds[0].limit: threshold 'eror: rate < 1%': unknown metric 'eror'; did you mean 'errors'?",
        ),
        (
            CONSTANT + 'thresholds:\n- limit: "errors: rate < 1%"\n  abort_on_fial: true\n',
            "s.yaml:7: thresholds[0].abort_on_fial: unknown key; did you mean 'abort_on_fail'?",
        ),
        (
            CONSTANT + 'thresholds:\n- limit: "errors: rate < 1%"\n  delay: 5\n',
            "s.yaml:7: thresholds[0].delay: expected a duration such as 20ms",
        ),
        (
            CONSTANT + 'thresholds:\n- limit: "rpcs: count > 5"\n  abort_on_fail: true\n',
            "s.yaml:6: thresholds[0].limit: threshold 'rpcs: count > 5': abort_on_fail does not go with count >: a count that",
        ),
        (
            CONSTANT + 'thresholds:\n- limit: "jobs_unfinished: count == 0"\n  abort_on_fail: true\n',
            "abort_on_fail does not go with jobs_unfinished: work in progress counts among them until the end",
        ),
    ],
)
def test_a_scenario_that_cannot_be_run_is_refused_with_file_line_and_key(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_scenario(text, "s.yaml")
    assert told in str(caught.value)


@given(st.integers(1, 100_000), st.integers(1, 100_000))
def test_limits_of_a_count_are_in_order(low: int, high: int) -> None:
    if low <= high:
        assert Counts(min=low, max=high).max == high
    else:
        with pytest.raises(ValueError, match="is above max"):
            Counts(min=low, max=high)


def parts_of(text: str) -> list[tuple[str, float, float, float, bool]]:
    return [(part.name, part.seconds, part.rate, part.end_rate, part.measured) for part in load_scenario(text, "s.yaml").parts]


def test_open_loads_have_their_shapes() -> None:
    assert parts_of(RATE) == [("", 2, 5, 5, True)]
    assert parts_of(RAMP) == [("up", 10, 1, 2, True), ("2", 10, 2, 0, True)]
    spike = RATE.replace("constant-arrival-rate", "spike").replace("2s", "6s") + "peak_rate: 50\n"
    assert parts_of(spike) == [("before", 2, 5, 5, True), ("spike", 2, 50, 50, True), ("after", 2, 5, 5, True)]
    soak = RATE.replace("constant-arrival-rate", "soak")
    assert parts_of(soak) == [("soak", 2, 5, 5, True)]
    assert parts_of(soak + "warm_up: 4s\n") == [("warm-up", 4, 0, 5, False), ("soak", 2, 5, 5, True)]
    assert load_scenario(soak + "warm_up: 4s\n", "s.yaml").seconds == 6


def test_a_search_has_rates_per_second_and_no_parts_before_it_runs() -> None:
    scenario = load_scenario(SEARCH + "search: {factor: 10, precision: 0.1, cool_down: 3s}\n", "s.yaml")
    assert scenario.bounds == Bounds(1.0, 100.0, 10.0, 0.1, 3)
    assert scenario.parts == ()
    assert scenario.seconds == scenario.bounds.most_probes * (10 + 2 + 30) + 3 * (30 + 2 + 30)
    assert load_scenario(SEARCH, "s.yaml").cool_down == 30
    assert [limit.expression for limit in scenario.limits] == ["dropped: rate < 1%"]


def test_an_open_load_limits_dropped_starts_unless_it_says_how_itself() -> None:
    assert [limit.expression for limit in load_scenario(RATE, "s.yaml").limits] == ["dropped: rate < 1%"]
    own = load_scenario(RATE + 'thresholds: ["dropped: rate < 20%"]\n', "s.yaml")
    assert [limit.expression for limit in own.limits] == ["dropped: rate < 20%"]
    assert load_scenario(CONSTANT, "s.yaml").limits == ()


def test_a_threshold_may_end_the_run_early() -> None:
    text = (
        CONSTANT
        + """thresholds:
- "rpcs: count > 5"
- {limit: "errors{rpc:GetStatus}: rate < 5%", abort_on_fail: true, delay: 10s}
- {limit: "replays: count < 9"}
"""
    )
    scenario = load_scenario(text, "s.yaml")
    assert [limit.abort_after for limit in scenario.limits] == [None, 10.0, None]
    assert scenario.limits[1].canonical == "errors{rpc:GetControllerJobStatus}: rate < 5%"
    shown = json.loads(json.dumps(masked(scenario)))["thresholds"]
    assert shown[1] == {"limit": "errors{rpc:GetStatus}: rate < 5%", "abort_on_fail": True, "delay": 10.0}


def test_a_warm_up_cannot_be_selected() -> None:
    text = RAMP + "- {duration: 1s, rate: 1, name: warm-up, measured: false}\n"
    with pytest.raises(ConfigError, match="unknown value of stage 'warm-up'"):
        load_scenario(text + 'thresholds: ["errors{stage:warm-up}: count == 0"]\n', "s.yaml")
