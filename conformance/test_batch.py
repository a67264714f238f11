"""BATCH: several submissions as one."""

from __future__ import annotations

import pytest

from conformance.kit import Case, NotApplicableError, UnobservableError, covers
from conformance.kit.answers import brief, brief_members, describe, ids_of, members_of, result_status_of
from conformance.kit.hold import held
from conformance.kit.oracles import counted_role, counting, expect_jobs, fill, refuse_late_cancels
from conformance.kit.reads import still_known
from conformance.kit.strikes import EVERY_STRIKE, expect_atomic
from harness.call import Call
from harness.ids import IdempotencyKey
from harness.model import Status
from harness.profile import Target
from harness.requests import duration, wire_key

SHAPE = (3, 1, 2, 8, 9)
"""Configurations per member of the usual batch: unequal, so that a shift shows."""


def usual(case: Case) -> tuple[int, ...]:
    """Return the usual shape, or as much of it as the endpoint takes at once."""
    return next((SHAPE[:size] for size in (5, 3) if case.most(sum(SHAPE[:size])) == sum(SHAPE[:size])), (1, 1))


@covers("BATCH-01")
@pytest.mark.parametrize("shape", [(1,), (1, 1), SHAPE, tuple(range(1, 13))])
def test_one_response_per_request(case: Case, shape: tuple[int, ...]) -> None:
    """Response i answers request i: as many ids as configurations, distinct, known at once."""
    if sum(shape) != case.most(sum(shape)):
        raise NotApplicableError(f"the queue takes {case.most(sum(shape))} jobs at once, the batch has {sum(shape)}")
    request = case.requests.batch([case.requests.execute(count=count) for count in shape])
    call = case.accept("BATCH-01", request, f"a batch of {len(shape)} requests")
    if call.error is not None:
        return
    sizes = tuple(len(ids) for ids in members_of(call))
    case.expect("BATCH-01", sizes == shape, f"ids per member {shape}", f"ids per member {sizes}", call)
    ids = ids_of(call)
    case.expect(
        "BATCH-01", len(set(ids)) == len(ids) and all(ids), "distinct, non-empty ids", f"{len(set(ids))} of {len(ids)}", call
    )
    for job_id in [*ids[:3], *ids[-3:]]:
        seen = case.attempt(case.requests.status(job_id))
        case.expect("BATCH-01", seen.error is None, f"job {job_id} is known at once", describe(seen), seen)


@covers("BATCH-01", "BATCH-06", tier="light")
def test_ids_belong_to_their_members(case: Case) -> None:
    """The results of member i show the configurations of member i, in order."""
    case.needs("correlated")
    tags = [[100 * member + number for number in range(size)] for member, size in enumerate(usual(case), start=1)]
    members = [
        case.requests.execute("correlated", configurations=[case.requests.tagged(tag) for tag in wanted]) for wanted in tags
    ]
    call = case.accept("BATCH-01", case.requests.batch(members), "a batch")
    shown = [[case.tag_of(case.result(job_id)) for job_id in ids] for ids in members_of(call)]
    if any(tag is None for member in shown for tag in member):
        raise UnobservableError("a result shows no configuration, although the profile's correlation says that it does")
    case.expect("BATCH-01", shown == tags, f"results {tags}", f"results {shown}", call)


@covers("BATCH-03", tier="light")
@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_bad_member_fails_the_batch(case: Case, position: int) -> None:
    """A batch with one member that has no configuration is not answered OK, wherever the member stands."""
    members = [case.requests.execute(count=2) for _ in range(3)]
    del members[position].execution_configurations[:]
    case.refuse("BATCH-03", case.requests.batch(members), f"a batch whose member {position} has no configuration")


@covers("BATCH-02", exclusive=True, tier="light")
@pytest.mark.parametrize("cause", ["first-member", "last-member", "invalid-key"])
def test_a_failed_batch_queues_nothing(case: Case, cause: str) -> None:
    """An error for the batch means that no job of any member was queued."""
    members = [case.requests.execute(counted_role(case), count=2) for _ in range(3)]
    if cause != "invalid-key":
        del members[0 if cause == "first-member" else 2].execution_configurations[:]
    request = case.requests.batch(members, key=IdempotencyKey(1, 1) if cause == "invalid-key" else case.key())
    with counting(case) as count:
        call = case.attempt(request)
    if call.error is None:
        raise NotApplicableError("the batch was accepted (BATCH-03 and UUID-06 judge that)")
    expect_jobs(case, "BATCH-02", count, 0, f"a batch that failed with {call.code}")


@covers("BATCH-02", exclusive=True)
@EVERY_STRIKE
def test_a_batch_struck_on_the_wire_is_all_or_nothing(case: Case, name: str) -> None:
    """Cut off before or after the request, reset, answered too late: the jobs of all members are queued, or none."""
    members = [case.requests.execute(counted_role(case), count=size) for size in (3, 5)]
    expect_atomic(case, "BATCH-02", name, case.requests.batch(members), 8)


@covers("BATCH-02", exclusive=True)
def test_a_batch_that_does_not_fit_queues_nothing(case: Case) -> None:
    """A batch for which there is not enough room is refused whole, although its first members would fit."""
    capacity = case.facts.queue_capacity
    if capacity is None:
        raise UnobservableError("facts.queue_capacity is not set: the queue cannot be filled")
    with held(case):
        fillers = fill(case, capacity)
        freed = case.cancelled(fillers[-4:])
        members = [case.requests.execute(count=2) for _ in range(len(freed))]
        call = case.attempt(case.requests.batch([*members, case.requests.execute(count=3)]))
        still = fill(case, len(freed) + 3) if call.error is not None else []
        refuse_late_cancels(case, set(fillers[-4:]) - set(freed))
        case.expect(
            "BATCH-02", call.error is not None, "the batch is refused: there is no room for all of it", describe(call), call
        )
        if call.error is not None:
            case.expect(
                "BATCH-02", len(still) == len(freed), f"room for {len(freed)} jobs as before", f"room for {len(still)}", call
            )
    case.cancel([*fillers, *still, *ids_of(call)])


@covers("BATCH-04", exclusive=True, tier="light")
def test_members_that_share_a_key_are_separate(case: Case) -> None:
    """Keys inside members are ignored: members with the same key are separate jobs."""
    key, role = case.key(), counted_role(case)
    request = case.requests.batch([case.requests.execute(role, count=2, key=key) for _ in range(3)])
    with counting(case) as count:
        call = case.accept("BATCH-04", request, "the batch")
    ids = ids_of(call)
    if call.error is None:
        case.expect("BATCH-04", len(set(ids)) == 6, "six distinct jobs", f"{len(set(ids))} distinct ids of {len(ids)}", call)
        expect_jobs(case, "BATCH-04", count, 6, "three members of two configurations that share a key")


@covers("BATCH-04", tier="light")
def test_a_used_member_key_does_not_replay(case: Case) -> None:
    """A member key that was used before, alone or in another batch, does not replay."""
    key = case.key()
    alone = case.submit(key=key)
    first = ids_of(case.accept("BATCH-04", case.requests.batch([case.requests.execute(key=key)]), "the batch"))
    second = ids_of(case.accept("BATCH-04", case.requests.batch([case.requests.execute(key=key)]), "the same batch"))
    case.expect(
        "BATCH-04",
        len({*alone, *first, *second}) == 3,
        "three distinct jobs",
        ", ".join(map(brief, (alone, first, second))),
        *case.calls[-3:],
    )
    later = ids_of(case.accept("BATCH-04", case.requests.execute(key=key), "the key on its own"))
    case.expect("BATCH-04", later == alone, f"the replay of {brief(alone)}: batches leave the key alone", brief(later))


@covers("BATCH-04", tier="light")
@pytest.mark.parametrize("key", [IdempotencyKey(0, 0), IdempotencyKey(0x1000, 1 << 63), IdempotencyKey(0x4000, 3 << 62)])
def test_an_invalid_member_key_does_no_harm(case: Case, key: IdempotencyKey) -> None:
    """An invalid key inside a member is ignored like any other (the more specific of the two sentences of the spec)."""
    member = case.requests.execute()
    member.idempotency_key.CopyFrom(wire_key(key))
    case.accept("BATCH-04", case.requests.batch([case.requests.execute(), member]), f"a batch with the member key {key}")


def _expect_replay(case: Case, first: Call, again: Call, when: str) -> None:
    same = members_of(again) == members_of(first)
    case.expect("BATCH-05", same, f"replayed {when}: {brief_members(first)}", brief_members(again), first, again)


@covers("BATCH-05", exclusive=True)
def test_the_batch_key_replays_the_whole_response(case: Case) -> None:
    """The batch's own key replays every member, in order, and queues nothing."""
    role = counted_role(case)
    shape = usual(case)
    request = case.requests.batch([case.requests.execute(role, count=size) for size in shape], key=case.key())
    with counting(case) as count:
        first = case.accept("BATCH-05", request, "a keyed batch")
        again = case.accept("BATCH-05", request, "its replay")
    if first.error is None and again.error is None:
        _expect_replay(case, first, again, "at once")
        expect_jobs(case, "BATCH-05", count, sum(shape), "a batch and its replay")


@covers("BATCH-05")
def test_the_batch_key_replays_to_the_end(case: Case) -> None:
    """The batch's key still replays when some of its jobs are finished and fetched, and when all are."""
    request = case.requests.batch([case.requests.execute(count=count) for count in usual(case)], key=case.key())
    first = case.accept("BATCH-05", request, "a keyed batch")
    ids = ids_of(first)
    for stage in (ids[:1], ids):
        case.finish(stage)
        for job_id in stage:
            case.result_call(job_id)
        again = case.accept("BATCH-05", request, "its replay")
        if still_known(case, ids):
            _expect_replay(case, first, again, f"with {len(stage)} of {len(ids)} jobs fetched")


@covers("BATCH-05", tier="light")
def test_batches_without_a_key_do_not_replay(case: Case) -> None:
    """The same batch twice without a key is two sets of jobs."""
    request = case.requests.batch([case.requests.execute(count=2)])
    first, second = (ids_of(case.accept("BATCH-05", request, "a batch without a key")) for _ in range(2))
    case.expect("BATCH-05", not set(first) & set(second), "no id in common", sorted(set(first) & set(second)), *case.calls[-2:])


@covers("BATCH-06")
def test_members_keep_their_own_options(case: Case) -> None:
    """Options are each member's own: a member with a short timeout is evicted, its neighbours run to their end."""
    case.needs("slow")
    slow = case.profile.jobs["slow"]
    members = [case.requests.execute(), case.requests.execute("slow"), case.requests.execute()]
    members[1].options.timeout.CopyFrom(duration(slow.duration / 4))
    call = case.accept("BATCH-06", case.requests.batch(members), "a batch with one short timeout")
    if call.error is not None:
        return
    ids = ids_of(call)
    ended = case.finish(ids, within=slow.total)
    case.expect(
        "BATCH-06", ended[ids[1]] in {Status.FAILED, Status.CANCELED}, "the timed-out member is evicted", ended[ids[1]], call
    )
    others = [ended[ids[0]], ended[ids[2]]]
    case.expect("BATCH-06", others == [Status.SUCCEEDED] * 2, "its neighbours succeed", others, call)


@covers("BATCH-06", tier="light")
def test_members_behave_as_separate_requests(case: Case) -> None:
    """A failing job among good ones fails alone, as it would in a request of its own."""
    roles = ["quick", case.needs("user_failure"), "quick", "user_failure"]
    call = case.accept("BATCH-06", case.requests.batch([case.requests.execute(role) for role in roles]), "a mixed batch")
    ids = ids_of(call)
    ended = case.finish(ids)
    wanted = [Status.FAILED if role == "user_failure" else Status.SUCCEEDED for role in roles]
    case.expect("BATCH-06", [ended[job_id] for job_id in ids] == wanted, wanted, [ended[job_id] for job_id in ids], call)
    alone = case.submit("user_failure")[0]
    case.finish([alone])
    together, apart = (result_status_of(case.result(job_id)) for job_id in (ids[1], alone))
    case.expect("BATCH-06", together is apart, f"result {apart}, as on its own", together)


@covers("BATCH-07", tier="light")
def test_observe_the_empty_batch(case: Case) -> None:
    """What an empty batch gets."""
    case.observe("BATCH-07", f"an empty batch is answered {describe(case.attempt(case.requests.batch([])))}")
    keyed = case.attempt(case.requests.batch([], key=case.key()))
    case.observe("BATCH-07", f"an empty batch with a key is answered {describe(keyed)}")


@covers("BATCH-08", tier="light")
def test_observe_members_with_different_targets(case: Case) -> None:
    """What a batch gets whose members name different targets."""
    other = case.requests.execute(target=Target(quantum_processor_id="another-processor"))
    call = case.attempt(case.requests.batch([case.requests.execute(), other]))
    case.observe("BATCH-08", f"a batch for the profile's target and for 'another-processor' is answered {describe(call)}")
