"""The phases of one job's life as its user sees them by polling. Pure: times come in as monotonic nanoseconds."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model import Status, is_legal_move

_PHASE_OF = {Status.QUEUED: "queued", Status.RUNNING: "running", Status.POST_PROCESSING: "post_processing"}


class JobLife:
    """What was seen of one job: phases named as in `harness.thresholds.PHASES`."""

    __slots__ = ("_since_ns", "_status")

    def __init__(self, acknowledged_ns: int) -> None:
        self._status = Status.QUEUED
        self._since_ns = acknowledged_ns

    def saw(self, status: Status, at_ns: int) -> Iterator[tuple[str, int]]:
        """Take in a status and yield the (phase, microseconds) that it closes; consume it at once.

        A cancelled job closes nothing: it left its phase on request. A status that cannot follow is the ledger's business.
        """
        if status is self._status or not is_legal_move(self._status, status):
            return
        if status is not Status.CANCELED:
            yield _PHASE_OF[self._status], (at_ns - self._since_ns) // 1000
        self._status, self._since_ns = status, at_ns
