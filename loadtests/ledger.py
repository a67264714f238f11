"""The books of a load run: every submission and every job in them, and each promise that the endpoint is seen to break.

Rules come from `harness.model` and the catalogue of requirements. An answer that never came (deadline, lost connection) is
unknown, not broken. Of a job that is over nothing is kept but a digest of its id, to see it come back; jobs that nobody saw to
their end wait for the audit (`loadtests.audit`). Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from harness.history import UNDECIDED_CODES
from harness.model import RESULTS_OF, TERMINAL, ResultStatus, Status, is_legal_move
from harness.record import Ledger
from loadtests.idbook import IdBook
from loadtests.lifecycle import TrackedJob, bar
from loadtests.receipts import Ids
from loadtests.violations import Violations, some
from loadtests.workload import Submission

DENIALS = frozenset({"NOT_FOUND", "INVALID_ARGUMENT", "FAILED_PRECONDITION"})
"""Codes by which an endpoint denies a job; other codes are troubles of the moment and count as errors only."""

_DENIED = 1 << 0
_DENIED_AGAIN = 1 << 1
_GONE = 1 << 2
_CANCEL_ASKED = 1 << 3
_RESULT_DUE = 1 << 4
_MAYBE_FETCHED = 1 << 5
_RESULT_DENIED = 1 << 6
_LEFT_ALONE = 1 << 7


class Doubt(NamedTuple):
    """A replay whose answer never came; `ids` and `jobs` are those of the first answer, but no jobs if nobody follows them."""

    submission: Submission
    ids: Ids
    jobs: tuple[TrackedJob, ...]


class LoadLedger:
    """Keeps the books of one run. `call` is everywhere the request id of the call, to name it in violations.

    A `key` that several processes share lets their books be compared (`ledgers.merge`).
    """

    def __init__(self, key: bytes | None = None) -> None:
        # By identity: to hash a key takes longer than all else that is done with it here.
        self._unknown: dict[int, Submission] = {}
        self._doubts: list[Doubt] = []
        self._left: list[TrackedJob] = []
        self._ids = IdBook(key)
        self._violations = Violations()
        self._break = self._violations.add
        self._submissions = self._attempted = self._acknowledged = self._replays = 0
        self._lost = self._duplicated = self._unexpected = self._lost_after_end = self._not_followed = 0
        self._ended = dict.fromkeys(TERMINAL, 0)

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
        self._unknown[id(submission)] = submission

    def refused(self, submission: Submission) -> None:
        """Note that the endpoint refused: it promises that nothing was queued."""
        del self._unknown[id(submission)]

    def acknowledged(
        self, submission: Submission, ids: Ids, call: str, sent_ns: int = 0, ended_ns: int = 0
    ) -> tuple[TrackedJob, ...]:
        """Note an answer with ids, and return the jobs that are new: those to follow, and to `settle` whatever happens.

        Times are those of the call.
        """
        del self._unknown[id(submission)]
        return self._track(submission, ids, call, sent_ns, ended_ns)

    def acknowledged_only(self, submission: Submission, ids: Ids, call: str) -> None:
        """Note an answer with ids of jobs that nobody is going to ask for."""
        del self._unknown[id(submission)]
        self._not_followed += len(ids.flat) - len(self._enter(submission, ids, call, quick=True))

    def replayed(self, submission: Submission, original: Ids, again: Ids, call: str) -> None:
        """Note the answer to a submission that was repeated with its key while all its jobs were known."""
        self._replays += 1
        if again != original:
            known = set(original.flat)
            self._duplicated += sum(job_id not in known for job_id in again.flat)
            self._violations.add_replay(submission, original, some(again), call)

    def replay_failed(self, doubt: Doubt, code: str, call: str) -> None:
        """Note an error in answer to a submission that was repeated with its key; denying the replay breaks the promise."""
        self._replays += 1
        if code in DENIALS:
            self._violations.add_replay(doubt.submission, None, f"the error {code}", call)
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
            self._break("STA-01", f"job {job.text} to stay at or move on from {before}", f"{status}", call)
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
            self._break("RES-03", f"a usable result of job {job.text}", "no result" if result is None else "status UNKNOWN", call)
        elif job.status is not None and result not in RESULTS_OF.get(job.status, ResultStatus):
            agreeing = " or ".join(sorted(RESULTS_OF[job.status]))
            self._break("RES-01", f"{agreeing} for job {job.text}, which is {job.status}", f"{result}", call)
        if shown is not None and shown != job.place:
            self._break("EXEC-02", f"the result of configuration {job.place} for job {job.text}", f"that of {shown}", call)

    def result_failed(self, job: TrackedJob, code: str, call: str) -> None:
        """Note an error in answer to a results call for a job that SUCCEEDED or FAILED."""
        if job.status not in TERMINAL or job.status is Status.CANCELED:
            return
        if code not in DENIALS:
            job.marks |= _RESULT_DUE | (_MAYBE_FETCHED if code in UNDECIDED_CODES else 0)
        elif not job.marks & (_MAYBE_FETCHED | _RESULT_DENIED):
            job.marks |= _RESULT_DUE | _RESULT_DENIED
            self._break("RES-01", f"the result of job {job.text}, which is {job.status}", f"the error {code}", call)

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
        if again != doubt.ids and _may_all_be_forgotten(doubt.jobs):
            return self._track(doubt.submission, again, call, 0, 0)
        self._replays -= 1  # counted when its answer did not come
        self.replayed(doubt.submission, doubt.ids, again, call)
        return ()

    def not_repeated(self, doubt: Doubt, code: str, call: str) -> None:
        """Note an error in answer to a doubtful replay that was repeated."""
        if code in DENIALS and not _may_all_be_forgotten(doubt.jobs):
            self._violations.add_replay(doubt.submission, None, f"the error {code}", call)

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
            self._break("EXEC-05", f"job {job.text}, which was acknowledged, to exist", "the endpoint does not know it", call)

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
            violation_count=self._violations.count,
            violations=tuple(self._violations.shown),
        )

    def _track(self, submission: Submission, ids: Ids, call: str, sent_ns: int, ended_ns: int) -> tuple[TrackedJob, ...]:
        left_out = self._enter(submission, ids, call)
        since = bar(sent_ns, ended_ns)
        jobs = tuple([TrackedJob(ids, place, sent_ns, since) for place in range(sum(ids.sizes))])
        return tuple(job for job in jobs if job.place not in left_out) if left_out else jobs

    def _enter(self, submission: Submission, ids: Ids, call: str, *, quick: bool = False) -> Collection[int]:
        """Enter the ids of new jobs; return the places of those that are none: they are empty, or had been given out before."""
        if ids.sizes != submission.sizes:
            self._note_counts(submission, ids.sizes, call)
        flat = ids.flat
        again: Collection[int] = self._ids.add_all(flat, quick=quick) if all(flat) else self._enter_some(flat, call)
        for place in again:
            if flat[place]:
                self._duplicated += 1
                shown = flat[place].decode(errors="replace")
                self._break("EXEC-03", "ids that no other job of the run has", f"{shown} again", call)
        self._acknowledged += len(flat) - len(again)
        return again

    def _enter_some(self, flat: Sequence[bytes], call: str) -> set[int]:
        """Enter ids, some of which are empty; return the places of these and of those that had been given out before."""
        places = [place for place, job_id in enumerate(flat) if job_id]
        for _ in range(len(flat) - len(places)):
            self._break("EXEC-03", "ids that are not empty", "an empty id", call)
        again = {places[place] for place in self._ids.add_all([flat[place] for place in places])}
        return again | set(range(len(flat))) - set(places)

    def _denied(self, job: TrackedJob, observed: str, call: str) -> bool:
        if job.marks & _CANCEL_ASKED and job.status in {None, Status.QUEUED}:
            self._ended[Status.CANCELED] += 1
            job.status = Status.CANCELED
        if _may_be_forgotten(job):
            return True
        if not job.marks & _DENIED:
            self._break("STA-02", f"a status of the acknowledged job {job.text}", observed, call)
        hopeless = bool(job.marks & _DENIED_AGAIN)
        job.marks |= _GONE | _DENIED | (_DENIED_AGAIN if job.marks & _DENIED else 0)
        return hopeless

    def _note_counts(self, submission: Submission, got: tuple[int, ...], call: str) -> None:
        """Note that an answer has other numbers of ids than it should."""
        asked = submission.sizes
        if len(got) != len(asked):
            self._unexpected += sum(got[len(asked) :])
        else:
            self._unexpected += sum(max(0, more - each) for more, each in zip(got, asked, strict=True))
        self._violations.add_counts(submission, got, call)


def _may_be_forgotten(job: TrackedJob) -> bool:
    """Whether an endpoint may have forgotten a job: its result is fetched, or it was cancelled."""
    return job.status is Status.CANCELED or bool(job.marks & _MAYBE_FETCHED)


def _may_all_be_forgotten(jobs: Sequence[TrackedJob]) -> bool:
    """Whether an endpoint may have forgotten all jobs of a submission; not so those that nobody follows."""
    return bool(jobs) and all(map(_may_be_forgotten, jobs))
