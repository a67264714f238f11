"""The books of a load run: every submission and every job in them, and each promise that the endpoint is seen to break.

Rules come from `harness.model` and the catalogue of requirements. An answer that never came (deadline, lost connection) is
unknown, not broken. Jobs are forgotten once they are settled; their ids are kept, to see one come back. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.history import Rpc
from harness.ids import IdempotencyKey
from harness.model import RESULTS_OF, TERMINAL, ResultStatus, Status, is_legal_move
from harness.record import Discrepancy, Ledger
from loadtests.workload import Submission

SHOWN_IN_FULL = 50
"""How many violations the record shows; all are counted."""

DENIALS = frozenset({"NOT_FOUND", "INVALID_ARGUMENT", "FAILED_PRECONDITION"})
"""Codes by which an endpoint denies a job; other codes are troubles of the moment and count as errors only."""

Ids = tuple[tuple[str, ...], ...]
"""The ids of an answer: one tuple per request."""


@dataclass(slots=True)
class _Job:
    status: Status | None = None


class LoadLedger:
    """Keeps the books of one run. `call` is everywhere the request id of the call, to name it in violations."""

    def __init__(self) -> None:
        self._unknown: dict[IdempotencyKey, Submission] = {}
        self._open: dict[str, _Job] = {}
        self._ids: set[str] = set()
        self._shown: list[Discrepancy] = []
        self._submissions = 0
        self._acknowledged = 0
        self._replays = 0
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

    def offered(self) -> None:
        """Note that a user has a new submission to make."""
        self._submissions += 1

    def sent(self, submission: Submission) -> None:
        """Note a submission right before its call; until an answer is noted, its outcome is unknown."""
        self._unknown[submission.key] = submission

    def refused(self, submission: Submission) -> None:
        """Note that the endpoint refused: it promises that nothing was queued."""
        del self._unknown[submission.key]

    def acknowledged(self, submission: Submission, ids: Ids, call: str) -> tuple[str, ...]:
        """Note an answer with ids, and return those that are new: the jobs to follow."""
        del self._unknown[submission.key]
        self._check_counts(submission, ids, call)
        fresh: list[str] = []
        for job_id in (job_id for request in ids for job_id in request):
            if not job_id:
                self._break("EXEC-03", "ids that are not empty", "an empty id", call)
            elif job_id in self._ids:
                self._break("EXEC-03", "ids that no other job of the run has", f"{job_id} again", call)
            else:
                fresh.append(job_id)
                self._ids.add(job_id)
                self._open[job_id] = _Job()
        self._acknowledged += len(fresh)
        return tuple(fresh)

    def replayed(self, submission: Submission, original: Ids, again: Ids, call: str) -> None:
        """Note the answer to a submission that was repeated with its key."""
        self._replays += 1
        if again != original:
            requirement = "BATCH-05" if submission.rpc is Rpc.BATCH else "IDEM-01"
            self._break(requirement, f"the ids of the first answer, {_some(original)}", _some(again), call)

    def replay_failed(self, submission: Submission, code: str, call: str) -> None:
        """Note an error in answer to a submission that was repeated with its key; denying the replay breaks the promise."""
        self._replays += 1
        if code in DENIALS:
            requirement = "BATCH-05" if submission.rpc is Rpc.BATCH else "IDEM-01"
            self._break(requirement, "the ids of the first answer", f"the error {code}", call)

    def saw_status(self, job_id: str, status: Status, call: str) -> None:
        """Note a job's status."""
        job = self._open[job_id]
        if status is Status.UNKNOWN:
            self._break("STA-02", f"a status of the acknowledged job {job_id}", "UNKNOWN", call)
            return
        if job.status is not None and not is_legal_move(job.status, status):
            self._break("STA-01", f"job {job_id} to stay at or move on from {job.status}", f"{status}", call)
        elif status in TERMINAL and job.status is not status:
            self._ended[status] += 1
        if job.status not in TERMINAL:
            job.status = status

    def status_failed(self, job_id: str, code: str, call: str) -> None:
        """Note an error in answer to a status call."""
        if code in DENIALS:
            self._break("STA-02", f"a status of the acknowledged job {job_id}", f"the error {code}", call)

    def saw_result(self, job_id: str, result: ResultStatus | None, call: str) -> None:
        """Note the status of a job's result (None: the answer held no result)."""
        status = self._open[job_id].status
        if result is None or result is ResultStatus.UNKNOWN:
            self._break("RES-03", f"a usable result of job {job_id}", "no result" if result is None else "status UNKNOWN", call)
        elif status is not None and result not in RESULTS_OF.get(status, ResultStatus):
            agreeing = " or ".join(sorted(RESULTS_OF[status]))
            self._break("RES-01", f"{agreeing} for job {job_id}, which is {status}", f"{result}", call)

    def result_failed(self, job_id: str, code: str, call: str) -> None:
        """Note an error in answer to a results call for a job that SUCCEEDED or FAILED."""
        status = self._open[job_id].status
        if status in TERMINAL - {Status.CANCELED} and code in DENIALS:
            self._break("RES-01", f"the result of job {job_id}, which is {status}", f"the error {code}", call)

    def settle(self, job_id: str) -> None:
        """Forget a job that nobody asks about any more; without a terminal status it counts as unfinished."""
        del self._open[job_id]

    def summary(self) -> Ledger:
        """Return the books as they stand; `finished` holds all terminal jobs, canceled and failed ones among them."""
        return Ledger(
            submissions=self._submissions,
            acknowledged_jobs=self._acknowledged,
            finished=self.finished,
            canceled=self._ended[Status.CANCELED],
            failed=self._ended[Status.FAILED],
            unfinished=self._acknowledged - self.finished,
            unknown_submissions=len(self._unknown),
            replays=self._replays,
            violation_count=self.violations,
            violations=tuple(self._shown),
        )

    def _check_counts(self, submission: Submission, ids: Ids, call: str) -> None:
        if len(ids) != len(submission.sizes):
            self._break("BATCH-01", f"{len(submission.sizes)} responses", f"{len(ids)}", call)
            return
        got = tuple(len(request) for request in ids)
        if got != submission.sizes:
            requirement = "BATCH-01" if submission.rpc is Rpc.BATCH else "EXEC-01"
            self._break(requirement, f"one id per configuration, {_numbers(submission.sizes)}", _numbers(got), call)

    def _break(self, requirement: str, expected: str, observed: str, call: str) -> None:
        self.violations += 1
        if len(self._shown) < SHOWN_IN_FULL:
            self._shown.append(Discrepancy(requirement, expected, f"{observed} (request id {call})"))


def _numbers(values: Sequence[int]) -> str:
    return ", ".join(str(value) for value in values[:8]) + (", ..." if len(values) > 8 else "")


def _some(ids: Ids) -> str:
    flat = [job_id for request in ids for job_id in request]
    return (", ".join(flat[:4]) or "no ids") + (f" and {len(flat) - 4} more" if len(flat) > 4 else "")
