"""Engines to try the rules of the queue on, and the requests for them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from harness.ids import random_key
from harness.server.engine import Engine
from harness.server.lifecycle import EngineConfig
from harness.server.refusal import Refusal
from harness.server.values import (
    MILLISECOND,
    SECOND,
    Caller,
    JobSpec,
    Phase,
    PlannedJob,
    SubmitRequest,
    Target,
    TargetKind,
)

MS = MILLISECOND
CONFIG = EngineConfig(
    processors=("a", "b"),
    endpoints={"end-b": "b"},
    require_target=True,
    executors=1,
    capacity=4,
    default_timeout=60 * SECOND,
    max_timeout=3600 * SECOND,
    retention=100 * SECOND,
    max_finished=1000,
)
A = Target(TargetKind.PROCESSOR, "a")
B = Target(TargetKind.PROCESSOR, "b")
ALICE, ROOT = Caller("alice", False), Caller("root", True)
NOW = 1_700_000_000 * SECOND
KEY = random_key(random.Random(4))  # noqa: S311
TEN = JobSpec(10 * MS)


def engine(**changes: Any) -> Engine:
    return Engine(replace(CONFIG, **changes), random.Random(7).getrandbits)  # noqa: S311


def jobs(count: int, spec: JobSpec = TEN) -> tuple[PlannedJob, ...]:
    return tuple(PlannedJob(spec, f"memory {index}".encode()) for index in range(count))


def request(count: int = 1, spec: JobSpec = TEN, **details: Any) -> SubmitRequest:
    return SubmitRequest(jobs(count, spec), **({"target": A} | details))


def phases(subject: Engine, ids: tuple[str, ...], now: int, target: Target = A) -> list[Phase]:
    return [subject.status(job_id, target, now).phase for job_id in ids]


def refused(call: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value.code.name, caught.value.message
