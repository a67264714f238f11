"""Mutants of the chapter UUID: which idempotency keys are taken for valid."""

# ruff: noqa: D101, D102  (the summary given to `mutant` is what is to be said of each)

from __future__ import annotations

from harness.ids import FREE_BITS, IdempotencyKey
from harness.server.engine import Engine
from harness.server.mutants.registry import mutant
from harness.server.refusal import Code, Refusal, invalid
from harness.server.state import KeyId, Scope
from harness.server.values import Caller, SubmitRequest

_FREE = sum(1 << bit for bit in FREE_BITS)


class _OtherRule(Engine):
    """An engine whose rule for valid keys is `accepts`."""

    def accepts(self, key: IdempotencyKey) -> bool:
        return key.is_valid

    def _check_key(self, key: IdempotencyKey | None, rpc: str) -> None:  # noqa: ARG002  (the rule is the same for both)
        if key is not None and not self.accepts(key):
            raise invalid(f"idempotency_key: {key} is not a version 4 UUID")


@mutant("uuid-rejects-variant-b", "UUID-01", "rejects valid keys whose variant nibble is b")
class RejectsVariantB(_OtherRule):
    def accepts(self, key: IdempotencyKey) -> bool:
        return key.is_valid and key.low >> 60 != 0xB


@mutant("uuid-rejects-zero-free-bits", "UUID-01", "rejects the valid key whose free bits are all zero")
class RejectsZeroFreeBits(_OtherRule):
    def accepts(self, key: IdempotencyKey) -> bool:
        return key.is_valid and bool((key.high << 64 | key.low) & _FREE)


@mutant("uuid-accepts-zero", "UUID-02", "accepts the zero UUID as a key")
class AcceptsZero(_OtherRule):
    def accepts(self, key: IdempotencyKey) -> bool:
        return key.is_valid or (key.high, key.low) == (0, 0)


@mutant("uuid-zero-means-unset", "UUID-02", "takes the zero UUID for no key at all")
class ZeroMeansUnset(AcceptsZero):
    def _key_id(self, scope: Scope, key: IdempotencyKey | None) -> KeyId | None:
        return None if key is None or (key.high, key.low) == (0, 0) else super()._key_id(scope, key)


@mutant("uuid-accepts-version-5", "UUID-03", "accepts version 5 besides version 4")
class AcceptsVersion5(_OtherRule):
    def accepts(self, key: IdempotencyKey) -> bool:
        return key.variant == 2 and key.version in {4, 5}


@mutant("uuid-version-unchecked", "UUID-03", "looks at the variant only")
class VersionUnchecked(_OtherRule):
    def accepts(self, key: IdempotencyKey) -> bool:
        return key.variant == 2


@mutant("uuid-variant-unchecked", "UUID-04", "looks at the version only")
class VariantUnchecked(_OtherRule):
    def accepts(self, key: IdempotencyKey) -> bool:
        return key.version == 4


@mutant("uuid-accepts-variant-c", "UUID-04", "accepts the variant nibbles c and d besides 8 to b")
class AcceptsVariantC(_OtherRule):
    def accepts(self, key: IdempotencyKey) -> bool:
        return key.version == 4 and key.low >> 60 in range(0x8, 0xE)


@mutant("uuid-halves-swapped", "UUID-05", "reads the two halves in the wrong order")
class HalvesSwapped(_OtherRule):
    def accepts(self, key: IdempotencyKey) -> bool:
        return key.swapped().is_valid


@mutant("uuid-bytes-reversed", "UUID-05", "reads each half little-endian")
class BytesReversed(_OtherRule):
    def accepts(self, key: IdempotencyKey) -> bool:
        return key.byte_reversed().is_valid


@mutant("uuid-accepts-mirror", "UUID-05", "accepts keys that are valid only with their halves swapped")
class AcceptsMirror(_OtherRule):
    def accepts(self, key: IdempotencyKey) -> bool:
        return key.is_valid or key.swapped().is_valid


@mutant("uuid-batch-unchecked", "UUID-06", "checks the key of single submissions only")
class BatchUnchecked(Engine):
    def _check_key(self, key: IdempotencyKey | None, rpc: str) -> None:
        if rpc == "single":
            super()._check_key(key, rpc)


@mutant("uuid-rejected-enqueues", "UUID-07", "queues the jobs of a submission that it rejects for its key")
class RejectedEnqueues(Engine):
    def submit(self, caller: Caller, request: SubmitRequest, now: int) -> tuple[str, ...]:
        try:
            return super().submit(caller, request, now)
        except Refusal:
            if request.key is not None and not request.key.is_valid:
                self._accept(None, [self._admit(caller, request, "")])
            raise


@mutant("uuid-wrong-code", "UUID-08", "answers FAILED_PRECONDITION to an invalid key, and names no field")
class WrongCode(Engine):
    def _check_key(self, key: IdempotencyKey | None, rpc: str) -> None:
        try:
            super()._check_key(key, rpc)
        except Refusal:
            raise Refusal(Code.FAILED_PRECONDITION, "bad request") from None
