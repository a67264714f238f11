"""The scenario: who puts how much load on an endpoint for how long, and which limits the run has to keep.

Says what to do, never how: nothing here knows Locust or gRPC. Pure: the text comes in, the caller reads the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.config import decode, option
from harness.fixtures import ROLES
from harness.thresholds import Threshold, parse_threshold
from harness.yamltree import Node, parse

CONSTANT_USERS = "constant-users"
RAMPING_USERS = "ramping-users"
EXECUTORS: Mapping[str, str] = {
    CONSTANT_USERS: "a number of users, started at `spawn_rate`, that work for `duration`",
    RAMPING_USERS: "a number of users that moves in a straight line to each stage's number, from 0",
}
"""How the load is driven. Both are closed loops: a user starts its next submission when the last one is finished."""

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
class Stage:
    """A part of a ramp: the number of users moves to `users` over `duration`."""

    duration: float = option("length of the stage", kind="duration", minimum=0.001, example="10s")
    users: int = option("number of users at its end", minimum=0, maximum=100_000, example="32")
    name: str = option("what reports call the stage", default="", example="warm-up")


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
        "how long users start new submissions (constant-users)",
        kind="duration",
        default=None,
        minimum=0.001,
        example="60s",
        shown=True,
    )
    stages: tuple[Stage, ...] = option("parts of the ramp, in order (ramping-users)", default=())
    transport: str = option("what carries the calls", default=WIRE, choices=tuple(TRANSPORTS))
    connections: int = option("connections that the users share in turn", default=1, minimum=1, maximum=10_000)
    workload: Workload = option("what a user does", default=Workload())
    follow: Follow = option("how a user waits for its jobs", default=Follow())
    thresholds: tuple[str, ...] = option(
        'limits that the run has to keep, each in quotes, such as "errors: rate < 1%"', default=()
    )
    seed: int = option("start of the random choices; the same seed gives every user the same choices again", default=1, minimum=0)

    def __post_init__(self) -> None:
        constant = {"users": self.users, "duration": self.duration}
        if self.executor == CONSTANT_USERS:
            missing = [key for key, value in constant.items() if value is None]
            if missing:
                raise ValueError(f"{missing[0]} is missing; {CONSTANT_USERS} needs users and duration")
            if self.stages:
                raise ValueError(f"stages does not go with {CONSTANT_USERS}; use {RAMPING_USERS}")
        else:
            extra = [key for key, value in {**constant, "spawn_rate": self.spawn_rate}.items() if value is not None]
            if extra:
                raise ValueError(f"{extra[0]} does not go with {RAMPING_USERS}; write it as a stage")
            if not any(stage.users for stage in self.stages):
                raise ValueError(f"{RAMPING_USERS} needs at least one stage with users")

    @property
    def seconds(self) -> float:
        """How long the run starts new work, in seconds."""
        return self.duration if self.duration is not None else sum(stage.duration for stage in self.stages)

    @property
    def limits(self) -> tuple[Threshold, ...]:
        """The thresholds, parsed. Raises ConfigError for a scenario that did not come from `load_scenario`."""
        return tuple(parse_threshold(text) for text in self.thresholds)


def load_scenario(text: str, source: str) -> Scenario:
    """Decode a scenario from YAML text; `source` names it in errors. Raises ConfigError with file, line and key."""
    root = parse(text, source)
    scenario = decode(root, Scenario, source)
    for index, item in enumerate(_threshold_nodes(root)):
        parse_threshold(str(item.value), source, item.line, f"thresholds[{index}]")
    return scenario


def users_at(scenario: Scenario, elapsed: float) -> int | None:
    """Return how many users are due `elapsed` seconds after the start, or None when the scenario is over."""
    if elapsed >= scenario.seconds:
        return None
    if scenario.users is not None:
        return scenario.users
    begun, before = 0.0, 0
    for stage in scenario.stages:
        if elapsed < begun + stage.duration:
            return round(before + (stage.users - before) * (elapsed - begun) / stage.duration)
        begun, before = begun + stage.duration, stage.users
    return before


def _threshold_nodes(root: Node) -> Iterator[Node]:
    if isinstance(root.value, Mapping) and "thresholds" in root.value:
        items = root.value["thresholds"].value
        if isinstance(items, tuple):
            yield from items
