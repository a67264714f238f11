"""A cancel is a best effort, may show late, and may be answered OK or not when some jobs could not be cancelled."""

# ruff: noqa: D101, D102  (the summary given to `variant` is what is to be said of each)

from __future__ import annotations

import heapq
import itertools
import zlib
from collections.abc import Sequence

from harness.server.engine import Engine
from harness.server.refusal import Code, Refusal, not_found
from harness.server.state import Job
from harness.server.values import MILLISECOND, Phase, StatusReply, Target
from harness.server.variants.registry import variant

_LATE = 300 * MILLISECOND


@variant("cancel-shows-late", "a cancelled job shows as QUEUED for another 300 ms")
class ShowsLate(Engine):
    def _shown_phase(self, job: Job) -> Phase:
        hidden = job.phase is Phase.CANCELED and not job.started and self.now - job.finished < _LATE
        return Phase.QUEUED if hidden else job.phase


@variant("cancel-acts-late", "a cancel takes effect after 300 ms, on those that have not started by then")
class ActsLate(Engine):
    def _cancel(self, job: Job) -> None:
        doomed: set[str] = self.__dict__.setdefault("_doomed", set())
        if job.id not in doomed:
            doomed.add(job.id)
            heapq.heappush(self._due, (self.now + _LATE, job.order, job))

    def _happen(self, job: Job, at: int) -> None:
        if job.phase is Phase.QUEUED:
            super()._cancel(job)
        elif at == job.due:  # otherwise it has started since it was to be cancelled
            super()._happen(job, at)


@variant("cancel-half", "every other queued job cannot be cancelled")
class Half(Engine):
    def _may_cancel(self, job: Job) -> bool:
        return super()._may_cancel(job) and zlib.crc32(job.id.encode()) % 2 == 0


@variant("cancel-not-the-next", "the first two jobs in the queue are as good as started: they cannot be cancelled")
class NotTheNext(Engine):
    def _may_cancel(self, job: Job) -> bool:
        return super()._may_cancel(job) and job not in itertools.islice(job.processor.queue, 2)


@variant("cancel-error-for-others", "a cancel is FAILED_PRECONDITION when some of its jobs could not be cancelled")
class ErrorForOthers(Engine):
    def cancel(self, ids: Sequence[str], target: Target | None, now: int) -> None:
        super().cancel(ids, target, now)
        if not all(job_id in self._jobs and self._jobs[job_id].phase is Phase.CANCELED for job_id in ids):
            raise Refusal(Code.FAILED_PRECONDITION, "some of the jobs could not be cancelled")


@variant("cancel-forgotten-soon", "a cancelled job is forgotten after 300 ms, although nobody asked for its result")
class ForgottenSoon(Engine):
    def status(self, job_id: str, target: Target | None, now: int) -> StatusReply:
        reply = super().status(job_id, target, now)
        job = self._jobs[job_id]
        if job.phase is Phase.CANCELED and self.now - job.finished >= _LATE:
            self._forget(job)
            raise not_found(f"job {job_id!r} is not known")
        return reply
