"""Tiers and costs: what each tier covers, that it is kept to, and that what is said beforehand is true."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from conformance.costs import LIGHT_JOBS, TIERS, Costs, Entry, builtin_costs, plan
from harness.endpoint import BUILTIN, read_profile
from harness.facts import Budget, Facts, Observer
from harness.server.embedded_thread import background_server
from harness.server.settings import ServerSettings
from tests.conformance.runs import SUITES, Outcome, profile, run_suites
from tests.conformance.test_plugin import run_check

_BUILTIN, _ = read_profile(BUILTIN)
REFERENCE = dataclasses.replace(_BUILTIN, facts=dataclasses.replace(_BUILTIN.facts, observer=Observer(url="http://127.0.0.1:1")))
"""The built-in profile as it is once its server runs."""


def collected(tier: str) -> set[str]:
    command = [sys.executable, "-m", "pytest", str(SUITES), "--collect-only", "-q", "-c", "/dev/null", "--rootdir", str(SUITES)]
    command += ["-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:randomly", "--import-mode=importlib", "--tier", tier]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, cwd=SUITES.parent)
    return {line.rpartition("/")[2] for line in done.stdout.splitlines() if "::" in line}


@pytest.fixture(scope="module")
def tiers() -> Mapping[str, set[str]]:
    return {tier: collected(tier) for tier in TIERS}


def test_each_tier_holds_the_smaller_ones(tiers: Mapping[str, set[str]]) -> None:
    assert tiers["read-only"] < tiers["light"] < tiers["full"]
    assert len(tiers["read-only"]) >= 15
    chapters = {name.partition("::")[0] for name in tiers["read-only"]}
    assert {"test_sta.py", "test_res.py", "test_wire.py", "test_sec.py"} <= chapters


def test_every_check_has_a_cost_that_fits_its_tier(tiers: Mapping[str, set[str]]) -> None:
    costs = builtin_costs().checks
    hint = "make conformance/costs.json again: python -m conformance.costs RECORD (of a full run)"
    assert tiers["full"] - set(costs) == set(), hint
    assert set(costs) - tiers["full"] == set(), hint
    assert {name: costs[name] for name in tiers["read-only"] if costs[name].jobs} == {}
    dear = {name for name in tiers["light"] if costs[name].jobs > LIGHT_JOBS or costs[name].held or costs[name].filled}
    assert dear == set()


def test_read_only_leaves_no_trace_and_costs_what_was_said(tmp_path: Path) -> None:
    with background_server(ServerSettings()) as bound:
        path = tmp_path / "p.yaml"
        jobs = "jobs: {quick: {text: controller-job duration=2ms, duration: 2ms}}"
        path.write_text(f"name: x\naddress: {bound.address}\ntarget: {{quantum_processor_id: qpu-1}}\n{jobs}\n", encoding="utf-8")
        page = f"http://127.0.0.1:{bound.observer_port}/metrics"
        before = accepted(page)
        outcome = run_suites(tmp_path, path, ("--tier", "read-only"))
        assert accepted(page) == before
    assert outcome.code == 0, outcome.output
    assert {line.verdict for line in outcome.checks} <= {"pass", "not_applicable"}
    assert sum(line.jobs for line in outcome.checks) == 0
    expect_as_said(outcome, "read-only")


def accepted(page: str) -> list[str]:
    with urllib.request.urlopen(page, timeout=10) as answer:  # noqa: S310 - loopback
        return [line for line in answer.read().decode().splitlines() if line.startswith("controller_jobs_accepted_total")]


def expect_as_said(outcome: Outcome, tier: str) -> None:
    """Expect that a run took no more than was said beforehand; reads depend on how slow this machine is."""
    said = plan([line.check for line in outcome.checks], REFERENCE, tier)
    assert said["text"] in outcome.output
    assert sum(line.jobs for line in outcome.checks) <= said["jobs"]
    reads = sum(line.effort.get("reads", 0) for line in outcome.checks)
    assert sum(line.calls_made for line in outcome.checks) - reads <= said["calls"]


def test_light_takes_what_was_said(tmp_path: Path) -> None:
    outcome = run_suites(
        tmp_path, profile(tmp_path), ("--tier", "light", "--chapter", "UUID", "--chapter", "EXEC", "--chapter", "STA")
    )
    assert outcome.code == 0, outcome.output
    assert {line.verdict for line in outcome.checks} == {"pass"}
    assert all(line.jobs <= LIGHT_JOBS for line in outcome.checks)
    expect_as_said(outcome, "light")


def test_a_check_that_does_more_than_its_tier_may_is_found_out(tmp_path: Path) -> None:
    body = """
    @covers("EXEC-01", tier="read-only")
    def test_submits(case: Case) -> None:
        '''A check that says that it only reads, and submits.'''
        case.submit()

    @covers("EXEC-01", tier="read-only")
    def test_cancels(case: Case) -> None:
        '''A check that says that it only reads, and cancels.'''
        case.cancel(["x"])
    """
    outcome = run_check(tmp_path, body, arguments=("--tier", "read-only"))
    assert outcome.code == 4
    assert {line.reason_kind for line in outcome.checks} == {"crashed"}
    assert all("tier read-only tried to submit or to cancel" in line.reason for line in outcome.checks)
    assert {(line.jobs, line.calls_made) for line in outcome.checks} == {(0, 0)}


def test_light_has_a_limit_for_each_check(tmp_path: Path) -> None:
    body = """
    @covers("EXEC-01", tier="light")
    def test_much(case: Case) -> None:
        '''A check that takes too much for its tier.'''
        case.submit(count=26)
    """
    outcome = run_check(tmp_path, body, arguments=("--tier", "light"))
    assert [(line.verdict, line.jobs) for line in outcome.checks] == [("skipped", 0)]
    assert "the tier allows a check 25 jobs; choose a larger --tier" in outcome.checks[0].reason


def test_a_check_that_the_budget_cannot_pay_does_not_start(tmp_path: Path) -> None:
    path = profile(tmp_path, replace={"facts:\n": "budget:\n  jobs: 8\nfacts:\n"})
    outcome = run_suites(tmp_path, path, ("--check", "test_exec.py::test_one_id_per_configuration", "-k", "[1] or [9]"))
    found = {line.check.partition("[")[2]: line for line in outcome.checks}
    assert (found["1]"].verdict, found["9]"].verdict) == ("pass", "skipped")
    assert found["9]"].calls_made == 0
    assert "it takes about 9 jobs, and 7 are left of the profile's budget of 8; raise budget.jobs" in found["9]"].reason
    assert "the budget allows 8 jobs, checks that do not fit are skipped" in outcome.output


def test_a_selection_that_leaves_nothing_is_an_error() -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        str(SUITES),
        "-c",
        "/dev/null",
        "--rootdir",
        str(SUITES),
        "--import-mode=importlib",
    ]
    command += ["-p", "no:cacheprovider", "-p", "no:terminal", "--level", "INFO", "--chapter", "UUID"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=SUITES.parent)
    assert done.returncode == 2
    assert "no check fits the selection; filters of different kinds narrow each other" in done.stderr


def test_filters_of_different_kinds_narrow_each_other(tmp_path: Path) -> None:
    body = """
    @covers("EXEC-01", "UUID-08")
    def test_apart(case: Case) -> None:
        '''Of chapter EXEC, and of level SHOULD, but not with one and the same requirement.'''
        case.submit()

    @covers("EXEC-08")
    def test_both(case: Case) -> None:
        '''A SHOULD of chapter EXEC.'''
        case.submit()
    """
    outcome = run_check(tmp_path, body, arguments=("--chapter", "EXEC", "--chapter", "BATCH", "--level", "SHOULD"))
    assert [line.check for line in outcome.checks] == ["test_exec.py::test_both"]


# Costs


def costs(**entry: int) -> Costs:
    known = {"jobs": 0, "calls": 0, "reads": 0, "held": 0, "filled": 0, "counted": 0}
    return Costs({"quick": 0.002, "slow": 0.8}, {"c": Entry(**{**known, **entry})})


@pytest.mark.parametrize("capacity", [1, 7, 100, 2000])
@pytest.mark.parametrize("most", [1, 64, 1000])
def test_filling_a_queue_costs_what_its_size_makes_it_cost(capacity: int, most: int) -> None:
    profile_ = dataclasses.replace(REFERENCE, facts=Facts(queue_capacity=capacity, max_configurations=most, executors=2))
    cost = costs(filled=1, held=1, jobs=3).of("c", profile_)
    assert cost is not None
    jobs, calls, size, room = 0, 0, min(capacity, most), capacity
    while size >= 1:
        jobs, calls = jobs + size, calls + 1
        if size <= room:
            room -= size
        else:
            size //= 2
    assert 3 + 2 + jobs <= cost.jobs <= 3 + 2 + capacity + 2 * min(capacity, most)
    assert calls <= cost.calls


def test_counting_costs_a_full_queue_where_nobody_counts() -> None:
    known = Facts(queue_capacity=50, executors=1)
    cost = costs(counted=1).of("c", dataclasses.replace(REFERENCE, facts=known))
    assert cost is not None
    assert cost.jobs > 50


def test_counting_costs_a_few_jobs_where_only_time_tells() -> None:
    cost = costs(counted=2).of("c", dataclasses.replace(REFERENCE, facts=Facts(executors=1)))
    assert cost is not None
    assert 0 < cost.jobs <= 10


def test_slower_jobs_are_asked_after_more_often() -> None:
    slow = dataclasses.replace(REFERENCE.jobs["slow"], duration=8.0)
    slower = dataclasses.replace(REFERENCE, jobs={**REFERENCE.jobs, "slow": slow})
    one, other = costs(reads=100).of("c", REFERENCE), costs(reads=100).of("c", slower)
    assert one is not None
    assert other is not None
    assert other.calls == 10 * one.calls


def test_a_plan_says_what_it_does_not_know_and_what_the_budget_does_not_allow() -> None:
    poor = dataclasses.replace(REFERENCE, budget=Budget(calls=1))
    text = plan(["nobody knows", "test_uuid.py::test_refuses_other_versions[single]"], poor, "full")["text"]
    assert text.startswith("tier full: 2 checks, at most about 15 jobs and ")
    assert "and 1 of unknown cost; the budget allows 1 calls" in text
