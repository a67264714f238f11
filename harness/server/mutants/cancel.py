"""Mutants of the chapter CAN: which jobs a cancel reaches."""

# ruff: noqa: D101, D102  (the summary given to `mutant` is what is to be said of each)

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace

from harness.server.engine import Engine
from harness.server.mutants.registry import mutant
from harness.server.refusal import Code, Refusal, invalid
from harness.server.state import TRANSITIONS, Event, Job
from harness.server.values import TERMINAL, Phase, ResultStatus, Target


@mutant("can-never", "CAN-01", "answers OK and cancels nothing")
class Never(Engine):
    def _may_cancel(self, job: Job) -> bool:  # noqa: ARG002  (it never looks)
        return False


@mutant("can-kills-running", "CAN-02", "cancels running jobs as well")
class KillsRunning(Engine):
    transitions = {**TRANSITIONS, (Phase.RUNNING, Event.CANCEL): Phase.CANCELED}  # noqa: RUF012  (never written to)

    def _may_cancel(self, job: Job) -> bool:
        return job.phase in {Phase.QUEUED, Phase.RUNNING}

    def _cancel(self, job: Job) -> None:
        if job.phase is Phase.QUEUED:
            super()._cancel(job)
            return
        del job.processor.running[job.id]
        job.released = self.now
        self._move(job, Event.CANCEL)
        self._finish(job, ResultStatus.USER_CANCELLATION, "cancelled", self.now)
        self._dispatch(job.processor, self.now)


@mutant("can-kills-post-processing", "CAN-02", "cancels jobs in post-processing as well")
class KillsPostProcessing(Engine):
    transitions = {**TRANSITIONS, (Phase.POST_PROCESSING, Event.CANCEL): Phase.CANCELED}  # noqa: RUF012  (never written to)

    def _may_cancel(self, job: Job) -> bool:
        return job.phase in {Phase.QUEUED, Phase.POST_PROCESSING}

    def _cancel(self, job: Job) -> None:
        if job.phase is Phase.QUEUED:
            super()._cancel(job)
            return
        job.processor.counts.post_processing -= 1
        self._move(job, Event.CANCEL)
        self._finish(job, ResultStatus.USER_CANCELLATION, "cancelled", self.now)


class _Picky(Engine):
    """Looks at all ids of a cancel before it cancels any."""

    def cancellable(self, job_id: str) -> bool:
        job = self._jobs.get(job_id)
        return job is not None and self._may_cancel(job)


@mutant("can-stops-at-first-bad", "CAN-03", "does not look at ids after the first that cannot be cancelled")
class StopsAtFirstBad(_Picky):
    def cancel(self, ids: Sequence[str], target: Target | None, now: int) -> None:
        self.advance(now)
        bad = next((index for index, job_id in enumerate(ids) if not self.cancellable(job_id)), len(ids))
        super().cancel(ids[:bad], target, now)


@mutant("can-all-or-nothing", "CAN-03", "cancels nothing when one of the ids cannot be cancelled")
class AllOrNothing(_Picky):
    def cancel(self, ids: Sequence[str], target: Target | None, now: int) -> None:
        self.advance(now)
        super().cancel(ids if all(map(self.cancellable, ids)) else (), target, now)


@mutant("can-malformed-id-refuses-all", "CAN-03", "refuses the whole cancel for an id that is no UUID")
class MalformedIdRefusesAll(Engine):
    def cancel(self, ids: Sequence[str], target: Target | None, now: int) -> None:
        for job_id in ids:
            try:
                uuid.UUID(job_id)
            except ValueError:
                raise invalid(f"job_ids: {job_id!r} is no UUID") from None
        super().cancel(ids, target, now)


@mutant("can-rewrites-finished", "CAN-04", "turns SUCCEEDED jobs into CANCELED ones")
class RewritesFinished(Engine):
    transitions = {**TRANSITIONS, (Phase.SUCCEEDED, Event.CANCEL): Phase.CANCELED}  # noqa: RUF012  (never written to)

    def _may_cancel(self, job: Job) -> bool:
        return job.phase in {Phase.QUEUED, Phase.SUCCEEDED}

    def _cancel(self, job: Job) -> None:
        if job.phase is Phase.QUEUED:
            super()._cancel(job)
            return
        job.processor.counts.succeeded -= 1
        job.processor.counts.canceled += 1
        self._move(job, Event.CANCEL)
        job.status, job.message = ResultStatus.USER_CANCELLATION, "cancelled"


@mutant("can-wipes-results", "CAN-04", "throws away the data of a finished job that is named in a cancel")
class WipesResults(Engine):
    def cancel(self, ids: Sequence[str], target: Target | None, now: int) -> None:
        super().cancel(ids, target, now)
        for job_id in ids:
            job = self._jobs.get(job_id)
            if job is not None and job.phase in TERMINAL and job.started:
                job.memory, job.spec = b"", replace(job.spec, readout=None)


@mutant("can-takes-siblings", "CAN-05", "cancels the waiting siblings of a job as well")
class TakesSiblings(Engine):
    def _cancel(self, job: Job) -> None:
        # Jobs of one submission share the nanosecond of their submission.
        for sibling in [one for one in job.processor.queue if one.submitted == job.submitted]:
            super()._cancel(sibling)


@mutant("can-takes-next-in-line", "CAN-05", "cancels the job that waits behind as well")
class TakesNextInLine(Engine):
    def _cancel(self, job: Job) -> None:
        line = list(job.processor.queue)
        index = line.index(job)
        for one in line[index : index + 2]:
            super()._cancel(one)


@mutant("can-twice-breaks", "CAN-06", "breaks with INTERNAL when a job has been cancelled before")
class TwiceBreaks(Engine):
    def cancel(self, ids: Sequence[str], target: Target | None, now: int) -> None:
        again = [job_id for job_id in ids if job_id in self._jobs and self._jobs[job_id].phase is Phase.CANCELED]
        super().cancel(ids, target, now)
        if again:
            raise Refusal(Code.INTERNAL, f"job {again[0]!r} has been cancelled before")
