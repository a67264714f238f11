"""What one user does with one submission: submit, retry, repeat, cancel, poll, fetch; every step entered in the books.

Each step is a `Program`: it says which calls and rests it wants, and knows neither transport nor Locust nor gevent, so any kind
of user can run it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from harness.budget import BudgetExceededError
from harness.fixtures import Correlation
from harness.history import Rpc, Unknown
from harness.model import TERMINAL, Status
from harness.workload import Follow
from loadtests.answers import ids_of, result_of, shown_in, status_of
from loadtests.ledger import Doubt, Ids, LoadLedger, TrackedJob
from loadtests.lifecycle import JobLife
from loadtests.patience import Patience
from loadtests.payloads import Payloads
from loadtests.program import Answer, Ask, Program
from loadtests.recording import Recording
from loadtests.workload import RETRY_MIN, Chooser, Submission


@dataclass(frozen=True)
class Workshop:
    """What the users of one run share."""

    payloads: Payloads
    follow: Follow
    ledger: LoadLedger
    recording: Recording
    patience: Patience


class _Accepted(NamedTuple):
    """An answered submission: all its ids, and the jobs to follow."""

    answer: Answer
    ids: Ids
    jobs: tuple[TrackedJob, ...]


class _Followed:
    """A job that is asked about: with the same octets every time."""

    __slots__ = ("ask", "job", "life")

    def __init__(self, job: TrackedJob, ask: Ask, submitted: Answer) -> None:
        self.job = job
        self.ask = ask
        self.life = JobLife(submitted.started_ns, submitted.ended_ns)


class Driver:
    """Works through submissions one after the other. Whoever runs its programs may raise BudgetExceededError in them."""

    def __init__(self, workshop: Workshop, chooser: Chooser) -> None:
        self._shop = workshop
        self._chooser = chooser
        self._retries: Iterator[float] | None = None

    def step(self, due_ns: int | None = None) -> Program[None]:
        """Make one submission and see it through to its end, or to the deadline.

        `due_ns` is when it was meant to start; None: now, as nobody but this user decides.
        """
        submission = self._chooser.submission()
        octets = self._shop.payloads.submission(submission)
        self._shop.ledger.offered(submission)
        accepted = yield from self._submit(submission, octets, due_ns)
        if accepted is not None:
            yield from self._see_through(submission, octets, accepted)

    def _see_through(self, submission: Submission, octets: bytes, accepted: _Accepted) -> Program[None]:
        """Do with an accepted submission what its user does; in the end its jobs are settled, whatever happens."""
        ledger, jobs = self._shop.ledger, accepted.jobs
        try:
            if submission.replayed:
                yield from self._replay(submission, octets, accepted)
            if submission.cancelled and jobs:
                ledger.cancel_asked(jobs)
                yield Ask(Rpc.CANCEL, self._shop.payloads.cancel([job.id for job in jobs]))
            if submission.followed:
                yield from self._follow(accepted, submission.job)
            else:
                ledger.left_alone(jobs)
        finally:
            for job in jobs:
                ledger.settle(job)

    def pause(self) -> float:
        """Return how long to rest before the next step, in seconds."""
        return self._chooser.pause()

    def _submit(self, submission: Submission, octets: bytes, due_ns: int | None) -> Program[_Accepted | None]:
        """Submit until it is accepted: a lack of room is waited out, any other failure ends the attempt after a rest.

        In an open load there is no such rest: the schedule decides when the next attempt is made.
        """
        deadline = time.monotonic() + self._shop.follow.deadline
        is_open = due_ns is not None
        while True:
            outcome = yield from self._submit_once(submission, octets, due_ns)
            due_ns = None
            if isinstance(outcome, _Accepted):
                self._retries = None
                return outcome
            if self._shop.patience.by is not None or (is_open and outcome.code != "RESOURCE_EXHAUSTED"):
                return None
            self._retries = self._retries or self._chooser.retries()
            yield next(self._retries)
            if outcome.code != "RESOURCE_EXHAUSTED" or time.monotonic() >= deadline or self._shop.patience.by is not None:
                return None

    def _submit_once(self, submission: Submission, octets: bytes, due_ns: int | None = None) -> Program[_Accepted | Answer]:
        ledger = self._shop.ledger
        ledger.sent(submission)
        try:
            answer: Answer = yield Ask(submission.rpc, octets, submission.jobs, due_ns)
        except BudgetExceededError:
            ledger.refused(submission)
            raise
        if answer.error is None:
            ids = ids_of(answer.rpc, answer.response)
            return _Accepted(answer, ids, ledger.acknowledged(submission, ids, answer.request_id))
        if not isinstance(answer.error, Unknown):
            ledger.refused(submission)
        return answer

    def _replay(self, submission: Submission, octets: bytes, accepted: _Accepted) -> Program[None]:
        answer: Answer = yield Ask(submission.rpc, octets, submission.jobs)
        if answer.error is None:
            self._shop.ledger.replayed(submission, accepted.ids, ids_of(answer.rpc, answer.response), answer.request_id)
        else:
            self._shop.ledger.replay_failed(Doubt(submission, accepted.ids, accepted.jobs), answer.code, answer.request_id)

    def _follow(self, accepted: _Accepted, role: str) -> Program[None]:
        """Poll the jobs until all are in a terminal status, or patience ends."""
        shop = self._shop
        clock, patience = time.monotonic, shop.patience
        correlation = shop.payloads.correlation(role)
        status = shop.payloads.status
        followed = [_Followed(job, Ask(Rpc.STATUS, status(job.id)), accepted.answer) for job in accepted.jobs]
        deadline = time.monotonic() + shop.follow.deadline
        waits = self._chooser.polls()
        while followed:
            wait = next(waits)
            if wait:
                yield wait
            left: list[_Followed] = []
            for one in followed:
                if clock() >= deadline or (patience.by is not None and not patience.left()):
                    return
                answer = yield one.ask
                if not self._saw(one, answer):
                    left.append(one)
                    if answer.error is not None and not wait:
                        yield RETRY_MIN  # who never rests must not hammer an endpoint that is down
                elif shop.follow.results and one.job.status in {Status.SUCCEEDED, Status.FAILED}:
                    yield from self._fetch(one, accepted.answer, correlation)
            followed = left

    def _saw(self, one: _Followed, answer: Answer) -> bool:
        """Enter the answer to a status call in the books; return whether there is no use in asking again."""
        ledger, job = self._shop.ledger, one.job
        if answer.error is not None:
            return ledger.status_failed(job, answer.code, answer.request_id)
        status = status_of(answer.response)
        if status is not job.status and ledger.saw_status(job, status, answer.request_id):
            return True
        for phase in one.life.saw(status, answer.started_ns, answer.ended_ns):
            self._shop.recording.add_phase(phase, answer.ended_ns)
        return status in TERMINAL

    def _fetch(self, one: _Followed, submitted: Answer, correlation: Correlation | None) -> Program[None]:
        job = one.job
        answer: Answer = yield Ask(Rpc.RESULTS, self._shop.payloads.results(job.id))
        if answer.error is not None:
            self._shop.ledger.result_failed(job, answer.code, answer.request_id)
            return
        shown = None if correlation is None else shown_in(answer.response, correlation)
        self._shop.ledger.saw_result(job, result_of(answer.response), answer.request_id, shown)
        phase = one.life.to_result(submitted.started_ns, answer.ended_ns)
        self._shop.recording.add_phase(phase, answer.ended_ns)
