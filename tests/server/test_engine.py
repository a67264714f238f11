"""The rules of the queue, one by one: order, time, cancelling and look-up."""

from __future__ import annotations

import pytest

from harness.server.values import (
    SECOND,
    JobSpec,
    Phase,
    ResultStatus,
    Target,
    TargetKind,
)
from tests.server.engines import ALICE, MS, NOW, A, B, engine, phases, refused, request

# The life of a job


def test_jobs_run_one_after_the_other_in_order() -> None:
    subject = engine()
    ids = subject.submit(ALICE, request(3), NOW)
    assert phases(subject, ids, NOW) == [Phase.RUNNING, Phase.QUEUED, Phase.QUEUED]
    assert phases(subject, ids, NOW + 10 * MS - 1) == [Phase.RUNNING, Phase.QUEUED, Phase.QUEUED]
    assert phases(subject, ids, NOW + 10 * MS) == [Phase.SUCCEEDED, Phase.RUNNING, Phase.QUEUED]
    assert phases(subject, ids, NOW + 30 * MS) == [Phase.SUCCEEDED] * 3


def test_several_executors_run_several_jobs() -> None:
    subject = engine(executors=2)
    ids = subject.submit(ALICE, request(3), NOW)
    assert phases(subject, ids, NOW) == [Phase.RUNNING, Phase.RUNNING, Phase.QUEUED]
    assert phases(subject, ids, NOW + 10 * MS) == [Phase.SUCCEEDED, Phase.SUCCEEDED, Phase.RUNNING]


def test_a_late_wake_up_does_not_delay_anything() -> None:
    subject = engine()
    ids = subject.submit(ALICE, request(3), NOW)
    assert phases(subject, ids, NOW + 1000 * MS) == [Phase.SUCCEEDED] * 3
    result = subject.results(ids[2], A, NOW + 1000 * MS)
    assert result is not None
    assert result.execution == 10 * MS


def test_post_processing_does_not_hold_the_executor() -> None:
    subject = engine()
    ids = subject.submit(ALICE, request(2, JobSpec(10 * MS, post=5 * MS)), NOW)
    assert phases(subject, ids, NOW + 10 * MS) == [Phase.POST_PROCESSING, Phase.RUNNING]
    assert subject.results(ids[0], A, NOW + 10 * MS) is None
    assert phases(subject, ids, NOW + 15 * MS) == [Phase.SUCCEEDED, Phase.RUNNING]


@pytest.mark.parametrize("outcome", [ResultStatus.USER_FAILURE, ResultStatus.SERVICE_FAILURE])
def test_a_failing_job_fails_as_it_says(outcome: ResultStatus) -> None:
    subject = engine()
    (job_id,) = subject.submit(ALICE, request(1, JobSpec(10 * MS, outcome=outcome, message="why")), NOW)
    assert phases(subject, (job_id,), NOW + 10 * MS) == [Phase.FAILED]
    result = subject.results(job_id, A, NOW + 10 * MS)
    assert result is not None
    assert (result.status, result.message, result.memory) == (outcome, "why", b"memory 0")


def test_time_never_goes_backwards() -> None:
    subject = engine()
    (job_id,) = subject.submit(ALICE, request(), NOW)
    assert phases(subject, (job_id,), NOW + 10 * MS) == [Phase.SUCCEEDED]
    reply = subject.status(job_id, A, NOW)
    assert (reply.phase, reply.now) == (Phase.SUCCEEDED, NOW + 10 * MS)


def test_next_wake_is_when_something_happens() -> None:
    subject = engine()
    assert subject.next_wake() is None
    subject.submit(ALICE, request(1, JobSpec(10 * MS, post=5 * MS)), NOW)
    for wake in (NOW + 10 * MS, NOW + 15 * MS, NOW + 15 * MS + 100 * SECOND):
        assert subject.next_wake() == wake
        subject.take_effects()
        subject.advance(wake - 1)
        assert subject.take_effects() is None
        subject.advance(wake)
        assert subject.take_effects() is not None
    assert subject.next_wake() is None


# Timeouts


def test_a_job_is_evicted_at_its_timeout() -> None:
    subject = engine()
    ids = subject.submit(ALICE, request(2, JobSpec(SECOND, post=MS), timeout=(0, 5 * MS)), NOW)
    assert phases(subject, ids, NOW + 5 * MS) == [Phase.FAILED, Phase.RUNNING]
    result = subject.results(ids[0], A, NOW + 5 * MS)
    assert result is not None
    assert (result.status, result.execution) == (ResultStatus.USER_FAILURE, 5 * MS)
    assert "timeout of 0.005 s" in result.message


def test_waiting_does_not_count_towards_the_timeout() -> None:
    subject = engine()
    ids = subject.submit(ALICE, request(3, timeout=(0, 10 * MS)), NOW)
    assert phases(subject, ids, NOW + 30 * MS) == [Phase.SUCCEEDED] * 3


@pytest.mark.parametrize(
    ("estimate", "timeout", "enforced"),
    [
        (None, None, 60 * SECOND),
        (25 * MS, None, 25 * MS),
        (25 * MS, (1, 5), SECOND + 5),
        (None, (7200, 0), 3600 * SECOND),
        (7200 * SECOND, None, 3600 * SECOND),
    ],
)
def test_which_timeout_is_enforced(estimate: int | None, timeout: tuple[int, int] | None, enforced: int) -> None:
    subject = engine()
    (job_id,) = subject.submit(ALICE, request(1, JobSpec(80_000 * SECOND, estimate), timeout=timeout), NOW)
    assert phases(subject, (job_id,), NOW + enforced - 1) == [Phase.RUNNING]
    assert phases(subject, (job_id,), NOW + enforced) == [Phase.FAILED]


@pytest.mark.parametrize("timeout", [(0, 0), (-1, 0), (0, -1), (1, -1), (-1, 1), (0, SECOND), (315_576_000_001, 0)])
def test_a_timeout_that_is_none_is_refused(timeout: tuple[int, int]) -> None:
    code, message = refused(lambda: engine().submit(ALICE, request(timeout=timeout), NOW))
    assert (code, message.split(":")[0]) == ("INVALID_ARGUMENT", "options.timeout")


# Cancelling


def test_cancel_takes_the_waiting_and_passes_over_the_rest() -> None:
    subject = engine()
    done = subject.submit(ALICE, request(1, JobSpec(MS)), NOW)
    now = NOW + MS
    ids = subject.submit(ALICE, request(4, JobSpec(10 * MS, post=10 * MS)), now)
    subject.cancel([done[0], "nonsense", "", ids[0], ids[2], ids[2], ids[3]], A, now)
    assert phases(subject, done + ids, now) == [
        Phase.SUCCEEDED, Phase.RUNNING, Phase.QUEUED, Phase.CANCELED, Phase.CANCELED,
    ]  # fmt: skip
    subject.cancel(ids[:1], A, now + 10 * MS)
    assert phases(subject, ids[:2], now + 10 * MS) == [Phase.POST_PROCESSING, Phase.RUNNING]
    result = subject.results(ids[2], A, now)
    assert result is not None
    assert (result.status, result.execution) == (ResultStatus.USER_CANCELLATION, 0)


def test_cancel_on_another_processor_reaches_nothing() -> None:
    subject = engine()
    ids = subject.submit(ALICE, request(2), NOW)
    subject.cancel(ids, B, NOW)
    assert phases(subject, ids, NOW) == [Phase.RUNNING, Phase.QUEUED]


# Look-up


@pytest.mark.parametrize("call", ["status", "results"])
def test_looking_up_what_is_not_there(call: str) -> None:
    subject = engine()
    (job_id,) = subject.submit(ALICE, request(), NOW)
    look_up = getattr(subject, call)
    assert refused(lambda: look_up("", A, NOW))[0] == "INVALID_ARGUMENT"
    assert refused(lambda: look_up("nobody", A, NOW))[0] == "NOT_FOUND"
    assert refused(lambda: look_up(job_id, B, NOW))[0] == "NOT_FOUND"
    assert refused(lambda: look_up(job_id, None, NOW))[0] == "INVALID_ARGUMENT"
    assert refused(lambda: look_up(job_id, Target(TargetKind.PROCESSOR, "x"), NOW))[0] == "NOT_FOUND"


def test_a_server_that_is_no_gateway_does_without_targets() -> None:
    subject = engine(require_target=False)
    (job_id,) = subject.submit(ALICE, request(target=None), NOW)
    assert subject.status(job_id, None, NOW).phase is Phase.RUNNING
    assert subject.status(job_id, B, NOW).phase is Phase.RUNNING


def test_finished_jobs_are_forgotten_at_the_end_of_their_retention() -> None:
    subject = engine()
    (job_id,) = subject.submit(ALICE, request(), NOW)
    end = NOW + 10 * MS + 100 * SECOND
    assert phases(subject, (job_id,), end - 1) == [Phase.SUCCEEDED]
    assert refused(lambda: subject.status(job_id, A, end))[0] == "NOT_FOUND"


def test_the_oldest_finished_jobs_make_room_for_new_ones() -> None:
    subject = engine(max_finished=2)
    ids = subject.submit(ALICE, request(3), NOW)
    subject.advance(NOW + 30 * MS)
    assert refused(lambda: subject.status(ids[0], A, NOW + 30 * MS))[0] == "NOT_FOUND"
    assert phases(subject, ids[1:], NOW + 30 * MS) == [Phase.SUCCEEDED] * 2


def test_forget_leaves_jobs_that_are_not_finished() -> None:
    subject = engine()
    ids = subject.submit(ALICE, request(2), NOW)
    subject.forget([*ids, "nobody"], NOW + 10 * MS)
    assert subject.known_jobs == 1
