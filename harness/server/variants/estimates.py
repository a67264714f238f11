"""Estimates may be absent, partial, wild, cached, or of a clock that is a little off."""

# ruff: noqa: D101, D102  (the summary given to `variant` is what is to be said of each)

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import cast

from harness.server.engine import Engine
from harness.server.estimates import Bounds
from harness.server.service import Answer, CallContext, Service
from harness.server.state import Job
from harness.server.values import MILLISECOND, SECOND, TERMINAL, StatusReply, Target
from harness.server.variants.registry import variant
from harness.stubs import service_pb2

Request = service_pb2.GetControllerJobStatusRequest
Response = service_pb2.GetControllerJobStatusResponse


class _Edited(Service, ABC):
    """Edits the estimate before it is sent."""

    @abstractmethod
    def edit(self, response: Response) -> None:
        """Change an estimate."""

    def status(self, request: Request, context: CallContext) -> Answer[Response]:
        response = cast("Response", super().status(request, context))
        self.edit(response)
        return response


@variant("estimates-unset", "there are no estimates")
class Unset(_Edited):
    def edit(self, response: Response) -> None:
        response.ClearField("estimated_job_completion_delay")


@variant("estimates-partial", "an estimate is a minimum alone, without a maximum and without its time")
class Partial(_Edited):
    def edit(self, response: Response) -> None:
        response.estimated_job_completion_delay.ClearField("maximum")
        response.estimated_job_completion_delay.ClearField("now")


@variant("estimates-unset-when-finished", "only jobs that are not finished have an estimate, and its bounds are equal")
class UnsetWhenFinished(_Edited):
    def edit(self, response: Response) -> None:
        if response.status in {Response.SUCCEEDED, Response.FAILED, Response.CANCELED}:
            response.ClearField("estimated_job_completion_delay")
        else:
            delay = response.estimated_job_completion_delay
            delay.minimum.CopyFrom(delay.maximum)


@variant("estimates-pessimistic", "any job that is not finished takes between no time and an hour, for all that is known")
class Pessimistic(Engine):
    def _bounds(self, job: Job) -> Bounds:
        return (0, 0) if job.phase in TERMINAL else (0, 3600 * SECOND)


@variant("estimates-cached", "estimates and their time are renewed every 80 ms", facts={"clock_tolerance": "100ms"})
class CachedNow(Engine):
    def status(self, job_id: str, target: Target | None, now: int) -> StatusReply:
        reply = super().status(job_id, target, now)
        return reply._replace(now=reply.now // (80 * MILLISECOND) * (80 * MILLISECOND))


@variant("clock-ahead", "the endpoint's clock is 1.5 seconds ahead", facts={"clock_tolerance": "2s"})
class ClockAhead(Engine):
    def status(self, job_id: str, target: Target | None, now: int) -> StatusReply:
        reply = super().status(job_id, target, now)
        return reply._replace(now=reply.now + 3 * SECOND // 2)
