"""Phantom jobs, seen through the wait of a probe on a serial executor: the oracle for endpoints that count nothing.

A `slow` job holds the executor while the block submits `slow` jobs. What was acknowledged is cancelled, so that behind the
holder only phantoms are left. When it leaves, an executor that does one job after the other must begin the next phantom at
once, whatever its order: a quick probe that comes then waits for it. Probes follow until one does not have to wait.

A stalled machine must not look like a phantom. So the time for which the executor was taken is known from two sides: `least`
counts only what reads in quick succession have shown, `most` is the time that passed. A number of phantoms is believed only
if it is the only one that fits both.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

from conformance.kit.answers import ids_of, status_of
from conformance.kit.case import Case
from conformance.kit.hold import held
from conformance.kit.verdicts import DisturbedError, UnobservableError
from conformance.kit.waiting import Patience
from harness.call import Call
from harness.history import Rpc
from harness.model import Status
from harness.stubs import service_pb2 as pb

MANY = 12
"""So many phantoms or more are not told apart."""
SHORTEST = 0.4
"""A `slow` job must take so many seconds at least: below, a loaded machine's pauses look the same."""
_MARGIN = 0.3
_QUICK = 1 / 8


@dataclass(frozen=True, slots=True)
class Taken:
    """For how long others held the executor, in seconds, seen from two sides; `job` is the length of one job."""

    least: float
    most: float
    job: float

    def jobs(self) -> int | None:
        """Return how many jobs that was, None when it cannot be told."""
        fewest = max(0, math.ceil(self.least / self.job - _MARGIN))
        greatest = math.floor(self.most / self.job + _MARGIN)
        if fewest != greatest or self.least < greatest * self.job / 2:
            return None
        return greatest

    def __str__(self) -> str:
        return f"{self.least:.2f} to {self.most:.2f} s, in jobs of {self.job:.2f} s"


def needs_delay(case: Case) -> None:
    """Raise UnobservableError, with the reason, unless phantoms would show on this target."""
    slow, quick = case.profile.jobs.get("slow"), case.profile.jobs["quick"]
    if case.facts.executors != 1:
        raise UnobservableError(
            "nothing shows what was queued: the profile names no observer, no queue capacity and no serial executor"
        )
    if slow is None or slow.duration < SHORTEST or quick.total > slow.duration * _QUICK:
        raise UnobservableError(
            f"only a delay could show what was queued, which needs a job 'slow' of {SHORTEST:g} s or more, and one 'quick' "
            "of an eighth of that or less"
        )


@contextlib.contextmanager
def phantoms(case: Case) -> Iterator[list[int]]:
    """Count the jobs that the block leaves behind: acknowledged ones and phantoms, into the list that is yielded.

    All of them must be `slow`. Raises DisturbedError when it could not be told.
    """
    found: list[int] = []
    case.clean_up()
    _await_idle(case)
    begin = len(case.calls)
    with held(case, "slow") as (holder,):
        yield found
        acknowledged = _acknowledged(case.calls[begin:], holder)
        if acknowledged:
            case.cancel(acknowledged)
    number = _number_of_phantoms(_behind(case, holder))
    if number and any(case.wait_for(job_id, Status.CANCELED) is not Status.CANCELED for job_id in acknowledged):
        raise DisturbedError("jobs ran although they were cancelled while they were queued: what else ran cannot be told")
    if 0 < number < MANY:
        _compare_with_nothing(case)
    found.append(len(acknowledged) + number)


def _number_of_phantoms(taken: Taken) -> int:
    if taken.least > (MANY - 0.5) * taken.job:
        return MANY
    number = taken.jobs()
    if number is None:
        raise DisturbedError(f"the executor was taken for {taken}: that is no clear number of jobs")
    return number


def _compare_with_nothing(case: Case) -> None:
    """Raise DisturbedError if the executor seems taken as well when nothing at all was submitted."""
    with held(case, "slow") as (holder,):
        pass
    taken = _behind(case, holder)
    if taken.jobs() != 0:
        raise DisturbedError(f"the executor was taken for {taken}, and nothing was submitted: its pauses look like jobs")


def _behind(case: Case, holder: str) -> Taken:
    """Watch the holder leave and probe until nothing is left before the probe; return for how long others were before it."""
    job = _length_of(case, holder)
    since = _seen_running(case, holder)[-1].started_ns
    last_taken, until, least = since, since, 0.0
    for number in range(MANY + 1):
        wait = _probe(case, job, MANY * job)
        least += wait.least
        if wait.out_ns - last_taken < (1 - _MARGIN) * job * 1e9:
            # No job fits between the last moment at which the executor was seen taken and the end of the wait.
            until = until if number else wait.out_ns
            break
        if wait.queued_ns is None:
            raise DisturbedError("the probe came too late after the executor was seen taken: a job may have run unseen")
        until, last_taken = wait.out_ns, wait.queued_ns
        if least > (MANY - 0.5) * job:
            break
    return Taken(least, (until - since) / 1e9, job)


@dataclass(frozen=True, slots=True)
class _Wait:
    """How long one probe was queued, in seconds and from two sides, and when it was seen so last (nanoseconds, monotonic)."""

    asked_ns: int
    queued_ns: int | None
    out_ns: int
    least: float

    @property
    def most(self) -> float:
        return (self.out_ns - self.asked_ns) / 1e9


def _probe(case: Case, job: float, within: float) -> _Wait:
    """Submit a quick job and read its status until it is not queued any more, or was for so long."""
    (probe,) = case.submit("quick")
    asked = last = next(call.ended_ns for call in reversed(case.calls) if probe in ids_of(call))
    queued, least = None, 0.0
    patience = Patience(within + case.deadlines.state, longest=job / 40)
    while True:
        status = case.status(probe)
        read = case.calls[-1]
        if status is not Status.QUEUED:
            return _Wait(asked, queued, read.ended_ns, least)
        # A read long after the one before shows nothing of the time between: then it was this side that stood still.
        least += min((read.started_ns - last) / 1e9, job / 8) if read.started_ns > last else 0.0
        queued = last = read.started_ns
        if least > within or patience.is_over():
            return _Wait(asked, queued, read.ended_ns, least)
        patience.pause()


def _length_of(case: Case, holder: str) -> float:
    """Watch the holder leave the executor, and return how long it ran: as the profile says, within what was seen."""
    expected = case.profile.jobs["slow"].duration
    patience = Patience(expected + case.deadlines.state, longest=expected / 40)
    while case.status(holder) is Status.RUNNING:
        if patience.is_over():
            raise DisturbedError(f"the job that held the executor ({holder}) does not end")
        patience.pause()
    running = _seen_running(case, holder)
    left = case.calls[-1]
    begun = next(call.started_ns for call in reversed(case.calls) if holder in ids_of(call))
    shortest, longest = running[-1].started_ns - running[0].ended_ns, left.ended_ns - begun
    return min(max(expected, shortest / 1e9), longest / 1e9)


def _seen_running(case: Case, job_id: str) -> list[Call]:
    """Return the status reads that showed a job RUNNING, in order."""
    return [
        call
        for call in case.calls
        if isinstance(call.request, pb.GetControllerJobStatusRequest)
        and call.request.job_id == job_id
        and call.error is None
        and status_of(call) is Status.RUNNING
    ]


def _acknowledged(calls: list[Call], holder: str) -> list[str]:
    submitted = (job_id for call in calls if call.rpc in {Rpc.EXECUTE, Rpc.BATCH} for job_id in ids_of(call))
    return [job_id for job_id in dict.fromkeys(submitted) if job_id and job_id != holder]


def _await_idle(case: Case) -> None:
    """Probe until one does not have to wait: what earlier checks left behind must not be laid to this one."""
    job = case.profile.jobs["slow"].duration
    end = time.monotonic() + MANY * job + case.deadlines.state
    while _probe(case, job, MANY * job).most >= job / 4:
        if time.monotonic() > end:
            raise DisturbedError("the executor does not become idle: jobs from before are still running")
