"""CAN: cancel what has not started, best effort, and nothing else."""

from __future__ import annotations

import uuid

import pytest

from conformance.kit import Case, UnobservableError, covers
from conformance.kit.answers import describe, result_status_of
from conformance.kit.clock import Stopwatch
from conformance.kit.hold import held
from conformance.kit.waiting import Patience
from harness.model import STARTED, TERMINAL, ResultStatus, Status


def settle(case: Case, ids: list[str]) -> dict[str, Status]:
    """Wait until all jobs show CANCELED or the profile's settle time is over, and return their statuses."""
    patience = Patience(case.facts.settle)
    while True:
        seen = {job_id: case.status(job_id) for job_id in ids}
        if all(status in TERMINAL for status in seen.values()) or patience.is_over():
            return seen
        patience.pause()


def canceled(seen: dict[str, Status]) -> list[str]:
    """Return the ids that are CANCELED."""
    return [job_id for job_id, status in seen.items() if status is Status.CANCELED]


@covers("CAN-01")
def test_queued_jobs_are_cancelled(case: Case) -> None:
    """Of several clearly queued jobs, cancelled together and one by one, some are cancelled and never run."""
    with held(case):
        ids = case.submit(count=6)
        case.cancel(ids[:3])
        for job_id in ids[3:]:
            case.cancel([job_id])
        gone = canceled(settle(case, ids))
        case.expect("CAN-01", bool(gone), "at least one of six queued jobs is cancelled", "none is")
        case.observe("CAN-01", f"{len(gone)} of {len(ids)} queued jobs were cancelled")
    ended = case.finish(ids, within=case.profile.jobs["slow"].total)
    ran = [job_id for job_id in gone if ended[job_id] is not Status.CANCELED]
    case.expect("CAN-01", not ran, "cancelled jobs never run", f"{len(ran)} of {len(gone)} left CANCELED")
    for job_id in gone:
        call = case.result_call(job_id)
        if call.error is None:
            result = case.result(job_id)
            ran_for = result.execution_duration_microseconds if result_status_of(result) is ResultStatus.SUCCESS else 0
            case.expect(
                "CAN-01",
                result_status_of(result) is not ResultStatus.SUCCESS,
                "no success of a cancelled job",
                f"SUCCESS, {ran_for} us",
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


@covers("CAN-03")
@pytest.mark.parametrize("kind", ["running", "finished", "unknown", "malformed", "empty", "repeated"])
def test_a_bad_id_does_not_stop_the_others(case: Case, kind: str) -> None:
    """An id that cannot be cancelled, wherever it stands in the list, does not keep the others from being cancelled."""
    (finished,) = case.submit()
    case.finish([finished])
    with held(case) as blockers:
        made = [(place, case.submit(count=4)) for place in (0, 2, 4)]
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
        seen = settle(case, [job_id for _, ids in made for job_id in ids])
        for place, ids in made:
            gone = [job_id for job_id in ids if seen[job_id] is Status.CANCELED]
            where = f"although a {kind} id stands at place {place} of 4"
            case.expect("CAN-03", bool(gone), f"others are cancelled {where}", f"none ({describe(calls[place])})", calls[place])
            if place == 2 and gone:
                sides = {job_id in ids[:2] for job_id in gone}
                case.expect("CAN-03", sides == {True, False}, f"ids before and after it are {where}", len(gone), calls[place])
    ended = case.finish(blockers, within=case.profile.jobs["slow"].total)
    case.expect("CAN-03", set(ended.values()) == {Status.SUCCEEDED}, "the running job succeeds", sorted(ended.values()))


@covers("CAN-04")
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
            case.expect("CAN-04", status is before[job_id], before[job_id], status)
    for job_id in ids:
        again = case.result_call(job_id)
        if again.error is not None:
            continue
        found = result_status_of(case.result(job_id))
        wanted = ResultStatus.USER_FAILURE if role == "user_failure" else ResultStatus.SUCCESS
        case.expect(
            "CAN-04", found is wanted or (role == "user_failure" and found is ResultStatus.SERVICE_FAILURE), wanted, found, again
        )
    for job_id, first in results.items():
        again = case.result_call(job_id)
        if first.error is None and again.error is None:
            case.expect("CAN-04", again.response == first.response, "the result of before", "a different one", first, again)


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
        if case.wait_for(ids[0], Status.CANCELED) is Status.CANCELED:
            case.observe("CAN-07", f"a cancel shows within {watch.seconds() * 1000:.0f} ms of the call")
        running = case.status(blockers[0])
        case.observe(
            "CAN-07", f"the running job is {running} after it" if running in STARTED else f"the running job became {running}"
        )
