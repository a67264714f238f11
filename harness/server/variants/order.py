"""The order of execution is the executor's own affair, and so is how many run at once and how long a start takes."""

# ruff: noqa: D101, D102  (the summary given to `variant` is what is to be said of each)

from __future__ import annotations

import asyncio
import heapq
import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from harness.server.engine import Engine
from harness.server.service import Answer, Service
from harness.server.state import Event, Job, Processor
from harness.server.values import MILLISECOND, Phase
from harness.server.variants.registry import Variant, add, variant


class _Picking(Engine, ABC):
    """Starts whichever job `pick` names."""

    @abstractmethod
    def pick(self, waiting: Sequence[Job]) -> Job:
        """Choose the job that starts next."""

    def _dispatch(self, processor: Processor, at: int) -> None:
        while len(processor.running) < processor.executors and processor.queue:
            job = self.pick(list(processor.queue))
            processor.queue.remove(job)
            self._move(job, Event.START)
            self._run(job, at)


@variant("order-lifo", "the job that came last runs first")
class LastFirst(_Picking):
    def pick(self, waiting: Sequence[Job]) -> Job:
        return waiting[-1]


@variant("order-random", "jobs run in random order")
class RandomOrder(_Picking):
    def pick(self, waiting: Sequence[Job]) -> Job:
        return random.choice(waiting)  # noqa: S311  (not for secrets)


@variant("order-shortest-first", "the shortest job runs first")
class ShortestFirst(_Picking):
    def pick(self, waiting: Sequence[Job]) -> Job:
        return min(waiting, key=lambda job: job.spec.duration)


FOUR = {"embedded": {"executors": 4}}

add(Variant("executors-4", "four jobs run at once", overrides={**FOUR, "facts": {"executors": 4}}))
add(
    Variant(
        "executors-4-unknown",
        "four jobs run at once, and the profile does not say so",
        overrides={**FOUR, "facts": {"executors": None}},
    )
)
add(
    Variant(
        "executors-4-random",
        "four jobs run at once, in random order, and the profile does not say so",
        engine=RandomOrder,
        overrides={**FOUR, "facts": {"executors": None}},
    )
)

_LAG = 200 * MILLISECOND
_WARM_UP = 1.0


class StartsLate(Engine):
    """Starts no job in the first 200 ms after its submission."""

    def _enqueue(self, job: Job) -> None:
        super()._enqueue(job)
        heapq.heappush(self._due, (job.submitted + _LAG, job.order, job))

    def _restore_job(self, job: Job) -> None:
        super()._restore_job(job)
        if job.phase is Phase.QUEUED:
            heapq.heappush(self._due, (self.now + _LAG, job.order, job))

    def _happen(self, job: Job, at: int) -> None:
        if job.phase is Phase.QUEUED:
            self._dispatch(job.processor, at)
        elif at == job.due:  # otherwise it has been started since, in turn
            super()._happen(job, at)

    def _dispatch(self, processor: Processor, at: int) -> None:
        while len(processor.running) < processor.executors and processor.queue:
            job = next(iter(processor.queue))
            if at < job.submitted + _LAG:
                return
            processor.queue.remove(job)
            self._move(job, Event.START)
            self._run(job, at)


class WarmsUp(Service):
    """Takes a second for the first call of each kind."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._warm: set[str] = set()
        super().__init__(*args, **kwargs)

    def call(self, rpc: str, payload: bytes, **how: Any) -> Answer[bytes]:
        if rpc in self._warm:
            return super().call(rpc, payload, **how)
        self._warm.add(rpc)
        return self._warming(rpc, payload, how)

    async def _warming(self, rpc: str, payload: bytes, how: Any) -> bytes:
        await asyncio.sleep(_WARM_UP)
        answer = super().call(rpc, payload, **how)
        return answer if isinstance(answer, bytes) else await answer


add(
    Variant(
        "slow-start", "the first call of each kind takes a second, and jobs start 200 ms late", engine=StartsLate, service=WarmsUp
    )
)
add(
    Variant(
        "slow-start-unknown-executors",
        "jobs start 200 ms late, and the profile does not say how many run at once",
        engine=StartsLate,
        overrides={"facts": {"executors": None}},
    )
)
