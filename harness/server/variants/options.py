"""Timeouts may be rounded, clamped or taken as unset; protected jobs may be rejected late; evictions have two outcomes."""

# ruff: noqa: D101, D102  (the summary given to `variant` is what is to be said of each)

from __future__ import annotations

from dataclasses import replace

from harness.server.engine import Engine, Groups, Member
from harness.server.state import TRANSITIONS, Event, Job
from harness.server.values import MILLISECOND, BatchRequest, Caller, Phase, ResultStatus, SubmitRequest
from harness.server.variants.registry import variant

_TICK = 100 * MILLISECOND


@variant("timeouts-lenient", "a timeout that is not above zero counts as none, and timeouts are kept to 100 ms")
class LenientTimeouts(Engine):
    def _admit(self, caller: Caller, request: SubmitRequest, where: str) -> Member:
        if request.timeout is not None and request.timeout <= (0, 0):
            request = replace(request, timeout=None)
        return super()._admit(caller, request, where)

    def _allowance(self, job: Job) -> int:
        return -(-job.timeout // _TICK) * _TICK


@variant("evicted-is-cancelled", "an evicted job is CANCELED, with the result USER_CANCELLATION")
class EvictedIsCancelled(Engine):
    transitions = {**TRANSITIONS, (Phase.RUNNING, Event.EVICT): Phase.CANCELED}  # noqa: RUF012  (never written to)

    def _evict(self, job: Job, at: int) -> None:
        self._move(job, Event.EVICT)
        self._finish(job, ResultStatus.USER_CANCELLATION, "its time was up", at)


@variant("evicted-is-service-failure", "an evicted job is FAILED, with the result SERVICE_FAILURE")
class EvictedIsServiceFailure(Engine):
    def _evict(self, job: Job, at: int) -> None:
        self._move(job, Event.EVICT)
        self._finish(job, ResultStatus.SERVICE_FAILURE, "its time was up", at)


@variant("protected-fails-late", "a job that may not change protected settings is accepted, and then fails")
class ProtectedFailsLate(Engine):
    def _admit(self, caller: Caller, request: SubmitRequest, where: str) -> Member:
        if not (request.bypass and caller.may_bypass):
            failing = (
                job._replace(spec=replace(job.spec, outcome=ResultStatus.USER_FAILURE, message="changes protected settings"))
                if job.spec.touches_settings
                else job
                for job in request.jobs
            )
            request = replace(request, jobs=tuple(failing))
        return super()._admit(caller, request, where)

    def _check_protection(self, caller: Caller, request: SubmitRequest, where: str) -> None:
        """Leave it to the job."""


@variant("empty-batch-accepted", "an empty batch is answered with an empty response")
class EmptyBatchAccepted(Engine):
    def submit_batch(self, caller: Caller, batch: BatchRequest, now: int) -> Groups:
        self._check_key(batch.key, "batch")
        return super().submit_batch(caller, batch, now) if batch.requests else ()
