"""The ways to drive a load: which keys of a scenario each one takes, and the parts of the run that they make. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from harness.config import option
from harness.schedule import EVEN, SPACINGS, Segment

CONSTANT_USERS = "constant-users"
RAMPING_USERS = "ramping-users"
CONSTANT_RATE = "constant-arrival-rate"
RAMPING_RATE = "ramping-arrival-rate"
SPIKE = "spike"
SOAK = "soak"
SLO_SEARCH = "slo-search"
EXECUTORS: Mapping[str, str] = {
    CONSTANT_USERS: "a number of users, started at `spawn_rate`, that work for `duration`",
    RAMPING_USERS: "a number of users that moves in a straight line to each stage's number, from 0",
    CONSTANT_RATE: "iterations that start at `rate` for `duration`, whatever becomes of those before them",
    RAMPING_RATE: "iterations whose rate moves in a straight line to each stage's rate, from `start_rate`",
    SPIKE: "iterations at `rate`, then at once at `peak_rate`, then at `rate` again: a third of `duration` each",
    SOAK: "iterations at `rate` for `duration`, after `warm_up`, which is not measured and rises to it from 0",
    SLO_SEARCH: "finds the highest rate from `rate` to `max_rate` that keeps the thresholds, and confirms it for `duration`",
}
"""How the load is driven.

The first two are closed loops: a user starts its next submission when the last one is finished. The others are open: an
iteration (a submission that is seen through to its end) starts at its time on a user from a pool.
"""
OPEN = frozenset({CONSTANT_RATE, RAMPING_RATE, SPIKE, SOAK, SLO_SEARCH})

NEEDED: Mapping[str, tuple[str, ...]] = {
    CONSTANT_USERS: ("users", "duration"),
    RAMPING_USERS: (),
    CONSTANT_RATE: ("rate", "duration", "preallocated_users"),
    RAMPING_RATE: ("preallocated_users",),
    SPIKE: ("rate", "peak_rate", "duration", "preallocated_users"),
    SOAK: ("rate", "duration", "preallocated_users"),
    SLO_SEARCH: ("rate", "max_rate", "duration", "preallocated_users"),
}
"""Keys without which an executor cannot do."""
ALLOWED: Mapping[str, tuple[str, ...]] = {
    CONSTANT_USERS: ("spawn_rate",),
    RAMPING_USERS: ("stages",),
    CONSTANT_RATE: ("time_unit", "starts", "max_users"),
    RAMPING_RATE: ("start_rate", "stages", "time_unit", "starts", "max_users"),
    SPIKE: ("time_unit", "starts", "max_users"),
    SOAK: ("warm_up", "time_unit", "starts", "max_users"),
    SLO_SEARCH: ("search", "time_unit", "starts", "max_users"),
}
"""Further keys that go with an executor."""


@dataclass(frozen=True)
class Stage:
    """A part of a ramp: the number of users moves to `users`, or the rate to `rate`, over `duration`."""

    duration: float = option("length of the stage", kind="duration", minimum=0.001, example="10s")
    users: int | None = option(
        "number of users at its end (ramping-users)", default=None, minimum=0, maximum=100_000, example="32"
    )
    rate: float | None = option(
        "starts per `time_unit` at its end (ramping-arrival-rate)", default=None, minimum=0, maximum=10_000_000, example="200"
    )
    name: str = option("what reports and thresholds call the stage; unset: its number", default="", example="warm-up")
    measured: bool = option("false: a warm-up, whose samples are kept apart from summary and thresholds", default=True)

    def __post_init__(self) -> None:
        if set(self.name) & set("{}:,"):
            raise ValueError(f"the name {self.name!r} holds one of {{ }} : , and could not be written in a threshold")


@dataclass(frozen=True)
class Starts:
    """How iterations of an open load start, and from which point on the generator, not the endpoint, is held slow."""

    spacing: str = option("gaps between starts", default=EVEN, choices=tuple(SPACINGS))
    wait: float = option(
        "how long a start that finds no free user waits for one before it is dropped", kind="duration", default=0.0, minimum=0
    )
    late_after: float = option(
        "how much later than due the generator may begin a start before it counts as late",
        kind="duration",
        default=0.02,
        minimum=0.0001,
    )
    behind_limit: float = option(
        "share of starts that may be late, or dropped while the generator was behind, before the run is not valid",
        default=0.01,
        minimum=0,
        maximum=1,
    )


@dataclass(frozen=True)
class SearchRules:
    """How a search proceeds: probes at rates that grow until one fails, then between what held and what failed."""

    factor: float = option("factor by which the rate grows from probe to probe", default=2.0, minimum=1.1, maximum=100)
    precision: float = option(
        "share by which a rate that failed may be above one that held for the search to be content",
        default=0.05,
        minimum=0.01,
        maximum=1,
    )
    probe: float = option("how long the rate of a probe is kept and judged", kind="duration", default=10.0, minimum=0.1)
    settle: float = option("how long it is kept before that, and not judged", kind="duration", default=2.0, minimum=0)
    cool_down: float | None = option(
        "how long the rest after a probe may take until all its work is done, else the endpoint has not kept up; unset: the"
        " deadline by which users follow their jobs",
        kind="duration",
        default=None,
        minimum=0.1,
        example="10s",
    )
    confirmations: int = option(
        "how often a confirmation is tried, each time lower by `precision`", default=3, minimum=1, maximum=20
    )


def check_keys(executor: str, given: Collection[str]) -> None:
    """Refuse keys that do not go with an executor, and missing ones. Raises ValueError."""
    extra = [key for key in given if key not in (*NEEDED[executor], *ALLOWED[executor])]
    if extra:
        others = [other for other in EXECUTORS if extra[0] in (*NEEDED[other], *ALLOWED[other])]
        raise ValueError(f"{extra[0]} does not go with {executor}; it is for {' and '.join(others)}")
    missing = [key for key in NEEDED[executor] if key not in given]
    if missing:
        raise ValueError(f"{missing[0]} is missing; {executor} needs {' and '.join(NEEDED[executor])}")


def check_stages(executor: str, stages: Sequence[Stage]) -> None:
    """Refuse a ramp with nobody on it, and stages of the other kind of ramp. Raises ValueError."""
    key, other, what = ("rate", "users", "a rate") if executor == RAMPING_RATE else ("users", "rate", "users")
    for number, stage in enumerate(stages, start=1):
        if getattr(stage, other) is not None:
            raise ValueError(f"stage {number}: {other} does not go with {executor}; give {key}")
        if getattr(stage, key) is None:
            raise ValueError(f"stage {number}: {key} is missing; {executor} needs it in every stage")
    if not any(getattr(stage, key) for stage in stages):
        raise ValueError(f"{executor} needs at least one stage with {what}")
    names = named(stages)
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise ValueError(f"two stages have the name {double!r}")
    if not any(stage.measured for stage in stages):
        raise ValueError("no stage is measured; leave out `measured: false` of at least one")


def named(stages: Sequence[Stage]) -> list[str]:
    """Return the names of stages; those without one are called by their number."""
    return [stage.name or str(number) for number, stage in enumerate(stages, start=1)]


def ramp(stages: Sequence[Stage], start_rate: float, time_unit: float) -> tuple[Segment, ...]:
    """Return the parts of a ramp (without rates if it is one of users)."""
    parts: list[Segment] = []
    before = start_rate / time_unit
    for name, stage in zip(named(stages), stages, strict=True):
        after = (stage.rate or 0.0) / time_unit
        parts.append(Segment(name, stage.duration, before, after, stage.measured))
        before = after
    return tuple(parts)


def spike(rate: float, peak_rate: float, seconds: float) -> tuple[Segment, ...]:
    """Return the parts of a spike; rates are per second."""
    shares = (("before", rate), ("spike", peak_rate), ("after", rate))
    return tuple(Segment(name, seconds / 3, level, level) for name, level in shares)


def soak(rate: float, warm_up: float, seconds: float) -> tuple[Segment, ...]:
    """Return the parts of a soak; the rate is per second."""
    steady = Segment("soak", seconds, rate, rate)
    return (Segment("warm-up", warm_up, 0.0, rate, measured=False), steady) if warm_up else (steady,)
