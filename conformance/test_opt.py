"""OPT: timeouts, eviction and protected settings."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message

from conformance.kit import Case, UnobservableError, covers
from conformance.kit.answers import describe, ids_of, result_of, result_status_of
from conformance.kit.clock import Stopwatch
from conformance.kit.hold import held
from conformance.kit.waiting import Patience
from harness.call import Call
from harness.client import ControllerClient
from harness.model import TERMINAL, ResultStatus, Status

FRACTION = 4
"""A timeout is set to this part of the `slow` job's length."""


@covers("OPT-01")
def test_a_running_job_is_evicted_at_its_timeout(case: Case) -> None:
    """A job longer than its timeout is evicted: terminal, not SUCCEEDED, near the timeout rather than the job's length."""
    length = case.profile.jobs[case.needs("slow")].duration
    timeout = length / FRACTION
    (job_id,) = case.submit("slow", timeout=timeout)
    case.wait_for(job_id, Status.RUNNING)
    watch, seen_running = Stopwatch(), 0.0
    patience = Patience(length + case.deadlines.state)
    while (read := _status_at(case, job_id, watch))[1] not in TERMINAL and not patience.is_over():
        seen_running = read[0] if read[1] is Status.RUNNING else seen_running
        patience.pause()
    case.expect("OPT-01", read[1] in TERMINAL - {Status.SUCCEEDED}, "FAILED or CANCELED", read[1])
    limit = (timeout + length) / 2
    call = case.result_call(job_id)
    ran = _reported_duration(call)
    case.expect(
        "OPT-01",
        seen_running < limit,
        f"off the hardware {timeout:g} s after it began (it is {length:g} s long)",
        f"RUNNING at {seen_running:.3f} s",
    )
    case.expect(
        "OPT-01",
        ran is None or ran < limit,
        f"at most about {timeout:g} s on the hardware",
        f"{ran} s, by the endpoint's own figure",
    )
    if call.error is None:
        status = result_status_of(result_of(call))
        case.expect("OPT-01", status not in {ResultStatus.SUCCESS, ResultStatus.UNKNOWN}, "a failure", status)


def _status_at(case: Case, job_id: str, watch: Stopwatch) -> tuple[float, Status]:
    """Return the status and the time at which it was asked for: the job had it then or later."""
    asked = watch.seconds()
    return asked, case.status(job_id)


def _reported_duration(call: Call) -> float | None:
    """Return the seconds on the hardware that a results call reports; None when it reports none."""
    micros = result_of(call).execution_duration_microseconds if call.error is None else 0
    return micros / 1e6 if micros else None


@covers("OPT-01", tier="light")
def test_a_job_within_its_timeout_is_left_alone(case: Case) -> None:
    """A job that is shorter than its timeout runs to its end."""
    length = case.profile.jobs["quick"].total
    (job_id,) = case.submit("quick", timeout=length * 1000 + 10)
    ended = case.finish([job_id])[job_id]
    case.expect("OPT-01", ended is Status.SUCCEEDED, "SUCCEEDED", ended)


@covers("OPT-02")
def test_the_timeout_counts_running_time_only(case: Case) -> None:
    """A job that waits in the queue for longer than its timeout still runs."""
    slow = case.profile.jobs[case.needs("slow")]
    quick = case.profile.jobs["quick"]
    timeout = max(quick.duration * 20, slow.duration / 8)
    if timeout >= slow.duration / 2:
        raise UnobservableError("the `slow` job is too short, compared with `quick`, to outlast a timeout in the queue")
    with held(case):
        (job_id,) = case.submit("quick", timeout=timeout)
        watch = Stopwatch()
        watch.wait_until(timeout * 1.5)
        status = case.status(job_id)
        case.expect("OPT-02", status is Status.QUEUED, f"QUEUED after {timeout * 1.5:.3f} s in the queue", status)
    ended = case.finish([job_id], within=slow.total)[job_id]
    case.expect(
        "OPT-02",
        ended is Status.SUCCEEDED,
        f"SUCCEEDED, although it was queued for longer than its timeout of {timeout:g} s",
        ended,
    )


@covers("OPT-03")
def test_without_a_timeout_a_job_runs_to_its_end(case: Case) -> None:
    """Without a timeout, a job within the service's default runs to its end."""
    roles = [role for role in ("quick", "slow") if role in case.profile.jobs]
    for role in roles:
        (job_id,) = case.submit(role)
        ended = case.finish([job_id], within=case.profile.jobs[role].total)[job_id]
        case.expect("OPT-03", ended is Status.SUCCEEDED, f"the {role} job: SUCCEEDED", ended)


RPCS = pytest.mark.parametrize("rpc", ["single", "batch"])


@covers("OPT-04", tier="light")
@RPCS
def test_protected_settings_need_the_bypass(case: Case, rpc: str) -> None:
    """A job that changes protected settings is rejected without the bypass, by an error or as a failed job."""
    _expect_rejected(case, case.client, rpc, bypass=False, when="without bypass_settings_protection")


@covers("OPT-04", tier="light")
@RPCS
def test_the_bypass_needs_authority(case: Case, rpc: str) -> None:
    """With the bypass but without the authority, the job is rejected."""
    client = case.connect("without authority", identity=_identity(case, may_bypass=False))
    _expect_rejected(case, client, rpc, bypass=True, when="with the bypass, without the authority")


@covers("OPT-04", tier="light")
@RPCS
def test_the_bypass_with_authority_is_accepted(case: Case, rpc: str) -> None:
    """With the bypass and the authority, the job is accepted and runs."""
    client = case.connect("with authority", identity=_identity(case, may_bypass=True))
    request = _protected(case, rpc, bypass=True)
    call = case.accept("OPT-04", request, "a job that changes protected settings, with bypass and authority", client=client)
    for job_id in ids_of(call):
        ended = case.finish([job_id])[job_id]
        case.expect("OPT-04", ended is Status.SUCCEEDED, "SUCCEEDED", ended, call)


def _identity(case: Case, *, may_bypass: bool) -> str:
    for name, identity in case.profile.identities.items():
        if identity.may_bypass_settings_protection is may_bypass and not identity.expired:
            return name
    raise UnobservableError(f"the profile has no identity with may_bypass_settings_protection: {str(may_bypass).lower()}")


def _protected(case: Case, rpc: str, *, bypass: bool) -> Message:
    request = case.requests.execute(case.needs("protected"), bypass=bypass)
    return request if rpc == "single" else case.requests.batch([request])


def _expect_rejected(case: Case, client: ControllerClient, rpc: str, *, bypass: bool, when: str) -> None:
    call = case.attempt(_protected(case, rpc, bypass=bypass), client=client)
    for job_id in ids_of(call):
        ended = case.finish([job_id])[job_id]
        case.expect("OPT-04", ended is not Status.SUCCEEDED, f"rejected {when}, at submission or as a failed job", ended, call)


@covers("OPT-05", tier="light")
def test_observe_odd_timeouts(case: Case) -> None:
    """What timeouts of zero, below zero and far above any maximum get."""
    for seconds, name in ((0.0, "zero"), (-1.0, "negative"), (1e9, "30-year")):
        call = case.attempt(case.requests.execute("quick", timeout=seconds))
        fate = describe(call)
        for job_id in ids_of(call):
            fate += f", and the job ends {case.finish([job_id])[job_id]}"
        case.observe("OPT-05", f"a {name} timeout gets {fate}")
