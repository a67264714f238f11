"""The rules of the queue, one by one: what is taken in, and what a key does."""

from __future__ import annotations

import pytest

from harness.ids import IdempotencyKey
from harness.server.values import (
    SECOND,
    BatchRequest,
    JobSpec,
    Phase,
    SubmitRequest,
    Target,
    TargetKind,
)
from tests.server.engines import ALICE, KEY, MS, NOW, ROOT, A, B, engine, phases, refused, request

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
