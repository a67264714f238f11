"""What is stored beside a record, and the commands on record that make something of it again."""

from __future__ import annotations

import shlex
from pathlib import Path

from conformance.proofs import builtin_proofs
from harness.evidence import save_history, save_plan
from harness.history_file import read_history
from tests.conformance.runs import profile, run_suites
from tests.reports.records import operation


def test_a_plan_is_stored_with_its_command(tmp_path: Path) -> None:
    command = save_plan(tmp_path, "generated-1.json", "{}", "my profile.yaml")
    assert shlex.split(command) == ["controller-harness", "replay", "plans/generated-1.json", "--profile", "my profile.yaml"]
    assert (tmp_path / "plans" / "generated-1.json").read_text(encoding="utf-8") == "{}"


def test_a_history_is_stored_with_its_command(tmp_path: Path) -> None:
    command = save_history(tmp_path, "test_race.py::test_x[a b]", [operation(1)])
    *_, name = shlex.split(command)
    assert command.startswith("controller-harness judge ")
    history = read_history((tmp_path / name).read_text(encoding="utf-8").splitlines(), name)
    assert len(history.operations) == 1


def test_a_check_says_how_to_judge_again_and_what_proves_it(tmp_path: Path) -> None:
    outcome = run_suites(tmp_path, profile(tmp_path), ["--seed", "7", "-k", "test_a_race_leaves"])
    (line,) = outcome.checks
    (command,) = line.commands
    assert (tmp_path / shlex.split(command)[-1]).is_file()
    assert line.mutants == builtin_proofs()[line.check]
    assert line.mutants
