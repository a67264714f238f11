"""What the users of a load run do: what they submit, and how they wait for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.config import format_size, option
from harness.draws import MOST, MOST_OCTETS, Counts, Sizes, most_of
from harness.fixtures import ROLES


@dataclass(frozen=True)
class Pause:
    """A time drawn evenly between two limits."""

    min: float = option("shortest time", kind="duration", default=0.0, minimum=0)
    max: float = option("longest time", kind="duration", default=0.0, minimum=0)

    def __post_init__(self) -> None:
        if self.min > self.max:
            raise ValueError("min is above max")


@dataclass(frozen=True)
class Workload:
    """What a user does: it submits jobs, singly or in batches; each submission carries a fresh idempotency key."""

    job: str = option("role of the profile's job that is submitted", default="quick", choices=tuple(ROLES))
    jobs: Mapping[str, float] = option(
        "weights of roles, in place of `job`: each submission draws one, as in {quick: 9, slow: 1}",
        default={},
        minimum=0,
        maximum=1_000_000,
        example="quick: 9",
        entries=ROLES,
    )
    single: float = option("weight of single requests", default=1.0, minimum=0, maximum=1_000_000)
    batch: float = option("weight of batch requests", default=0.0, minimum=0, maximum=1_000_000)
    requests_per_batch: int | Counts = option(
        "requests in a batch: a number, or how it is drawn", default=1, minimum=1, maximum=MOST
    )
    configurations_per_request: int | Counts = option(
        "configurations, hence jobs, in a request: a number, or how it is drawn", default=1, minimum=1, maximum=MOST
    )
    memory_values_per_configuration: int | Counts | None = option(
        "reals that each configuration has in a memory region: a number, or how it is drawn; unset: what the profile's job has",
        default=None,
        minimum=1,
        maximum=MOST,
        example="16",
    )
    memory_region: str | None = option(
        "memory region that holds the reals; unset: the first one of the profile's job", default=None, example="theta"
    )
    payload_size: int | Sizes | None = option(
        "octets of the encrypted program, or how they are drawn: a line feed and noise fill the profile's payload up, if it is "
        "shorter; unset: it stays as it is",
        kind="size",
        default=None,
        minimum=0,
        maximum=MOST_OCTETS,
        example="64KiB",
    )
    cancelled: float = option(
        "share of submissions whose jobs the user asks to cancel at once", default=0.0, minimum=0, maximum=1
    )
    replayed: float = option(
        "share of submissions that the user repeats with the same key; the same ids must come back",
        default=0.0,
        minimum=0,
        maximum=1,
    )
    followed: float = option(
        "share of submissions whose jobs the user follows to their results; those of the others are acknowledged and left alone",
        default=1.0,
        minimum=0,
        maximum=1,
    )
    pause: Pause = option("how long a user rests after a submission is finished", default=Pause())

    def __post_init__(self) -> None:
        if self.single + self.batch <= 0:
            raise ValueError("single and batch are both 0; give one of them a weight")
        if self.jobs and not any(self.jobs.values()):
            raise ValueError("jobs: all weights are 0; give one of them a weight")
        if self.jobs and self.job != "quick":
            raise ValueError("job and jobs are both given; give one of them")
        if self.memory_region is not None and self.memory_values_per_configuration is None:
            raise ValueError("memory_region goes with memory_values_per_configuration; give how many values it holds")
        if self.most_octets > MOST_OCTETS:
            told = f"a submission may come to {format_size(self.most_octets)}"
            raise ValueError(f"{told}, above {format_size(MOST_OCTETS)}; give fewer or smaller parts")

    @property
    def roles(self) -> Mapping[str, float]:
        """The roles of the jobs that are submitted, with their weights."""
        return self.jobs or {self.job: 1.0}

    @property
    def is_fixed(self) -> bool:
        """Whether all batches are of one size, and all single submissions are."""
        sizes = (
            self.requests_per_batch,
            self.configurations_per_request,
            self.memory_values_per_configuration,
            self.payload_size,
        )
        return all(size is None or isinstance(size, int) for size in sizes)

    @property
    def most_octets(self) -> int:
        """Octets of the largest submission, as far as the scenario alone can tell."""
        memory, payload = self.memory_values_per_configuration or 0, self.payload_size or 0
        request = most_of(payload) + most_of(self.configurations_per_request) * (2 + 8 * most_of(memory))
        return request * (most_of(self.requests_per_batch) if self.batch else 1)


@dataclass(frozen=True)
class Follow:
    """How a user waits for its jobs: it asks for their status, ever less often, and then for their results."""

    poll_min: float = option(
        "first wait between two status calls for one job; 0: never any rest", kind="duration", default=0.005, minimum=0
    )
    poll_max: float = option("longest wait between two status calls", kind="duration", default=0.25, minimum=0)
    backoff: float = option("factor by which the wait grows", default=1.5, minimum=1, maximum=100)
    jitter: float = option("share of the wait that is left to chance, either way", default=0.2, minimum=0, maximum=1)
    deadline: float = option(
        "how long a user waits for its jobs to end, and the run for its users, before jobs count as unfinished",
        kind="duration",
        default=30.0,
        minimum=0.001,
    )
    results: bool = option("fetch the results of jobs that succeeded or failed", default=True)

    def __post_init__(self) -> None:
        if self.poll_min > self.poll_max:
            raise ValueError("poll_min is above poll_max")
