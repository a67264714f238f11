"""Idempotency keys: RFC 9562 version 4 UUIDs as the two 64-bit halves that travel on the wire.

Pure: randomness comes in as a generator, so a seed repeats every key.
"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass

_MASK = (1 << 64) - 1
VERSION_BITS = range(12, 16)
"""Bits of `high` that hold the version nibble, least significant first (UUID-03)."""
VARIANT_BITS = range(62, 64)
"""Bits of `low` that hold the variant (UUID-04)."""


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """128 bits: `high` is octets 0..7 read big-endian, `low` octets 8..15 (spec: `Uuid`). May hold an invalid UUID."""

    high: int
    low: int

    def __post_init__(self) -> None:
        if not (0 <= self.high <= _MASK and 0 <= self.low <= _MASK):
            raise ValueError(f"halves must be unsigned 64-bit integers, got {self.high:#x} and {self.low:#x}")

    @property
    def version(self) -> int:
        """The version nibble, 0..15."""
        return self.high >> 12 & 0xF

    @property
    def variant(self) -> int:
        """The two variant bits, 0..3; RFC 9562 keys have 2 (0b10)."""
        return self.low >> 62

    @property
    def is_valid(self) -> bool:
        """Whether this is a version 4 UUID of the RFC 9562 variant (zero is not)."""
        return self.version == 4 and self.variant == 2

    def to_uuid(self) -> uuid.UUID:
        """Return the same 128 bits as a standard library UUID."""
        return uuid.UUID(int=self.high << 64 | self.low)

    @staticmethod
    def from_uuid(value: uuid.UUID) -> IdempotencyKey:
        """Split a UUID into its halves."""
        return IdempotencyKey(value.int >> 64, value.int & _MASK)

    def with_version(self, version: int) -> IdempotencyKey:
        """Return a copy with another version nibble (0..15)."""
        return IdempotencyKey(self.high & ~0xF000 | version << 12, self.low)

    def with_variant_nibble(self, nibble: int) -> IdempotencyKey:
        """Return a copy whose top four bits of `low` are `nibble` (8..11 are the valid ones)."""
        return IdempotencyKey(self.high, self.low & ~(0xF << 60) | nibble << 60)

    def swapped(self) -> IdempotencyKey:
        """Return the key with its halves exchanged (UUID-05)."""
        return IdempotencyKey(self.low, self.high)

    def byte_reversed(self) -> IdempotencyKey:
        """Return the key with the octets of each half in reverse order (UUID-05)."""
        return IdempotencyKey(_reverse_octets(self.high), _reverse_octets(self.low))

    def flipped(self, bit: int) -> IdempotencyKey:
        """Return the key with one bit flipped: 0..63 in `low`, 64..127 in `high` (IDEM-08)."""
        value = self.high << 64 | self.low
        value ^= 1 << bit
        return IdempotencyKey(value >> 64, value & _MASK)

    def __str__(self) -> str:
        return str(self.to_uuid())


FREE_BITS = tuple(bit for bit in range(128) if bit not in {62, 63, 76, 77, 78, 79})
"""The 122 bits, numbered as in `IdempotencyKey.flipped`, that neither version nor variant fixes."""


def random_key(rng: random.Random) -> IdempotencyKey:
    """Draw a valid version 4 key."""
    high, low, variant = rng.getrandbits(64), rng.getrandbits(64), 8 | rng.getrandbits(2)
    return IdempotencyKey(high & ~0xF000 | 4 << 12, low & ~(0xF << 60) | variant << 60)


def _reverse_octets(half: int) -> int:
    return int.from_bytes(half.to_bytes(8, "big"), "little")
