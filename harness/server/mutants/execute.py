"""Mutants of the chapter EXEC: single submissions."""

# ruff: noqa: D101, D102  (the summary given to `mutant` is what is to be said of each)

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace

from harness.server.engine import Engine, Groups, Member
from harness.server.lifecycle import EngineConfig
from harness.server.mutants.registry import Mutant, add, mutant
from harness.server.refusal import Code, Refusal, not_found
from harness.server.state import Job, KeyId
from harness.server.values import MILLISECOND, Caller, StatusReply, SubmitRequest, Target


@mutant("exec-one-id-short-from-8", "EXEC-01", "leaves the last id out of the response from 8 configurations on")
class OneIdShort(Engine):
    def submit(self, caller: Caller, request: SubmitRequest, now: int) -> tuple[str, ...]:
        ids = super().submit(caller, request, now)
        return ids[:-1] if len(ids) >= 8 else ids


@mutant("exec-ids-reversed-from-8", "EXEC-02", "returns the ids in reverse order from 8 configurations on")
class IdsReversed(Engine):
    def submit(self, caller: Caller, request: SubmitRequest, now: int) -> tuple[str, ...]:
        ids = super().submit(caller, request, now)
        return ids[::-1] if len(ids) >= 8 else ids


class _OneIn20(Engine, ABC):
    """Tampers with the ids of every 20th accepted submission that has two or more jobs in its first request."""

    def __init__(self, config: EngineConfig, random_bits: Callable[[int], int]) -> None:
        super().__init__(config, random_bits)
        self._accepted = 0

    @abstractmethod
    def tamper(self, ids: tuple[str, ...]) -> tuple[str, ...]:
        """Return what is given instead of ids."""

    def _accept(self, key: KeyId | None, members: Sequence[Member]) -> Groups:
        groups = super()._accept(key, members)
        if len(groups[0]) < 2:
            return groups
        self._accepted += 1
        if self._accepted % 20 == 0:
            groups = (self.tamper(groups[0]), *groups[1:])
            if key is not None:
                self._keys[key].groups = groups  # replays agree, so that only one requirement is broken
        return groups


@mutant("exec-swaps-two-ids-1-in-20", "EXEC-02", "swaps the first two ids of every 20th submission that has two or more")
class SwapsTwoIds(_OneIn20):
    def tamper(self, ids: tuple[str, ...]) -> tuple[str, ...]:
        return (ids[1], ids[0], *ids[2:])


@mutant("exec-id-late", "EXEC-03", "does not know a job in its first 30 ms")
class IdLate(Engine):
    def status(self, job_id: str, target: Target | None, now: int) -> StatusReply:
        reply = super().status(job_id, target, now)
        if self.now - self._jobs[job_id].submitted < 30 * MILLISECOND:
            raise not_found(f"job {job_id!r} is not known")
        return reply


@mutant("exec-same-id-twice-1-in-20", "EXEC-03", "returns one id twice in every 20th submission that has two or more")
class SameIdTwice(_OneIn20):
    def tamper(self, ids: tuple[str, ...]) -> tuple[str, ...]:
        return (ids[0], ids[0], *ids[2:])


@mutant("exec-partial-when-full", "EXEC-04", "queues the jobs that still fit when it refuses for lack of room")
class PartialWhenFull(Engine):
    def _check_room(self, members: Sequence[Member]) -> None:
        try:
            super()._check_room(members)
        except Refusal:
            room = self._room(members[0].processor)
            if len(members) == 1 and room > 0:
                self._accept(None, [replace(members[0], jobs=members[0].jobs[:room])])
            raise


@mutant("exec-failure-enqueues-first", "EXEC-04", "queues the first job of a submission that it refuses for its options")
class FailureEnqueuesFirst(Engine):
    def _admit(self, caller: Caller, request: SubmitRequest, where: str) -> Member:
        try:
            return super()._admit(caller, request, where)
        except Refusal:
            processor = self._resolve(request.target)
            if not where and processor is not None and request.jobs and request.has_job:
                self._accept(None, [Member(processor, None, request.jobs[:1])])
            raise


@mutant("exec-lost-job-1-in-20", "EXEC-05", "never runs every 20th job, which stays QUEUED for ever")
class LostJob(Engine):
    def _enqueue(self, job: Job) -> None:
        if job.order % 20:
            super()._enqueue(job)
        else:
            self._jobs[job.id] = job

    def _may_cancel(self, job: Job) -> bool:
        return super()._may_cancel(job) and job.order % 20 != 0


@mutant("exec-accepts-no-configuration", "EXEC-06", "answers OK without ids to a request without configurations")
class AcceptsNoConfiguration(Engine):
    def _admit(self, caller: Caller, request: SubmitRequest, where: str) -> Member:
        processor = self._resolve(request.target)
        if not where and not request.jobs and processor is not None:
            return Member(processor, None, ())
        return super()._admit(caller, request, where)


@mutant("exec-merges-duplicates", "EXEC-07", "makes one job out of identical configurations of a request")
class MergesDuplicates(Engine):
    def _accept(self, key: KeyId | None, members: Sequence[Member]) -> Groups:
        distinct = [tuple(dict.fromkeys(member.jobs)) for member in members]
        merged = super()._accept(key, [replace(member, jobs=jobs) for member, jobs in zip(members, distinct, strict=True)])
        groups = tuple(
            tuple(ids[jobs.index(job)] for job in member.jobs)
            for member, jobs, ids in zip(members, distinct, merged, strict=True)
        )
        if key is not None:
            self._keys[key].groups = groups
        return groups


@mutant("exec-accepts-no-job", "EXEC-08", "queues a request without a job")
class AcceptsNoJob(Engine):
    def _admit(self, caller: Caller, request: SubmitRequest, where: str) -> Member:
        return super()._admit(caller, replace(request, has_job=True), where)


add(
    Mutant(
        "exec-target-unchecked",
        "EXEC-09",
        "sends requests without a target, or with an unknown one, to the first processor",
        settings=lambda settings: replace(settings, require_target=False),
    )
)


@mutant("exec-full-wrong-code", "EXEC-10", "answers INTERNAL when there is no room")
class FullWrongCode(Engine):
    def _check_room(self, members: Sequence[Member]) -> None:
        try:
            super()._check_room(members)
        except Refusal as refusal:
            raise Refusal(Code.INTERNAL, refusal.message) from None
