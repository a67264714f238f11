"""CAN: cancel what has not started, best effort, and nothing else."""

from __future__ import annotations

import uuid

import pytest

from conformance.kit import Case, UnobservableError, covers
from conformance.kit.answers import describe, result_of, result_status_of, same
from conformance.kit.clock import Stopwatch
from conformance.kit.hold import held
from conformance.kit.waiting import Patience
from harness.model import STARTED, TERMINAL, ResultStatus, Status


def settle(case: Case, ids: list[str]) -> dict[str, Status]:
    """Wait until all jobs are terminal or the profile's settle time is over, and return their statuses.

    While the executors are held, for half as long as they are at most: the rest is for what comes before and after.
    """
    longest = case.profile.jobs["slow"].duration / 2 if case.holding else case.facts.settle
    patience = Patience(min(case.facts.settle, longest))
    seen: dict[str, Status] = {}
    waiting = list(dict.fromkeys(ids))
    while waiting:
        seen.update((job_id, case.status(job_id)) for job_id in waiting)
        waiting = [job_id for job_id in waiting if seen[job_id] not in TERMINAL]
        if patience.is_over():
            break
        patience.pause()
    return seen


def canceled(seen: dict[str, Status]) -> list[str]:
    """Return the ids that are CANCELED."""
    return [job_id for job_id, status in seen.items() if status is Status.CANCELED]


@covers("CAN-01")
def test_queued_jobs_are_cancelled(case: Case) -> None:
    """Of several clearly queued jobs, cancelled together and one by one, some are cancelled and never run."""
    for _ in range(ROUNDS):
        with held(case):
            ids = case.submit(count=6)
            case.cancel(ids[:3])
            for job_id in ids[3:]:
                case.cancel([job_id])
            gone = canceled(settle(case, ids))
        if gone:
            break
    case.expect("CAN-01", bool(gone), f"of {ROUNDS} times six queued jobs, at least one is cancelled", "none is")
    case.observe("CAN-01", f"{len(gone)} of {len(ids)} queued jobs were cancelled")
    ended = case.finish(ids, within=case.profile.jobs["slow"].total)
    ran = [job_id for job_id in gone if ended[job_id] is not Status.CANCELED]
    case.expect("CAN-01", not ran, "cancelled jobs never run", f"{len(ran)} of {len(gone)} left CANCELED")
    for job_id in gone:
        call = case.result_call(job_id)
        if call.error is None:
            result = result_of(call)
            case.expect(
                "CAN-01",
                result_status_of(result) is not ResultStatus.SUCCESS,
                "no success of a cancelled job",
                f"SUCCESS, {result.execution_duration_microseconds} us",
                call,
            )


@covers("CAN-02")
def test_a_running_job_is_left_alone(case: Case) -> None:
    """A running job that is named in a cancel ends as it would have."""
    (job_id,) = case.submit(case.needs("slow"))
    case.reach(job_id, Status.RUNNING)
    case.cancel([job_id])
    ended = case.finish([job_id], within=case.profile.jobs["slow"].total)[job_id]
    case.expect("CAN-02", ended is Status.SUCCEEDED, "SUCCEEDED", ended)
    result = result_status_of(case.result(job_id))
    case.expect("CAN-02", result is ResultStatus.SUCCESS, "SUCCESS", result)


@covers("CAN-02")
def test_a_job_in_post_processing_is_left_alone(case: Case) -> None:
    """Post-processing counts as started: such a job ends as it would have."""
    (job_id,) = case.submit(case.needs("post_processed"))
    if case.wait_for(job_id, Status.POST_PROCESSING) is not Status.POST_PROCESSING:
        raise UnobservableError("no job was ever seen in POST_PROCESSING")
    case.cancel([job_id])
    ended = case.finish([job_id], within=case.profile.jobs["post_processed"].total)[job_id]
    case.expect("CAN-02", ended is Status.SUCCEEDED, "SUCCEEDED", ended)


UNKNOWN = str(uuid.UUID(int=1))
ROUNDS = 4
"""So often are jobs cancelled before it is believed that none can be: a cancel is a best effort."""
NAMED = 16
"""Jobs named in one cancel beside the bad id, if the queue takes three times as many."""


@covers("CAN-03")
@pytest.mark.parametrize("kind", ["running", "finished", "unknown", "malformed", "empty", "repeated"])
def test_a_bad_id_does_not_stop_the_others(case: Case, kind: str) -> None:
    """An id that cannot be cancelled, wherever it stands in the list, does not keep the others from being cancelled."""
    (finished,) = case.submit()
    case.finish([finished])
    size = max(2, case.most(3 * NAMED) // 6 * 2)
    for attempt in range(1, ROUNDS + 1):
        with held(case) as blockers:
            made = [(place, case.submit(count=size)) for place in (0, size // 2, size)]
            calls = {}
            for place, ids in made:
                bad = {
                    "running": blockers[0],
                    "finished": finished,
                    "unknown": UNKNOWN,
                    "malformed": "\u2603 no id, not even close",
                    "empty": "",
                    "repeated": ids[0],
                }[kind]
                calls[place] = case.cancel([*ids[:place], bad, *ids[place:]])
            # Few reads, so that the hold outlasts them on a loaded machine; the others are read when it is over.
            settle(case, [job_id for _, ids in made for job_id in (ids[0], ids[-1])])
        everyone = [job_id for _, ids in made for job_id in ids]
        seen = case.finish(everyone, within=case.profile.jobs["slow"].total)
        missed = [
            (place, side) for place, ids in made for side in (ids[:place], ids[place:]) if side and not _any_cancelled(seen, side)
        ]
        if not missed or attempt == ROUNDS:
            break
    for place, side in missed:
        where = f"stands at place {place} of {size}"
        case.expect(
            "CAN-03",
            False,
            f"jobs are cancelled although a {kind} id {where}",
            f"none of the {len(side)} on one side of it ({describe(calls[place])}), in any of {ROUNDS} rounds",
            calls[place],
        )
    ended = case.finish(blockers, within=case.profile.jobs["slow"].total)
    case.expect("CAN-03", set(ended.values()) == {Status.SUCCEEDED}, "the running job succeeds", sorted(ended.values()))


def _any_cancelled(seen: dict[str, Status], ids: list[str]) -> bool:
    return any(seen[job_id] is Status.CANCELED for job_id in ids)


@covers("CAN-04", tier="light")
@pytest.mark.parametrize("role", ["quick", "correlated", "user_failure"])
def test_a_finished_job_does_not_change(case: Case, role: str) -> None:
    """A finished job's status and results stay as they are when it is named in a cancel."""
    marked = [case.requests.tagged(number) for number in (1, 2)] if role == "correlated" and case.profile.correlation else None
    ids = case.submit(role, count=2, configurations=marked)
    before = case.finish(ids)
    results = {job_id: case.result_call(job_id) for job_id in ids[:1]}
    case.cancel(ids)
    watch = Stopwatch()
    watch.wait_until(min(case.facts.settle, 0.2))
    for job_id in ids:
        call = case.attempt(case.requests.status(job_id))
        if call.error is None:
            status = case.status(job_id)
            forgotten = status is Status.UNKNOWN and job_id in results  # fetched, it may be
            case.expect("CAN-04", forgotten or status is before[job_id], before[job_id], status)
    for job_id in ids:
        again = case.result_call(job_id)
        if again.error is not None:
            continue
        found = result_status_of(result_of(again))
        wanted = ResultStatus.USER_FAILURE if role == "user_failure" else ResultStatus.SUCCESS
        case.expect(
            "CAN-04", found is wanted or (role == "user_failure" and found is ResultStatus.SERVICE_FAILURE), wanted, found, again
        )
    for job_id, first in results.items():
        again = case.result_call(job_id)
        if first.error is None and again.error is None:
            case.expect(
                "CAN-04", same(result_of(again), result_of(first)), "the result of before", "a different one", first, again
            )


@covers("CAN-05")
def test_jobs_not_named_stay(case: Case) -> None:
    """Jobs that are not named run as if nothing had happened: siblings of one submission, and neighbours in the queue."""
    with held(case):
        siblings = case.submit(count=5)
        neighbours = [case.submit()[0] for _ in range(3)]
        named = [siblings[1], siblings[3], neighbours[1]]
        case.cancel(named)
        settle(case, named)
        others = [job_id for job_id in (*siblings, *neighbours) if job_id not in named]
        now = {job_id: case.status(job_id) for job_id in others}
        case.expect("CAN-05", set(now.values()) == {Status.QUEUED}, "the others stay QUEUED", dict(now))
    ended = case.finish(others, within=case.profile.jobs["slow"].total)
    wrong = {job_id: status for job_id, status in ended.items() if status is not Status.SUCCEEDED}
    case.expect("CAN-05", not wrong, "the others succeed", wrong)


@covers("CAN-05")
def test_members_not_named_stay(case: Case) -> None:
    """Cancelling the jobs of one member of a batch leaves the other members alone."""
    with held(case):
        request = case.requests.batch([case.requests.execute(count=2) for _ in range(3)])
        call = case.accept("CAN-05", request, "a batch")
        if call.error is not None:
            return
        ids = [list(member.job_execution_ids) for member in call.response.responses]  # type: ignore[union-attr]
        case.cancel(ids[1])
        settle(case, ids[1])
    others = [*ids[0], *ids[2]]
    ended = case.finish(others, within=case.profile.jobs["slow"].total)
    case.expect("CAN-05", set(ended.values()) == {Status.SUCCEEDED}, "the other members' jobs succeed", dict(ended))


@covers("CAN-06")
def test_cancelling_twice_is_harmless(case: Case) -> None:
    """A second cancel of the same jobs changes nothing and breaks nothing."""
    with held(case):
        ids = case.submit(count=2)
        case.cancel(ids)
        first = settle(case, ids)
        call = case.cancel(ids)
        case.expect(
            "CAN-06", call.code not in {"INTERNAL", "UNKNOWN", "UNAVAILABLE"}, "OK, or a plain refusal", describe(call), call
        )
        again = settle(case, ids)
        kept = all(again[job_id] is Status.CANCELED for job_id in canceled(first))
        case.expect("CAN-06", kept, "cancelled jobs stay CANCELED", dict(again))
    alive = case.finish(case.submit())
    case.expect("CAN-06", set(alive.values()) == {Status.SUCCEEDED}, "the endpoint goes on running jobs", dict(alive))


@covers("CAN-07")
def test_observe_answers_to_a_cancel(case: Case) -> None:
    """Whether OK or an error comes when some, or all, ids cannot be cancelled; an empty list; how long a cancel takes to show."""
    case.observe("CAN-07", f"an empty list of ids gets {describe(case.cancel([]))}")
    case.observe("CAN-07", f"an unknown id alone gets {describe(case.cancel([UNKNOWN]))}")
    (finished,) = case.submit()
    case.finish([finished])
    case.observe("CAN-07", f"a finished id alone gets {describe(case.cancel([finished]))}")
    with held(case) as blockers:
        ids = case.submit(count=2)
        watch = Stopwatch()
        call = case.cancel([ids[0], UNKNOWN, blockers[0]])
        case.observe("CAN-07", f"a queued, an unknown and a running id together get {describe(call)}")
        if canceled(settle(case, ids[:1])):
            case.observe("CAN-07", f"a cancel shows within {watch.seconds() * 1000:.0f} ms of the call")
        running = case.status(blockers[0])
        case.observe(
            "CAN-07", f"the running job is {running} after it" if running in STARTED else f"the running job became {running}"
        )
