"""The frozen values that enter and leave the queue engine.

Pure: no protobuf, no gRPC, no clock. Times and durations are integer nanoseconds; times count from the Unix epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NamedTuple

from harness.ids import IdempotencyKey

MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000


class Phase(IntEnum):
    """Where a job stands; numbers as in GetControllerJobStatusResponse.Status."""

    QUEUED = 1
    RUNNING = 2
    SUCCEEDED = 3
    FAILED = 4
    CANCELED = 5
    POST_PROCESSING = 6


TERMINAL = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELED})
"""Phases that a job never leaves (STA-01)."""


class ResultStatus(IntEnum):
    """How a finished job went; numbers as in ControllerJobExecutionResult.Status."""

    UNKNOWN = 0
    SUCCESS = 1
    SERVICE_FAILURE = 2
    USER_FAILURE = 3
    USER_CANCELLATION = 4


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What a payload asks the hardware to do (see `jobtext`).

    `duration` and `post` are what will really happen; `estimate` is what the job declares, None if it declares nothing.
    """

    duration: int
    estimate: int | None = None
    post: int = 0
    outcome: ResultStatus = ResultStatus.SUCCESS
    message: str = ""
    touches_settings: bool = False
    readout: str | None = None


class PlannedJob(NamedTuple):
    """One configuration of a submission: what to run, and its memory as opaque bytes that the result gives back."""

    spec: JobSpec
    memory: bytes


class TargetKind(StrEnum):
    """Which field of the `target` oneof is set."""

    PROCESSOR = "quantum_processor_id"
    ENDPOINT = "endpoint_id"


class Target(NamedTuple):
    """The `target` oneof of a request."""

    kind: TargetKind
    name: str


class Caller(NamedTuple):
    """Who calls, and whether they may change protected settings (OPT-04)."""

    subject: str
    may_bypass: bool


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    """One ExecuteControllerJobRequest.

    `key` may hold an invalid UUID; `timeout` is (seconds, nanos) exactly as sent, None when unset; `has_job` tells whether the
    `job` oneof is set.
    """

    jobs: tuple[PlannedJob, ...]
    target: Target | None = None
    key: IdempotencyKey | None = None
    timeout: tuple[int, int] | None = None
    bypass: bool = False
    has_job: bool = True


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """One BatchExecuteControllerJobsRequest; keys inside the members do not count (BATCH-04)."""

    requests: tuple[SubmitRequest, ...]
    key: IdempotencyKey | None = None


class StatusReply(NamedTuple):
    """Where a job stands and the bounds of the time until it is finished, as seen at `now`."""

    phase: Phase
    minimum: int
    maximum: int
    now: int


class Result(NamedTuple):
    """What a finished job left behind; `execution` is its time on the hardware, 0 if it never ran."""

    job_id: str
    status: ResultStatus
    message: str
    execution: int
    readout: str | None
    memory: bytes
