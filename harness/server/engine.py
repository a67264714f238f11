"""The queue engine: every command of the Controller, as a deterministic function of what was asked and when.

Pure: no clock, no I/O, no protobuf, no gRPC. Each command is a method that takes the time in nanoseconds since the epoch, first
lets everything happen that was due by then, and returns its reply or raises Refusal. What it changed is collected until
`take_effects`; a host stores that before it sends the reply. Time never goes backwards: an earlier one counts as the latest seen.

The many small methods are the joints at which a mutant (harness.server.mutants) breaks exactly one rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.ids import IdempotencyKey
from harness.server import admission, estimates
from harness.server.lifecycle import Lifecycle
from harness.server.refusal import Code, Refusal, invalid, not_found
from harness.server.state import Job, KeyId, KeyRecord, Processor, Scope
from harness.server.values import (
    TERMINAL,
    BatchRequest,
    Caller,
    Phase,
    PlannedJob,
    Result,
    StatusReply,
    SubmitRequest,
    Target,
    TargetKind,
)

Groups = tuple[tuple[str, ...], ...]
"""Job ids, one tuple for each request of a submission."""


@dataclass(frozen=True, slots=True)
class Member:
    """A request that may be queued: where its jobs run, and for how long at most (nanoseconds, None: each job's own)."""

    processor: Processor
    timeout: int | None
    jobs: tuple[PlannedJob, ...]


class Engine(Lifecycle):
    """The commands of the Controller, on top of the life of its jobs."""

    # Submission

    def submit(self, caller: Caller, request: SubmitRequest, now: int) -> tuple[str, ...]:
        """ExecuteControllerJob: queue one job per configuration, all or none; ids in their order. A known key replays."""
        self.advance(now)
        self._check_key(request.key, "single")
        key = self._key_id(self._single_scope(caller, request.target), request.key)
        record = self._find(key)
        if record is not None:
            return self._replay(record, now)[0]
        members = [self._admit(caller, request, "")]
        self._check_room(members)
        return self._accept(key, members)[0]

    def submit_batch(self, caller: Caller, batch: BatchRequest, now: int) -> Groups:
        """BatchExecuteControllerJobs: queue every job of every member, or none; an empty batch is refused (BATCH-07)."""
        self.advance(now)
        self._check_key(batch.key, "batch")
        key = self._key_id(self._batch_scope(caller), batch.key)
        record = self._find(key)
        if record is not None:
            return self._replay(record, now)
        if not batch.requests:
            raise invalid("requests: needs at least one")
        members = [self._admit(caller, request, f"requests[{index}].") for index, request in enumerate(batch.requests)]
        self._check_room(members)
        return self._accept(key, members)

    # Jobs

    def cancel(self, ids: Sequence[str], target: Target | None, now: int) -> None:
        """CancelControllerJobs: cancel those that still wait; every other id is passed over (CAN-03)."""
        self.advance(now)
        processor = self._lookup_target(target)
        for job_id in ids:
            job = self._jobs.get(job_id)
            if job is not None and (processor is None or job.processor is processor) and self._may_cancel(job):
                self._cancel(job)

    def status(self, job_id: str, target: Target | None, now: int) -> StatusReply:
        """GetControllerJobStatus: where the job stands, and the bounds of its time to completion."""
        self.advance(now)
        job = self._lookup(job_id, target)
        least, greatest = self._bounds(job)
        return StatusReply(self._shown_phase(job), least, greatest, self.now)

    def results(self, job_id: str, target: Target | None, now: int) -> Result | None:
        """GetControllerJobResults: what the job left behind, None while it is not finished (RES-03)."""
        self.advance(now)
        job = self._lookup(job_id, target)
        return self.result_of(job) if job.phase in TERMINAL else None

    def forget(self, ids: Iterable[str], now: int) -> None:
        """Drop finished jobs before their time; others are passed over."""
        self.advance(now)
        for job_id in ids:
            job = self._finished.get(job_id)
            if job is not None:
                self._forget(job)

    # Idempotency

    def _check_key(self, key: IdempotencyKey | None, rpc: str) -> None:  # noqa: ARG002  (a mutant looks at the call)
        admission.check_key(key)

    def _single_scope(self, caller: Caller, target: Target | None) -> Scope:
        processor = self._resolve(target)
        return Scope(caller.subject, "single", processor.name if processor else "")

    def _batch_scope(self, caller: Caller) -> Scope:
        return Scope(caller.subject, "batch", "")

    def _key_id(self, scope: Scope, key: IdempotencyKey | None) -> KeyId | None:
        return None if key is None else KeyId(scope, key.high, key.low)

    def _find(self, key: KeyId | None) -> KeyRecord | None:
        return None if key is None else self._keys.get(key)

    def _replay(self, record: KeyRecord, now: int) -> Groups:  # noqa: ARG002  (a mutant looks at the time)
        self.replays += 1
        return record.groups

    # Admission

    def _admit(self, caller: Caller, request: SubmitRequest, where: str) -> Member:
        admission.check_jobs(request, where)
        processor = self._resolve(request.target)
        if processor is None:
            raise self._bad_target(request.target, where)
        timeout = admission.requested_timeout(request.timeout, where)
        self._check_protection(caller, request, where)
        return Member(processor, timeout, request.jobs)

    def _check_protection(self, caller: Caller, request: SubmitRequest, where: str) -> None:
        admission.check_protection(caller, bypass=request.bypass, jobs=request.jobs, where=where)

    def _resolve(self, target: Target | None) -> Processor | None:
        """Return the processor that a submission goes to, None if that cannot be told."""
        found = None
        if target is not None:
            name = target.name if target.kind is TargetKind.PROCESSOR else self.config.endpoints.get(target.name, "")
            found = self.processors.get(name)
        if found is None and not self.config.require_target:
            return next(iter(self.processors.values()))
        return found

    def _bad_target(self, target: Target | None, where: str) -> Refusal:
        if target is None or not target.name:
            return invalid(f"{where}target: missing, needs quantum_processor_id or endpoint_id")
        return not_found(f"{where}{target.kind.value}: {target.name!r} is not known")

    def _check_room(self, members: Sequence[Member]) -> None:
        """Refuse for lack of room, counting all members that go to one processor together (EXEC-10)."""
        wanted: dict[str, int] = {}
        for member in members:
            wanted[member.processor.name] = wanted.get(member.processor.name, 0) + len(member.jobs)
        for name, jobs in wanted.items():
            room = self._room(self.processors[name])
            if jobs > room:
                raise Refusal(
                    Code.RESOURCE_EXHAUSTED, f"the queue of {name} has room for {room} more jobs, the request needs {jobs}"
                )

    def _room(self, processor: Processor) -> int:
        idle = max(0, processor.executors - len(processor.running))
        return self.config.capacity - len(processor.queue) + idle

    def _accept(self, key: KeyId | None, members: Sequence[Member]) -> Groups:
        groups = tuple(self._new_ids(member) for member in members)
        record = None
        if key is not None:
            record = KeyRecord(key, groups, sum(map(len, groups)))
            self._remember(record)
        for member, ids in zip(members, groups, strict=True):
            for job_id, planned in zip(ids, member.jobs, strict=True):
                self._enqueue(self._new_job(job_id, member, planned, record))
            self._dispatch(member.processor, self.now)
        return groups

    def _new_ids(self, member: Member) -> tuple[str, ...]:
        return tuple(self._new_id() for _ in member.jobs)

    def _new_id(self) -> str:
        """Return a version 4 UUID: its 122 random bits are what keeps ids apart, also across restarts."""
        bits = self._random_bits(128) & ~(0xF << 76) & ~(0x3 << 62) | 0x4 << 76 | 0x2 << 62
        text = f"{bits:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def _new_job(self, job_id: str, member: Member, planned: PlannedJob, record: KeyRecord | None) -> Job:
        self._order += 1
        spec = planned.spec
        timeout = self._timeout(member.timeout, spec.estimate)
        least = estimates.declared_work(spec.estimate, timeout)
        return Job(
            job_id, self._order, member.processor, spec, planned.memory, timeout, least, timeout, record, submitted=self.now
        )

    def _timeout(self, requested: int | None, estimate: int | None) -> int:
        """Return the timeout that is enforced: as requested, else as estimated, else the default; never above the maximum."""
        chosen = requested or estimate or self.config.default_timeout
        return min(chosen, self.config.max_timeout)

    # Look-up

    def _lookup(self, job_id: str, target: Target | None) -> Job:
        if not job_id:
            raise invalid("the job id is empty")
        processor = self._lookup_target(target)
        job = self._jobs.get(job_id)
        if job is None or (processor is not None and job.processor is not processor):
            raise not_found(f"job {job_id!r} is not known")
        return job

    def _lookup_target(self, target: Target | None) -> Processor | None:
        """Return the processor that a look-up goes to; None where targets do not matter, because this is no gateway."""
        if not self.config.require_target:
            return None
        processor = self._resolve(target)
        if processor is None:
            raise self._bad_target(target, "")
        return processor

    def _bounds(self, job: Job) -> estimates.Bounds:
        return estimates.completion(job, self.now)

    def _shown_phase(self, job: Job) -> Phase:
        return job.phase
