"""Run a plan against an endpoint and judge what came of it: the history by the model, results by the numbers that they show.

Keys, numbers and unknown ids are fresh for every run, so that an endpoint that remembers the last one does not answer from it.
"""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message

from conformance.kit.answers import ids_of, members_of, result_status_of, status_of
from conformance.kit.case import Case
from conformance.kit.waiting import Patience
from harness.call import Call
from harness.checker import judge
from harness.client import ControllerClient
from harness.history import Rpc
from harness.ids import random_key
from harness.joblife import Violation
from harness.model import TERMINAL, ResultStatus
from harness.model import Status as JobStatus
from harness.plan import STRANGER, AnyStep, Batch, Cancel, Plan, Replay, Results, Status, Submit, Wait, job_of
from harness.stubs import service_pb2 as pb

_OVER = TERMINAL | {JobStatus.UNKNOWN}
"""Where waiting ends: whether a job may be unknown is for the checker to say."""


@dataclass(frozen=True)
class PlanRun:
    """What a run of a plan brought: its calls in the order of their start, and what they violate."""

    calls: tuple[Call, ...]
    violations: tuple[Violation, ...]

    @property
    def accepted(self) -> int:
        """How many submissions were answered with ids."""
        return sum(bool(ids_of(call)) for call in self.calls)


class Stage:
    """An endpoint with the connections that plans are run over, kept open from plan to plan."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self._clients: list[ControllerClient] = []
        self._owed = 0.0

    def client(self, on: int) -> ControllerClient:
        """Return connection `on`, counted from 1."""
        while len(self._clients) < on:
            self._clients.append(self.case.connect(f"connection {len(self._clients) + 1}"))
            self._clients[-1].wait_ready(self.case.deadlines.call)
        return self._clients[on - 1]

    def run(self, plan: Plan) -> PlanRun:
        """Carry out a plan and judge it. Raises BudgetExceededError."""
        self.client(plan.connections)
        begun = len(self.case.calls)
        play = _Play(self, plan)
        play.perform()
        calls = sorted(self.case.calls[begun:], key=lambda call: (call.started_ns, call.number))
        judgement = judge(call.to_operation(whole=True) for call in calls)
        found = (*judgement.violations, *play.stuck, *play.mismatches(calls))
        if any(step.role == "slow" for step in plan.submissions()):
            self.tidy()
        return PlanRun(tuple(calls), found)

    def tidy(self) -> None:
        """Cancel what still waits, so that the next plan begins with free executors."""
        self.case.clean_up()
        self._owed = 0.0

    def owe(self, seconds: float) -> float:
        """Account for jobs that are on their way, and return how long all of them may take."""
        self._owed += seconds
        return self._owed


class _Play:
    """One run of one plan. Steps that start together run in threads of their own."""

    def __init__(self, stage: Stage, plan: Plan) -> None:
        self._stage, self._case, self._plan = stage, stage.case, plan
        self._rng = random.SystemRandom()
        self._roles = {step.name: self._role(step.role) for step in plan.submissions()}
        self._numbers: dict[str, list[list[int]]] = {}
        self._requests = {step.name: self._request(step) for step in plan.submissions()}
        self._ids: dict[str, dict[str, None]] = {name: {} for name in self._requests}
        self._submitted: list[tuple[str, Call]] = []
        self._lock = threading.Lock()
        self.stuck: list[Violation] = []

    def perform(self) -> None:
        """Carry out all steps."""
        for group in self._plan.groups():
            if len(group) == 1:
                self._step(group[0])
            else:
                self._case.together(self._step, group)

    def _step(self, step: AnyStep) -> None:
        client = self._stage.client(step.on)
        match step:
            case Submit() | Batch():
                self._submit(step.name, client, step.hang_up)
            case Replay():
                self._submit(step.of, client, step.hang_up)
            case Cancel():
                jobs = [job for reference in step.jobs if (job := self._job(reference)) is not None]
                if jobs:
                    self._case.cancel(jobs, client=client)
            case Status():
                if (job := self._job(step.job)) is not None:
                    self._case.attempt(self._case.requests.status(job), client=client)
            case Results():
                if (job := self._job(step.job)) is not None:
                    self._case.result_call(job, client=client, timeout=step.deadline / 1000)
            case Wait():
                self._wait(step.of, client)

    def _submit(self, name: str, client: ControllerClient, hang_up: float | None) -> None:
        request = self._requests.get(name)
        if request is None:
            return
        configurations = sum(len(numbers) for numbers in self._numbers[name])
        self._stage.owe(self._case.profile.jobs[self._roles[name]].total * configurations)
        if hang_up is None:
            call = self._case.attempt(request, client=client)
        else:
            call = self._case.abandon(request, hang_up / 1000, client=client)
        with self._lock:
            self._ids[name].update(dict.fromkeys(ids_of(call)))
            if call.error is None:
                self._submitted.append((name, call))

    def _wait(self, name: str, client: ControllerClient) -> None:
        with self._lock:
            waiting = list(self._ids.get(name, ()))
        patience = Patience(self._stage.owe(0) + self._case.deadlines.state)
        for job in waiting:
            call = self._case.attempt(self._case.requests.status(job), client=client)
            while call.error is None and status_of(call) not in _OVER and not patience.is_over():
                patience.pause()
                call = self._case.attempt(self._case.requests.status(job), client=client)
            if call.error is None and status_of(call) not in _OVER:
                if self._case.facts.exclusive:
                    self.stuck.append(
                        Violation("EXEC-05", f"job {job} to reach a terminal state", f"{status_of(call)}", (call.number,))
                    )
                return

    def _job(self, reference: str) -> str | None:
        """Return the id that a reference stands for; None when there is none, because its submission is gone or failed."""
        found = job_of(reference)
        if found is None:
            return str(uuid.uuid4()) if reference == STRANGER else "no such job"
        with self._lock:
            ids = list(self._ids.get(found[0], ()))
        return ids[found[1] % len(ids)] if ids else None

    def _role(self, role: str) -> str:
        known = role in self._case.profile.jobs and (role != "correlated" or self._case.profile.correlation is not None)
        return role if known else "quick"

    def _request(self, step: Submit | Batch) -> Message:
        most = self._case.facts.max_configurations
        first = self._rng.randrange(1, 1 << 30)
        numbers: list[list[int]] = []
        for count in step.counts:
            numbers.append(list(range(first, first + min(count, most))))
            first += len(numbers[-1])
        self._numbers[step.name] = numbers
        key = random_key(self._rng) if step.key else None
        members = [self._member(self._roles[step.name], found) for found in numbers]
        if isinstance(step, Batch):
            return self._case.requests.batch(members, key=key)
        return self._case.requests.execute(self._roles[step.name], configurations=members[0].execution_configurations, key=key)

    def _member(self, role: str, numbers: Sequence[int]) -> pb.ExecuteControllerJobRequest:
        requests = self._case.requests
        made = [requests.tagged(number) if role == "correlated" else requests.configuration(role) for number in numbers]
        return requests.execute(role, configurations=made)

    # Results that show whose they are

    def mismatches(self, calls: Sequence[Call]) -> Iterator[Violation]:
        """Yield a violation for every result that shows another number than that of its job's configuration."""
        owners = self._owners()
        shown: dict[str, tuple[int | None, Call]] = {}
        for call in calls:
            if isinstance(call.response, pb.GetControllerJobResultsResponse) and call.rpc is Rpc.RESULTS:
                job = call.request.job_execution_id  # type: ignore[attr-defined]
                if job in owners and result_status_of(call.response.result) is ResultStatus.SUCCESS:
                    shown[job] = (self._case.tag_of(call.response.result), call)
        right = {number for job, (number, _) in shown.items() if number == owners[job].number}
        for job, (number, call) in shown.items():
            owner = owners[job]
            if number != owner.number:
                requirement = "RES-02" if number in right else owner.mixed_up_with(number, self._numbers[owner.name])
                expected = f"the result of job {job} to show the number {owner.number} of its configuration"
                yield Violation(requirement, expected, "no number" if number is None else f"{number}", (owner.call, call.number))

    def _owners(self) -> dict[str, _Owner]:
        found: dict[str, _Owner] = {}
        for name, call in self._submitted:
            if self._roles[name] == "correlated":
                for place, (ids, numbers) in enumerate(zip(members_of(call), self._numbers[name], strict=False)):
                    for job, number in zip(ids, numbers, strict=False):
                        found.setdefault(job, _Owner(name, place, number, call.number))
        return found


@dataclass(frozen=True)
class _Owner:
    """Where a job id comes from: submission, member, the number that its configuration carries, and the call."""

    name: str
    member: int
    number: int
    call: int

    def mixed_up_with(self, number: int | None, numbers: Sequence[Sequence[int]]) -> str:
        """Return the requirement that is broken when a job shows another number, which no job that we know of has."""
        other = next((place for place, members in enumerate(numbers) if number in members), None)
        if other is None:
            return "RES-02"
        return "EXEC-02" if other == self.member else "BATCH-01"
