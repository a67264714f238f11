"""RES: results that agree with the job, belong to it, and come when it is done."""

from __future__ import annotations

import contextlib
import uuid

import pytest

from conformance.kit import Case, UnobservableError, covers
from conformance.kit.answers import describe, ids_of, result_of, result_status_of, same, status_of
from conformance.kit.clock import Stopwatch
from conformance.kit.hold import held
from conformance.kit.waiting import Patience
from harness.call import Call
from harness.client import ControllerClient
from harness.model import RESULTS_OF, TERMINAL, ResultStatus, Status


def expect_agreement(case: Case, job_id: str, status: Status, call: Call) -> None:
    """Expect that a result agrees with the job's terminal status; an error is fine for a cancelled job only."""
    if call.error is not None:
        case.expect("RES-01", status is Status.CANCELED, f"a result for a job that is {status}", describe(call), call)
        return
    found = result_status_of(result_of(call))
    allowed = RESULTS_OF.get(status, frozenset())
    case.expect(
        "RES-01",
        found in allowed,
        f"{status} with {' or '.join(sorted(allowed)) or 'no result'}",
        f"{found} (job {job_id})",
        call,
    )


@covers("RES-01")
@pytest.mark.parametrize(
    "role",
    [
        pytest.param("quick", marks=pytest.mark.covers(tier="light")),
        pytest.param("user_failure", marks=pytest.mark.covers(tier="light")),
        "post_processed",
    ],
)
def test_the_result_agrees_with_the_status(case: Case, role: str) -> None:
    """SUCCEEDED comes with SUCCESS, FAILED with one of the failures."""
    ids = case.submit(role, count=2)
    ended = case.finish(ids, within=case.profile.jobs[role].total * 2)
    for job_id, status in ended.items():
        expect_agreement(case, job_id, status, case.result_call(job_id))
    wanted = Status.FAILED if role == "user_failure" else Status.SUCCEEDED
    case.expect("RES-01", set(ended.values()) == {wanted}, f"the {role} job ends {wanted}", sorted(set(ended.values())))


@covers("RES-01")
def test_the_result_of_a_cancelled_job(case: Case) -> None:
    """A cancelled job's result is USER_CANCELLATION, or an error; never SUCCESS."""
    with held(case):
        ids = case.submit(count=3)
        gone = case.cancelled(ids)
        for job_id in gone:
            expect_agreement(case, job_id, Status.CANCELED, case.result_call(job_id))
    if not gone:
        raise UnobservableError("no job could be cancelled (CAN-01 judges that)")


@covers("RES-01")
def test_the_result_of_an_evicted_job(case: Case) -> None:
    """An evicted job's result is a failure that agrees with its status."""
    length = case.profile.jobs[case.needs("slow")].duration
    (job_id,) = case.submit("slow", timeout=length / 8)
    status = case.finish([job_id], within=length)[job_id]
    expect_agreement(case, job_id, status, case.result_call(job_id))


@covers("RES-02")
def test_results_under_concurrency_are_each_jobs_own(case: Case) -> None:
    """Results fetched by many callers at once, while they wait or after, each belong to the job that was asked for."""
    case.needs("correlated")
    clients = [case.connect(f"c{number}") for number in range(4)]
    for client in clients:
        client.wait_ready(case.deadlines.call)
    tags = case.rng.sample(range(1, 1_000_000), case.most(24))
    request = case.requests.execute("correlated", configurations=[case.requests.tagged(tag) for tag in tags])
    # Held up, the jobs finish one after the other while all the callers wait, however slow this machine is.
    with held(case) if "slow" in case.profile.jobs else contextlib.nullcontext():
        ids = ids_of(case.accept("RES-02", request, f"a request with {len(tags)} configurations"))
    pairs = list(zip(ids, tags, strict=False))
    case.rng.shuffle(pairs)
    open_pairs = _fetch_together(case, clients, pairs)
    if open_pairs:
        case.finish([job_id for job_id, _ in open_pairs], within=case.profile.jobs["correlated"].total * len(ids))
        if len(_fetch_together(case, clients, open_pairs)) == len(pairs):
            raise UnobservableError("no results call was answered with a result")


def _fetch_together(case: Case, clients: list[ControllerClient], pairs: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Fetch results over several connections at once, judge those that came, and return the pairs that got an error."""
    jobs = [(clients[index % len(clients)], job_id, tag) for index, (job_id, tag) in enumerate(pairs)]
    calls = case.together(lambda job: (job[1], job[2], case.result_call(job[1], client=job[0])), jobs)
    for _, tag, call in calls:
        if call.error is None:
            shown = case.tag_of(result_of(call))
            case.expect("RES-02", shown == tag, f"the result of configuration {tag}", shown, call)
    return [(job_id, tag) for job_id, tag, call in calls if call.error is not None]


@covers("RES-02", tier="light")
def test_results_belong_to_interleaved_submissions(case: Case) -> None:
    """Results of two submissions made side by side are not mixed up."""
    case.needs("correlated")
    expected: dict[str, int] = {}
    for tag in case.rng.sample(range(1, 1_000_000), 12):
        request = case.requests.execute("correlated", configurations=[case.requests.tagged(tag)])
        expected.update(dict.fromkeys(ids_of(case.accept("RES-02", request, "a submission")), tag))
    for job_id, tag in reversed(expected.items()):
        case.finish([job_id])
        shown = case.tag_of(case.result(job_id))
        case.expect("RES-02", shown == tag, f"the result of configuration {tag}", shown)


@covers("RES-03")
@pytest.mark.parametrize("stage", [Status.QUEUED, Status.RUNNING, Status.POST_PROCESSING])
def test_no_result_before_the_job_is_done(case: Case, stage: Status) -> None:
    """While a job is queued, runs or is post-processed, the call waits or fails; it never answers OK without the result."""
    short = max(case.profile.jobs[case.needs("slow")].duration / 8, 0.05)
    if stage is Status.QUEUED:
        with held(case):
            (job_id,) = case.submit()
            _expect_patience(case, job_id, short)
        return
    role = case.needs("slow" if stage is Status.RUNNING else "post_processed")
    (job_id,) = case.submit(role)
    if case.wait_for(job_id, stage) is not stage:
        raise UnobservableError(f"the job was never seen {stage}")
    _expect_patience(case, job_id, short)


def _expect_patience(case: Case, job_id: str, timeout: float) -> None:
    call = case.result_call(job_id, timeout=timeout)
    if call.error is not None:
        return
    status = case.status(job_id)
    found = result_status_of(result_of(call))
    fits = found in RESULTS_OF.get(status, frozenset())
    case.expect("RES-03", fits, "a wait or an error while the job is not done", f"OK with {found}, the job is {status}", call)


@covers("RES-03")
def test_a_waiting_call_brings_the_whole_result(case: Case) -> None:
    """A results call made while the job still runs brings, if it is answered OK, the finished job's result."""
    job = case.profile.jobs[case.needs("slow")]
    (job_id,) = case.submit("slow")
    case.reach(job_id, Status.RUNNING)
    watch = Stopwatch()
    call = case.result_call(job_id, timeout=job.total + case.deadlines.results)
    if call.error is not None:
        case.observe("RES-03", f"a results call on a running job fails with {call.code} after {watch.seconds():.2f} s")
        return
    case.observe("RES-03", "a results call on a running job waits for the result")
    status = _shown(case, job_id)
    case.expect(
        "RES-03",
        status is None or result_status_of(result_of(call)) in RESULTS_OF.get(status, frozenset()),
        f"a result that agrees with {status}",
        result_status_of(result_of(call)),
        call,
    )


def _shown(case: Case, job_id: str) -> Status | None:
    """Return the status of a job whose result has come, as soon as it shows (it may lag); None when the job is forgotten."""
    patience = Patience(case.facts.settle)
    while True:
        call = case.attempt(case.requests.status(job_id))
        if call.error is not None or status_of(call) is Status.UNKNOWN:
            return None
        if status_of(call) in TERMINAL or patience.is_over():
            return status_of(call)
        patience.pause()


@covers("RES-04", tier="read-only")
@pytest.mark.parametrize("job_id", ["", str(uuid.UUID(int=0)), "no such job"])
def test_an_unknown_id_is_an_error(case: Case, job_id: str) -> None:
    """An unknown or empty id is an error, NOT_FOUND or INVALID_ARGUMENT."""
    call = case.result_call(job_id, timeout=min(3.0, case.deadlines.results))
    case.expect("RES-04", call.code in {"NOT_FOUND", "INVALID_ARGUMENT"}, "NOT_FOUND or INVALID_ARGUMENT", describe(call), call)


@covers("RES-05", tier="light")
@pytest.mark.parametrize("role", ["correlated", "user_failure"])
def test_a_second_fetch_does_not_differ(case: Case, role: str) -> None:
    """Fetched again, the result is the same, or the job is no longer known; never a different one."""
    ids = case.submit(role, count=3)
    case.finish(ids)
    first = {job_id: case.result_call(job_id) for job_id in ids}
    for job_id in reversed(ids):
        again = case.result_call(job_id)
        if first[job_id].error is None and again.error is None:
            agree = same(result_of(again), result_of(first[job_id]))
            case.expect("RES-05", agree, "the same result", "a different result", first[job_id], again)
    fetched = [describe(case.result_call(job_id)) for job_id in ids]
    case.observe("RES-05", f"a result fetched again gets {', '.join(sorted(set(fetched)))}")


@covers("RES-06")
@pytest.mark.parametrize("role", [pytest.param("quick", marks=pytest.mark.covers(tier="light")), "slow"])
def test_the_duration_is_plausible(case: Case, role: str) -> None:
    """The reported time on the hardware is above zero and no longer than the time that the job was seen alive."""
    watch = Stopwatch()
    (job_id,) = case.submit(case.needs(role))
    status = case.finish([job_id], within=case.profile.jobs[role].total)[job_id]
    alive = watch.seconds()
    call = case.result_call(job_id)
    if status is Status.SUCCEEDED and call.error is None:
        took = result_of(call).execution_duration_microseconds
        case.expect("RES-06", took > 0, "a duration above zero", f"{took} us", call)
        case.expect(
            "RES-06", took <= alive * 1e6, f"at most {alive * 1e6:.0f} us, the time it was seen alive", f"{took} us", call
        )


@covers("RES-01", tier="light")
def test_a_success_is_no_failure_message(case: Case) -> None:
    """Of jobs with different fates side by side, each result agrees with its own job's status."""
    roles = ["quick", case.needs("user_failure")] * 3
    ids = [case.submit(role)[0] for role in roles]
    ended = case.finish(ids)
    calls = {job_id: case.result_call(job_id) for job_id in reversed(ids)}
    for job_id, call in calls.items():
        expect_agreement(case, job_id, ended[job_id], call)
    found = {result_status_of(result_of(calls[job_id])) for job_id in ids[::2] if calls[job_id].error is None}
    case.expect("RES-01", found <= {ResultStatus.SUCCESS}, "SUCCESS for the good jobs", sorted(found))
