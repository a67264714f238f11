"""Mutants of the chapter IDEM: what a key means, on the level of the engine."""

# ruff: noqa: D101, D102  (the summary given to `mutant` is what is to be said of each)

from __future__ import annotations

from collections.abc import Callable, Iterable

from harness.ids import IdempotencyKey
from harness.server.engine import Engine, Groups
from harness.server.lifecycle import EngineConfig
from harness.server.mutants.registry import mutant
from harness.server.refusal import Code, Refusal
from harness.server.state import Event, Job, KeyId, KeyRecord, Scope
from harness.server.values import MILLISECOND, Caller, Phase, Result, SubmitRequest


@mutant("idem-key-ignored", "IDEM-01", "never replays a single submission")
class KeyIgnored(Engine):
    def _key_id(self, scope: Scope, key: IdempotencyKey | None) -> KeyId | None:
        return super()._key_id(scope, key) if scope.rpc == "batch" else None


@mutant("idem-replay-reversed", "IDEM-01", "replays the ids of a request in reverse order")
class ReplayReversed(Engine):
    def _replay(self, record: KeyRecord, now: int) -> Groups:
        return tuple(ids[::-1] for ids in super()._replay(record, now))


@mutant("idem-fresh-replay-1-in-20", "IDEM-01", "takes every 20th replay for a new submission")
class FreshReplay(Engine):
    def __init__(self, config: EngineConfig, random_bits: Callable[[int], int]) -> None:
        super().__init__(config, random_bits)
        self._found = 0

    def _find(self, key: KeyId | None) -> KeyRecord | None:
        record = super()._find(key)
        if record is not None:
            self._found += 1
            if self._found % 20 == 0:
                self._drop_key(record)
                return None
        return record


@mutant("idem-replay-enqueues", "IDEM-02", "returns the original ids on a replay, and queues the jobs once more")
class ReplayEnqueues(Engine):
    def submit(self, caller: Caller, request: SubmitRequest, now: int) -> tuple[str, ...]:
        replays = self.replays
        ids = super().submit(caller, request, now)
        if self.replays > replays:
            self._accept(None, [self._admit(caller, request, "")])
        return ids


@mutant("idem-failure-burns-key", "IDEM-03", "refuses a key for ever once a submission with it has failed")
class FailureBurnsKey(Engine):
    def __init__(self, config: EngineConfig, random_bits: Callable[[int], int]) -> None:
        super().__init__(config, random_bits)
        self._burnt: set[IdempotencyKey] = set()

    def submit(self, caller: Caller, request: SubmitRequest, now: int) -> tuple[str, ...]:
        if request.key in self._burnt:
            raise Refusal(Code.FAILED_PRECONDITION, "idempotency_key: has failed before")
        try:
            return super().submit(caller, request, now)
        except Refusal:
            if request.key is not None:
                self._burnt.add(request.key)
            raise


class _Expiring(Engine):
    """Forgets the keys of jobs earlier than allowed."""

    def _expire_key(self, job: Job) -> None:
        if job.key is not None:
            self._drop_key(job.key)


@mutant("idem-expires-while-running", "IDEM-05", "forgets a key once one of its jobs has been running for 20 ms")
class ExpiresWhileRunning(Engine):
    def _find(self, key: KeyId | None) -> KeyRecord | None:
        record = super()._find(key)
        if record is None or not any(map(self._has_run, (job_id for ids in record.groups for job_id in ids))):
            return record
        self._drop_key(record)
        return None

    def _has_run(self, job_id: str) -> bool:
        job = self._jobs.get(job_id)
        return job is not None and job.phase is Phase.RUNNING and self.now - job.started > 20 * MILLISECOND


@mutant("idem-expires-at-post-processing", "IDEM-05", "forgets a key when its job leaves the hardware")
class ExpiresAtPostProcessing(_Expiring):
    def _move(self, job: Job, event: Event) -> None:
        super()._move(job, event)
        if event is Event.LEAVE:
            self._expire_key(job)


@mutant("idem-expires-at-completion", "IDEM-05", "forgets a key when its job is finished")
class ExpiresAtCompletion(_Expiring):
    def _conclude(self, job: Job, at: int) -> None:
        super()._conclude(job, at)
        self._expire_key(job)


@mutant("idem-expires-at-fetch", "IDEM-06", "forgets a key when the results of one of its jobs are fetched")
class ExpiresAtFetch(_Expiring):
    def result_of(self, job: Job) -> Result:
        self._expire_key(job)
        return super().result_of(job)


@mutant("idem-expires-with-first-sibling", "IDEM-06", "forgets a key of several jobs when the first of them is finished")
class ExpiresWithFirstSibling(_Expiring):
    def _conclude(self, job: Job, at: int) -> None:
        super()._conclude(job, at)
        if job.key is not None and sum(map(len, job.key.groups)) > 1:
            self._expire_key(job)


@mutant("idem-expires-with-cancelled-sibling", "IDEM-06", "forgets a key of several jobs when one of them is cancelled")
class ExpiresWithCancelledSibling(_Expiring):
    def _cancel(self, job: Job) -> None:
        super()._cancel(job)
        if job.key is not None and sum(map(len, job.key.groups)) > 1:
            self._expire_key(job)


@mutant("idem-expires-when-cancelled", "IDEM-11", "forgets a key when all of its jobs are cancelled")
class ExpiresWhenCancelled(_Expiring):
    def _cancel(self, job: Job) -> None:
        super()._cancel(job)
        record = job.key
        if record is not None:
            jobs = [self._jobs[job_id] for ids in record.groups for job_id in ids if job_id in self._jobs]
            if all(one.phase is Phase.CANCELED for one in jobs):
                self._drop_key(record)


@mutant("idem-low-half-only", "IDEM-08", "tells keys apart by their low half only")
class LowHalfOnly(Engine):
    def _key_id(self, scope: Scope, key: IdempotencyKey | None) -> KeyId | None:
        return None if key is None else KeyId(scope, 0, key.low)


@mutant("idem-one-bit-ignored", "IDEM-08", "does not look at bit 37 of the low half of a key")
class OneBitIgnored(Engine):
    def _key_id(self, scope: Scope, key: IdempotencyKey | None) -> KeyId | None:
        return None if key is None else KeyId(scope, key.high, key.low & ~(1 << 37))


@mutant("idem-content-is-key", "IDEM-09", "replays a submission without a key that equals an earlier one")
class ContentIsKey(Engine):
    def __init__(self, config: EngineConfig, random_bits: Callable[[int], int]) -> None:
        super().__init__(config, random_bits)
        self._seen: dict[tuple[Caller, SubmitRequest], tuple[str, ...]] = {}

    def submit(self, caller: Caller, request: SubmitRequest, now: int) -> tuple[str, ...]:
        if request.key is not None:
            return super().submit(caller, request, now)
        ids = self._seen.get((caller, request), ())
        if not ids or not all(job_id in self._jobs for job_id in ids):
            ids = self._seen[caller, request] = super().submit(caller, request, now)
        return ids


@mutant("idem-restart-forgets-keys", "IDEM-12", "knows its jobs after a restart, but not their keys")
class RestartForgetsKeys(Engine):
    def restore(self, jobs: Iterable[Job], keys: Iterable[KeyRecord], now: int) -> None:
        records = list(keys)
        super().restore(jobs, records, now)
        for record in records:
            self._drop_key(record)
