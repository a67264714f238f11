"""Mutants of the chapter OPT: timeouts and protected settings."""

# ruff: noqa: D101  (the summary given to `mutant` is what is to be said of each)

from __future__ import annotations

from harness.server.engine import Engine
from harness.server.mutants.registry import mutant
from harness.server.refusal import Code, Refusal
from harness.server.state import Event, Job
from harness.server.values import MILLISECOND, Caller, ResultStatus, SubmitRequest


@mutant("opt-no-eviction", "OPT-01", "lets every job run to its end, whatever its timeout")
class NoEviction(Engine):
    def _allowance(self, job: Job) -> int:
        return max(job.timeout, job.spec.duration)


@mutant("opt-eviction-succeeds", "OPT-01", "reports an evicted job as SUCCEEDED")
class EvictionSucceeds(Engine):
    def _evict(self, job: Job, at: int) -> None:
        self._move(job, Event.SUCCEED)
        self._finish(job, ResultStatus.SUCCESS, "", at)


@mutant("opt-eviction-at-the-end", "OPT-01", "evicts a job only when it has run its whole length")
class EvictionAtTheEnd(Engine):
    def _run(self, job: Job, at: int) -> None:
        job.started = at
        job.processor.running[job.id] = job
        self._schedule(job, at + job.spec.duration)


@mutant("opt-timeout-counts-queue", "OPT-02", "counts the time in the queue towards the timeout")
class TimeoutCountsQueue(Engine):
    def _allowance(self, job: Job) -> int:
        return max(1, job.timeout - (job.started - job.submitted))


@mutant("opt-default-timeout-too-short", "OPT-03", "evicts jobs without a timeout after 150 ms")
class DefaultTimeoutTooShort(Engine):
    def _timeout(self, requested: int | None, estimate: int | None) -> int:
        return super()._timeout(requested or 150 * MILLISECOND, estimate)


@mutant("opt-protection-off", "OPT-04", "accepts a job that touches protected settings without the option")
class ProtectionOff(Engine):
    def _check_protection(self, caller: Caller, request: SubmitRequest, where: str) -> None:
        if request.bypass:
            super()._check_protection(caller, request, where)


@mutant("opt-protection-off-in-batch", "OPT-04", "accepts a job that touches protected settings inside a batch")
class ProtectionOffInBatch(Engine):
    def _check_protection(self, caller: Caller, request: SubmitRequest, where: str) -> None:
        if request.bypass or not where:
            super()._check_protection(caller, request, where)


@mutant("opt-authority-unchecked", "OPT-04", "lets everybody bypass the protection of settings")
class AuthorityUnchecked(Engine):
    def _check_protection(self, caller: Caller, request: SubmitRequest, where: str) -> None:
        super()._check_protection(caller._replace(may_bypass=True), request, where)


@mutant("opt-bypass-never", "OPT-04", "refuses jobs that touch protected settings even with option and authority")
class BypassNever(Engine):
    def _check_protection(self, caller: Caller, request: SubmitRequest, where: str) -> None:
        super()._check_protection(caller, request, where)
        if any(job.spec.touches_settings for job in request.jobs):
            raise Refusal(Code.FAILED_PRECONDITION, f"{where}job: changes protected settings")
