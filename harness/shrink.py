"""Make a failing plan small: try smaller plans, biggest cuts first, and keep what still fails. Pure; the caller runs plans."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from harness.plan import AnyStep, Batch, Cancel, Plan, Replay, Results, Status, Submit, job_of


def shrink(plan: Plan, fails: Callable[[Plan], bool]) -> Plan:
    """Return a plan that fails and of which no smaller neighbour does, or the best one when `fails` says no from then on.

    `fails` is asked at most once about each plan.
    """
    asked: set[Plan] = {plan}
    while True:
        for candidate in smaller(plan):
            if candidate not in asked:
                asked.add(candidate)
                if fails(candidate):
                    plan = candidate
                    break
        else:
            return plan


def size(plan: Plan) -> tuple[int, ...]:
    """Return what has to become less: steps, configurations, then everything that is not the plainest choice."""
    configurations = sum(sum(step.counts) for step in plan.submissions())
    named = sum(len(step.jobs) for step in plan.steps if isinstance(step, Cancel))
    return len(plan.steps), configurations, named, sum(_oddity(step) for step in plan.steps)


def smaller(plan: Plan) -> Iterator[Plan]:
    """Yield plans that are smaller by `size`, those with fewer steps first."""
    yield from _shorter(plan)
    for place, step in enumerate(plan.steps):
        for simpler in _simpler(step):
            yield Plan((*plan.steps[:place], simpler, *plan.steps[place + 1 :]))


def _shorter(plan: Plan) -> Iterator[Plan]:
    length = len(plan.steps)
    chunk = length
    while chunk >= 1:
        # From the end: what comes first rarely rests on what comes later.
        for end in range(length, 0, -chunk):
            yield Plan((*plan.steps[: max(0, end - chunk)], *plan.steps[end:]))
        chunk //= 2


def _oddity(step: AnyStep) -> int:
    odd = (step.on - 1) + step.beside + isinstance(step, Batch)
    if isinstance(step, Submit | Batch):
        odd += (step.role != "quick") + step.key
    if isinstance(step, Submit | Batch | Replay):
        odd += step.hang_up is not None
    places = step.jobs if isinstance(step, Cancel) else (step.job,) if isinstance(step, Status | Results) else ()
    return odd + sum(_place(job) != 0 for job in places)


def _simpler(step: AnyStep) -> Iterator[AnyStep]:
    if isinstance(step, Submit):
        yield from _simpler_submission(step)
    elif isinstance(step, Batch):
        yield from _simpler_batch(step)
    elif isinstance(step, Cancel):
        yield from _simpler_cancel(step)
    elif isinstance(step, Status | Results) and _place(step.job):
        yield dataclasses.replace(step, job=_first(step.job))
    yield from _plainer(step)


def _plainer(step: AnyStep) -> Iterator[AnyStep]:
    if isinstance(step, Submit | Batch):
        if step.role != "quick":
            yield dataclasses.replace(step, role="quick")
        if step.key:
            yield dataclasses.replace(step, key=False)
    if isinstance(step, Submit | Batch | Replay) and step.hang_up is not None:
        yield dataclasses.replace(step, hang_up=None)
    if step.beside:
        yield dataclasses.replace(step, beside=False)
    for on in range(1, step.on):
        yield dataclasses.replace(step, on=on)


def _simpler_submission(step: Submit) -> Iterator[AnyStep]:
    for count in dict.fromkeys((1, 2, step.count // 2, step.count - 1)):
        if 0 < count < step.count:
            yield dataclasses.replace(step, count=count)


def _simpler_batch(step: Batch) -> Iterator[AnyStep]:
    common = {item.name: getattr(step, item.name) for item in dataclasses.fields(step) if item.name != "counts"}
    yield Submit(count=step.counts[0], **common)
    for place in range(len(step.counts) if len(step.counts) > 1 else 0):
        yield dataclasses.replace(step, counts=(*step.counts[:place], *step.counts[place + 1 :]))
    for place, count in enumerate(step.counts):
        if count > 1:
            yield dataclasses.replace(step, counts=(*step.counts[:place], count // 2, *step.counts[place + 1 :]))


def _simpler_cancel(step: Cancel) -> Iterator[AnyStep]:
    for place in range(len(step.jobs)):
        yield dataclasses.replace(step, jobs=(*step.jobs[:place], *step.jobs[place + 1 :]))
    for place, job in enumerate(step.jobs):
        if _place(job):
            yield dataclasses.replace(step, jobs=(*step.jobs[:place], _first(job), *step.jobs[place + 1 :]))


def _place(job: str) -> int:
    found = job_of(job)
    return 0 if found is None else found[1]


def _first(job: str) -> str:
    return f"{job.partition('.')[0]}.0"
