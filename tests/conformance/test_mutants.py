"""The suite bites: every named mutant whose requirement has checks is caught by them, and the unbroken server passes them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.requirements import builtin_catalogue
from harness.server.mutants import MUTANTS
from tests.conformance.runs import profile, run_suites

STOPS_SERVING = {"wire-malformed-stops-serving"}
"""Mutants after which there is no endpoint any more."""
COUNTED = ("exec-failure-enqueues-first", "uuid-rejected-enqueues", "idem-replay-enqueues", "batch-partial-on-failure")
"""Mutants that show in the number of queued jobs only."""


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_mutant_is_caught(name: str, tmp_path: Path) -> None:
    requirement = MUTANTS[name].requirement
    outcome = run_suites(tmp_path, profile(tmp_path, mutant=name), ["--requirement", requirement, "--examples", "3"])
    assert requirement in outcome.violated, outcome.output
    levels = {builtin_catalogue()[name].level for name in outcome.violated}
    assert outcome.code == (5 if name in STOPS_SERVING else 3 if "MUST" in levels else 0), outcome.output
    assert not [line for line in outcome.checks if line.reason_kind == "crashed"], outcome.output


@pytest.mark.parametrize("name", COUNTED)
def test_a_mutant_is_caught_without_an_observer(name: str, tmp_path: Path) -> None:
    requirement = MUTANTS[name].requirement
    outcome = run_suites(tmp_path, profile(tmp_path, mutant=name, observer=False), ["--requirement", requirement])
    assert requirement in outcome.violated, outcome.output
    assert {"capacity"} == {oracle for line in outcome.checks for oracle in line.oracles}
    assert outcome.code == 3


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("exec-failure-enqueues-first", "test_exec.py::test_an_error_queues_nothing[negative-timeout]"),
        ("uuid-rejected-enqueues", "test_uuid.py::test_a_refused_key_queues_nothing[version-single]"),
    ],
)
def test_a_ghost_job_is_told_by_the_delay_that_it_causes(name: str, check: str, tmp_path: Path) -> None:
    path = profile(tmp_path, mutant=name, observer=False, replace={"  queue_capacity: 2000\n  max_conf": "  max_conf"})
    outcome = run_suites(tmp_path, path, ["--check", check])
    assert set(outcome.violated) == {MUTANTS[name].requirement}, outcome.output
    assert {"delay"} == {oracle for line in outcome.checks for oracle in line.oracles}


def test_a_mutant_that_only_counts_show_is_inconclusive_without_any_oracle(tmp_path: Path) -> None:
    path = profile(
        tmp_path,
        mutant="idem-replay-enqueues",
        observer=False,
        replace={"  executors: 1\n  queue_capacity: 2000\n  max_conf": "  max_conf"},
    )
    outcome = run_suites(tmp_path, path, ["--requirement", "IDEM-02"])
    assert {line.verdict for line in outcome.checks} == {"inconclusive"}
    assert {line.reason_kind for line in outcome.checks} == {"unobservable"}
    assert outcome.code == 4, "a run in which nothing could be judged says nothing"


@pytest.mark.parametrize("observer", [True, False], ids=["observer", "capacity"])
def test_the_unbroken_server_passes(observer: bool, tmp_path: Path) -> None:
    outcome = run_suites(tmp_path, profile(tmp_path, observer=observer, replace={"state: 3s": "state: 10s"}))
    assert outcome.code == 0, outcome.output
    assert {line.check: line.reason for line in outcome.checks if line.verdict != "pass"} == {}
    covered = {name for line in outcome.checks for name in line.requirements}
    wanted = {item.id for item in builtin_catalogue() if not item.unobservable}
    assert covered == wanted
