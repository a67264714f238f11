"""Results may be waited for or refused until they are there, and may be fetched once or often; what surrounds them is free."""

# ruff: noqa: D101, D102  (the summary given to `variant` is what is to be said of each)

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from harness.server.engine import Engine
from harness.server.refusal import Code, Refusal, not_found
from harness.server.service import Answer, CallContext, Service
from harness.server.state import Job
from harness.server.values import MILLISECOND, Phase, Result
from harness.server.variants.registry import Variant, add, variant
from harness.stubs import service_pb2

Request = service_pb2.GetControllerJobResultsRequest
Response = service_pb2.GetControllerJobResultsResponse


class FailsUntilReady(Service):
    """Answers a results call at once, also when there is no result yet."""

    def _not_finished(self, job_id: str, context: CallContext) -> Answer[Response]:  # noqa: ARG002  (it does not wait)
        raise Refusal(Code.FAILED_PRECONDITION, f"job {job_id!r} is not finished")


class FetchedOnce(Service):
    """Forgets a job when its result is fetched, and its key with the last of its jobs."""

    def results(self, request: Request, context: CallContext) -> Answer[Response]:
        answer = super().results(request, context)
        if isinstance(answer, Response):
            self._run(lambda now: self.engine.forget([request.job_execution_id], now))
        return answer

    def _wake(self, finished: Iterable[Job]) -> None:
        listed = list(finished)
        awaited = [job.id for job in listed if job.id in self._waiting]
        super()._wake(listed)
        if awaited:
            self.engine.forget(awaited, self.engine.now)


class FetchedOnceWhenReady(FetchedOnce, FailsUntilReady):
    """Both at once."""


add(Variant("results-fail-until-ready", "a results call fails until the job is finished", service=FailsUntilReady))
add(
    Variant(
        "results-once",
        "a job is forgotten once its result is fetched, and its key with the last of its jobs",
        service=FetchedOnce,
    )
)
add(
    Variant(
        "results-once-when-ready",
        "a results call fails until the job is finished; fetched once, it is forgotten",
        service=FetchedOnceWhenReady,
    )
)


@variant("results-long-poll", "a results call waits for 100 ms, then it is UNAVAILABLE")
class LongPoll(Service):
    async def _result_later(self, job_id: str, waiter: asyncio.Future[Result], deadline: float | None) -> Response:
        patience = self._loop.time() + 0.1
        try:
            return await super()._result_later(job_id, waiter, patience if deadline is None else min(patience, deadline))
        except Refusal as refusal:
            raise Refusal(Code.UNAVAILABLE, f"{refusal.message}: ask again") from None


@variant("results-forgotten-soon", "a job is forgotten 300 ms after its result was fetched first")
class ForgottenSoon(Engine):
    def result_of(self, job: Job) -> Result:
        fetched: dict[str, int] = self.__dict__.setdefault("_fetched", {})
        fetched.setdefault(job.id, self.now)
        return super().result_of(job)

    def _expire(self, now: int) -> None:
        fetched: dict[str, int] = self.__dict__.setdefault("_fetched", {})
        for job_id in [name for name, at in fetched.items() if now - at > 300 * MILLISECOND]:
            del fetched[job_id]
            if job_id in self._finished:
                self._forget(self._finished[job_id])
        super()._expire(now)


class _CancelledHasNone(Service):
    """Has no result for a cancelled job."""

    def results(self, request: Request, context: CallContext) -> Answer[Response]:
        answer = super().results(request, context)
        job = self.engine._jobs.get(request.job_execution_id)
        if job is not None and job.phase is Phase.CANCELED:
            raise not_found(f"job {job.id!r} was cancelled")
        return answer

    def _wake(self, finished: Iterable[Job]) -> None:
        listed = list(finished)
        for job in listed:
            for waiter in self._waiting.get(job.id, ()) if job.phase is Phase.CANCELED else ():
                waiter.set_exception(not_found(f"job {job.id!r} was cancelled"))
        super()._wake(listed)


add(Variant("results-cancelled-has-none", "a cancelled job has no result: NOT_FOUND", service=_CancelledHasNone))


@variant(
    "results-memory-only",
    "results have no readout, only memory, and some time on the hardware also for jobs that never ran",
    correlation={"shown_in": "memory_values"},
)
class MemoryOnly(Engine):
    def result_of(self, job: Job) -> Result:
        result = super().result_of(job)
        return result._replace(readout=None, execution=result.execution or MILLISECOND)


@variant("results-readout-only", "results give no memory back, only a readout")
class ReadoutOnly(Service):
    def call(self, rpc: str, payload: bytes, **how: Any) -> Answer[bytes]:
        answer = super().call(rpc, payload, **how)
        if rpc != "GetControllerJobResults":
            return answer
        return _without_memory(answer) if isinstance(answer, bytes) else _later(answer)


def _without_memory(octets: bytes) -> bytes:
    response = Response.FromString(octets)
    response.result.ClearField("memory_values")
    return response.SerializeToString()


async def _later(answer: Any) -> bytes:
    return _without_memory(await answer)


class _OnceThenUnknown(FetchedOnce):
    """Answers UNKNOWN where it knows nothing."""

    def status(
        self, request: service_pb2.GetControllerJobStatusRequest, context: CallContext
    ) -> Answer[service_pb2.GetControllerJobStatusResponse]:
        try:
            return super().status(request, context)
        except Refusal as refusal:
            if refusal.code is not Code.NOT_FOUND:
                raise
            return service_pb2.GetControllerJobStatusResponse()


add(
    Variant(
        "results-once-then-unknown",
        "fetched once, a job is forgotten: its status is UNKNOWN, not an error",
        service=_OnceThenUnknown,
    )
)
