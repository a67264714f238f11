"""Histories of a Controller that keeps its promises, made up by a simulator of its own: no judge and no server is involved.

Calls take effect at one moment between their start and their end, or, when their answer is lost, at any later one or never.
"""

from __future__ import annotations

import heapq
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from harness.history import Failed, Ok, Operation, Outcome, Rpc, Unknown

NEVER = 10**12
ANCHOR_KEY = {"high": "1234605616436526540", "low": "9838263505978427528"}
Json = dict[str, Any]


@dataclass
class SimulatedJob:
    """A job's life as a time table, unless a cancel comes in before `runs`."""

    owner: str
    runs: int
    processed: int
    ends: int
    ending: str
    result: str
    cancelled: int = NEVER
    forgotten: bool = False

    def status(self, now: int) -> str:
        if now >= self.cancelled:
            return "CANCELED"
        if now >= self.ends:
            return self.ending
        return "QUEUED" if now < self.runs else "RUNNING" if now < self.processed else "POST_PROCESSING"


class SimulatedController:
    """One legal choice of everything that the spec leaves open."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.forgets = rng.random() < 0.5
        self.other_request = rng.choice(["replay", "refuse", "new"])
        self.jobs: dict[str, SimulatedJob] = {}
        self.keys: dict[str, tuple[Rpc, str, list[list[str]]]] = {}
        self.numbers = itertools.count(1)

    def answer(self, rpc: Rpc, identity: str, request: Json, now: int) -> Outcome:
        if rpc in {Rpc.EXECUTE, Rpc.BATCH}:
            return self.submit(rpc, identity, request, now)
        if rpc is Rpc.CANCEL:
            return self.cancel(request, now)
        job = self.jobs.get(request.get("job_id") or request["job_execution_id"])
        if job is None or job.forgotten or job.owner != identity:
            return Failed("NOT_FOUND", "no such job") if rpc is Rpc.RESULTS or self.rng.random() < 0.5 else Ok({})
        return Ok({"status": job.status(now)}) if rpc is Rpc.STATUS else self.results(job, now)

    def submit(self, rpc: Rpc, identity: str, request: Json, now: int) -> Outcome:
        members = request["requests"] if rpc is Rpc.BATCH else [request]
        form = json.dumps([rpc, request])
        entry = None
        if "idempotency_key" in request:
            entry = f"{identity} {request['idempotency_key']}" + (form if self.other_request == "new" else "")
        known_rpc, known_form, ids = self.keys.get(entry or "", (rpc, form, []))
        if ids and not all(self.jobs[name].forgotten for group in ids for name in group):
            if known_form != form and (self.other_request == "refuse" or known_rpc is not rpc):
                return Failed("ALREADY_EXISTS", "the key is taken")
        else:
            if self.rng.random() < 0.1 and request.get("idempotency_key") != ANCHOR_KEY:
                return Failed("RESOURCE_EXHAUSTED", "no room")
            ids = [[self.enqueue(identity, member, now) for _ in member["execution_configurations"]] for member in members]
            if entry is not None:
                self.keys[entry] = (rpc, form, ids)
        answers = [{"job_execution_ids": group} for group in ids]
        return Ok({"responses": answers}) if rpc is Rpc.BATCH else Ok(answers[0])

    def enqueue(self, identity: str, member: Json, now: int) -> str:
        rng = self.rng
        name = f"job-{next(self.numbers)}"
        runs = now + rng.randint(1, 200)
        processed = runs + rng.randint(1, 200)
        ends = processed + rng.randint(0, 50)
        ending, result = rng.choice([("SUCCEEDED", "SUCCESS"), ("FAILED", "USER_FAILURE"), ("FAILED", "SERVICE_FAILURE")])
        if "options" in member and rng.random() < 0.5:
            ending, result, ends = rng.choice(["FAILED", "CANCELED"]), "SERVICE_FAILURE", processed
        if "anchor" in member:
            ending, result = "FAILED", "USER_FAILURE"
        self.jobs[name] = SimulatedJob(identity, runs, processed, ends, ending, result)
        return name

    def cancel(self, request: Json, now: int) -> Outcome:
        for name in request["job_ids"]:
            job = self.jobs.get(name)
            if job is not None and now < job.runs and now < job.cancelled and self.rng.random() < 0.8:
                job.cancelled = now
        return Ok({}) if self.rng.random() < 0.8 else Failed("FAILED_PRECONDITION", "not all could be cancelled")

    def results(self, job: SimulatedJob, now: int) -> Outcome:
        if now < min(job.ends, job.cancelled):
            return Failed(self.rng.choice(["FAILED_PRECONDITION", "NOT_FOUND"]), "not finished")
        if now >= job.cancelled and self.rng.random() < 0.3:
            return Failed("NOT_FOUND", "cancelled jobs have no results")
        job.forgotten = self.forgets
        return Ok({"result": {"status": "USER_CANCELLATION" if now >= job.cancelled else job.result}})


@dataclass
class Clients:
    """Concurrent clients that use what they were answered; the jobs of the first submission are only looked at."""

    rng: Random
    controller: SimulatedController
    now: int = 0
    pending: list[tuple[int, int, Rpc, str, Json, int | None]] = field(default_factory=list)
    operations: dict[int, Operation] = field(default_factory=dict)
    spare: list[tuple[int, str, str]] = field(default_factory=list)
    sent: list[tuple[Rpc, str, Json]] = field(default_factory=list)

    def run(self, calls: int) -> list[Operation]:
        anchor = {"execution_configurations": [{}, {}, {}], "idempotency_key": ANCHOR_KEY, "anchor": True}
        self.call(Rpc.EXECUTE, "main", anchor, lost=False)
        self.now = self.operations[1].ended_ns + 1
        for _ in range(calls):
            self.now += self.rng.randint(0, 25)
            self.settle(self.now)
            self.call(*self.next_request(), lost=self.rng.random() < 0.15)
        self.settle(NEVER)
        return list(self.operations.values())

    def next_request(self) -> tuple[Rpc, str, Json]:
        rng = self.rng
        kind = rng.choice(["submit", "submit", "retry", "retry", "status", "status", "status", "status", "results", "cancel"])
        known = [(name, identity) for since, name, identity in self.spare if since <= self.now]
        if kind == "retry" and self.sent:
            return rng.choice(self.sent)
        if kind == "submit" or not known:
            self.sent.append(self.submission())
            return self.sent[-1]
        name, identity = rng.choice(known[-6:])
        if kind == "status":
            return (
                Rpc.STATUS,
                rng.choice([identity, identity, identity, "other"]),
                {"job_id": rng.choice([name, "job-1", "job-2"])},
            )
        if name in {"job-1", "job-2", "job-3"}:
            return Rpc.STATUS, identity, {"job_id": name}
        if kind == "results":
            return Rpc.RESULTS, identity, {"job_execution_id": name}
        return Rpc.CANCEL, identity, {"job_ids": [name, "job-of-nobody"]}

    def submission(self) -> tuple[Rpc, str, Json]:
        rng = self.rng
        members: list[Json] = [{"execution_configurations": [{}] * rng.randint(1, 3)} for _ in range(rng.randint(1, 2))]
        for member in members:
            if rng.random() < 0.2:
                member["options"] = {"timeout": "1s"}
        rpc = rng.choice([Rpc.EXECUTE, Rpc.EXECUTE, Rpc.BATCH])
        request: Json = {"requests": members} if rpc is Rpc.BATCH else members[0]
        if rng.random() < 0.7:
            request["idempotency_key"] = {"high": str(rng.randint(1, 8)), "low": "1"}
        return rpc, rng.choice(["main", "main", "other"]), request

    def call(self, rpc: Rpc, identity: str, request: Json, *, lost: bool) -> None:
        number = len(self.operations) + 1
        end = self.now + self.rng.randint(0, 60)
        effect = self.rng.randint(self.now, end)
        outcome: Outcome = Unknown("DEADLINE_EXCEEDED", "too late")
        if lost:
            effect = self.rng.choice([effect, self.rng.randint(self.now, self.now + 400), NEVER + 1])
        self.operations[number] = operation(number, rpc, request, outcome, (self.now, end), identity)
        heapq.heappush(self.pending, (effect, number, rpc, identity, request, None if lost else end))

    def settle(self, until: int) -> None:
        """Let everything take effect that does so up to a moment."""
        while self.pending and self.pending[0][0] <= until:
            effect, number, rpc, identity, request, end = heapq.heappop(self.pending)
            outcome = self.controller.answer(rpc, identity, request, effect)
            if end is None:
                continue
            began = self.operations[number].started_ns
            self.operations[number] = operation(number, rpc, request, outcome, (began, end), identity)
            if isinstance(outcome, Ok):
                for part in outcome.response.get("responses", [outcome.response]):
                    self.spare += [(end, name, identity) for name in part.get("job_execution_ids", [])]


def operation(  # noqa: PLR0917 - a call is its six parts
    number: int, rpc: Rpc, request: Mapping[str, Any], outcome: Outcome, span: tuple[int, int], identity: str = "main"
) -> Operation:
    """Make an operation of what matters to a judge."""
    return Operation(number, rpc, "client", identity, f"request-{number}", *span, request, outcome)


def legal_history(rng: Random, calls: int) -> list[Operation]:
    """Simulate clients of a legal Controller; its first operation acknowledges job-1 to job-3, left alone, which end FAILED."""
    return Clients(rng, SimulatedController(rng)).run(calls)
