"""UUID: which idempotency keys are keys at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import pytest
from google.protobuf.message import Message

from conformance.kit import Case, covers
from conformance.kit.answers import brief, describe, ids_of
from conformance.kit.oracles import counted_role, counting, expect_jobs
from harness.ids import IdempotencyKey
from harness.requests import wire_key
from harness.stubs import service_pb2 as pb

VALID_VARIANTS = (0x8, 0x9, 0xA, 0xB)
INVALID_VARIANTS = tuple(nibble for nibble in range(16) if nibble not in VALID_VARIANTS)
INVALID_VERSIONS = tuple(version for version in range(16) if version != 4)


class Submission(Protocol):
    """Makes a submission with a key."""

    def __call__(self, case: Case, key: pb.Uuid, role: str = "quick") -> Message:
        """Return the request."""


def single(case: Case, key: pb.Uuid, role: str = "quick") -> Message:
    """Return a single submission with this key."""
    request = case.requests.execute(role)
    request.idempotency_key.CopyFrom(key)
    return request


def batch(case: Case, key: pb.Uuid, role: str = "quick") -> Message:
    """Return a batch submission with this key."""
    request = case.requests.batch([case.requests.execute(role)])
    request.idempotency_key.CopyFrom(key)
    return request


either = pytest.mark.parametrize("submission", [pytest.param(single, id="single"), pytest.param(batch, id="batch")])


def requirement(submission: Submission, base: str) -> str:
    """Return the requirement that a finding belongs to: UUID-06 is about the batch's key."""
    return base if submission is single else "UUID-06"


@covers("UUID-01", "UUID-06", tier="light")
@either
def test_accepts_every_well_formed_key(case: Case, submission: Submission) -> None:
    """Every version 4 key is accepted: each variant nibble, free bits all zero, all one, and random ones."""
    keys = [IdempotencyKey(0, 0), IdempotencyKey((1 << 64) - 1, (1 << 64) - 1)]
    keys = [key.with_version(4).with_variant_nibble(nibble) for nibble in VALID_VARIANTS for key in keys]
    keys += [case.key().with_variant_nibble(nibble) for nibble in VALID_VARIANTS for _ in range(4)]
    for key in keys:
        case.accept(requirement(submission, "UUID-01"), submission(case, wire_key(key)), f"the well-formed key {key}")


@covers("UUID-02", "UUID-06", tier="light")
@either
def test_refuses_the_zero_key(case: Case, submission: Submission) -> None:
    """The zero UUID is refused, written out or as a message that is present but empty."""
    for key, how in ((pb.Uuid(high=0, low=0), "written out"), (pb.Uuid(), "present but empty")):
        case.refuse(requirement(submission, "UUID-02"), submission(case, key), f"the zero UUID, {how},")


@covers("UUID-03", "UUID-06", tier="light")
@either
def test_refuses_other_versions(case: Case, submission: Submission) -> None:
    """Each of the 15 other version nibbles is refused."""
    for version in INVALID_VERSIONS:
        key = case.key().with_version(version)
        case.refuse(requirement(submission, "UUID-03"), submission(case, wire_key(key)), f"version {version} ({key})")


@covers("UUID-04", "UUID-06", tier="light")
@either
def test_refuses_other_variants(case: Case, submission: Submission) -> None:
    """Each of the 12 nibbles of the three other variants is refused."""
    for nibble in INVALID_VARIANTS:
        key = case.key().with_variant_nibble(nibble)
        case.refuse(requirement(submission, "UUID-04"), submission(case, wire_key(key)), f"variant nibble {nibble:#x} ({key})")


@covers("UUID-05", "UUID-06", tier="light")
@either
def test_reads_halves_and_octets_in_order(case: Case, submission: Submission) -> None:
    """Halves and octets are read in RFC 9562 order: what is a key only when mirrored is refused, its mirror image is not."""
    rule = requirement(submission, "UUID-05")
    for mirror, name in ((IdempotencyKey.swapped, "halves swapped"), (IdempotencyKey.byte_reversed, "octets reversed")):
        key = _valid_one_way(case, mirror)
        case.accept(rule, submission(case, wire_key(key)), f"the key {key}")
        case.refuse(rule, submission(case, wire_key(mirror(key))), f"{mirror(key)}, a key only with its {name},")


def _valid_one_way(case: Case, mirror: Callable[[IdempotencyKey], IdempotencyKey]) -> IdempotencyKey:
    return next(key for key in iter(case.key, None) if not mirror(key).is_valid)


BAD_KEYS = pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _: IdempotencyKey(0, 0), id="zero"),
        pytest.param(lambda key: key.with_version(1), id="version"),
        pytest.param(lambda key: key.with_variant_nibble(0xC), id="variant"),
    ],
)


@covers("UUID-07", exclusive=True, tier="light")
@either
@BAD_KEYS
def test_a_refused_key_queues_nothing(
    case: Case, submission: Submission, damage: Callable[[IdempotencyKey], IdempotencyKey]
) -> None:
    """A request that is refused for its key queues nothing."""
    request = submission(case, wire_key(damage(case.key())), counted_role(case))
    with counting(case) as count:
        call = case.attempt(request)
    queued = len(ids_of(call))
    expect_jobs(case, "UUID-07", count, queued, f"after an invalid key was answered {describe(call)}")


@covers("UUID-07", tier="light")
@either
def test_a_refused_request_does_not_burn_its_key(case: Case, submission: Submission) -> None:
    """The well-formed part of a refused request is as good as new: its key, once repaired, submits and replays."""
    for _ in range(3):
        key = case.key()
        case.attempt(submission(case, wire_key(key.with_version(7))))
        case.attempt(submission(case, wire_key(key.with_variant_nibble(0x2))))
        first = case.accept("UUID-07", submission(case, wire_key(key)), f"the repaired key {key}")
        again = case.accept("UUID-07", submission(case, wire_key(key)), f"the repaired key {key}, replayed,")
        ids = ids_of(first)
        case.expect(
            "UUID-07",
            len(ids) == 1 and ids == ids_of(again),
            "one job, replayed",
            f"{brief(ids)} and {brief(ids_of(again))}",
            first,
            again,
        )


@covers("UUID-08", tier="light")
@either
def test_the_refusal_is_helpful(case: Case, submission: Submission) -> None:
    """The refusal is INVALID_ARGUMENT, and its message names the field."""
    for key in (IdempotencyKey(0, 0), case.key().with_version(1), case.key().with_variant_nibble(0)):
        call = case.attempt(submission(case, wire_key(key)))
        if call.error is None:
            continue
        case.expect("UUID-08", call.code == "INVALID_ARGUMENT", "INVALID_ARGUMENT", call.code, call)
        text = call.error.message.lower().replace(" ", "_")
        named = any(word in text for word in ("idempotency_key", "idempotencykey", "uuid"))
        case.expect("UUID-08", named, "a message that names idempotency_key", repr(call.error.message), call)
