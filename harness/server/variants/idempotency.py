"""A key is a promise for the same request only: what else it gets, how far it reaches and whether a replay waits is free."""

# ruff: noqa: D101, D102  (the summary given to `variant` is what is to be said of each)

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from typing import Any

from google.protobuf.message import Message

from harness.ids import IdempotencyKey
from harness.server.engine import Engine
from harness.server.refusal import Code, Refusal
from harness.server.service import Answer, CallContext, Service
from harness.server.state import Event, Job, KeyId, KeyRecord, Scope
from harness.server.values import BatchRequest, Caller, Phase, ResultStatus, SubmitRequest, Target
from harness.server.variants.registry import variant
from harness.stubs import service_pb2


def _digest(request: SubmitRequest | BatchRequest) -> str:
    return hashlib.sha256(repr(request).encode()).hexdigest()


class _SeesRequest(Engine):
    """Remembers a digest of the submission that it is about to look up."""

    def submit(self, caller: Caller, request: SubmitRequest, now: int) -> tuple[str, ...]:
        self._wanted = _digest(request)
        return super().submit(caller, request, now)

    def submit_batch(self, caller: Caller, batch: BatchRequest, now: int) -> tuple[tuple[str, ...], ...]:
        self._wanted = _digest(batch)
        return super().submit_batch(caller, batch, now)


@variant("keys-other-request-refused", "a key that comes with another request is ALREADY_EXISTS")
class OtherRequestRefused(_SeesRequest):
    def _remember(self, record: KeyRecord) -> None:
        super()._remember(record)
        self._digests = {**getattr(self, "_digests", {}), record.key: self._wanted}

    def _find(self, key: KeyId | None) -> KeyRecord | None:
        record = super()._find(key)
        if record is not None and getattr(self, "_digests", {}).get(record.key, self._wanted) != self._wanted:
            raise Refusal(Code.ALREADY_EXISTS, "idempotency_key: belongs to another request")
        return record


@variant("keys-other-request-is-new", "a key that comes with another request makes new jobs")
class OtherRequestIsNew(_SeesRequest):
    def _key_id(self, scope: Scope, key: IdempotencyKey | None) -> KeyId | None:
        return super()._key_id(scope._replace(processor=f"{scope.processor} {self._wanted}"), key)


@variant("keys-everywhere", "a key means one submission whoever sends it, in whichever call, to whichever target")
class Everywhere(Engine):
    def _single_scope(self, caller: Caller, target: Target | None) -> Scope:  # noqa: ARG002  (it does not matter)
        return Scope("", "", "")

    def _batch_scope(self, caller: Caller) -> Scope:  # noqa: ARG002  (it does not matter)
        return Scope("", "", "")


@variant("keys-replay-waits", "a submission takes 60 ms, and others with its key wait until it is answered")
class ReplayWaits(Service):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._locks: dict[bytes, asyncio.Lock] = {}
        super().__init__(*args, **kwargs)

    def execute(
        self, request: service_pb2.ExecuteControllerJobRequest, context: CallContext
    ) -> Answer[service_pb2.ExecuteControllerJobResponse]:
        return self._in_turn(super().execute, request, context)

    def batch(
        self, request: service_pb2.BatchExecuteControllerJobsRequest, context: CallContext
    ) -> Answer[service_pb2.BatchExecuteControllerJobsResponse]:
        return self._in_turn(super().batch, request, context)

    async def _in_turn(self, handler: Any, request: Any, context: CallContext) -> Any:
        key: Message = request.idempotency_key
        lock = (
            self._locks.setdefault(key.SerializeToString(), asyncio.Lock())
            if request.HasField("idempotency_key")
            else asyncio.Lock()
        )
        async with lock:
            await asyncio.sleep(0.06)
            return handler(request, context)


@variant("restart-forgets-all", "a restart loses every job and every key")
class ForgetsAtRestart(Engine):
    def restore(self, jobs: Iterable[Job], keys: Iterable[KeyRecord], now: int) -> None:
        lost, dropped = [job.id for job in jobs], list(keys)
        super().restore((), (), now)
        self._effects.forgotten.extend(lost)
        self._effects.dropped_keys.extend(dropped)


@variant("restart-fails-running-jobs", "a restart ends the jobs that were running as failed")
class FailsRunningJobs(Engine):
    def _restore_job(self, job: Job) -> None:
        if job.phase is not Phase.RUNNING:
            super()._restore_job(job)
            return
        job.processor.counts.accepted += 1
        job.released = self.now
        self._move(job, Event.FAIL)
        self._finish(job, ResultStatus.SERVICE_FAILURE, "the service was restarted", self.now)
