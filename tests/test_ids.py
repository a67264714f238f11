"""Idempotency keys against RFC 9562 as the standard library knows it."""

from __future__ import annotations

import random
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.ids import FREE_BITS, VARIANT_BITS, VERSION_BITS, IdempotencyKey, random_key

HALVES = st.integers(0, (1 << 64) - 1)
ANY_KEY = st.builds(IdempotencyKey, HALVES, HALVES)
VALID_KEY = st.integers().map(lambda seed: random_key(random.Random(seed)))  # noqa: S311 -- repeatable, not secret


@given(ANY_KEY)
def test_halves_are_the_octets_in_order(key: IdempotencyKey) -> None:
    octets = key.to_uuid().bytes
    assert (key.high, key.low) == (int.from_bytes(octets[:8], "big"), int.from_bytes(octets[8:], "big"))
    assert IdempotencyKey.from_uuid(key.to_uuid()) == key
    assert IdempotencyKey.from_uuid(uuid.UUID(str(key))) == key


@given(ANY_KEY)
def test_validity_is_that_of_the_standard_library(key: IdempotencyKey) -> None:
    value = key.to_uuid()
    assert key.is_valid == (value.variant == uuid.RFC_4122 and value.version == 4)


@given(VALID_KEY)
def test_drawn_keys_are_valid(key: IdempotencyKey) -> None:
    assert key.is_valid


@given(st.integers())
def test_a_seed_repeats_its_keys(seed: int) -> None:
    one, two = random.Random(seed), random.Random(seed)  # noqa: S311
    assert [random_key(one) for _ in range(3)] == [random_key(two) for _ in range(3)]


def test_drawn_keys_use_all_free_bits() -> None:
    rng = random.Random(7)  # noqa: S311
    keys = [random_key(rng).to_uuid().int for _ in range(200)]
    varying = {bit for bit in range(128) if len({key >> bit & 1 for key in keys}) == 2}
    assert varying == set(FREE_BITS)


@given(ANY_KEY, st.integers(0, 127))
def test_a_flip_changes_one_bit_and_undoes_itself(key: IdempotencyKey, bit: int) -> None:
    flipped = key.flipped(bit)
    assert flipped.to_uuid().int ^ key.to_uuid().int == 1 << bit
    assert flipped.flipped(bit) == key


@given(VALID_KEY, st.integers(0, 127))
def test_exactly_the_free_bits_may_flip(key: IdempotencyKey, bit: int) -> None:
    assert key.flipped(bit).is_valid == (bit in FREE_BITS)


def test_fixed_and_free_bits_make_up_the_key() -> None:
    fixed = {64 + bit for bit in VERSION_BITS} | set(VARIANT_BITS)
    assert len(FREE_BITS) == 122
    assert fixed.isdisjoint(FREE_BITS)
    assert fixed | set(FREE_BITS) == set(range(128))


@given(VALID_KEY, st.integers(0, 15))
def test_only_version_4_is_valid(key: IdempotencyKey, version: int) -> None:
    other = key.with_version(version)
    assert other.version == other.to_uuid().int >> 76 & 15 == version
    assert other.is_valid == (version == 4)
    assert other.with_version(4) == key


@given(VALID_KEY, st.integers(0, 15))
def test_only_four_variant_nibbles_are_valid(key: IdempotencyKey, nibble: int) -> None:
    other = key.with_variant_nibble(nibble)
    assert other.variant == nibble >> 2
    assert other.is_valid == (nibble in {8, 9, 10, 11})


@given(ANY_KEY)
def test_mirror_images_undo_themselves(key: IdempotencyKey) -> None:
    assert key.swapped().swapped() == key
    assert key.byte_reversed().byte_reversed() == key
    assert key.byte_reversed().to_uuid().bytes == key.to_uuid().bytes[7::-1] + key.to_uuid().bytes[:7:-1]


def test_zero_is_not_valid() -> None:
    assert not IdempotencyKey(0, 0).is_valid


@pytest.mark.parametrize(("high", "low"), [(-1, 0), (0, -1), (1 << 64, 0), (0, 1 << 64)])
def test_halves_have_64_bits(high: int, low: int) -> None:
    with pytest.raises(ValueError, match="unsigned 64-bit"):
        IdempotencyKey(high, low)
