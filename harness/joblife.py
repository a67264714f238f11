"""The life of one job, judged from everything that was seen of it: status moves, loss, cancels, results.

A job's statuses form a chain, so reads fit some single order of events exactly if no read that was over before another one
began shows a later status: one sweep decides, no search. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from harness.model import RESULTS_OF, TERMINAL, ResultStatus, Status, is_legal_move
from harness.sightings import Call, Fetch, ResultsRead, StatusRead

SHOULD = frozenset({"RES-05", "STA-05"})
"""The judged requirements that warn only; all others are a MUST."""


@dataclass(frozen=True)
class Violation:
    """One way in which a history breaks a requirement; `operations` are the numbers of the operations that show it."""

    requirement: str
    expected: str
    observed: str
    operations: tuple[int, ...]

    @property
    def level(self) -> str:
        """How binding the requirement is: MUST or SHOULD."""
        return "SHOULD" if self.requirement in SHOULD else "MUST"


@dataclass(frozen=True)
class Acknowledgement:
    """A submission was answered with this job's id."""

    call: Call
    identity: str
    target: str
    timeout: bool


@dataclass
class Job:
    """All that a history holds about one job id; the checker collects it first, and only then is it looked at."""

    id: str
    acknowledgements: list[Acknowledgement] = field(default_factory=list)
    reads: list[StatusRead] = field(default_factory=list)
    results: list[ResultsRead] = field(default_factory=list)
    cancels: list[Call] = field(default_factory=list)

    def seen(self, *statuses: Status) -> list[StatusRead]:
        """Return the reads that showed one of the statuses, by the time they ended."""
        return sorted((read for read in self.reads if read.status in statuses), key=lambda read: (read.ended_ns, read.number))

    @cached_property
    def forgettable_from(self) -> float:
        """When (ns) the endpoint could drop the job at the earliest: it was fetched, perhaps unnoticed, or cancelled.

        Cancels count even if nothing shows that they worked; an eviction may have come at any time. Infinite for never.
        """
        fetched = _first_start(read for read in self.results if read.fetch in {Fetch.RESULT, Fetch.UNDECIDED})
        if self.seen(Status.SUCCEEDED, Status.FAILED):
            return fetched
        evicted = not self.cancels and self.seen(Status.CANCELED)
        return min(fetched, float("-inf") if evicted else _first_start(self.cancels))

    @cached_property
    def last_known_ns(self) -> float:
        """When the last read began that still showed a status; minus infinity for none."""
        known = (read.started_ns for read in self.reads if read.status not in {None, Status.UNKNOWN})
        return max(known, default=float("-inf"))


def judge_job(job: Job) -> Iterator[Violation]:
    """Yield what is wrong with the life of one job, at most one violation per rule."""
    yield from _moves(job)
    yield from _loss(job)
    yield from _cancellation(job)
    yield from _results(job)


def _moves(job: Job) -> Iterator[Violation]:
    reads = sorted(
        (read for read in job.reads if read.status not in {None, Status.UNKNOWN}), key=lambda read: (read.started_ns, read.number)
    )
    ended = sorted(reads, key=lambda read: (read.ended_ns, read.number))
    latest: StatusRead | None = None
    done = 0
    for read in reads:
        while ended[done].precedes(read):
            # The furthest of the reads that are over forbids all that any of them forbids.
            if latest is None or _follows(latest, ended[done]):
                latest = ended[done]
            done += 1
        if latest is not None and not _follows(latest, read):
            expected = f"job {job.id} to move on from {latest.status}, or to stay there"
            yield Violation("STA-01", expected, f"{read.status} in a later read", (latest.number, read.number))
            return
    ends = {read.status: read for read in reversed(job.seen(*TERMINAL))}
    if len(ends) > 1:
        numbers = tuple(sorted(read.number for read in ends.values()))
        observed = " and ".join(sorted(str(status) for status in ends))
        yield Violation("STA-01", f"the terminal status of job {job.id} to stay", f"{observed}, in whatever order", numbers)
        yield Violation(
            "STA-05", f"one order of events for all reads of job {job.id}", f"{observed} in overlapping reads", numbers
        )


def _follows(before: StatusRead, after: StatusRead) -> bool:
    return before.status is not None and after.status is not None and is_legal_move(before.status, after.status)


def _loss(job: Job) -> Iterator[Violation]:
    known: dict[tuple[str, str], Call] = {}
    for item in sorted(job.acknowledgements, key=lambda item: item.call.ended_ns):
        known.setdefault((item.identity, item.target), item.call)
    for read in job.seen(Status.UNKNOWN):
        since = known.get((read.identity, read.target))
        if since is not None and since.precedes(read) and job.forgettable_from > read.ended_ns:
            expected = f"a status of job {job.id}, which was acknowledged and whose results nobody has fetched"
            yield Violation("STA-02", expected, "UNKNOWN or NOT_FOUND", (since.number, read.number))
            return
    # Before the end any error will do (RES-03), and for CANCELED at any time.
    for end in job.seen(Status.SUCCEEDED, Status.FAILED)[:1]:
        for fetch in _by_end(job.results):
            same = fetch.fetch is Fetch.NOT_FOUND and (fetch.identity, fetch.target) == (end.identity, end.target)
            if same and end.precedes(fetch) and job.forgettable_from > fetch.ended_ns:
                yield Violation(
                    "RES-01", f"results of job {job.id}, which is {end.status}", "NOT_FOUND", (end.number, fetch.number)
                )
                return


def _cancellation(job: Job) -> Iterator[Violation]:
    """Judge CANCELED: a job without a timeout is taken to be within its estimate, so that no eviction explains it."""
    if not job.acknowledgements or any(item.timeout for item in job.acknowledgements):
        return
    ends: list[Call] = [*job.seen(Status.CANCELED)]
    ends += [read for read in job.results if read.status is ResultStatus.USER_CANCELLATION]
    for end in _by_end(ends)[:1]:
        first = _first_start(job.cancels)
        if first > end.ended_ns:
            expected = f"job {job.id} to be left alone, for no cancel named it and it has no timeout"
            yield Violation("CAN-05", expected, "it was cancelled", (end.number,))
            return
        for begun in job.seen(Status.RUNNING, Status.POST_PROCESSING)[:1]:
            if begun.ended_ns < first:
                cancel = min(job.cancels, key=lambda call: call.started_ns)
                expected = f"job {job.id}, seen {begun.status} before any cancel, to end as it would have"
                yield Violation("CAN-02", expected, "it was cancelled", (begun.number, cancel.number, end.number))


def _results(job: Job) -> Iterator[Violation]:
    fetched = [read for read in _by_end(job.results) if read.status is not None]
    for read in fetched:
        if read.status is ResultStatus.UNKNOWN:
            yield Violation("RES-03", f"a result of job {job.id}, or an error", "OK without a usable result", (read.number,))
            break
    usable = [read for read in fetched if read.status is not ResultStatus.UNKNOWN]
    ends = {read.status: read for read in reversed(job.seen(*TERMINAL))}
    for status, end in list(ends.items())[:1] if len(ends) == 1 else ():
        legal = RESULTS_OF[Status(str(status))]
        for read in [read for read in usable if read.status not in legal][:1]:
            expected = f"{' or '.join(sorted(legal))} for job {job.id}, which is {status}"
            yield Violation("RES-01", expected, f"{read.status}", (end.number, read.number))
    for read in [read for read in usable if read.status is not usable[0].status][:1]:
        expected = f"the same result of job {job.id} again: {usable[0].status}"
        yield Violation("RES-05", expected, f"{read.status}", (usable[0].number, read.number))


C = TypeVar("C", bound=Call)


def _by_end(calls: Iterable[C]) -> list[C]:
    return sorted(calls, key=lambda call: (call.ended_ns, call.number))


def _first_start(calls: Iterable[Call]) -> float:
    return min((call.started_ns for call in calls), default=float("inf"))
