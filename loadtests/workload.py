"""What a user does next, drawn from a seeded generator: the same seed gives the same choices. Pure: no clock, no network.

Idempotency keys come from a generator of their own that is fresh in every run: a repeated seed must not repeat keys, or an
endpoint that still knows the last run would answer with that run's jobs.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from harness.draws import Counts, Sizes, draw_of, weighted
from harness.history import Rpc
from harness.ids import IdempotencyKey, random_key
from harness.workload import Follow, Workload

RETRY_MIN = 0.05
"""Seconds before the first retry of a submission that was refused."""
RETRY_MAX = 2.0
"""Longest time between two retries, in seconds."""


class Submission(NamedTuple):
    """One submission to make: `sizes` holds the configurations of each request (one request for the single RPC).

    `followed` tells whether the user will see its jobs through; `job` is their role. `memory` holds the reals of each
    configuration, request by request, and `payloads` the octets of each request's program; empty: what the profile's job has.
    """

    rpc: Rpc
    key: IdempotencyKey
    sizes: tuple[int, ...]
    cancelled: bool
    replayed: bool
    followed: bool = True
    job: str = "quick"
    memory: tuple[tuple[int, ...], ...] = ()
    payloads: tuple[int, ...] = ()

    @property
    def jobs(self) -> int:
        """How many jobs the submission makes."""
        return sum(self.sizes)


class _Size(NamedTuple):
    """How large a submission is; see there."""

    sizes: tuple[int, ...]
    memory: tuple[tuple[int, ...], ...]
    payloads: tuple[int, ...]


class Chooser:
    """The choices of one user."""

    def __init__(self, workload: Workload, follow: Follow, choices: random.Random, keys: random.Random) -> None:
        self._workload = workload
        self._follow = follow
        self._choices = choices
        self._keys = keys
        self._batch = _coin(workload.batch / (workload.single + workload.batch), choices)
        self._cancelled, self._replayed = _coin(workload.cancelled, choices), _coin(workload.replayed, choices)
        self._followed = _coin(workload.followed, choices)
        self._requests = draw_of(workload.requests_per_batch)
        self._configurations = draw_of(workload.configurations_per_request)
        self._memory = _several(workload.memory_values_per_configuration)
        self._payload = _several(workload.payload_size)
        self._jobs = tuple(workload.roles)
        self._job = weighted(dict(enumerate(workload.roles.values())))
        self._alike = {batch: self._size(batch) for batch in (False, True)} if workload.is_fixed else None

    def submission(self) -> Submission:
        """Draw the next submission, with a fresh key."""
        batch = self._batch()
        size = self._size(batch) if self._alike is None else self._alike[batch]
        return Submission(
            Rpc.BATCH if batch else Rpc.EXECUTE,
            random_key(self._keys),
            size.sizes,
            self._cancelled(),
            self._replayed(),
            self._followed(),
            self._jobs[self._job(self._choices)],
            size.memory,
            size.payloads,
        )

    def _size(self, batch: bool) -> _Size:
        """Draw how large a submission is."""
        choices, memory, payload = self._choices, self._memory, self._payload
        sizes = tuple(self._configurations(choices) for _ in range(self._requests(choices) if batch else 1))
        return _Size(
            sizes,
            memory=() if memory is None else tuple(memory(choices, size) for size in sizes),
            payloads=() if payload is None else payload(choices, len(sizes)),
        )

    def pause(self) -> float:
        """Draw the rest after a submission, in seconds."""
        pause = self._workload.pause
        return self._choices.uniform(pause.min, pause.max) if pause.max else 0.0

    def polls(self) -> Iterator[float]:
        """Return the waits between status calls, in seconds, without end."""
        follow = self._follow
        if not follow.poll_min:
            return itertools.repeat(0.0)
        plain = self._growing(follow.poll_min)
        return map(self._jittered, plain) if follow.jitter else plain

    def _growing(self, wait: float) -> Iterator[float]:
        while True:
            yield wait
            wait = min(wait * self._follow.backoff, self._follow.poll_max)

    def _jittered(self, wait: float) -> float:
        return wait * (1 + self._choices.uniform(-self._follow.jitter, self._follow.jitter))

    def retries(self) -> Iterator[float]:
        """Yield the waits after refusals in a row, in seconds, without end; a random half keeps users from moving in step."""
        wait = RETRY_MIN
        while True:
            yield wait * self._choices.uniform(0.5, 1.0)
            wait = min(wait * 2, RETRY_MAX)


def _coin(share: float, choices: random.Random) -> Callable[[], bool]:
    """Return a draw that says yes in such a share of all cases; nothing is left to chance if that is none or all."""
    if share <= 0 or share >= 1:
        sure = share > 0
        return lambda: sure
    chance = choices.random
    return lambda: chance() < share


def _several(number: int | Counts | Sizes | None) -> Callable[[random.Random, int], tuple[int, ...]] | None:
    """Return how several numbers are drawn at once; None if there are none to draw."""
    if number is None:
        return None
    if isinstance(number, int):
        return lambda _, times: (number,) * times
    draw = number.draw
    return lambda choices, times: tuple(draw(choices) for _ in range(times))
