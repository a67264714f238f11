"""Plans against real servers: a wrong one is found, its plan is small and fails again, the unbroken one passes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from conformance.kit import Case
from conformance.kit.generated import generate
from conformance.kit.hunt import Hunt
from conformance.kit.plans import Stage
from harness.budget import BudgetExceededError, Spending
from harness.embedded import endpoint_for
from harness.endpoint import read_profile
from harness.facts import Budget
from harness.plan import NONSENSE, STRANGER, Batch, Cancel, Plan, Replay, Results, Status, Submit, Wait
from harness.plan_file import decode_plan
from harness.profile import Profile
from tests.conformance.runs import profile as variant

KEYED = Submit(name="a", count=2, key=True)
WHOLE = Plan(
    (
        KEYED,
        Replay(of="a", on=2),
        Batch(name="b", counts=(1, 2), role="correlated", key=True, on=2, beside=True),
        Replay(of="b", hang_up=1.0),
        Wait(of="b"),
        Results(job="b.2"),
        Cancel(jobs=("a.0", STRANGER, NONSENSE)),
        Status(job="a.1"),
        Status(job="gone.0"),
    )
)


@contextmanager
def case_of(profile: Profile, base: Path = Path()) -> Iterator[Case]:
    with endpoint_for(profile, base) as endpoint:
        case = Case(endpoint, spending=Spending(profile.budget), seed="7", origin_ns=time.monotonic_ns())
        try:
            yield case
        finally:
            case.clean_up()
            case.close()


@contextmanager
def broken(folder: Path, mutant: str) -> Iterator[Case]:
    with case_of(*read_profile(str(variant(folder, mutant=mutant)))) as case:
        yield case


def test_a_legal_endpoint_keeps_every_promise_of_a_plan_and_forgets_it() -> None:
    with case_of(read_profile("reference")[0]) as case:
        stage = Stage(case)
        runs = [stage.run(WHOLE), stage.run(WHOLE)]
    assert [run.violations for run in runs] == [(), ()]
    assert all(run.accepted >= 3 for run in runs)
    ids = [{job for call in run.calls for job in getattr(call.response, "job_execution_ids", ())} for run in runs]
    assert ids[0]
    assert not ids[0] & ids[1], "every run has keys of its own"


def test_roles_that_the_profile_lacks_are_played_by_quick_jobs() -> None:
    profile = read_profile("reference")[0]
    bare = replace(profile, jobs={"quick": profile.jobs["quick"]}, correlation=None)
    with case_of(bare) as case:
        run = Stage(case).run(WHOLE)
    assert run.violations == ()


@pytest.mark.parametrize(
    ("mutant", "requirement", "steps"),
    [
        ("idem-key-ignored", "IDEM-01", (KEYED, Replay(of="a"))),
        ("idem-key-per-connection", "IDEM-01", (KEYED, Replay(of="a", on=2))),
        ("batch-members-reversed", "BATCH-01", (Batch(name="a", counts=(1, 2)),)),
        ("can-takes-siblings", "CAN-05", (Submit(name="s", role="slow"), KEYED, Cancel(jobs=("a.0",)), Status(job="a.1"))),
        ("res-failed-says-success", "RES-01", (Submit(name="a", role="user_failure"), Wait(of="a"), Results(job="a.0"))),
        (
            "res-memory-of-first-from-8",
            "RES-02",
            (Submit(name="a", count=8, role="correlated"), Results(job="a.0"), Results(job="a.7")),
        ),
        ("exec-ids-reversed-from-8", "EXEC-02", (Submit(name="a", count=8, role="correlated"), Results(job="a.7"))),
    ],
)
def test_a_plan_shows_what_is_broken(
    mutant: str, requirement: str, steps: tuple[Submit | Replay | Batch | Cancel | Status | Wait | Results, ...], tmp_path: Path
) -> None:
    with broken(tmp_path, mutant) as case:
        run = Stage(case).run(Plan(steps))
    assert requirement in {item.requirement for item in run.violations}
    numbers = {call.number for call in run.calls}
    assert all(set(item.operations) <= numbers for item in run.violations)


def test_a_wrong_endpoint_is_found_and_its_plan_is_small(tmp_path: Path) -> None:
    with broken(tmp_path, "idem-key-ignored") as case:
        hunt = Hunt(case)
        hunt.through(generate(7, 25))
        hunt.tell()
        assert case.discrepancies
        stored = decode_plan(case.plans["generated-1.json"], "generated-1.json")
        assert len(stored.plan.steps) <= 4
        assert stored.origin.violated
        assert any(item.requirement == stored.origin.violated[0] for item in case.discrepancies)
        assert "controller-harness replay plans/generated-1.json --profile reference" in case.discrepancies[0].observed
        assert any("1. connection " in item.text for item in case.observations)
        again = Stage(case).run(stored.plan)
    assert set(stored.origin.violated) & {item.requirement for item in again.violations}


def test_a_budget_ends_the_search_and_does_not_change_the_verdict() -> None:
    profile = replace(read_profile("reference")[0], budget=Budget(calls=40))
    with case_of(profile) as case:
        hunt = Hunt(case)
        hunt.through(generate(7, 25))
        hunt.tell()
        assert 0 < hunt.plans < 25
        assert "until the profile's budget of 40 calls is spent" in case.observations[-1].text
        assert case.discrepancies == []
        with pytest.raises(BudgetExceededError):
            Hunt(case).through(generate(7, 25))
