"""Mutants that go wrong once in a thousand jobs: the checks of the suites submit too few of them, a load run does not."""

# ruff: noqa: D101, D102  (the summary given to `load_mutant` is what is to be said of each)

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from harness.server.engine import Engine, Groups, Member
from harness.server.lifecycle import EngineConfig
from harness.server.mutants.registry import load_mutant
from harness.server.refusal import not_found
from harness.server.state import Job, KeyId, KeyRecord
from harness.server.values import TERMINAL, PlannedJob, Target

SELDOM = 1000
"""One of so many jobs goes wrong."""


class _Forgetful(Engine, ABC):
    """Denies every thousandth job, once it is `forgotten`."""

    def __init__(self, config: EngineConfig, random_bits: Callable[[int], int]) -> None:
        super().__init__(config, random_bits)
        self._lost: set[str] = set()

    @abstractmethod
    def forgotten(self, job: Job) -> bool:
        """Whether a job that goes wrong is denied now."""

    def _new_job(self, job_id: str, member: Member, planned: PlannedJob, record: KeyRecord | None) -> Job:
        job = super()._new_job(job_id, member, planned, record)
        if job.order % SELDOM == 0:
            self._lost.add(job_id)
        return job

    def _lookup(self, job_id: str, target: Target | None) -> Job:
        job = super()._lookup(job_id, target)
        if job_id in self._lost and self.forgotten(job):
            raise not_found(f"job {job_id!r} is not known")
        return job


@load_mutant("exec-lost-job-1-in-1000", "EXEC-05", "does not know every thousandth job that it has acknowledged")
class LostJob(_Forgetful):
    def forgotten(self, job: Job) -> bool:  # noqa: ARG002  (from the beginning)
        return True


@load_mutant("sta-finished-job-lost-1-in-1000", "STA-02", "forgets every thousandth job when it is finished")
class FinishedJobLost(_Forgetful):
    def forgotten(self, job: Job) -> bool:
        return job.phase in TERMINAL


class _Tampering(Engine, ABC):
    """Tampers with the ids of the submission that has the next thousandth job; replays agree."""

    def __init__(self, config: EngineConfig, random_bits: Callable[[int], int]) -> None:
        super().__init__(config, random_bits)
        self._given = 0
        self.former = ""

    @abstractmethod
    def tamper(self, ids: tuple[str, ...]) -> tuple[str, ...]:
        """Return what is given instead of ids."""

    def _accept(self, key: KeyId | None, members: Sequence[Member]) -> Groups:
        groups = super()._accept(key, members)
        before, self._given = self._given, self._given + sum(map(len, groups))
        if before // SELDOM != self._given // SELDOM:
            groups = (self.tamper(groups[0]), *groups[1:])
            if key is not None:
                self._keys[key].groups = groups
        self.former = groups[-1][-1]
        return groups


@load_mutant("exec-doubles-job-1-in-1000", "EXEC-01", "queues the submission of every thousandth job twice, and tells of one")
class DoublesJob(Engine):
    def __init__(self, config: EngineConfig, random_bits: Callable[[int], int]) -> None:
        super().__init__(config, random_bits)
        self._given = 0

    def _accept(self, key: KeyId | None, members: Sequence[Member]) -> Groups:
        groups = super()._accept(key, members)
        before, self._given = self._given, self._given + sum(map(len, groups))
        if before // SELDOM != self._given // SELDOM:
            super()._accept(None, members)
        return groups


@load_mutant("exec-double-id-1-in-1000", "EXEC-03", "gives every thousandth job the id of one that another caller has")
class DoubleId(_Tampering):
    def tamper(self, ids: tuple[str, ...]) -> tuple[str, ...]:
        return (self.former, *ids[1:]) if self.former else ids


@load_mutant("exec-swaps-two-ids-1-in-1000", "EXEC-02", "swaps two ids of the submission that has the next thousandth job")
class SwapsTwoIds(_Tampering):
    def tamper(self, ids: tuple[str, ...]) -> tuple[str, ...]:
        return (*ids[1:2], *ids[:1], *ids[2:])


@load_mutant("idem-replay-doubles-1-in-1000", "IDEM-01", "makes the jobs once more on the replay of every thousandth job")
class ReplayDoubles(Engine):
    def __init__(self, config: EngineConfig, random_bits: Callable[[int], int]) -> None:
        super().__init__(config, random_bits)
        self._repeated = 0

    def _find(self, key: KeyId | None) -> KeyRecord | None:
        record = super()._find(key)
        if record is None:
            return None
        before, self._repeated = self._repeated, self._repeated + sum(map(len, record.groups))
        if before // SELDOM == self._repeated // SELDOM:
            return record
        self._drop_key(record)
        return None
