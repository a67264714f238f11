"""STA: the life cycle as status calls show it."""

from __future__ import annotations

import threading
import uuid

import pytest

from conformance.kit import Case, UnobservableError, covers
from conformance.kit.answers import describe, status_of
from conformance.kit.clock import Stopwatch
from conformance.kit.hold import held
from conformance.kit.reads import backward_reads
from harness.call import Call
from harness.model import TERMINAL, Status

READS = 60
"""Reads in a row of a job that runs: enough to see what goes wrong once in 20 of them, however others' reads fall between."""


@covers("STA-01")
@pytest.mark.parametrize(
    "role",
    [
        pytest.param("quick", marks=pytest.mark.covers(tier="light")),
        "slow",
        "post_processed",
        pytest.param("user_failure", marks=pytest.mark.covers(tier="light")),
    ],
)
def test_only_legal_moves_are_seen(case: Case, role: str) -> None:
    """Polled from submission to well after its end, a job moves forward only, and stays where it ended."""
    job = case.profile.jobs[case.needs(role)]
    ids = case.submit(role, count=2)
    for job_id in ids:
        if case.wait_for(job_id, Status.RUNNING, within=job.total * 2) is Status.RUNNING:
            _read_while_running(case, job_id)
        ended = case.wait_for(job_id, within=job.total * 2)
        case.expect("STA-01", ended in TERMINAL, "a terminal state in the end", f"{ended} (job {job_id})")
        wanted = Status.FAILED if role == "user_failure" else Status.SUCCEEDED
        case.expect("STA-01", ended is wanted, f"the {role} job ends {wanted}", ended)
    case.result_call(ids[0])
    for _ in range(5):
        for job_id in ids:
            _read_again(case, job_id)


def _read_while_running(case: Case, job_id: str) -> None:
    for _ in range(READS):
        if case.status(job_id) is not Status.RUNNING:
            return


def _read_again(case: Case, job_id: str) -> None:
    """Read a status that must not change any more; a job that was fetched may be forgotten."""
    call = case.attempt(case.requests.status(job_id))
    if call.error is None and status_of(call) is not Status.UNKNOWN:
        case.status(job_id)


@covers("STA-01")
def test_queued_jobs_move_only_forward(case: Case) -> None:
    """Jobs that wait in the queue, run and end while all of them are polled never move back."""
    with held(case):
        ids = case.submit(count=8)
        for job_id in ids:
            status = case.status(job_id)
            case.expect("STA-01", status is Status.QUEUED, f"QUEUED while every executor is busy (job {job_id})", status)
    case.finish(ids, within=case.profile.jobs["slow"].total)


@covers("STA-01")
def test_terminal_states_stay(case: Case) -> None:
    """CANCELED, FAILED and SUCCEEDED stay, whatever is asked of the job."""
    with held(case):
        cancelled = case.cancelled(case.submit(count=2))
    done = case.submit()
    case.finish(done)
    for job_id in [*cancelled, *done]:
        case.cancel([job_id])
        for _ in range(3):
            case.status(job_id)
    other = case.submit()
    case.finish(other)
    for job_id in [*cancelled, *done]:
        case.status(job_id)


@covers("STA-02")
def test_acknowledged_jobs_stay_known(case: Case) -> None:
    """From its acknowledgement until its results are fetched, a job is never UNKNOWN or an error, on any connection."""
    clients = [case.connect(f"c{number}") for number in range(3)]
    ids = case.submit(count=case.most(20))
    ids += [*(case.submit()[0] for _ in range(5)), *case.submit("slow"), *case.submit("post_processed")]
    waiting = list(ids)
    rounds = 0
    patience = Stopwatch()
    limit = case.profile.jobs["slow"].total + case.profile.jobs["post_processed"].total + case.deadlines.state
    while waiting and patience.seconds() < limit:
        rounds += 1
        calls = [(job_id, case.attempt(case.requests.status(job_id), client=clients[rounds % 3])) for job_id in waiting]
        for job_id, call in calls:
            known = call.error is None and status_of(call) is not Status.UNKNOWN
            got = describe(call) if call.error is not None else status_of(call)
            case.expect("STA-02", known, f"job {job_id} is known", got, call)
        if case.discrepancies:
            return
        waiting = [job_id for job_id, call in calls if status_of(call) not in TERMINAL]
    for job_id in ids:
        call = case.attempt(case.requests.status(job_id))
        known = call.error is None and status_of(call) is not Status.UNKNOWN
        case.expect("STA-02", known, f"job {job_id} is known while its results wait to be fetched", describe(call), call)


@covers("STA-03", tier="read-only")
@pytest.mark.parametrize("job_id", ["", str(uuid.UUID(int=2)), "no such job"])
def test_an_unknown_id_is_an_error(case: Case, job_id: str) -> None:
    """An unknown or empty id is an error, or the status UNKNOWN; never a live state."""
    call = case.attempt(case.requests.status(job_id))
    if call.error is None:
        status = status_of(call)
        case.expect("STA-03", status is Status.UNKNOWN, "an error, or UNKNOWN", status, call)
        case.observe("STA-03", f"the id {job_id!r} gets the status {status}")


@covers("STA-04")
@pytest.mark.parametrize("role", [pytest.param("quick", marks=pytest.mark.covers(tier="light")), "post_processed"])
def test_results_of_a_succeeded_job_are_there(case: Case, role: str) -> None:
    """Once SUCCEEDED is seen, the results call answers without waiting."""
    job = case.profile.jobs[case.needs(role)]
    waits: list[float] = []
    for _ in range(3):
        (job_id,) = case.submit(role)
        if case.wait_for(job_id, within=job.total) is not Status.SUCCEEDED:
            raise UnobservableError("the job did not succeed (EXEC-05 judges that)")
        call = case.result_call(job_id, timeout=case.deadlines.call)
        case.expect("STA-04", call.error is None, "the result, without waiting", describe(call), call)
        waits.append((call.ended_ns - call.started_ns) / 1e9)
    instant = _instant(case)
    case.expect(
        "STA-04", min(waits) < instant, f"one of three answers within {instant:.2f} s", f"the fastest took {min(waits):.2f} s"
    )


def _instant(case: Case) -> float:
    """Return what counts as "without waiting", in seconds: a quarter of a second, and 20 round trips of a status call."""
    calls = [case.attempt(case.requests.status(str(uuid.UUID(int=3)))) for _ in range(5)]
    return 0.25 + 20 * min(call.ended_ns - call.started_ns for call in calls) / 1e9


@covers("STA-05")
@pytest.mark.parametrize("role", ["quick", "slow"])
def test_overlapping_reads_agree_with_one_order(case: Case, role: str) -> None:
    """Of status reads by several connections, none that began after another had ended shows an earlier state."""
    (job_id,) = case.submit(case.needs(role))
    done = threading.Event()
    limit = case.profile.jobs[role].total + case.deadlines.state
    watch = Stopwatch()

    def poll(client_number: int) -> list[Call]:
        client = case.connect(f"reader {client_number}")
        calls: list[Call] = []
        while not done.is_set() and watch.seconds() < limit and len(calls) < 2000:
            call = case.attempt(case.requests.status(job_id), client=client)
            calls.append(call)
            if call.error is not None or status_of(call) in TERMINAL:
                done.set()
            done.wait(0.001)
        calls.append(case.attempt(case.requests.status(job_id), client=client))
        return calls

    reads = sorted(
        (call for calls in case.together(poll, range(4)) for call in calls if call.error is None), key=lambda call: call.ended_ns
    )
    for problem in backward_reads(reads)[:3]:
        before, after = problem
        expected = f"{status_of(before)} or later, for a read that began after another had shown {status_of(before)}"
        case.expect("STA-05", False, expected, status_of(after), before, after)


@covers("STA-02", tier="light")
def test_status_of_many_jobs_is_each_their_own(case: Case) -> None:
    """Of a failing and a succeeding job side by side, each status call speaks of the job that it names."""
    good, bad = case.submit()[0], case.submit(case.needs("user_failure"))[0]
    ended = case.finish([good, bad])
    case.expect("STA-02", ended == {good: Status.SUCCEEDED, bad: Status.FAILED}, "SUCCEEDED and FAILED", list(ended.values()))
