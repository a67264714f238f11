"""What a Controller may legally do: status moves and how results agree with them (STA-01, RES-01).

This is the judge's side and shares no code with the reference server. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum


class Status(StrEnum):
    """A job's place in its life, named as on the wire."""

    UNKNOWN = "UNKNOWN"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    POST_PROCESSING = "POST_PROCESSING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


class ResultStatus(StrEnum):
    """How an execution ended, named as on the wire."""

    UNKNOWN = "UNKNOWN"
    SUCCESS = "SUCCESS"
    SERVICE_FAILURE = "SERVICE_FAILURE"
    USER_FAILURE = "USER_FAILURE"
    USER_CANCELLATION = "USER_CANCELLATION"


TERMINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELED})
"""Statuses that a job never leaves."""
STARTED = frozenset({Status.RUNNING, Status.POST_PROCESSING, Status.SUCCEEDED, Status.FAILED})
"""Statuses that only a job that began to execute can have; an eviction may also show as CANCELED."""

_RANK = {
    Status.QUEUED: 0,
    Status.RUNNING: 1,
    Status.POST_PROCESSING: 2,
    Status.SUCCEEDED: 3,
    Status.FAILED: 3,
    Status.CANCELED: 3,
}

RESULTS_OF: Mapping[Status, frozenset[ResultStatus]] = {
    Status.SUCCEEDED: frozenset({ResultStatus.SUCCESS}),
    Status.FAILED: frozenset({ResultStatus.SERVICE_FAILURE, ResultStatus.USER_FAILURE}),
    Status.CANCELED: frozenset({ResultStatus.USER_CANCELLATION, ResultStatus.SERVICE_FAILURE, ResultStatus.USER_FAILURE}),
}
"""Result statuses that agree with a terminal status; an error instead of a result is legal for CANCELED only (RES-01)."""


def is_legal_move(before: Status, after: Status) -> bool:
    """Whether `after` may be seen after `before`; steps may be missed, never reversed (STA-01).

    RUNNING to CANCELED is legal: it is one of the ways to report an eviction. UNKNOWN is no place in a job's life and
    therefore neither follows nor precedes anything.
    """
    if Status.UNKNOWN in {before, after}:
        return False
    if before in TERMINAL:
        return before is after
    return _RANK[before] <= _RANK[after]


def first_illegal_move(seen: Sequence[Status]) -> int | None:
    """Return the index of the first status that may not follow the one before it, or None."""
    if seen and seen[0] is Status.UNKNOWN:
        return 0
    return next((i for i in range(1, len(seen)) if not is_legal_move(seen[i - 1], seen[i])), None)
