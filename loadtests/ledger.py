"""The books of a load run: every submission and every job in them, and each promise that the endpoint is seen to break.

Rules come from `harness.model` and the catalogue of requirements. An answer that never came (deadline, lost connection) is
unknown, not broken. Of a job that is over nothing is kept but a digest of its id, to see it come back; jobs that nobody saw to
their end wait for the audit (`loadtests.audit`). Pure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from harness.history import UNDECIDED_CODES, Rpc
from harness.ids import IdempotencyKey
from harness.model import RESULTS_OF, TERMINAL, ResultStatus, Status, is_legal_move
from harness.record import Discrepancy, Ledger
from loadtests.idbook import IdBook, repeated
from loadtests.workload import Submission

SHOWN_IN_FULL = 50
"""How many violations the record shows; all are counted."""

DENIALS = frozenset({"NOT_FOUND", "INVALID_ARGUMENT", "FAILED_PRECONDITION"})
"""Codes by which an endpoint denies a job; other codes are troubles of the moment and count as errors only."""

Ids = tuple[tuple[str, ...], ...]
"""The ids of an answer: one tuple per request."""

_DENIED = 1 << 0
_DENIED_AGAIN = 1 << 1
_GONE = 1 << 2
_CANCEL_ASKED = 1 << 3
_RESULT_DUE = 1 << 4
_MAYBE_FETCHED = 1 << 5
_RESULT_DENIED = 1 << 6
_LEFT_ALONE = 1 << 7


class TrackedJob:
    """A job that was acknowledged: its id, and the status that it was last seen in (None: not asked yet).

    `place` is which configuration of its submission it runs, counted from 0 over all requests; `marks` are the ledger's own.
    """

    __slots__ = ("id", "marks", "place", "status")

    def __init__(self, job_id: str, place: int = 0) -> None:
        self.id = job_id
        self.place = place
        self.status: Status | None = None
        self.marks = 0


class Doubt(NamedTuple):
    """A replay whose answer never came; `ids` and `jobs` are those of the first answer."""

    submission: Submission
    ids: Ids
    jobs: tuple[TrackedJob, ...]


class LoadLedger:
    """Keeps the books of one run. `call` is everywhere the request id of the call, to name it in violations.

    A `key` that several processes share lets their books be compared (`merge`).
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._unknown: dict[IdempotencyKey, Submission] = {}
        self._doubts: list[Doubt] = []
        self._left: list[TrackedJob] = []
        self._ids = IdBook(key)
        self._shown: list[Discrepancy] = []
        self._submissions = self._attempted = self._acknowledged = self._replays = 0
        self._lost = self._duplicated = self._unexpected = self._lost_after_end = self._not_followed = 0
        self._ended = dict.fromkeys(TERMINAL, 0)
        self.violations = 0

    @property
    def finished(self) -> int:
        """Jobs seen in a terminal status so far."""
        return sum(self._ended.values())

    @property
    def unknown(self) -> tuple[Submission, ...]:
        """Submissions of which nobody knows whether they were accepted: no answer came."""
        return tuple(self._unknown.values())

    def offered(self, submission: Submission) -> None:
        """Note that a user has a new submission to make."""
        self._submissions += 1
        self._attempted += submission.jobs

    def sent(self, submission: Submission) -> None:
        """Note a submission right before its call; until an answer is noted, its outcome is unknown."""
        self._unknown[submission.key] = submission

    def refused(self, submission: Submission) -> None:
        """Note that the endpoint refused: it promises that nothing was queued."""
        del self._unknown[submission.key]

    def acknowledged(self, submission: Submission, ids: Ids, call: str) -> tuple[TrackedJob, ...]:
        """Note an answer with ids, and return the jobs that are new: those to follow, and to `settle` whatever happens."""
        del self._unknown[submission.key]
        self._check_counts(submission, ids, call)
        return self._enter(ids, call)

    def replayed(self, submission: Submission, original: Ids, again: Ids, call: str) -> None:
        """Note the answer to a submission that was repeated with its key while all its jobs were known."""
        self._replays += 1
        if again != original:
            known = {job_id for request in original for job_id in request}
            self._duplicated += sum(job_id not in known for request in again for job_id in request)
            self._break(_replay_rule(submission), f"the ids of the first answer, {_some(original)}", _some(again), call)

    def replay_failed(self, doubt: Doubt, code: str, call: str) -> None:
        """Note an error in answer to a submission that was repeated with its key; denying the replay breaks the promise."""
        self._replays += 1
        if code in DENIALS:
            self._break(_replay_rule(doubt.submission), "the ids of the first answer", f"the error {code}", call)
        elif code in UNDECIDED_CODES:
            self._doubts.append(doubt)

    def cancel_asked(self, jobs: Sequence[TrackedJob]) -> None:
        """Note that a cancel is about to be sent: jobs that did not start may be forgotten from now on."""
        for job in jobs:
            job.marks |= _CANCEL_ASKED

    def left_alone(self, jobs: Sequence[TrackedJob]) -> None:
        """Note that nobody is going to ask for these jobs."""
        self._not_followed += len(jobs)
        for job in jobs:
            job.marks |= _LEFT_ALONE

    def saw_status(self, job: TrackedJob, status: Status, call: str) -> bool:
        """Note a job's status; return whether there is no use in asking again soon."""
        before = job.status
        if status is before:
            return False
        if status is Status.UNKNOWN:
            return self._denied(job, "UNKNOWN", call)
        if before is not None and not is_legal_move(before, status):
            self._break("STA-01", f"job {job.id} to stay at or move on from {before}", f"{status}", call)
        elif status in TERMINAL:
            self._ended[status] += 1
        if before not in TERMINAL:
            job.status = status
        return False

    def status_failed(self, job: TrackedJob, code: str, call: str) -> bool:
        """Note an error in answer to a status call; return whether there is no use in asking again soon."""
        return code in DENIALS and self._denied(job, f"the error {code}", call)

    def saw_result(self, job: TrackedJob, result: ResultStatus | None, call: str, shown: int | None = None) -> None:
        """Note the status of a job's result (None: the answer held no result).

        `shown` is the number of ours that the result shows: configuration i of a submission carries the number i.
        """
        job.marks = job.marks & ~_RESULT_DUE | _MAYBE_FETCHED
        if result is None or result is ResultStatus.UNKNOWN:
            self._break("RES-03", f"a usable result of job {job.id}", "no result" if result is None else "status UNKNOWN", call)
        elif job.status is not None and result not in RESULTS_OF.get(job.status, ResultStatus):
            agreeing = " or ".join(sorted(RESULTS_OF[job.status]))
            self._break("RES-01", f"{agreeing} for job {job.id}, which is {job.status}", f"{result}", call)
        if shown is not None and shown != job.place:
            self._break("EXEC-02", f"the result of configuration {job.place} for job {job.id}", f"that of {shown}", call)

    def result_failed(self, job: TrackedJob, code: str, call: str) -> None:
        """Note an error in answer to a results call for a job that SUCCEEDED or FAILED."""
        if job.status not in TERMINAL or job.status is Status.CANCELED:
            return
        if code not in DENIALS:
            job.marks |= _RESULT_DUE | (_MAYBE_FETCHED if code in UNDECIDED_CODES else 0)
        elif not job.marks & (_MAYBE_FETCHED | _RESULT_DENIED):
            job.marks |= _RESULT_DUE | _RESULT_DENIED
            self._break("RES-01", f"the result of job {job.id}, which is {job.status}", f"the error {code}", call)

    def settle(self, job: TrackedJob) -> None:
        """Note that nobody follows a job any more; one without its end, or without its result, is left to the audit."""
        if job.marks & _RESULT_DUE or (job.status not in TERMINAL and not job.marks & _LEFT_ALONE):
            self._left.append(job)

    def take_doubts(self) -> list[Doubt]:
        """Return the replays whose answer never came, and note them no more."""
        doubts, self._doubts = self._doubts, []
        return doubts

    def repeated(self, doubt: Doubt, again: Ids, call: str) -> tuple[TrackedJob, ...]:
        """Note the late answer to a doubtful replay; return the jobs that it made: right when the first are forgotten."""
        if again != doubt.ids and doubt.jobs and all(map(_may_be_forgotten, doubt.jobs)):
            self._check_counts(doubt.submission, again, call)
            return self._enter(again, call)
        self._replays -= 1  # counted when its answer did not come
        self.replayed(doubt.submission, doubt.ids, again, call)
        return ()

    def not_repeated(self, doubt: Doubt, code: str, call: str) -> None:
        """Note an error in answer to a doubtful replay that was repeated."""
        if code in DENIALS and not all(map(_may_be_forgotten, doubt.jobs)):
            self._break(_replay_rule(doubt.submission), "the ids of the first answer", f"the error {code}", call)

    def take_left(self) -> list[TrackedJob]:
        """Return the jobs that are left to the audit; each is to be asked for, then given back by `close`."""
        left, self._left = self._left, []
        for job in left:
            job.marks &= ~_GONE
        return left

    def close(self, job: TrackedJob, call: str) -> None:
        """Note that a job was asked for one last time: if the endpoint denied it even now, it is lost."""
        if job.marks & _GONE:
            self._lost += 1
            self._lost_after_end += job.status in TERMINAL
            self._break("EXEC-05", f"job {job.id}, which was acknowledged, to exist", "the endpoint does not know it", call)

    def digests(self) -> bytes:
        """Return the sorted digests of all ids; for `merge`, the ledger needs a key."""
        return self._ids.digests()

    def summary(self) -> Ledger:
        """Return the books as they stand; `finished` holds all terminal jobs, canceled and failed ones among them."""
        return Ledger(
            submissions=self._submissions,
            attempted_jobs=self._attempted,
            acknowledged_jobs=self._acknowledged,
            finished=self.finished,
            canceled=self._ended[Status.CANCELED],
            failed=self._ended[Status.FAILED],
            unfinished=self._acknowledged - self.finished - (self._lost - self._lost_after_end) - self._not_followed,
            not_followed=self._not_followed,
            lost=self._lost,
            duplicated=self._duplicated,
            unexpected=self._unexpected,
            unknown_submissions=len(self._unknown),
            unknown_jobs=sum(submission.jobs for submission in self._unknown.values()),
            replays=self._replays,
            violation_count=self.violations,
            violations=tuple(self._shown),
        )

    def _enter(self, ids: Ids, call: str) -> tuple[TrackedJob, ...]:
        fresh: list[TrackedJob] = []
        add, place = self._ids.add, 0
        for request in ids:
            for job_id in request:
                if not job_id:
                    self._break("EXEC-03", "ids that are not empty", "an empty id", call)
                elif add(job_id):
                    fresh.append(TrackedJob(job_id, place))
                else:
                    self._duplicated += 1
                    self._break("EXEC-03", "ids that no other job of the run has", f"{job_id} again", call)
                place += 1
        self._acknowledged += len(fresh)
        return tuple(fresh)

    def _denied(self, job: TrackedJob, observed: str, call: str) -> bool:
        if job.marks & _CANCEL_ASKED and job.status in {None, Status.QUEUED}:
            self._ended[Status.CANCELED] += 1
            job.status = Status.CANCELED
        if _may_be_forgotten(job):
            return True
        if not job.marks & _DENIED:
            self._break("STA-02", f"a status of the acknowledged job {job.id}", observed, call)
        hopeless = bool(job.marks & _DENIED_AGAIN)
        job.marks |= _GONE | _DENIED | (_DENIED_AGAIN if job.marks & _DENIED else 0)
        return hopeless

    def _check_counts(self, submission: Submission, ids: Ids, call: str) -> None:
        if len(ids) != len(submission.sizes):
            self._unexpected += sum(map(len, ids[len(submission.sizes) :]))
            self._break("BATCH-01", f"{len(submission.sizes)} responses", f"{len(ids)}", call)
            return
        got = tuple(map(len, ids))
        if got != submission.sizes:
            self._unexpected += sum(max(0, more - asked) for more, asked in zip(got, submission.sizes, strict=True))
            requirement = "BATCH-01" if submission.rpc is Rpc.BATCH else "EXEC-01"
            self._break(requirement, f"one id per configuration, {_numbers(submission.sizes)}", _numbers(got), call)

    def _break(self, requirement: str, expected: str, observed: str, call: str) -> None:
        self.violations += 1
        if len(self._shown) < SHOWN_IN_FULL:
            self._shown.append(Discrepancy(requirement, expected, f"{observed} (request id {call})"))


def merge(ledgers: Sequence[Ledger], digests: Sequence[bytes] = ()) -> Ledger:
    """Return the books of several processes as those of one; `digests` are theirs (`LoadLedger.digests`, with one key)."""
    whole: dict[str, int] = {}
    for name in (item.name for item in dataclasses.fields(Ledger) if item.name != "violations"):
        whole[name] = sum(getattr(ledger, name) for ledger in ledgers)
    shown = [violation for ledger in ledgers for violation in ledger.violations]
    twice = repeated(digests)
    if twice:
        whole["duplicated"] += twice
        whole["violation_count"] += twice
        told = f"{twice} of them at two processes, for a job of each"
        shown.insert(0, Discrepancy("EXEC-03", "ids that no other job of the run has", told))
    return Ledger(**whole, violations=tuple(shown[:SHOWN_IN_FULL]))


def _may_be_forgotten(job: TrackedJob) -> bool:
    """Whether an endpoint may have forgotten a job: its result is fetched, or it was cancelled."""
    return job.status is Status.CANCELED or bool(job.marks & _MAYBE_FETCHED)


def _replay_rule(submission: Submission) -> str:
    return "BATCH-05" if submission.rpc is Rpc.BATCH else "IDEM-01"


def _numbers(values: Sequence[int]) -> str:
    return ", ".join(str(value) for value in values[:8]) + (", ..." if len(values) > 8 else "")


def _some(ids: Ids) -> str:
    flat = [job_id for request in ids for job_id in request]
    return (", ".join(flat[:4]) or "no ids") + (f" and {len(flat) - 4} more" if len(flat) > 4 else "")
