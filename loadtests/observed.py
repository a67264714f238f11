"""An endpoint's own count of jobs held against the books of a load run: jobs that it made and no answer shows.

It is read before the first call and after the last, where the profile names an observer and nobody else uses the target. A count
that cannot be read, does not come to rest, or is none of jobs says nothing. Knows gevent.
"""

from __future__ import annotations

import dataclasses

import gevent

from harness.endpoint import Endpoint
from harness.observing import UnreadableError, read_observer
from harness.record import Discrepancy, Ledger
from loadtests.violations import SHOWN_IN_FULL

REST = 0.2
"""Seconds for which a count has to stay as it is: a submission that is still being handled shows a moment later."""
READINGS = 10
"""How often it is read until it does."""


class Watch:
    """Watches the count of one endpoint from now on."""

    def __init__(self, endpoint: Endpoint) -> None:
        facts, target = endpoint.profile.facts, endpoint.profile.target.name
        usable = facts.observer is not None and facts.exclusive
        self._observer = facts.observer.aimed(target or "") if facts.observer is not None and usable else None
        self._before = self._settled()

    def judged(self, books: Ledger) -> Ledger:
        """Return the books of the run that is over, with what the count has to say to them."""
        after = None if self._before is None else self._settled()
        return books if after is None or self._before is None else held_against(books, after - self._before)

    def _settled(self) -> float | None:
        """Read until two readings agree; None: there is nothing to read, or it does not come to that."""
        last: float | None = None
        try:
            for _ in range(READINGS if self._observer is not None else 0):
                assert self._observer is not None  # noqa: S101 - see above
                count = read_observer(self._observer)
                if count == last:
                    return count
                last = count
                gevent.sleep(REST)
        except UnreadableError:
            return None
        return None


def held_against(books: Ledger, made: float) -> Ledger:
    """Return books with what they leave unexplained of the jobs that the endpoint has made by its own count, if anything.

    Fewer than they know of are nobody's fault: who counts may have been restarted.
    """
    if made < 0 or made % 1:
        return books
    known = books.acknowledged_jobs + books.duplicated + books.unknown_jobs
    surplus = max(0, round(made) - known)
    if not surplus:
        return books
    found = Discrepancy(
        "IDEM-02" if books.replays else "EXEC-01",
        f"{known} jobs at most by the endpoint's own count: those of its ids, and of submissions without an answer",
        f"{made:.0f}, so {surplus} that no id shows (nobody else uses the target, says the profile)",
    )
    return dataclasses.replace(
        books,
        duplicated=books.duplicated + surplus,
        violation_count=books.violation_count + 1,
        violations=(found, *books.violations)[:SHOWN_IN_FULL],
    )
