"""Plans as values: files read back what they hold, every shortening stays valid and small, hostile files end in one line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.kit.generated import generate, plans
from harness.errors import ConfigError
from harness.plan import MAX_STEPS, Batch, Cancel, Plan, Replay, Results, Status, Submit, Wait, descriptions, job_of
from harness.plan_file import Origin, StoredPlan, decode_plan, encode_plan
from harness.shrink import shrink, size, smaller

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20)
ORIGINS = st.builds(Origin, TEXTS, TEXTS, TEXTS, st.lists(TEXTS, max_size=3).map(tuple), TEXTS)
HEAD = '{"format": "controller-harness plan", "version": 1,\n"steps": ['


@settings(max_examples=30)
@given(plans(), ORIGINS)
def test_a_file_gives_back_what_it_was_made_from(plan: Plan, origin: Origin) -> None:
    text = encode_plan(StoredPlan(plan, origin))
    assert decode_plan(text, "p.json") == StoredPlan(plan, origin)
    assert sum('"do"' in line for line in text.splitlines()) == len(plan.steps), "one step per line"
    assert len(json.loads(text)["steps"]) == len(plan.steps)


@settings(max_examples=30)
@given(plans(), st.data())
def test_any_steps_can_be_dropped(plan: Plan, data: st.DataObject) -> None:
    kept = data.draw(st.lists(st.booleans(), min_size=len(plan.steps), max_size=len(plan.steps)))
    rest = Plan(tuple(step for step, keep in zip(plan.steps, kept, strict=True) if keep))
    assert decode_plan(encode_plan(StoredPlan(rest)), "p.json").plan == rest
    assert [step for group in rest.groups() for step in group] == list(rest.steps)
    assert rest.connections <= max(1, plan.connections)


@settings(max_examples=10)
@given(plans())
def test_smaller_plans_are_smaller_and_valid(plan: Plan) -> None:
    for candidate in smaller(plan):
        assert size(candidate) < size(plan)
        assert decode_plan(encode_plan(StoredPlan(candidate)), "p.json").plan == candidate


@settings(max_examples=20)
@given(plans())
def test_a_plan_that_always_fails_shrinks_to_nothing(plan: Plan) -> None:
    assert shrink(plan, lambda _: True) == Plan(())


@settings(max_examples=10)
@given(plans(), st.integers(0, 3))
def test_shrinking_keeps_what_makes_it_fail(plan: Plan, wanted: int) -> None:
    def fails(candidate: Plan) -> bool:
        return sum(isinstance(step, Replay) for step in candidate.steps) >= wanted

    if fails(plan):
        small = shrink(plan, fails)
        assert small.steps == tuple(Replay(of=step.of) for step in small.steps if isinstance(step, Replay))
        assert len(small.steps) == wanted


def test_shrinking_ends_when_nothing_fails_any_more() -> None:
    plan = Plan((Submit(name="a", count=9, key=True), Replay(of="a", on=3, beside=True)))
    asked: list[Plan] = []

    def fails(candidate: Plan) -> bool:
        asked.append(candidate)
        return False

    assert shrink(plan, fails) == plan
    assert len(asked) == len(set(asked)) > 0


def test_the_same_seed_gives_the_same_plans() -> None:
    first, again, other = list(generate(5, 60)), list(generate(5, 60)), list(generate(6, 60))
    assert first == again != other
    assert len(first) == 60


def test_a_seed_covers_every_kind_of_step_and_starts_steps_together() -> None:
    found = list(generate(1, 100))
    steps = [step for plan in found for step in plan.steps]
    assert {type(step) for step in steps} == {Submit, Batch, Replay, Cancel, Status, Results, Wait}
    assert any(len(group) > 1 for plan in found for group in plan.groups())
    assert {plan.connections for plan in found} == {1, 2, 3, 4}


@pytest.mark.parametrize("text", ["\U00010000", "\\\U00010000", "\\ud800\\udc00", "\\\\", '"'])
def test_any_letters_are_kept(text: str) -> None:
    stored = StoredPlan(Plan(()), Origin(profile=text))
    assert decode_plan(encode_plan(stored), "p.json") == stored


def test_a_plan_reads_as_a_list() -> None:
    plan = Plan(
        (
            Submit(name="a", count=2, key=True, hang_up=0.3),
            Batch(name="b", counts=(1, 2), on=2, beside=True),
            Replay(of="a", on=2),
            Cancel(jobs=("a.0", "stranger")),
            Status(job="a.1"),
            Results(job="b.0", deadline=20),
            Wait(of="b"),
        )
    )
    assert descriptions(plan) == [
        "connection 1 submits 2 quick jobs with a key (a) and hangs up after 0.3 ms",
        "at the same time, connection 2 submits a batch of 1 and 2 quick jobs without a key (b)",
        "connection 2 sends a again",
        "connection 1 cancels a.0, stranger",
        "connection 1 reads the status of a.1",
        "connection 1 asks for the results of b.0 for 20 ms",
        "connection 1 waits until b is finished",
    ]


@pytest.mark.parametrize(("text", "job"), [("a.0", ("a", 0)), ("ab.17", ("ab", 17)), ("stranger", None), ("nonsense", None)])
def test_jobs_are_named_by_submission_and_place(text: str, job: tuple[str, int] | None) -> None:
    assert job_of(text) == job


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "p.json:1: empty document"),
        ("[]", "p.json:1: not a plan; a plan begins with"),
        ('{"format": "else"}', "p.json:1: not a plan"),
        (
            '{"format": "controller-harness plan"}',
            "p.json:1: version: not a version that is supported; this tool reads version 1",
        ),
        ('{"format": "controller-harness plan",\n"version": 2}', "p.json:2: version: not a version that is supported"),
        ('{"format": "controller-harness plan", "version": true}', "p.json:1: version: not a version"),
        ('{"format": "controller-harness plan", "version": 1}', "p.json:1: steps: missing, or not a list"),
        (HEAD + "1]}", "p.json:2: steps[0]: not a step; a step is a mapping whose `do` is one of submit"),
        (HEAD + '{"do": "fly"}]}', "p.json:2: steps[0]: not a step"),
        (HEAD + '{"do": "submit"}]}', "p.json:2: steps[0].name: missing"),
        (HEAD + '{"do": "submit", "name": "A"}]}', "p.json:2: steps[0]: name: one to eight lower-case letters"),
        (HEAD + '\n{"do": "submit", "name": "a",\n"count": 0}]}', "p.json:4: steps[0].count: expected at least 1, got 0"),
        (HEAD + '{"do": "submit", "name": "a", "count": true}]}', "steps[0].count: expected a whole number, got true"),
        (HEAD + '{"do": "submit", "name": "a", "rol": "x"}]}', "steps[0].rol: unknown key; did you mean 'role'?"),
        (HEAD + '{"do": "status", "job": "a"}]}', "p.json:2: steps[0]: 'a' is no job; write a.0"),
        (HEAD + '{"do": "status", "job": "a.0", "on": 9}]}', "steps[0].on: expected at most 8, got 9"),
        (HEAD + '{"do": "batch", "name": "a", "counts": []}]}', "steps[0]: counts: a batch has 1 to 200 members"),
        (HEAD + ", ".join(['{"do": "submit", "name": "a"}'] * 2) + "]}", "steps: two submissions are called 'a'"),
        (HEAD + ", ".join(['{"do": "wait", "of": "a"}'] * (MAX_STEPS + 1)) + "]}", "steps: at most 200"),
        (HEAD + "]", "p.json:3: not valid YAML"),
        ("[" * 5000, "p.json"),
    ],
)
def test_what_is_no_plan_is_refused_in_one_line(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        decode_plan(text, "p.json")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["submit", "wait", "a.0"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["do", "name", "of", "job", "jobs", "on", "steps", "counts"]) | st.text(max_size=4), inner
        )
    ),
    max_leaves=12,
)


@given(JSON, st.booleans())
def test_hostile_json_is_refused(value: Any, in_steps: bool) -> None:
    data = {"format": "controller-harness plan", "version": 1, "steps": [value]} if in_steps else value
    try:
        found = decode_plan(json.dumps(data), "p.json")
    except ConfigError:
        return
    assert decode_plan(encode_plan(found), "p.json") == found
