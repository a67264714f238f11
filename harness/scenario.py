"""The scenario: who puts how much load on an endpoint for how long, and which limits the run has to keep.

Says what to do, never how: nothing here knows Locust or gRPC. Pure: the text comes in, the caller reads the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.config import decode, option
from harness.executors import (
    EXECUTORS,
    OPEN,
    RAMPING_RATE,
    RAMPING_USERS,
    SOAK,
    SPIKE,
    Stage,
    Starts,
    check_keys,
    check_stages,
    ramp,
    soak,
    spike,
)
from harness.fixtures import ROLES
from harness.schedule import Segment
from harness.thresholds import Threshold, parse_threshold
from harness.yamltree import Node, parse

WIRE = "wire"
GRPCIO = "grpcio"
TRANSPORTS: Mapping[str, str] = {
    WIRE: "our own, on nghttp2: an order of magnitude cheaper for the machine that puts the load on",
    GRPCIO: "Google's library, to check the other one against",
}
"""What carries the calls; the outcomes are the same."""


@dataclass(frozen=True)
class Counts:
    """A whole number drawn evenly between two limits, both included."""

    min: int = option("smallest number", default=1, minimum=1, maximum=100_000)
    max: int = option("largest number", default=1, minimum=1, maximum=100_000)

    def __post_init__(self) -> None:
        if self.min > self.max:
            raise ValueError(f"min ({self.min}) is above max ({self.max})")


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
    single: float = option("weight of single requests", default=1.0, minimum=0, maximum=1_000_000)
    batch: float = option("weight of batch requests", default=0.0, minimum=0, maximum=1_000_000)
    requests_per_batch: Counts = option("requests in a batch", default=Counts())
    configurations_per_request: Counts = option("configurations, hence jobs, in a request", default=Counts())
    cancelled: float = option(
        "share of submissions whose jobs the user asks to cancel at once", default=0.0, minimum=0, maximum=1
    )
    replayed: float = option(
        "share of submissions that the user repeats with the same key; the same ids must come back",
        default=0.0,
        minimum=0,
        maximum=1,
    )
    pause: Pause = option("how long a user rests after a submission is finished", default=Pause())

    def __post_init__(self) -> None:
        if self.single + self.batch <= 0:
            raise ValueError("single and batch are both 0; give one of them a weight")


@dataclass(frozen=True)
class Follow:
    """How a user waits for its jobs: it asks for their status, ever less often, and then for their results."""

    poll_min: float = option("first wait between two status calls for one job", kind="duration", default=0.005, minimum=0.001)
    poll_max: float = option("longest wait between two status calls", kind="duration", default=0.25, minimum=0.001)
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


@dataclass(frozen=True)
class Scenario:
    """A load run."""

    name: str = option("what reports call this scenario", example="steady")
    executor: str = option("how the load is driven", choices=tuple(EXECUTORS))
    users: int | None = option(
        "number of users (constant-users)", default=None, minimum=1, maximum=100_000, example="32", shown=True
    )
    spawn_rate: float | None = option(
        "users started per second (constant-users); unset: all at once", default=None, minimum=0.001, example="16"
    )
    duration: float | None = option(
        "how long new submissions are started (all executors without stages)",
        kind="duration",
        default=None,
        minimum=0.001,
        example="60s",
        shown=True,
    )
    stages: tuple[Stage, ...] = option("parts of the ramp, in order (ramping-users, ramping-arrival-rate)", default=())
    rate: float | None = option(
        "iterations started per `time_unit` (constant-arrival-rate, spike, soak)",
        default=None,
        minimum=0.000001,
        maximum=10_000_000,
        example="200",
    )
    start_rate: float | None = option(
        "rate at the beginning (ramping-arrival-rate); unset: 0", default=None, minimum=0, maximum=10_000_000, example="50"
    )
    peak_rate: float | None = option(
        "rate of the middle third (spike)", default=None, minimum=0.000001, maximum=10_000_000, example="1000"
    )
    time_unit: float | None = option(
        "what rates are per (open executors); unset: 1 s", kind="duration", default=None, minimum=0.001, example="1s"
    )
    warm_up: float | None = option(
        "how long the rate rises from 0 before anything is measured (soak)",
        kind="duration",
        default=None,
        minimum=0.001,
        example="30s",
    )
    preallocated_users: int | None = option(
        "users in the pool when the first iteration starts (open executors)",
        default=None,
        minimum=1,
        maximum=100_000,
        example="50",
    )
    max_users: int | None = option(
        "users that the pool may grow to when starts find none free, 100 a second; unset: it does not grow (open executors)",
        default=None,
        minimum=1,
        maximum=100_000,
        example="200",
    )
    starts: Starts = option("how iterations start (open executors)", default=Starts())
    transport: str = option("what carries the calls", default=WIRE, choices=tuple(TRANSPORTS))
    connections: int = option("connections that the users share in turn", default=1, minimum=1, maximum=10_000)
    workload: Workload = option("what a user does", default=Workload())
    follow: Follow = option("how a user waits for its jobs", default=Follow())
    thresholds: tuple[str, ...] = option(
        'limits that the run has to keep, each in quotes, such as "errors: rate < 1%"', default=()
    )
    seed: int = option("start of the random choices; the same seed gives every user the same choices again", default=1, minimum=0)

    def __post_init__(self) -> None:
        check_keys(self.executor, [key for key in _DRIVING if getattr(self, key) not in {None, (), Starts()}])
        if self.executor in {RAMPING_USERS, RAMPING_RATE}:
            check_stages(self.executor, self.stages)
        if self.is_open and self.workload.pause != Pause():
            raise ValueError(f"workload.pause does not go with {self.executor}: the rate decides when iterations start")
        if self.max_users is not None and self.max_users < (self.preallocated_users or 0):
            raise ValueError(f"max_users ({self.max_users}) is below preallocated_users ({self.preallocated_users})")

    @property
    def is_open(self) -> bool:
        """Whether iterations start at their times, whatever becomes of those before them."""
        return self.executor in OPEN

    @property
    def parts(self) -> tuple[Segment, ...]:
        """The parts of the run, in order; one without a name when the executor has no stages."""
        unit = self.time_unit or 1.0
        rate, duration = (self.rate or 0.0) / unit, self.duration or 0.0
        if self.stages:
            return ramp(self.stages, self.start_rate or 0.0, unit)
        if self.executor == SPIKE:
            return spike(rate, (self.peak_rate or 0.0) / unit, duration)
        return soak(rate, self.warm_up or 0.0, duration) if self.executor == SOAK else (Segment("", duration, rate, rate),)

    @property
    def seconds(self) -> float:
        """How long the run starts new work, in seconds."""
        return sum(part.seconds for part in self.parts)

    @property
    def limits(self) -> tuple[Threshold, ...]:
        """The thresholds, parsed. Raises ConfigError for a scenario that did not come from `load_scenario`.

        An open load that says nothing of dropped starts is limited to `DROPPED`: else its figures could be those of a part
        of the load only.
        """
        given = tuple(parse_threshold(text, stages=stages_of(self)) for text in self.thresholds)
        unlimited = self.is_open and all(limit.metric != "dropped" for limit in given)
        return (*given, parse_threshold(DROPPED)) if unlimited else given


DROPPED = "dropped: rate < 1%"
"""The limit on dropped starts of an open load that states none."""
_DRIVING = (
    *("users", "spawn_rate", "duration", "stages", "rate", "start_rate", "peak_rate", "time_unit", "warm_up"),
    *("preallocated_users", "max_users", "starts"),
)


def stages_of(scenario: Scenario) -> tuple[str, ...]:
    """Return the names of the stages that thresholds may select."""
    return tuple(part.name for part in scenario.parts if part.measured and part.name)


def load_scenario(text: str, source: str) -> Scenario:
    """Decode a scenario from YAML text; `source` names it in errors. Raises ConfigError with file, line and key."""
    root = parse(text, source)
    scenario = decode(root, Scenario, source)
    for index, item in enumerate(_threshold_nodes(root)):
        parse_threshold(str(item.value), source, item.line, f"thresholds[{index}]", stages_of(scenario))
    return scenario


def users_at(scenario: Scenario, elapsed: float) -> int | None:
    """Return how many users are due `elapsed` seconds after the start, or None when the scenario is over.

    For closed loops only.
    """
    if elapsed >= scenario.seconds:
        return None
    if scenario.users is not None:
        return scenario.users
    begun, before = 0.0, 0
    for stage in scenario.stages:
        if elapsed < begun + stage.duration:
            return round(before + ((stage.users or 0) - before) * (elapsed - begun) / stage.duration)
        begun, before = begun + stage.duration, stage.users or 0
    return before


def _threshold_nodes(root: Node) -> Iterator[Node]:
    if isinstance(root.value, Mapping) and "thresholds" in root.value:
        items = root.value["thresholds"].value
        if isinstance(items, tuple):
            yield from items
