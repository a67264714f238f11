"""How long until a job is finished: honest bounds (spec: `GetControllerJobStatusResponse.estimated_job_completion_delay`).

Jobs start in order, each as soon as one of k executors is free (list scheduling, R. L. Graham 1966). A job that waits behind work
of W nanoseconds in total starts no later than W/k, and, if M is the longest single piece, no earlier than (W - (k-1)M)/k.
The minimum counts what jobs declare (nothing for those that declare nothing), the maximum the timeouts that are enforced. So the
maximum always holds, and the minimum holds whenever the declared estimates are exact. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from harness.server.state import Job
from harness.server.values import Phase

Bounds = tuple[int, int]
"""Least and greatest time to completion in nanoseconds, 0 <= least <= greatest."""


def declared_work(estimate: int | None, timeout: int) -> int:
    """Return the least time that a job with this estimate occupies an executor; an eviction cuts it short."""
    return 0 if estimate is None else min(estimate, timeout)


def completion(job: Job, now: int) -> Bounds:
    """Return the bounds for a job at `now`."""
    if job.phase is Phase.QUEUED:
        return _queued(job, now)
    if job.phase is Phase.RUNNING:
        least, greatest = remaining(job, now)
        return least + _declared_post(job), greatest + job.spec.post
    if job.phase is Phase.POST_PROCESSING:
        left = max(0, job.due - now)
        return left, left
    return 0, 0


def remaining(job: Job, now: int) -> Bounds:
    """Return the bounds for how long a running job still occupies its executor."""
    elapsed = now - job.started
    return max(0, job.work_minimum - elapsed), max(0, job.work_maximum - elapsed)


def start(ahead_minimum: int, ahead_maximum: int, longest: int, executors: int) -> Bounds:
    """Return the bounds for when the next job in line starts, given the work before it (running work included)."""
    least = (ahead_minimum - (executors - 1) * longest) // executors
    return max(0, least), -(-ahead_maximum // executors)


def _queued(job: Job, now: int) -> Bounds:
    processor = job.processor
    minimum, maximum, longest = processor.queue.ahead(job)
    running_minimum, running_maximum, running_longest = _on_executors(processor.running.values(), now)
    least, greatest = start(
        minimum + running_minimum, maximum + running_maximum, max(longest, running_longest), processor.executors
    )
    return least + job.work_minimum + _declared_post(job), greatest + job.work_maximum + job.spec.post


def _on_executors(jobs: Iterable[Job], now: int) -> tuple[int, int, int]:
    minimum = maximum = longest = 0
    for job in jobs:
        least, greatest = remaining(job, now)
        minimum += least
        maximum += greatest
        longest = max(longest, least)
    return minimum, maximum, longest


def _declared_post(job: Job) -> int:
    """Post-processing counts towards the minimum only if the declared estimate says that the job gets there."""
    estimate = job.spec.estimate
    return job.spec.post if estimate is not None and estimate <= job.timeout else 0
