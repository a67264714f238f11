"""`replay`: a stored plan fails again on a broken endpoint, passes on a right one, and a bad file ends in one line."""

from __future__ import annotations

import json

import pytest

from harness.plan import Plan, Replay, Submit
from harness.plan_file import StoredPlan, encode_plan
from tests.cli.commands import Cli
from tests.conformance.runs import profile

PLAN = encode_plan(StoredPlan(Plan((Submit(name="a", key=True), Replay(of="a", on=2)))))


def test_a_broken_endpoint_fails_again(cli: Cli) -> None:
    cli.write("plan.json", PLAN)
    path = profile(cli.folder, mutant="idem-key-ignored")
    done = cli("replay", "plan.json", "--profile", path, "--times", "3")
    assert (done.code, done.err) == (3, "")
    assert "1. connection 1 submits 1 quick jobs with a key (a)\n2. connection 2 sends a again\n" in done.out
    assert "\n2. connection 2: ExecuteControllerJob: OK with 1 job ids" in done.out
    assert "\nIDEM-01 (MUST) calls 1, 2: expected the ids of the same key and request: " in done.out
    assert done.out.endswith("\nillegal after 1 run\n")


def test_a_right_endpoint_passes(cli: Cli, address: str) -> None:
    cli.write("plan.json", PLAN)
    done = cli("replay", "plan.json", "--profile", cli.profile(address), "--times", "3")
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("\nlegal after 3 runs\n")


def test_as_json(cli: Cli, address: str) -> None:
    cli.write("plan.json", PLAN)
    done = cli("replay", "plan.json", "--profile", cli.profile(address), "--json")
    data = json.loads(done.out)
    assert (done.code, data["exit_code"]) == (0, 0)
    assert [call["client"] for call in data["runs"][0]["calls"]] == ["connection 1", "connection 2"]
    assert data["runs"][0]["violations"] == []


def test_nothing_to_judge_is_undecided(cli: Cli, address: str) -> None:
    cli.write("plan.json", encode_plan(StoredPlan(Plan((Replay(of="a"),)))))
    done = cli("replay", "plan.json", "--profile", cli.profile(address))
    assert done.code == 4
    assert done.out.endswith("unknown after 1 run: no submission was accepted, so nothing could be judged\n")


def test_the_budget_is_kept(cli: Cli, address: str) -> None:
    cli.write("plan.json", PLAN)
    done = cli("replay", "plan.json", "--profile", cli.profile(address, "budget: {jobs: 3}"), "--times", "9")
    assert done.complaint(4).startswith("run 2 of 9 was not made: ")


def test_nobody_there(cli: Cli) -> None:
    cli.write("plan.json", PLAN)
    done = cli("replay", "plan.json", "--profile", cli.profile("127.0.0.1:1"))
    assert done.complaint(5).startswith("127.0.0.1:1 does not answer")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{}", "plan.json:1: not a plan"),
        (PLAN.replace('"a"}', '"A!"}').replace('"name": "a"', '"name": "A"'), "plan.json:5: steps[0]: name: one to eight"),
        (PLAN.replace('"do": "replay"', '"do": "fly"'), "plan.json:6: steps[1]: not a step"),
    ],
)
def test_a_bad_file(cli: Cli, text: str, complaint: str) -> None:
    cli.write("plan.json", text)
    assert cli("replay", "plan.json").complaint(2).startswith(complaint)


def test_no_file(cli: Cli) -> None:
    assert cli("replay", "gone.json").complaint(2) == "gone.json: cannot be read: no such file or directory"
