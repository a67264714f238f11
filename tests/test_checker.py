"""The judge of histories: never against a Controller that keeps its promises, always against a named fault."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.checker import ILLEGAL, LEGAL, UNKNOWN, judge
from harness.history import Failed, Ok, Operation, Outcome, Rpc
from harness.joblife import SHOULD
from harness.requirements import builtin_catalogue
from tests.simulated_controller import ANCHOR_KEY, legal_history, operation
from tests.stories import LOST, NOT_FOUND, Story

JUDGED = {
    *("EXEC-01", "EXEC-03", "BATCH-01", "BATCH-05", "IDEM-01", "IDEM-07", "STA-01", "STA-02", "STA-05"),
    *("CAN-02", "CAN-05", "RES-01", "RES-03", "RES-05"),
}
# A seed, because drawing each choice of the simulator takes a hundred times as long.
RANDOMS = st.integers(0, 1 << 32).map(Random)
HISTORIES = st.builds(legal_history, RANDOMS, st.integers(0, 60))


@given(HISTORIES)
def test_a_legal_history_is_legal(history: list[Operation]) -> None:
    judgement = judge(history)
    assert (judgement.verdict, judgement.violations, judgement.operations) == (LEGAL, (), len(history))


@given(HISTORIES, RANDOMS)
def test_the_order_of_the_file_does_not_matter(history: list[Operation], rng: Random) -> None:
    story = Story(history)
    story.submit("job-1")
    shuffled = rng.sample(story.operations, len(story.operations))
    assert judge(shuffled) == judge(story.operations)


def duplicate_id(story: Story) -> None:
    story.submit("new-1", "job-2")


def second_set(story: Story) -> None:
    story.add(Rpc.EXECUTE, story.operations[0].request, Ok({"job_execution_ids": ["new-1", "new-2", "new-3"]}))


def reordered_set(story: Story) -> None:
    story.add(Rpc.EXECUTE, story.operations[0].request, Ok({"job_execution_ids": ["job-3", "job-2", "job-1"]}))


def short_ids(story: Story) -> None:
    story.submit("new-1", count=2)


def short_batch(story: Story) -> None:
    story.batch((1, ["new-1"]), (2, ["new-2"]))


def backward(story: Story) -> None:
    story.submit("new-1")
    story.read("new-1", "RUNNING")
    story.read("new-1", "QUEUED")


def left_the_end(story: Story) -> None:
    story.read("job-1", "FAILED")
    story.read("job-1", "POST_PROCESSING")


def another_end(story: Story) -> None:
    story.read("job-1", "FAILED")
    story.read("job-1", "SUCCEEDED")


def lost_job(story: Story) -> None:
    story.read("job-3", None)


def not_found_job(story: Story) -> None:
    story.add(Rpc.STATUS, {"job_id": "job-3"}, NOT_FOUND)


def lost_results(story: Story) -> None:
    story.read("job-3", "FAILED")
    story.fetch("job-3", NOT_FOUND)


def canceled_by_nobody(story: Story) -> None:
    story.submit("new-1")
    story.read("new-1", "CANCELED")


def canceled_while_running(story: Story) -> None:
    story.submit("new-1")
    story.read("new-1", "RUNNING")
    story.cancel("new-1")
    story.read("new-1", "CANCELED")


def success_for_failed(story: Story) -> None:
    story.read("job-2", "FAILED")
    story.fetch("job-2", "SUCCESS")


def empty_result(story: Story) -> None:
    story.fetch("job-2", None)


BREAKAGES: list[tuple[Callable[[Story], None], str]] = [
    (duplicate_id, "EXEC-03"),
    (second_set, "IDEM-01"),
    (reordered_set, "IDEM-01"),
    (short_ids, "EXEC-01"),
    (short_batch, "BATCH-01"),
    (backward, "STA-01"),
    (left_the_end, "STA-01"),
    (another_end, "STA-01"),
    (lost_job, "STA-02"),
    (not_found_job, "STA-02"),
    (lost_results, "RES-01"),
    (canceled_by_nobody, "CAN-05"),
    (canceled_while_running, "CAN-02"),
    (success_for_failed, "RES-01"),
    (empty_result, "RES-03"),
]


@pytest.mark.parametrize(("breakage", "requirement"), BREAKAGES, ids=[item.__name__ for item, _ in BREAKAGES])
@given(history=HISTORIES)
def test_a_named_fault_is_illegal(breakage: Callable[[Story], None], requirement: str, history: list[Operation]) -> None:
    story = Story(history)
    breakage(story)
    judgement = judge(story.operations)
    assert judgement.verdict == ILLEGAL
    assert {item.requirement for item in judgement.violations} - SHOULD == {requirement}
    assert all(max(item.operations) > len(history) for item in judgement.violations)


@given(HISTORIES, st.data())
def test_two_statuses_that_are_swapped_are_illegal(history: list[Operation], data: st.DataObject) -> None:
    reads = [item for item in history if item.rpc is Rpc.STATUS and item.code == "OK" and item.outcome != Ok({})]
    pairs = [
        (one, two)
        for one, two in itertools.permutations(reads, 2)
        if one.request == two.request and one.ended_ns < two.started_ns and one.outcome != two.outcome
    ]
    assume(pairs)
    one, two = data.draw(st.sampled_from(pairs))
    changed = {one.number: two.outcome, two.number: one.outcome}
    broken = [dataclasses.replace(item, outcome=changed.get(item.number, item.outcome)) for item in history]
    assert "STA-01" in {item.requirement for item in judge(broken).violations}


def test_overlapping_submissions_with_one_key_are_one() -> None:
    story = Story()
    story.submit("a", key=1, at=(0, 20))
    story.submit("b", key=1, at=(10, 30))
    assert story.broken() == [("IDEM-07", (1, 2))]


def test_a_batch_replays_as_a_whole() -> None:
    story = Story()
    story.batch((1, ["a"]), (1, ["b"]), key=1)
    story.batch((1, ["a"]), (1, ["c"]), key=1)
    assert ("BATCH-05", (1, 2)) in story.broken()


def test_a_batch_answers_every_request() -> None:
    story = Story()
    story.add(Rpc.BATCH, {"requests": [{}, {}]}, Ok({"responses": [{}]}))
    assert story.broken() == [("BATCH-01", (1,))]


@pytest.mark.parametrize("ids", [("a", "a"), ("",), ("a", "b", "a")])
def test_ids_of_one_answer_differ_and_are_not_empty(ids: tuple[str, ...]) -> None:
    story = Story()
    story.submit(*ids)
    assert story.broken() == [("EXEC-03", (1,))]


def test_without_a_key_the_same_ids_are_duplicates() -> None:
    story = Story()
    story.submit("a")
    story.submit("a")
    assert story.broken() == [("EXEC-03", (1, 2))]


@pytest.mark.parametrize("ids", [["a"], ["b", "c"], []])
def test_a_key_with_another_request_is_free(ids: list[str]) -> None:
    story = Story()
    story.submit("a", key=1)
    story.submit(count=2, key=1, outcome=Ok({"job_execution_ids": ids}))
    assert story.broken() == []


@pytest.mark.parametrize("other", [{"identity": "other"}, {"timeout": True}])
def test_a_key_counts_for_its_caller_and_request(other: dict[str, Any]) -> None:
    story = Story()
    story.submit("a", key=1)
    story.submit("b", key=1, **other)
    assert story.broken() == []


def test_a_refused_submission_makes_no_key_ambiguous() -> None:
    story = Story()
    story.submit(count=2, key=1, outcome=Failed("RESOURCE_EXHAUSTED", "full"))
    story.submit("a", count=3, key=1)
    assert story.broken() == [("EXEC-01", (2,))]


@pytest.mark.parametrize("result", ["SUCCESS", LOST])
def test_a_key_lives_until_the_last_id_may_be_forgotten(result: str | Outcome) -> None:
    story = Story()
    story.submit("a", "b", key=1)
    story.fetch("a", result)
    early, late = Story(story.operations), Story(story.operations)
    early.submit("c", "d", key=1)
    assert early.broken() == [("IDEM-01", (1, 3))]
    late.fetch("b", "SUCCESS")
    late.submit("c", "d", key=1)
    assert late.broken() == []
    late.submit("a", "b", key=1)
    assert late.broken() == [("IDEM-01", (1, 4))]


def test_a_known_id_keeps_its_key_after_it_was_fetched() -> None:
    story = Story()
    story.submit("a", key=1)
    story.fetch("a", "SUCCESS")
    story.submit("b", key=1)
    story.read("a", "SUCCEEDED")
    assert story.broken() == [("IDEM-01", (1, 3))]


def test_the_jobs_of_a_key_with_several_requests_may_be_those_of_any() -> None:
    story = Story()
    story.submit(key=1, timeout=True, outcome=LOST, count=1)
    story.submit("a", key=1)
    story.read("a", "CANCELED")
    assert story.broken() == []


def test_a_budget_bounds_the_judge() -> None:
    story = Story()
    story.submit("a", "a")
    assert judge(story.operations, budget=4).verdict == UNKNOWN
    assert judge(story.operations, budget=5).verdict == ILLEGAL


def test_nothing_is_judged_unknown() -> None:
    assert judge([]).verdict == UNKNOWN


def test_ten_thousand_operations_are_within_the_budget() -> None:
    story = Story()
    story.submit(*(f"job {number}" for number in range(100)))
    story.cancel(*(f"job {number}" for number in range(100)))
    for number in range(10_000):
        story.operations.append(operation(number + 3, Rpc.STATUS, {"job_id": "job 0"}, Ok({}), (number + 20, number + 25)))
    assert judge(story.operations).verdict == LEGAL


@given(HISTORIES, RANDOMS)
def test_any_answers_can_be_judged(history: list[Operation], rng: Random) -> None:
    outcomes = {rpc: [item.outcome for item in history if item.rpc is rpc] for rpc in Rpc}
    mixed = [dataclasses.replace(item, outcome=rng.choice(outcomes[item.rpc])) for item in history]
    judgement = judge(mixed)
    assert judgement.verdict in {LEGAL, ILLEGAL}
    assert {item.requirement for item in judgement.violations} <= JUDGED
    assert {number for item in judgement.violations for number in item.operations} <= {item.number for item in history}


def test_levels_are_those_of_the_catalogue() -> None:
    levels = {item.id: item.level for item in builtin_catalogue()}
    assert {name: levels[name] for name in JUDGED} == {name: "SHOULD" if name in SHOULD else "MUST" for name in JUDGED}
    assert {name for _, name in BREAKAGES} < JUDGED


def test_the_anchor_of_the_simulator_is_what_the_faults_rest_on() -> None:
    history = legal_history(Random(1), 10)  # noqa: S311 - no secret
    assert history[0].request["idempotency_key"] == ANCHOR_KEY
    assert history[0].outcome == Ok({"job_execution_ids": ["job-1", "job-2", "job-3"]})
