"""EST: estimates of the time that is left."""

from __future__ import annotations

import math
import time
from typing import cast

import pytest
from google.protobuf.duration_pb2 import Duration

from conformance.kit import Case, NotApplicableError, covers
from conformance.kit.answers import status_of
from conformance.kit.clock import Stopwatch
from conformance.kit.hold import held
from harness.call import Call
from harness.model import TERMINAL, Status
from harness.stubs import service_pb2 as pb


def estimate_of(call: Call) -> pb.EstimatedDelay | None:
    """Return the estimate in a status answer, if there is one."""
    response = cast("pb.GetControllerJobStatusResponse | None", call.response)
    if response is None or not response.HasField("estimated_job_completion_delay"):
        return None
    return response.estimated_job_completion_delay


def seconds(duration: Duration) -> float:
    """Return a protobuf duration in seconds."""
    return duration.seconds + duration.nanos / 1e9


def watched(case: Case) -> list[tuple[float, float, Call]]:
    """Poll jobs of several kinds through their lives; return (time before, time after, call) per status read, Unix seconds."""
    reads: list[tuple[float, float, Call]] = []
    roles = [role for role in ("quick", "slow", "post_processed", "user_failure") if role in case.profile.jobs]
    ids = [job_id for role in roles for job_id in case.submit(role)]
    limit = sum(case.profile.jobs[role].total * 2 for role in roles) + case.deadlines.state
    watch = Stopwatch()
    while ids and watch.seconds() < limit:
        for job_id in list(ids):
            before = time.time()
            call = case.attempt(case.requests.status(job_id))
            reads.append((before, time.time(), call))
            if call.error is not None or status_of(call) in TERMINAL:
                ids.remove(job_id)
        watch.wait_until(watch.seconds() + 0.01)
    if not any(estimate_of(call) for _, _, call in reads):
        raise NotApplicableError("the endpoint gives no estimates")
    return reads


@covers("EST-01")
def test_the_range_is_in_order(case: Case) -> None:
    """Where an estimate is given, 0 <= minimum <= maximum, and both are well-formed durations."""
    with held(case):
        queued = case.submit(count=4)
        calls = [case.attempt(case.requests.status(job_id)) for job_id in queued]
    for call in [*calls, *(call for _, _, call in watched(case))]:
        estimate = estimate_of(call)
        if estimate is None:
            continue
        low = seconds(estimate.minimum)
        # A bound that is not given is no bound.
        high = seconds(estimate.maximum) if estimate.HasField("maximum") else math.inf
        held_ = 0 <= low <= high and estimate.minimum.nanos >= 0 and estimate.maximum.nanos >= 0
        if not case.expect(
            "EST-01", held_, "0 <= minimum <= maximum", f"minimum {low:g} s, maximum {high:g} s ({status_of(call)})", call
        ):
            return


@covers("EST-02")
def test_now_is_the_time_of_the_estimate(case: Case) -> None:
    """`now` lies within the clock tolerance of the call, and moves back no further than that from call to call."""
    tolerance = case.facts.clock_tolerance
    last = 0.0
    for before, after, call in watched(case):
        estimate = estimate_of(call)
        if estimate is None or not estimate.HasField("now"):
            continue
        now = estimate.now.seconds + estimate.now.nanos / 1e9
        near = before - tolerance <= now <= after + tolerance
        if not case.expect("EST-02", near, f"within {tolerance:g} s of the call at {before:.3f}", f"{now:.3f}", call):
            return
        if not case.expect(
            "EST-02", now >= last - tolerance, f"at most {tolerance:g} s before an earlier one, {last:.6f}", f"{now:.6f}", call
        ):
            return
        last = max(last, now)


@covers("EST-02")
def test_now_moves_on(case: Case) -> None:
    """`now` follows the clock: over half a second of calls it moves on by about that much, within the tolerance."""
    job_id, *_ = case.submit(case.needs("slow"), count=2)
    watch = Stopwatch()
    first = case.attempt(case.requests.status(job_id))
    watch.wait_until(min(0.5, case.profile.jobs["slow"].duration / 2))
    second = case.attempt(case.requests.status(job_id))
    estimates = estimate_of(first), estimate_of(second)
    if estimates[0] is None or estimates[1] is None or not all(item and item.HasField("now") for item in estimates):
        raise NotApplicableError("the endpoint gives no estimates, or not their time")
    moved = seconds_between(estimates[0], estimates[1])
    passed = watch.seconds()
    slack = case.facts.clock_tolerance
    case.expect(
        "EST-02",
        -1e-6 <= moved <= passed + slack + 0.1,
        f"between 0 and {passed + slack:.2f} s later",
        f"{moved:.3f} s",
        first,
        second,
    )


def seconds_between(first: pb.EstimatedDelay, second: pb.EstimatedDelay) -> float:
    """Return how much later the second estimate says that it was made."""
    return (second.now.seconds - first.now.seconds) + (second.now.nanos - first.now.nanos) / 1e9


@covers("EST-03", tier="light")
@pytest.mark.parametrize("role", ["quick", "user_failure"])
def test_a_finished_job_has_no_time_left(case: Case, role: str) -> None:
    """A finished job carries no estimate, or zero."""
    ids = case.submit(case.needs(role), count=2)
    case.finish(ids)
    for job_id in ids:
        call = case.attempt(case.requests.status(job_id))
        estimate = estimate_of(call)
        if estimate is not None and status_of(call) in TERMINAL:
            left = seconds(estimate.minimum), seconds(estimate.maximum)
            case.expect("EST-03", left == (0, 0), "no estimate, or zero", f"{left[0]:g} to {left[1]:g} s", call)


@covers("EST-04")
def test_observe_calibration(case: Case) -> None:
    """The share of jobs whose completion fell inside the estimate made when they were queued, and how far off the others were."""
    roles = [role for role in ("quick", "slow") if role in case.profile.jobs]
    misses: list[float] = []
    inside = total = 0
    with held(case):
        ids = {job_id: Stopwatch() for role in roles for job_id in case.submit(role)}
        estimates = {job_id: estimate_of(case.attempt(case.requests.status(job_id))) for job_id in ids}
    for job_id, watch in ids.items():
        estimate = estimates[job_id]
        if estimate is None or case.wait_for(job_id, within=5 * case.profile.jobs["slow"].total) is not Status.SUCCEEDED:
            continue
        took, low, high = watch.seconds(), seconds(estimate.minimum), seconds(estimate.maximum)
        total += 1
        inside += low <= took <= high + 0.1
        misses += [max(low - took, took - high)] if not low <= took <= high + 0.1 else []
    off = f"; the others were off by up to {max(misses):.2f} s" if misses else ""
    case.observe("EST-04", f"{inside} of {total} jobs ended within their estimate{off}" if total else "no estimates were given")
