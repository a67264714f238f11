"""The audit at the end of a load run: what nobody saw the end of is asked about once more, many at a time.

Submissions that were never answered are repeated with their keys, as are doubtful replays; then every job is asked for whose end
or result nobody saw. What the audit finds goes into the ledger, and none of it into the times of jobs. Knows neither transport
nor gevent: its steps are programs, and how many clerks run each at the same time is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from harness.budget import BudgetExceededError
from harness.history import Rpc, Unknown
from harness.model import TERMINAL, Status
from harness.workload import Follow
from loadtests.answers import ids_of, result_of, status_of
from loadtests.ledger import Doubt, LoadLedger
from loadtests.lifecycle import TrackedJob
from loadtests.payloads import Payloads
from loadtests.program import Answer, Ask, Program
from loadtests.workload import Submission

CLERKS = 64
"""How many calls are made at the same time."""
ATTEMPTS = 3
"""How often a submission without an answer is repeated."""

Step = Callable[[], Program[None]]
"""Makes a clerk's program; all clerks share the work of a step."""


class Audit:
    """The audit of one ledger. `patience` is how many seconds there are left for it."""

    def __init__(self, ledger: LoadLedger, payloads: Payloads, follow: Follow, patience: Callable[[], float | None]) -> None:
        self._ledger = ledger
        self._payloads = payloads
        self._follow = follow
        self._patience = patience
        self._spent = False

    def conduct(self, share: Callable[[Step], object]) -> None:
        """Do everything; `share` has a step done by all clerks, and returns when they are through. Raises HarnessError."""
        fresh: list[TrackedJob] = []
        wait = self._follow.poll_max
        for attempt in range(ATTEMPTS):
            submissions, doubts = iter(self._ledger.unknown), iter(self._ledger.take_doubts())
            share(lambda s=submissions, d=doubts, rest=wait * attempt: self._resolve(s, d, rest, fresh))  # type: ignore[misc]
            if self._over() or not self._ledger.unknown:
                break
        left = iter(self._ledger.take_left())
        share(lambda: self._ask_once(left))
        while fresh and not self._over():
            jobs, fresh = iter(fresh), []
            again = fresh
            share(lambda jobs=jobs, again=again: self._ask_again(jobs, wait, again))  # type: ignore[misc]

    def _over(self) -> bool:
        return self._spent or self._patience() == 0

    def _resolve(
        self, submissions: Iterator[Submission], doubts: Iterator[Doubt], rest: float, fresh: list[TrackedJob]
    ) -> Program[None]:
        """Repeat what was never answered, after a rest; the jobs that come of it are `fresh`."""
        ledger = self._ledger
        yield rest
        for submission in submissions:
            answer = yield from self._repeat(submission)
            if answer is None:
                return
            if answer.error is None:
                fresh.extend(ledger.acknowledged(submission, ids_of(answer.response), answer.request_id))
            elif not isinstance(answer.error, Unknown):
                ledger.refused(submission)
        for doubt in doubts:
            answer = yield from self._repeat(doubt.submission)
            if answer is None:
                return
            if answer.error is None:
                fresh.extend(ledger.repeated(doubt, ids_of(answer.response), answer.request_id))
            else:
                ledger.not_repeated(doubt, answer.code, answer.request_id)

    def _repeat(self, submission: Submission) -> Program[Answer | None]:
        return (yield from self._call(Ask(submission.rpc, self._payloads.submission(submission), submission.jobs)))

    def _ask_once(self, jobs: Iterator[TrackedJob]) -> Program[None]:
        for job in jobs:
            answer = yield from self._look(job)
            if answer is None:
                return
            self._ledger.close(job, answer.request_id)

    def _ask_again(self, jobs: Iterator[TrackedJob], wait: float, again: list[TrackedJob]) -> Program[None]:
        """Ask for jobs, after a rest; those that have not come to their end are to be asked for `again`."""
        yield wait
        for job in jobs:
            answer = yield from self._look(job)
            if answer is None:
                return
            if job.status in TERMINAL or self._over():
                self._ledger.close(job, answer.request_id)
            else:
                again.append(job)

    def _look(self, job: TrackedJob) -> Program[Answer | None]:
        """Ask for a job's status, and for its result when there is one; return the last answer, None: no call could be made."""
        ledger = self._ledger
        answer = yield from self._call(Ask(Rpc.STATUS, self._payloads.status(job.id)))
        if answer is None:
            return None
        if answer.error is not None:
            ledger.status_failed(job, answer.code, answer.request_id)
            return answer
        status = status_of(answer.response)
        ledger.saw_status(job, status, answer.request_id)
        if not self._follow.results or status not in {Status.SUCCEEDED, Status.FAILED}:
            return answer
        found = yield from self._call(Ask(Rpc.RESULTS, self._payloads.results(job.id)))
        if found is None:
            return answer
        if found.error is not None:
            ledger.result_failed(job, found.code, found.request_id)
        else:
            ledger.saw_result(job, result_of(found.response), found.request_id)
        return found

    def _call(self, ask: Ask) -> Program[Answer | None]:
        """Make a call, unless time or budget are spent."""
        if self._over():
            return None
        try:
            answer: Answer = yield ask
        except BudgetExceededError:
            self._spent = True
            return None
        return answer
