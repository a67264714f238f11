"""The rules of the queue, one by one."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from harness.ids import IdempotencyKey, random_key
from harness.server.engine import Engine
from harness.server.lifecycle import EngineConfig
from harness.server.refusal import Refusal
from harness.server.values import (
    MILLISECOND,
    SECOND,
    BatchRequest,
    Caller,
    JobSpec,
    Phase,
    PlannedJob,
    ResultStatus,
    SubmitRequest,
    Target,
    TargetKind,
)

MS = MILLISECOND
CONFIG = EngineConfig(
    processors=("a", "b"),
    endpoints={"end-b": "b"},
    require_target=True,
    executors=1,
    capacity=4,
    default_timeout=60 * SECOND,
    max_timeout=3600 * SECOND,
    retention=100 * SECOND,
    max_finished=1000,
)
A = Target(TargetKind.PROCESSOR, "a")
B = Target(TargetKind.PROCESSOR, "b")
ALICE, ROOT = Caller("alice", False), Caller("root", True)
NOW = 1_700_000_000 * SECOND
KEY = random_key(random.Random(4))  # noqa: S311
TEN = JobSpec(10 * MS)


def engine(**changes: Any) -> Engine:
    return Engine(replace(CONFIG, **changes), random.Random(7).getrandbits)  # noqa: S311


def jobs(count: int, spec: JobSpec = TEN) -> tuple[PlannedJob, ...]:
    return tuple(PlannedJob(spec, f"memory {index}".encode()) for index in range(count))


def request(count: int = 1, spec: JobSpec = TEN, **details: Any) -> SubmitRequest:
    return SubmitRequest(jobs(count, spec), **({"target": A} | details))


def phases(subject: Engine, ids: tuple[str, ...], now: int, target: Target = A) -> list[Phase]:
    return [subject.status(job_id, target, now).phase for job_id in ids]


def refused(call: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value.code.name, caught.value.message


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


# Submission


@pytest.mark.parametrize("rpc", ["single", "batch"])
@pytest.mark.parametrize(
    "key", [IdempotencyKey(0, 0), KEY.with_version(5), KEY.with_variant_nibble(0xC), KEY.with_variant_nibble(7)], ids=str
)
def test_an_invalid_key_is_refused_first_and_names_the_field(rpc: str, key: IdempotencyKey) -> None:
    subject = engine()
    bad = request(0, key=key, target=None)
    call = (lambda: subject.submit(ALICE, bad, NOW)) if rpc == "single" else (
        lambda: subject.submit_batch(ALICE, BatchRequest((), key), NOW)
    )  # fmt: skip
    code, message = refused(call)
    assert (code, message.split(":")[0]) == ("INVALID_ARGUMENT", "idempotency_key")
    assert subject.known_jobs == subject.known_keys == 0


@pytest.mark.parametrize(
    ("bad", "code", "field"),
    [
        (request(0), "INVALID_ARGUMENT", "execution_configurations"),
        (request(has_job=False), "INVALID_ARGUMENT", "job"),
        (request(target=None), "INVALID_ARGUMENT", "target"),
        (request(target=Target(TargetKind.ENDPOINT, "")), "INVALID_ARGUMENT", "target"),
        (request(target=Target(TargetKind.PROCESSOR, "x")), "NOT_FOUND", "quantum_processor_id"),
        (request(target=Target(TargetKind.ENDPOINT, "a")), "NOT_FOUND", "endpoint_id"),
        (request(spec=JobSpec(MS, touches_settings=True)), "FAILED_PRECONDITION", "job"),
        (request(bypass=True), "PERMISSION_DENIED", "options.bypass_settings_protection"),
    ],
)
def test_what_a_submission_needs(bad: SubmitRequest, code: str, field: str) -> None:
    subject = engine()
    found, message = refused(lambda: subject.submit(ALICE, bad, NOW))
    assert (found, message.split(":")[0]) == (code, field)
    found, message = refused(lambda: subject.submit_batch(ALICE, BatchRequest((request(), bad)), NOW))
    assert (found, message.split(":")[0]) == (code, f"requests[1].{field}")
    assert subject.known_jobs == 0


def test_protected_settings_need_the_option_and_the_authority() -> None:
    touching = request(spec=JobSpec(MS, touches_settings=True), bypass=True)
    assert len(engine().submit(ROOT, touching, NOW)) == 1
    assert refused(lambda: engine().submit(ALICE, touching, NOW))[0] == "PERMISSION_DENIED"


def test_an_endpoint_is_another_name_of_its_processor() -> None:
    subject = engine()
    (job_id,) = subject.submit(ALICE, request(target=Target(TargetKind.ENDPOINT, "end-b")), NOW)
    assert phases(subject, (job_id,), NOW, B) == [Phase.RUNNING]


def test_an_empty_batch_is_refused() -> None:
    assert refused(lambda: engine().submit_batch(ALICE, BatchRequest(()), NOW)) == (
        "INVALID_ARGUMENT",
        "requests: needs at least one",
    )


def test_room_is_counted_in_waiting_jobs() -> None:
    subject = engine()
    assert refused(lambda: subject.submit(ALICE, request(6), NOW))[0] == "RESOURCE_EXHAUSTED"
    ids = subject.submit(ALICE, request(5), NOW)
    assert refused(lambda: subject.submit(ALICE, request(1, key=KEY), NOW))[0] == "RESOURCE_EXHAUSTED"
    assert subject.known_jobs == 5
    subject.cancel(ids[4:], A, NOW)
    assert len(subject.submit(ALICE, request(1, key=KEY), NOW)) == 1


def test_room_is_all_or_nothing_over_a_batch_that_spans_processors() -> None:
    subject = engine()
    fits = BatchRequest((request(3), request(5, target=B), request(2)))
    too_much = BatchRequest((request(3), request(5, target=B), request(3)))
    assert refused(lambda: subject.submit_batch(ALICE, too_much, NOW))[0] == "RESOURCE_EXHAUSTED"
    assert subject.known_jobs == 0
    assert list(map(len, subject.submit_batch(ALICE, fits, NOW))) == [3, 5, 2]


def test_ids_look_like_uuids_and_differ() -> None:
    subject = engine(capacity=1000)
    ids = subject.submit(ALICE, request(500), NOW) + subject.submit(ALICE, request(500), NOW)
    assert len(set(ids)) == 1000
    assert all(len(one) == 36 and one[14] == "4" and one[19] in "89ab" for one in ids)


# Idempotency


def test_a_key_replays_even_when_the_queue_is_full() -> None:
    subject = engine()
    ids = subject.submit(ALICE, request(5, key=KEY), NOW)
    assert subject.submit(ALICE, request(5, key=KEY), NOW + MS) == ids
    assert (subject.known_jobs, subject.replays) == (5, 1)


def test_a_key_replays_the_original_whatever_is_asked_now() -> None:
    subject = engine()
    ids = subject.submit(ALICE, request(2, key=KEY), NOW)
    assert subject.submit(ALICE, request(0, key=KEY, has_job=False), NOW) == ids


def test_without_a_key_the_same_request_is_other_jobs() -> None:
    subject = engine()
    assert subject.submit(ALICE, request(), NOW) != subject.submit(ALICE, request(), NOW)


def test_a_key_belongs_to_caller_call_and_target() -> None:
    subject = engine(capacity=100)
    first = subject.submit(ALICE, request(key=KEY), NOW)
    others = [
        subject.submit(ROOT, request(key=KEY), NOW),
        subject.submit(ALICE, request(key=KEY, target=B), NOW),
        subject.submit_batch(ALICE, BatchRequest((request(),), KEY), NOW)[0],
    ]
    assert len({first, *others}) == 4
    assert subject.submit(ALICE, request(key=KEY, target=Target(TargetKind.ENDPOINT, "end-b")), NOW) == others[1]


def test_a_batch_key_replays_every_member_in_order() -> None:
    subject = engine()
    batch = BatchRequest((request(2), request(3, target=B), request(1)), KEY)
    groups = subject.submit_batch(ALICE, batch, NOW)
    assert subject.submit_batch(ALICE, batch, NOW) == groups
    assert subject.known_jobs == 6


def test_keys_inside_a_batch_do_not_count() -> None:
    subject = engine(capacity=100)
    used = subject.submit(ALICE, request(key=KEY), NOW)
    bad = IdempotencyKey(0, 0)
    groups = subject.submit_batch(ALICE, BatchRequest((request(key=KEY), request(key=KEY), request(key=bad))), NOW)
    assert len({used, *groups}) == 4
    assert subject.known_keys == 1


def test_a_failed_submission_does_not_burn_its_key() -> None:
    subject = engine()
    refused(lambda: subject.submit(ALICE, request(0, key=KEY), NOW))
    refused(lambda: subject.submit(ALICE, request(9, key=KEY), NOW))
    assert subject.known_keys == 0
    assert len(subject.submit(ALICE, request(2, key=KEY), NOW)) == 2


def test_a_key_lives_as_long_as_any_of_its_ids() -> None:
    subject = engine()
    ids = subject.submit(ALICE, request(3, key=KEY), NOW)
    subject.cancel(ids[1:], A, NOW)
    subject.forget(ids[1:], NOW)
    assert subject.known_jobs == 1
    assert subject.submit(ALICE, request(3, key=KEY), NOW) == ids
    end = NOW + 10 * MS + 100 * SECOND
    assert subject.submit(ALICE, request(3, key=KEY), end - 1) == ids
    assert subject.submit(ALICE, request(3, key=KEY), end) != ids


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
