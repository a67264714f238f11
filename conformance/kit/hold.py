"""Keep the executors of the target busy, so that what is submitted meanwhile stays queued."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

from conformance.kit.case import Case
from conformance.kit.clock import Stopwatch
from conformance.kit.verdicts import DisturbedError, UnobservableError
from conformance.kit.waiting import Patience
from harness.model import Status


class _Blocker(NamedTuple):
    """A job that holds an executor: when it cannot have started yet, and when it was first seen RUNNING (seconds)."""

    job_id: str
    earliest: float
    seen: float


@contextlib.contextmanager
def held(case: Case, role: str | None = None) -> Iterator[list[str]]:
    """Keep every executor of the target busy with a `slow` job, so that what is submitted inside stays queued.

    Once that was too short, with a `long` one if the profile has it; `role` leaves no choice. Yields the ids of the holding
    jobs. Raises DisturbedError when they did not run from beginning to end of the block: also when the block took longer than
    such a job lasts, for a status may come from a cache that lags.
    """
    case.did("held")
    role = role or ("long" if case.retries and "long" in case.profile.jobs else "slow")
    duration = case.profile.jobs[case.needs(role)].duration
    case.lingering = max(case.lingering, duration - case.profile.jobs["slow"].duration)
    watch = Stopwatch()
    blockers, spare = _occupy(case, role, watch)
    case.holding = True
    try:
        yield [blocker.job_id for blocker in blockers]
    finally:
        case.holding = False
    for blocker in blockers:
        status = case.status(blocker.job_id)
        if status is not Status.RUNNING:
            raise DisturbedError(
                f"the executor was to be busy, but the job that held it ({blocker.job_id}) was {status} at the end"
            )
        if watch.seconds() > blocker.earliest + duration:
            raise DisturbedError(f"the executor was to be busy for longer than the {duration:g} s of the job that held it")
    if spare is not None and case.status(spare) is not Status.QUEUED:
        raise DisturbedError("all executors were to be busy, but one was free for another job")


def _occupy(case: Case, role: str, watch: Stopwatch) -> tuple[list[_Blocker], str | None]:
    """Return the holding jobs and, where the number of executors is not known, one more, which found none."""
    known = case.facts.executors
    if known is not None:
        submitted = watch.seconds()
        return [_running(case, job_id, watch, submitted) for job_id in case.submit(role, count=known)], None
    blockers: list[_Blocker] = []
    took = case.profile.jobs["slow"].duration / 10
    for _ in range(64):
        submitted = watch.seconds()
        (job_id,) = case.submit(role)
        if blockers and _stays_queued(case, job_id, 1.25 * took):
            return blockers, job_id
        blockers.append(_running(case, job_id, watch, submitted))
        took = max(took, blockers[-1].seen - submitted)
    raise UnobservableError("the target seems to run 64 jobs or more at once: nothing stays queued")


def _stays_queued(case: Case, job_id: str, seconds: float) -> bool:
    patience = Patience(seconds)
    while case.status(job_id) is Status.QUEUED:
        if patience.is_over():
            return True
        patience.pause()
    return False


def _running(case: Case, job_id: str, watch: Stopwatch, submitted: float) -> _Blocker:
    """Wait until a job is seen RUNNING. Raises DisturbedError when that was missed or does not come."""
    lag = min(case.facts.settle, case.profile.jobs["slow"].duration / 4)
    earliest = submitted
    patience = Patience(case.deadlines.state)
    while True:
        asked = watch.seconds()
        status = case.status(job_id)
        if status is Status.RUNNING:
            return _Blocker(job_id, earliest, watch.seconds())
        if status is not Status.QUEUED or patience.is_over():
            raise DisturbedError(f"job {job_id} was to be seen {Status.RUNNING}, but was {status}")
        earliest = max(submitted, asked - lag)
        patience.pause()
