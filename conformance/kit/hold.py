"""Keep the executors of the target busy, so that what is submitted meanwhile stays queued."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from conformance.kit.case import Case
from conformance.kit.verdicts import DisturbedError, UnobservableError
from conformance.kit.waiting import Patience
from harness.model import Status


@contextlib.contextmanager
def held(case: Case) -> Iterator[list[str]]:
    """Keep every executor of the target busy with a `slow` job, so that what is submitted inside stays queued.

    Yields the ids of the holding jobs. Raises DisturbedError when they did not run from beginning to end of the block.
    """
    blockers = _occupy(case)
    yield blockers
    for job_id in blockers:
        status = case.status(job_id)
        if status is not Status.RUNNING:
            raise DisturbedError(f"the executor was to be busy, but the job that held it ({job_id}) was {status} at the end")


def _occupy(case: Case) -> list[str]:
    case.needs("slow")
    known = case.facts.executors
    if known is not None:
        blockers = case.submit("slow", count=known)
        for job_id in blockers:
            case.reach(job_id, Status.RUNNING)
        return blockers
    blockers = []
    for _ in range(64):
        (job_id,) = case.submit("slow")
        patience = Patience(case.profile.jobs["slow"].duration / 8)
        while case.status(job_id) is Status.QUEUED and not patience.is_over():
            patience.pause()
        if case.status(job_id) is not Status.RUNNING and blockers:
            return blockers
        case.reach(job_id, Status.RUNNING)
        blockers.append(job_id)
    raise UnobservableError("the target seems to run 64 jobs or more at once: nothing stays queued")
