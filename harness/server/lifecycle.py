"""The life of jobs once they are accepted: waiting, running, post-processing, finished, forgotten, restored.

Pure: no clock, no I/O, no protobuf, no gRPC. The commands that start and steer this life are in `engine`.
The many small methods are the joints at which a mutant (harness.server.mutants) breaks exactly one rule.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from harness.server.fifo import FifoQueue
from harness.server.state import TRANSITIONS, Effects, Event, Job, KeyId, KeyRecord, Processor
from harness.server.values import SECOND, TERMINAL, Phase, Result, ResultStatus


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """The engine's share of the settings; times in nanoseconds, meanings as in `ServerSettings`."""

    processors: tuple[str, ...]
    endpoints: Mapping[str, str]
    require_target: bool
    executors: int
    capacity: int
    default_timeout: int
    max_timeout: int
    retention: int
    max_finished: int


class Lifecycle:
    """All processors, jobs and keys of one server. `random_bits(n)` is the source of job ids."""

    transitions = TRANSITIONS

    def __init__(self, config: EngineConfig, random_bits: Callable[[int], int]) -> None:
        self.config = config
        self.now = 0
        self.replays = 0
        self.processors = {
            name: Processor(name, config.executors, FifoQueue(track_longest=config.executors > 1)) for name in config.processors
        }
        self._random_bits = random_bits
        self._jobs: dict[str, Job] = {}
        self._keys: dict[KeyId, KeyRecord] = {}
        self._due: list[tuple[int, int, Job]] = []
        self._finished: OrderedDict[str, Job] = OrderedDict()
        self._order = 0
        self._effects = Effects()

    # Time

    def advance(self, now: int) -> None:
        """Let everything happen that is due by `now`, each at its own time and in order."""
        self.now = now = max(now, self.now)
        due = self._due
        while due and due[0][0] <= now:
            at, _, job = heapq.heappop(due)
            self._happen(job, at)
        self._expire(now)

    def next_wake(self) -> int | None:
        """Return when the next thing happens of itself; None for never."""
        times = [self._due[0][0]] if self._due else []
        if self._finished:
            times.append(next(iter(self._finished.values())).finished + self.config.retention)
        return min(times, default=None)

    def take_effects(self) -> Effects | None:
        """Return what has changed since the last call, None if nothing has."""
        effects = self._effects
        if not effects:
            return None
        self._effects = Effects()
        return effects

    def result_of(self, job: Job) -> Result:
        """Return the result of a finished job."""
        execution = max(job.released - job.started, 1) if job.started else 0
        return Result(job.id, job.status, job.message, execution, job.spec.readout, job.memory)

    @property
    def known_jobs(self) -> int:
        """How many job ids are known."""
        return len(self._jobs)

    @property
    def known_keys(self) -> int:
        """How many idempotency keys are remembered."""
        return len(self._keys)

    # Recovery

    def restore(self, jobs: Iterable[Job], keys: Iterable[KeyRecord], now: int) -> None:
        """Take over stored jobs (in order of submission) and keys, after a restart, before any command.

        Waiting jobs wait in their old order; running ones run again from `now` on and never stop being RUNNING; post-processing
        goes on; finished ones stay until their time is up. Counts start from the jobs that are still known.
        """
        self.now = now
        for record in keys:
            self._keys[record.key] = record
        done: list[Job] = []
        for job in jobs:
            self._order = max(self._order, job.order)
            self._jobs[job.id] = job
            self.now = max(self.now, job.submitted, job.started, job.released, job.finished)
            if job.phase in TERMINAL:
                done.append(job)
        for job in self._jobs.values():
            self._restore_job(job)
        for job in sorted(done, key=lambda job: (job.finished, job.order)):
            self._finished[job.id] = job
        for processor in self.processors.values():
            self._dispatch(processor, self.now)
        self.advance(self.now)

    def _restore_job(self, job: Job) -> None:
        processor = job.processor
        processor.counts.accepted += 1
        if job.phase is Phase.QUEUED:
            processor.queue.append(job)
        elif job.phase is Phase.RUNNING:
            self._run(job, self.now)
            self._effects.moved[job.id] = job
        elif job.phase is Phase.POST_PROCESSING:
            processor.counts.post_processing += 1
            self._schedule(job, job.released + job.spec.post)
        else:
            self._count_finished(job)

    # Jobs

    def _enqueue(self, job: Job) -> None:
        self._jobs[job.id] = job
        self._effects.accepted[job.id] = job
        job.processor.counts.accepted += 1
        job.processor.queue.append(job)

    def _move(self, job: Job, event: Event) -> None:
        job.phase = self.transitions[job.phase, event]
        # A job that was accepted by this same command is stored from `accepted`, in whatever phase it is by then.
        if job.id not in self._effects.accepted:
            self._effects.moved[job.id] = job

    def _dispatch(self, processor: Processor, at: int) -> None:
        while len(processor.running) < processor.executors and processor.queue:
            job = processor.queue.popleft()
            self._move(job, Event.START)
            self._run(job, at)

    def _run(self, job: Job, at: int) -> None:
        job.started = at
        job.processor.running[job.id] = job
        self._schedule(job, at + min(job.spec.duration, self._allowance(job)))

    def _allowance(self, job: Job) -> int:
        """How long the job may stay on the hardware, from its start."""
        return job.timeout

    def _schedule(self, job: Job, due: int) -> None:
        job.due = due
        heapq.heappush(self._due, (due, job.order, job))

    def _happen(self, job: Job, at: int) -> None:
        if job.phase is Phase.RUNNING:
            self._leave(job, at)
            self._dispatch(job.processor, at)
        elif job.phase is Phase.POST_PROCESSING:
            job.processor.counts.post_processing -= 1
            self._conclude(job, at)

    def _leave(self, job: Job, at: int) -> None:
        """Take a job off its executor: it ran to its end, or its time is up (OPT-01)."""
        del job.processor.running[job.id]
        job.released = at
        if job.spec.duration > self._allowance(job):
            self._evict(job, at)
        elif job.spec.post:
            self._move(job, Event.LEAVE)
            job.processor.counts.post_processing += 1
            self._schedule(job, at + job.spec.post)
        else:
            self._conclude(job, at)

    def _evict(self, job: Job, at: int) -> None:
        self._move(job, Event.EVICT)
        message = f"evicted: the timeout of {job.timeout / SECOND:g} s has passed"
        self._finish(job, ResultStatus.USER_FAILURE, message, at)

    def _conclude(self, job: Job, at: int) -> None:
        succeeded = job.spec.outcome is ResultStatus.SUCCESS
        self._move(job, Event.SUCCEED if succeeded else Event.FAIL)
        self._finish(job, job.spec.outcome, job.spec.message, at)

    def _may_cancel(self, job: Job) -> bool:
        return job.phase is Phase.QUEUED

    def _cancel(self, job: Job) -> None:
        job.processor.queue.remove(job)
        self._move(job, Event.CANCEL)
        self._finish(job, ResultStatus.USER_CANCELLATION, "cancelled before it started", self.now)

    def _finish(self, job: Job, status: ResultStatus, message: str, at: int) -> None:
        job.status, job.message, job.finished = status, message, at
        self._finished[job.id] = job
        self._effects.finished.append(job)
        self._count_finished(job)

    def _count_finished(self, job: Job) -> None:
        counts = job.processor.counts
        if job.phase is Phase.SUCCEEDED:
            counts.succeeded += 1
        elif job.phase is Phase.FAILED:
            counts.failed += 1
        else:
            counts.canceled += 1

    # Forgetting

    def _expire(self, now: int) -> None:
        finished, horizon = self._finished, now - self.config.retention
        while finished:
            job = next(iter(finished.values()))
            if job.finished > horizon and len(finished) <= self.config.max_finished:
                return
            self._forget(job)

    def _forget(self, job: Job) -> None:
        del self._finished[job.id]
        del self._jobs[job.id]
        self._effects.forgotten.append(job.id)
        self._effects.moved.pop(job.id, None)
        if job.key is not None:
            job.key.known -= 1
            if job.key.known == 0:
                self._drop_key(job.key)

    # Keys

    def _remember(self, record: KeyRecord) -> None:
        self._keys[record.key] = record
        self._effects.keys.append(record)

    def _drop_key(self, record: KeyRecord) -> None:
        if self._keys.get(record.key) is record:
            del self._keys[record.key]
            self._effects.dropped_keys.append(record)
