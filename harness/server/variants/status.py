"""Steps may be missed, a cache may lag while it is monotone, and an unknown job may be an error or UNKNOWN."""

# ruff: noqa: D101, D102  (the summary given to `variant` is what is to be said of each)

from __future__ import annotations

from harness.server.engine import Engine
from harness.server.refusal import Code, Refusal
from harness.server.service import Answer, CallContext, Service
from harness.server.state import Job
from harness.server.values import MILLISECOND, Phase
from harness.server.variants.registry import variant
from harness.stubs import service_pb2

_REFRESH = 100 * MILLISECOND


@variant("status-no-post-processing", "there is no POST_PROCESSING: a job is RUNNING until its result is there")
class NoPostProcessing(Engine):
    def _shown_phase(self, job: Job) -> Phase:
        return Phase.RUNNING if job.phase is Phase.POST_PROCESSING else job.phase


@variant("status-no-running", "a job is QUEUED until it is finished")
class NoRunning(Engine):
    def _shown_phase(self, job: Job) -> Phase:
        return Phase.QUEUED if job.phase in {Phase.RUNNING, Phase.POST_PROCESSING} else job.phase


@variant("status-cached", "statuses come from a cache that is renewed every 100 ms")
class Cached(Engine):
    def _shown_phase(self, job: Job) -> Phase:
        renewed = self.now // _REFRESH * _REFRESH
        if job.finished and job.finished <= renewed:
            return job.phase
        if job.released and job.released <= renewed and job.spec.post:
            return Phase.POST_PROCESSING
        return Phase.RUNNING if job.started and job.started <= renewed else Phase.QUEUED


@variant("status-unknown-is-ok", "the status of a job that is not known is UNKNOWN, and no error")
class UnknownIsOk(Service):
    def status(
        self, request: service_pb2.GetControllerJobStatusRequest, context: CallContext
    ) -> Answer[service_pb2.GetControllerJobStatusResponse]:
        try:
            return super().status(request, context)
        except Refusal as refusal:
            if refusal.code not in {Code.NOT_FOUND, Code.INVALID_ARGUMENT}:
                raise
            return service_pb2.GetControllerJobStatusResponse()
