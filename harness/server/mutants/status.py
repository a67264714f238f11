"""Mutants of the chapters STA and EST: what GetControllerJobStatus tells."""

# ruff: noqa: D101, D102  (the summary given to `mutant` is what is to be said of each)

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from harness.server.engine import Engine
from harness.server.estimates import Bounds
from harness.server.lifecycle import EngineConfig
from harness.server.mutants.registry import mutant
from harness.server.refusal import Code, Refusal, not_found
from harness.server.service import Answer, CallContext, Service
from harness.server.state import Job
from harness.server.values import MILLISECOND, SECOND, TERMINAL, Phase, ResultStatus, StatusReply, Target
from harness.stubs import service_pb2

_RESULTS_LAG = 1.0


class _CountingReads(Engine):
    """Counts the status reads of all jobs."""

    def __init__(self, config: EngineConfig, random_bits: Callable[[int], int]) -> None:
        super().__init__(config, random_bits)
        self.reads = 0

    def status(self, job_id: str, target: Target | None, now: int) -> StatusReply:
        self.reads += 1
        return super().status(job_id, target, now)


@mutant("sta-running-shown-queued-1-in-20", "STA-01", "shows running jobs as QUEUED in every 20th read")
class RunningShownQueued(_CountingReads):
    def _shown_phase(self, job: Job) -> Phase:
        return Phase.QUEUED if job.phase is Phase.RUNNING and self.reads % 20 == 0 else job.phase


@mutant("sta-leaves-terminal", "STA-01", "shows every other read of a SUCCEEDED job as POST_PROCESSING")
class LeavesTerminal(_CountingReads):
    def _shown_phase(self, job: Job) -> Phase:
        return Phase.POST_PROCESSING if job.phase is Phase.SUCCEEDED and self.reads % 2 == 0 else job.phase


@mutant("sta-not-found-in-post-processing", "STA-02", "does not know jobs while they are post-processed")
class NotFoundInPostProcessing(Engine):
    def status(self, job_id: str, target: Target | None, now: int) -> StatusReply:
        reply = super().status(job_id, target, now)
        if reply.phase is Phase.POST_PROCESSING:
            raise not_found(f"job {job_id!r} is not known")
        return reply


@mutant("sta-unknown-1-in-20", "STA-02", "answers UNKNOWN to every 20th read")
class UnknownOneIn20(Service):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._reads = 0
        super().__init__(*args, **kwargs)

    def status(
        self, request: service_pb2.GetControllerJobStatusRequest, context: CallContext
    ) -> Answer[service_pb2.GetControllerJobStatusResponse]:
        answer = super().status(request, context)
        self._reads += 1
        return service_pb2.GetControllerJobStatusResponse() if self._reads % 20 == 0 else answer


@mutant("sta-unknown-id-queued", "STA-03", "shows an id that it does not know as QUEUED")
class UnknownIdQueued(Engine):
    def status(self, job_id: str, target: Target | None, now: int) -> StatusReply:
        try:
            return super().status(job_id, target, now)
        except Refusal as refusal:
            if refusal.code is not Code.NOT_FOUND:
                raise
            return StatusReply(Phase.QUEUED, 0, 0, self.now)


@mutant("sta-early-success", "STA-04", "shows SUCCEEDED while the job is still post-processed")
class EarlySuccess(Engine):
    def _shown_phase(self, job: Job) -> Phase:
        early = job.phase is Phase.POST_PROCESSING and job.spec.outcome is ResultStatus.SUCCESS
        return Phase.SUCCEEDED if early else job.phase


@mutant("sta-results-lag", "STA-04", "takes a second to answer a results call for a finished job")
class ResultsLag(Service):
    def results(
        self, request: service_pb2.GetControllerJobResultsRequest, context: CallContext
    ) -> Answer[service_pb2.GetControllerJobResultsResponse]:
        answer = super().results(request, context)
        if not isinstance(answer, service_pb2.GetControllerJobResultsResponse):
            return answer
        return asyncio.sleep(_RESULTS_LAG, answer)


@mutant("sta-two-replicas", "STA-05", "answers every other read from a replica that is 50 ms behind")
class TwoReplicas(_CountingReads):
    def _shown_phase(self, job: Job) -> Phase:
        return job.phase if self.reads % 2 else _phase_at(job, self.now - 50 * MILLISECOND)


def _phase_at(job: Job, time: int) -> Phase:
    if job.finished and job.finished <= time:
        return job.phase
    if job.released and job.released <= time and job.spec.post:
        return Phase.POST_PROCESSING
    return Phase.RUNNING if job.started and job.started <= time else Phase.QUEUED


@mutant("est-minimum-above-maximum", "EST-01", "gives jobs that are not finished a minimum above their maximum")
class MinimumAboveMaximum(Engine):
    def _bounds(self, job: Job) -> Bounds:
        greatest = super()._bounds(job)[1]
        return (0, 0) if job.phase in TERMINAL else (greatest + MILLISECOND, greatest)


@mutant("est-negative-minimum", "EST-01", "gives running jobs a minimum of minus one second")
class NegativeMinimum(Engine):
    def _bounds(self, job: Job) -> Bounds:
        bounds = super()._bounds(job)
        return (-SECOND, bounds[1]) if job.phase is Phase.RUNNING else bounds


class _OtherNow(_CountingReads, ABC):
    """Gives `now` another value than the time of the answer."""

    @abstractmethod
    def shown_now(self, now: int) -> int:
        """Return what is given as the time of the answer."""

    def status(self, job_id: str, target: Target | None, now: int) -> StatusReply:
        reply = super().status(job_id, target, now)
        return reply._replace(now=self.shown_now(reply.now))


@mutant("est-now-in-whole-seconds", "EST-02", "cuts `now` down to whole seconds")
class NowInWholeSeconds(_OtherNow):
    def shown_now(self, now: int) -> int:
        return now // SECOND * SECOND


@mutant("est-now-in-another-zone", "EST-02", "gives `now` in a time zone an hour ahead")
class NowInAnotherZone(_OtherNow):
    def shown_now(self, now: int) -> int:
        return now + 3600 * SECOND


@mutant("est-now-backwards", "EST-02", "moves `now` back by two seconds in every other read")
class NowBackwards(_OtherNow):
    def shown_now(self, now: int) -> int:
        return now - 2 * SECOND * (self.reads % 2)


@mutant("est-finished-has-delay", "EST-03", "gives finished jobs a second to wait")
class FinishedHasDelay(Engine):
    def _bounds(self, job: Job) -> Bounds:
        return (SECOND, SECOND) if job.phase in TERMINAL else super()._bounds(job)
