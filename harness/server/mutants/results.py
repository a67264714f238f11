"""Mutants of the chapter RES: what GetControllerJobResults tells."""

# ruff: noqa: D101, D102  (the summary given to `mutant` is what is to be said of each)

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from harness.server.engine import Engine, Groups, Member
from harness.server.lifecycle import EngineConfig
from harness.server.mutants.registry import mutant
from harness.server.refusal import Code, Refusal
from harness.server.service import Answer, CallContext, Service
from harness.server.state import Job, KeyId
from harness.server.values import Phase, Result, ResultStatus, Target
from harness.stubs import service_pb2

Request = service_pb2.GetControllerJobResultsRequest
Response = service_pb2.GetControllerJobResultsResponse

_FAILURES = {ResultStatus.USER_FAILURE, ResultStatus.SERVICE_FAILURE}


@mutant("res-failed-says-success", "RES-01", "gives a FAILED job the result SUCCESS")
class FailedSaysSuccess(Engine):
    def result_of(self, job: Job) -> Result:
        result = super().result_of(job)
        return result._replace(status=ResultStatus.SUCCESS, readout=None) if result.status in _FAILURES else result


@mutant("res-cancelled-says-success", "RES-01", "gives a CANCELED job the result SUCCESS")
class CancelledSaysSuccess(Engine):
    def result_of(self, job: Job) -> Result:
        result = super().result_of(job)
        return result._replace(status=ResultStatus.SUCCESS) if result.status is ResultStatus.USER_CANCELLATION else result


@mutant("res-neighbour-under-concurrency", "RES-02", "gives the memory of the job that finished before, while several calls wait")
class NeighbourUnderConcurrency(Service):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._last: Job | None = None
        super().__init__(*args, **kwargs)

    def _delivered(self, job: Job) -> Result:
        result = super()._delivered(job)
        last, self._last = self._last, job
        return result._replace(memory=last.memory) if last is not None and self.waiting > 1 else result


@mutant("res-memory-of-first-from-8", "RES-02", "runs the 8th and later configurations with the memory of the first")
class MemoryOfFirst(Engine):
    def _accept(self, key: KeyId | None, members: Sequence[Member]) -> Groups:
        return super()._accept(key, [replace(member, jobs=_first_memory_from_8(member)) for member in members])


def _first_memory_from_8(member: Member) -> tuple[Any, ...]:
    return member.jobs[:7] + tuple(job._replace(memory=member.jobs[0].memory) for job in member.jobs[7:])


@mutant("res-unknown-before-done", "RES-03", "answers OK with the status UNKNOWN before the job is finished")
class UnknownBeforeDone(Service):
    def _not_finished(self, job_id: str, context: CallContext) -> Answer[Response]:  # noqa: ARG002  (it does not wait)
        response = Response()
        response.result.status_message = "not finished"
        return response


@mutant("res-empty-before-done", "RES-03", "answers OK without a result before the job is finished")
class EmptyBeforeDone(Service):
    def _not_finished(self, job_id: str, context: CallContext) -> Answer[Response]:  # noqa: ARG002  (it does not wait)
        return Response()


@mutant("res-partial-in-post-processing", "RES-03", "answers OK without the data while the job is post-processed")
class PartialInPostProcessing(Engine):
    def results(self, job_id: str, target: Target | None, now: int) -> Result | None:
        result = super().results(job_id, target, now)
        job = self._jobs.get(job_id)
        if job is not None and job.phase is Phase.POST_PROCESSING:
            return super().result_of(job)._replace(status=ResultStatus.SUCCESS, readout=None, memory=b"")
        return result


@mutant("res-unknown-id-ok", "RES-04", "answers OK for an id that it does not know")
class UnknownIdOk(Service):
    def results(self, request: Request, context: CallContext) -> Answer[Response]:
        try:
            return super().results(request, context)
        except Refusal as refusal:
            if refusal.code is not Code.NOT_FOUND:
                raise
            return Response()


@mutant("res-second-fetch-differs", "RES-05", "gives another result when it is fetched again")
class SecondFetchDiffers(Engine):
    def __init__(self, config: EngineConfig, random_bits: Callable[[int], int]) -> None:
        super().__init__(config, random_bits)
        self._fetched: set[str] = set()

    def result_of(self, job: Job) -> Result:
        result = super().result_of(job)
        if job.id in self._fetched:
            return result._replace(execution=result.execution + 1_000_000, memory=b"", readout=None)
        self._fetched.add(job.id)
        return result


@mutant("res-duration-zero", "RES-06", "reports no time on the hardware for jobs that ran")
class DurationZero(Engine):
    def result_of(self, job: Job) -> Result:
        return super().result_of(job)._replace(execution=0)


@mutant("res-duration-in-nanoseconds", "RES-06", "reports the time on the hardware in nanoseconds")
class DurationInNanoseconds(Engine):
    def result_of(self, job: Job) -> Result:
        result = super().result_of(job)
        return result._replace(execution=result.execution * 1000)
