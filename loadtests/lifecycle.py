"""A job as its user knows it: its id, and what was seen of its life by polling. Pure: times come in as monotonic nanoseconds."""

from __future__ import annotations

from typing import NamedTuple

from harness.model import Status, is_legal_move
from loadtests.receipts import Ids

_PHASE_OF = {Status.QUEUED: "queued", Status.RUNNING: "running", Status.POST_PROCESSING: "post_processing"}
_BITS = 64


class Phase(NamedTuple):
    """A phase of a job's life that is over: its true length lies within `micros` +- `error_micros`."""

    name: str
    micros: int
    error_micros: int


def bar(earliest_ns: int, latest_ns: int) -> int:
    """Return an error bar, two times from 0 on, as one number: a million jobs have one each, and half the memory counts."""
    return earliest_ns << _BITS | latest_ns


class TrackedJob:
    """A job that was acknowledged, and the status that it was last seen in (None: not asked yet).

    `place` is which configuration of its submission it runs, counted from 0 over all requests, and so which of the ids in the
    answer is its own. `marks` are the ledger's. The call that submitted it was sent at `asked_ns`; the job began some time within
    `since`, a `bar` from then to the answer.

    A status call that was sent at one time and answered at another saw the job at some moment in between. So a move happened
    after the last call that did not see it was sent, and before the first that saw it was answered: that is the error bar. Phases
    are named as in `harness.thresholds.PHASES`.
    """

    __slots__ = ("_ids", "_since", "asked_ns", "marks", "place", "status")

    def __init__(self, ids: Ids, place: int = 0, asked_ns: int = 0, since: int = 0) -> None:
        self._ids = ids
        self.place = place
        self.status: Status | None = None
        self.marks = 0
        self.asked_ns = asked_ns
        self._since = since

    @property
    def id(self) -> bytes:
        """The id (UTF-8)."""
        return self._ids.at(self.place)

    @property
    def text(self) -> str:
        """The id as people read it."""
        return self.id.decode(errors="replace")

    @property
    def since_ns(self) -> int:
        """Earliest time at which the job may have come to its present status."""
        return max(self._since, ~self._since) >> _BITS

    def saw(self, status: Status, sent_ns: int, ended_ns: int) -> Phase | None:
        """Take in the times of a call that brought a status, before the ledger does; return the phase that it closes, if any.

        A job that went through several statuses between two calls closes the one in which it was seen last: how long it was in
        the others nobody knows. A cancelled job closes nothing: it left its phase on request. Nor does one of which a status was
        seen that cannot follow: that is the ledger's business.
        """
        before = self.status or Status.QUEUED
        if status is before:
            self.asked_ns = sent_ns
            return None
        if status is Status.UNKNOWN or self._since < 0:
            return None
        if not is_legal_move(before, status):
            self._since = ~self._since
            return None
        since, self._since = self._since, bar(self.asked_ns, ended_ns)
        begin = since >> _BITS, since & (1 << _BITS) - 1
        phase = _between(begin, (self.asked_ns, ended_ns))
        self.asked_ns = sent_ns
        return None if status is Status.CANCELED else Phase(_PHASE_OF[before], *phase)

    def to_result(self, sent_ns: int, ended_ns: int) -> Phase:
        """Return how long its user waited for the result, from sending the submission until the result was there.

        The job might have been seen to end as early as it can have ended: so much shorter its way to the result may have been.
        """
        return Phase("to_result", (ended_ns - sent_ns) // 1000, -(-(ended_ns - self.since_ns) // 1000) + 1)


def _between(begin: tuple[int, int], end: tuple[int, int]) -> tuple[int, int]:
    """Return a length and its error in microseconds; each of its ends lies between two times."""
    shortest, longest = max(0, end[0] - begin[1]), end[1] - begin[0]
    # Rounded away from the middle, so that the bounds still hold.
    micros = (shortest + longest) // 2000
    return micros, -(-(longest - shortest) // 2000) + 1
