"""What a user does next, drawn from a seeded generator: the same seed gives the same choices. Pure: no clock, no network.

Idempotency keys come from a generator of their own that is fresh in every run: a repeated seed must not repeat keys, or an
endpoint that still knows the last run would answer with that run's jobs.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from harness.history import Rpc
from harness.ids import IdempotencyKey, random_key
from harness.scenario import Counts, Follow, Workload

RETRY_MIN = 0.05
"""Seconds before the first retry of a submission that was refused."""
RETRY_MAX = 2.0
"""Longest time between two retries, in seconds."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One submission to make: `sizes` holds the configurations of each request (one request for the single RPC)."""

    rpc: Rpc
    key: IdempotencyKey
    sizes: tuple[int, ...]
    cancelled: bool
    replayed: bool

    @property
    def jobs(self) -> int:
        """How many jobs the submission makes."""
        return sum(self.sizes)


class Chooser:
    """The choices of one user."""

    def __init__(self, workload: Workload, follow: Follow, choices: random.Random, keys: random.Random) -> None:
        self._workload = workload
        self._follow = follow
        self._choices = choices
        self._keys = keys

    def submission(self) -> Submission:
        """Draw the next submission, with a fresh key."""
        workload, draw = self._workload, self._choices
        batch = draw.random() * (workload.single + workload.batch) >= workload.single
        requests = self._count(workload.requests_per_batch) if batch else 1
        return Submission(
            rpc=Rpc.BATCH if batch else Rpc.EXECUTE,
            key=random_key(self._keys),
            sizes=tuple(self._count(workload.configurations_per_request) for _ in range(requests)),
            cancelled=draw.random() < workload.cancelled,
            replayed=draw.random() < workload.replayed,
        )

    def pause(self) -> float:
        """Draw the rest after a submission, in seconds."""
        return self._choices.uniform(self._workload.pause.min, self._workload.pause.max)

    def polls(self) -> Iterator[float]:
        """Yield the waits between status calls, in seconds, without end."""
        follow = self._follow
        wait = follow.poll_min
        while True:
            yield wait * (1 + self._choices.uniform(-follow.jitter, follow.jitter))
            wait = min(wait * follow.backoff, follow.poll_max)

    def retries(self) -> Iterator[float]:
        """Yield the waits after refusals in a row, in seconds, without end; a random half keeps users from moving in step."""
        wait = RETRY_MIN
        while True:
            yield wait * self._choices.uniform(0.5, 1.0)
            wait = min(wait * 2, RETRY_MAX)

    def _count(self, counts: Counts) -> int:
        return self._choices.randint(counts.min, counts.max)
