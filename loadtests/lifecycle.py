"""The phases of one job's life as its user sees them by polling. Pure: times come in as monotonic nanoseconds."""

from __future__ import annotations

from typing import NamedTuple

from harness.model import Status, is_legal_move

_PHASE_OF = {Status.QUEUED: "queued", Status.RUNNING: "running", Status.POST_PROCESSING: "post_processing"}


class Phase(NamedTuple):
    """A phase of a job's life that is over: its true length lies within `micros` +- `error_micros`."""

    name: str
    micros: int
    error_micros: int


class JobLife:
    """What was seen of one job: phases named as in `harness.thresholds.PHASES`.

    A status call that was sent at one time and answered at another saw the job at some moment in between. So a move happened
    after the last call that did not see it was sent, and before the first that saw it was answered: that is the error bar. It was
    submitted by a call that was sent at `sent_ns` and answered at `acknowledged_ns`.
    """

    __slots__ = ("_asked_ns", "_earliest_ns", "_latest_ns", "_status")

    def __init__(self, sent_ns: int, acknowledged_ns: int) -> None:
        self._status = Status.QUEUED
        self._earliest_ns, self._latest_ns = sent_ns, acknowledged_ns
        self._asked_ns = sent_ns

    @property
    def since_ns(self) -> int:
        """Earliest time at which the job may have come to its present status."""
        return self._earliest_ns

    def saw(self, status: Status, sent_ns: int, ended_ns: int) -> tuple[Phase, ...]:
        """Take in the status that a call brought, and return the phase that it closes, if any.

        A job that went through several statuses between two calls closes the one in which it was seen last: how long it was in
        the others nobody knows. A cancelled job closes nothing: it left its phase on request. A status that cannot follow is
        the ledger's business.
        """
        if status is self._status:
            self._asked_ns = sent_ns
            return ()
        if not is_legal_move(self._status, status):
            return ()
        phase = _between((self._earliest_ns, self._latest_ns), (self._asked_ns, ended_ns))
        name = _PHASE_OF[self._status]
        self._status = status
        self._earliest_ns, self._latest_ns = self._asked_ns, ended_ns
        self._asked_ns = sent_ns
        return () if status is Status.CANCELED else (Phase(name, *phase),)

    def to_result(self, sent_ns: int, ended_ns: int) -> Phase:
        """Return how long its user waited for the result, from sending the submission until the result was there.

        The job might have been seen to end as early as it can have ended: so much shorter its way to the result may have been.
        """
        return Phase("to_result", (ended_ns - sent_ns) // 1000, -(-(ended_ns - self._earliest_ns) // 1000) + 1)


def _between(begin: tuple[int, int], end: tuple[int, int]) -> tuple[int, int]:
    """Return a length and its error in microseconds; each of its ends lies between two times."""
    shortest, longest = max(0, end[0] - begin[1]), end[1] - begin[0]
    # Rounded away from the middle, so that the bounds still hold.
    micros = (shortest + longest) // 2000
    return micros, -(-(longest - shortest) // 2000) + 1
