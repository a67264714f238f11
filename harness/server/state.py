"""All that the queue engine knows, and every legal move of a job, as one table.

Pure. The engine owns these objects and updates them in place: with 100,000 live jobs a copy per call would cost more than the
call. Nobody else may write to them; a store reads them while it handles `Effects`, and keeps no reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from harness.server.fifo import FifoQueue
from harness.server.values import JobSpec, Phase, ResultStatus


class Event(Enum):
    """What can happen to a job."""

    START = auto()
    LEAVE = auto()
    """The program has ended, the result is not ready yet."""
    SUCCEED = auto()
    FAIL = auto()
    EVICT = auto()
    CANCEL = auto()


TRANSITIONS: Mapping[tuple[Phase, Event], Phase] = {
    (Phase.QUEUED, Event.START): Phase.RUNNING,
    (Phase.QUEUED, Event.CANCEL): Phase.CANCELED,
    (Phase.RUNNING, Event.LEAVE): Phase.POST_PROCESSING,
    (Phase.RUNNING, Event.SUCCEED): Phase.SUCCEEDED,
    (Phase.RUNNING, Event.FAIL): Phase.FAILED,
    (Phase.RUNNING, Event.EVICT): Phase.FAILED,
    (Phase.POST_PROCESSING, Event.SUCCEED): Phase.SUCCEEDED,
    (Phase.POST_PROCESSING, Event.FAIL): Phase.FAILED,
}
"""The state machine of a job (STA-01); a move that is not here is a defect of the server."""


class Scope(NamedTuple):
    """Within which an idempotency key means one submission: the caller, the call (single or batch) and the target.

    `processor` is "" for a batch, whose members each have a target of their own.
    """

    subject: str
    rpc: str
    processor: str


class KeyId(NamedTuple):
    """One idempotency key in its scope."""

    scope: Scope
    high: int
    low: int


@dataclass(slots=True, eq=False)
class KeyRecord:
    """A key that was accepted, and the ids that it stands for: one tuple for each request of the submission.

    `known` counts the ids that are still known; at zero the key is dropped.
    """

    key: KeyId
    groups: tuple[tuple[str, ...], ...]
    known: int


@dataclass(slots=True, eq=False)
class Job:
    """One execution. Times are nanoseconds since the epoch, 0 while they have not come.

    `due` is when the next thing happens to a job that runs or is post-processed; `ticket` is its place in the queue.
    """

    id: str
    order: int
    processor: Processor
    spec: JobSpec
    memory: bytes
    timeout: int
    work_minimum: int
    work_maximum: int
    key: KeyRecord | None
    submitted: int
    phase: Phase = Phase.QUEUED
    ticket: int = 0
    started: int = 0
    released: int = 0
    finished: int = 0
    due: int = 0
    status: ResultStatus = ResultStatus.UNKNOWN
    message: str = ""


@dataclass(slots=True)
class Counts:
    """Jobs of one processor, counted by what became of them."""

    accepted: int = 0
    post_processing: int = 0
    succeeded: int = 0
    failed: int = 0
    canceled: int = 0


@dataclass(slots=True, eq=False)
class Processor:
    """One quantum processor: its waiting line, and what is on its executors (in order of start)."""

    name: str
    executors: int
    queue: FifoQueue[Job]
    running: dict[str, Job] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)


@dataclass(slots=True)
class Effects:
    """What a command did, for the store and for those who wait.

    `moved` holds no job of `accepted`, and none that is forgotten; `finished` holds every job that has just become terminal.
    """

    accepted: dict[str, Job] = field(default_factory=dict)
    moved: dict[str, Job] = field(default_factory=dict)
    finished: list[Job] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    keys: list[KeyRecord] = field(default_factory=list)
    dropped_keys: list[KeyRecord] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.accepted or self.moved or self.forgotten or self.keys or self.dropped_keys)
