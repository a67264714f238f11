"""Estimates are bounds: never broken when what jobs declare is true, and the maximum not even when it is not."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from harness.server.engine import Engine
from harness.server.lifecycle import EngineConfig
from harness.server.values import (
    MILLISECOND,
    SECOND,
    TERMINAL,
    Caller,
    JobSpec,
    Phase,
    PlannedJob,
    StatusReply,
    SubmitRequest,
    Target,
    TargetKind,
)

A = Target(TargetKind.PROCESSOR, "a")
ALICE = Caller("alice", False)
NOW = 1_700_000_000 * SECOND
CONFIG = EngineConfig(
    processors=("a",), endpoints={}, require_target=True, executors=1, capacity=10_000, default_timeout=200, max_timeout=1000,
    retention=3600 * SECOND, max_finished=10_000,
)  # fmt: skip

SPECS = st.lists(
    st.tuples(st.integers(1, 300), st.booleans(), st.integers(0, 40), st.none() | st.integers(1, 400), st.integers(0, 60)),
    min_size=1,
    max_size=25,
)
"""Duration, whether it is declared, post-processing, timeout, and the time since the submission before."""


@given(SPECS, st.integers(1, 4), st.randoms(use_true_random=False), st.booleans())
def test_bounds_hold(
    specs: list[tuple[int, bool, int, int | None, int]], executors: int, chance: random.Random, lying: bool
) -> None:
    engine = Engine(replace(CONFIG, executors=executors), random.Random(1).getrandbits)  # noqa: S311
    now, last_cancel = NOW, 0
    seen: list[tuple[str, int, StatusReply]] = []
    known: list[str] = []
    for step, (duration, declared, post, timeout, gap) in enumerate(specs):
        now += gap
        estimate = (chance.randint(1, 400) if lying else duration) if declared else None
        planned = PlannedJob(JobSpec(duration, estimate, post), b"")
        request = SubmitRequest((planned,), A, timeout=(0, timeout) if timeout else None)
        known.extend(engine.submit(ALICE, request, now))
        if chance.random() < 0.2:
            engine.cancel([chance.choice(known)], A, now)
            last_cancel = step
        seen.extend((job_id, step, engine.status(job_id, A, now)) for job_id in known)
    finished = _run_to_the_end(engine)
    for job_id, step, reply in seen:
        assert 0 <= reply.minimum <= reply.maximum
        if reply.phase in TERMINAL:
            assert reply.minimum == reply.maximum == 0
        elif job_id in finished:
            left = finished[job_id] - reply.now
            assert left <= reply.maximum
            # A cancel that comes later makes room that no estimate could know of.
            if not lying and step >= last_cancel:
                assert reply.minimum <= left


def _run_to_the_end(engine: Engine) -> dict[str, int]:
    """Return when each job came to its end, leaving out those that were cancelled."""
    engine.advance(NOW + SECOND)
    effects = engine.take_effects()
    assert effects is not None
    return {job.id: job.finished for job in effects.finished if job.phase is not Phase.CANCELED}


def test_exact_estimates_on_one_executor_are_exact() -> None:
    spec = JobSpec(10 * MILLISECOND, 10 * MILLISECOND, MILLISECOND)
    engine = Engine(replace(CONFIG, max_timeout=SECOND), random.Random(1).getrandbits)  # noqa: S311
    ids = engine.submit(ALICE, SubmitRequest(tuple(PlannedJob(spec, b"") for _ in range(5)), A), NOW)
    for index, job_id in enumerate(ids):
        reply = engine.status(job_id, A, NOW + 3 * MILLISECOND)
        assert reply.minimum == reply.maximum == (10 * (index + 1) - 3 + 1) * MILLISECOND


def test_jobs_that_declare_nothing_add_nothing_to_the_minimum() -> None:
    engine = Engine(CONFIG, random.Random(1).getrandbits)  # noqa: S311
    ids = engine.submit(ALICE, SubmitRequest((PlannedJob(JobSpec(50), b""), PlannedJob(JobSpec(50, 60), b"")), A), NOW)
    first, second = (engine.status(job_id, A, NOW) for job_id in ids)
    assert (first.minimum, first.maximum) == (0, 200)
    assert (second.minimum, second.maximum) == (60, 260)
