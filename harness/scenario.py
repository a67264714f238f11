"""The scenario: who puts how much load on an endpoint for how long, and which limits the run has to keep.

Says what to do, never how: nothing here knows Locust or gRPC. Pure: the text comes in, the caller reads the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.config import decode, option
from harness.errors import ConfigError
from harness.executors import (
    EXECUTORS,
    OPEN,
    RAMPING_RATE,
    RAMPING_USERS,
    SLO_SEARCH,
    SOAK,
    SPIKE,
    SearchRules,
    Stage,
    Starts,
    check_keys,
    check_stages,
    ramp,
    soak,
    spike,
)
from harness.schedule import Segment
from harness.slosearch import Bounds
from harness.thresholds import Limit, Threshold, parse_threshold
from harness.workload import Follow, Pause, Workload
from harness.yamltree import Node, parse

WIRE = "wire"
GRPCIO = "grpcio"
TRANSPORTS: Mapping[str, str] = {
    WIRE: "our own, on nghttp2: an order of magnitude cheaper for the machine that puts the load on",
    GRPCIO: "Google's library, to check the other one against",
}
"""What carries the calls; the outcomes are the same."""

USERS = "users"
CALLBACKS = "callbacks"
ENGINES: Mapping[str, str] = {
    USERS: "a Locust user for each, as everywhere else in Locust",
    CALLBACKS: "one Locust user per process drives them all by callbacks: cheaper, for the highest rates",
}
"""What carries the users; they do the same."""


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
        "iterations started per `time_unit` (constant-arrival-rate, spike, soak; slo-search: the lowest rate of interest)",
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
    max_rate: float | None = option(
        "highest rate that is tried (slo-search)", default=None, minimum=0.000001, maximum=10_000_000, example="5000"
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
    search: SearchRules = option("how the search proceeds (slo-search)", default=SearchRules())
    transport: str = option("what carries the calls", default=WIRE, choices=tuple(TRANSPORTS))
    engine: str = option("what carries the users", default=USERS, choices=tuple(ENGINES))
    connections: int = option("connections that the users share in turn", default=1, minimum=1, maximum=10_000)
    workload: Workload = option("what a user does", default=Workload())
    follow: Follow = option("how a user waits for its jobs", default=Follow())
    thresholds: tuple[str | Limit, ...] = option(
        'limits that the run has to keep, each in quotes, such as "errors: rate < 1%", or a mapping that says more', default=()
    )
    seed: int = option("start of the random choices; the same seed gives every user the same choices again", default=1, minimum=0)

    def __post_init__(self) -> None:
        check_keys(self.executor, [key for key in _DRIVING if getattr(self, key) not in {None, (), Starts(), SearchRules()}])
        if self.executor in {RAMPING_USERS, RAMPING_RATE}:
            check_stages(self.executor, self.stages)
        if self.is_search:
            self._check_search()
        if self.is_open and self.workload.pause != Pause():
            raise ValueError(f"workload.pause does not go with {self.executor}: the rate decides when iterations start")
        if self.max_users is not None and self.max_users < (self.preallocated_users or 0):
            raise ValueError(f"max_users ({self.max_users}) is below preallocated_users ({self.preallocated_users})")

    @property
    def is_open(self) -> bool:
        """Whether iterations start at their times, whatever becomes of those before them."""
        return self.executor in OPEN

    def _check_search(self) -> None:
        if (self.max_rate or 0.0) < (self.rate or 0.0):
            raise ValueError(f"max_rate ({self.max_rate:g}) is below rate ({self.rate:g})")
        if any(isinstance(entry, Limit) and entry.abort_on_fail for entry in self.thresholds):
            raise ValueError(f"abort_on_fail does not go with {SLO_SEARCH}: a probe that fails is part of it")

    @property
    def is_search(self) -> bool:
        """Whether the rates are chosen while the run goes on."""
        return self.executor == SLO_SEARCH

    @property
    def bounds(self) -> Bounds:
        """The rules of a search, with rates per second."""
        unit, rules = self.time_unit or 1.0, self.search
        return Bounds(
            (self.rate or 0.0) / unit, (self.max_rate or 0.0) / unit, rules.factor, rules.precision, rules.confirmations
        )

    @property
    def cool_down(self) -> float:
        """How long the rest after a probe of a search may take before the endpoint has not kept up, in seconds."""
        return self.search.cool_down or self.follow.deadline

    @property
    def parts(self) -> tuple[Segment, ...]:
        """The parts of the run, in order; one without a name when the executor has no stages, none yet if it is a search."""
        if self.is_search:
            return ()
        unit = self.time_unit or 1.0
        rate, duration = (self.rate or 0.0) / unit, self.duration or 0.0
        if self.stages:
            return ramp(self.stages, self.start_rate or 0.0, unit)
        if self.executor == SPIKE:
            return spike(rate, (self.peak_rate or 0.0) / unit, duration)
        return soak(rate, self.warm_up or 0.0, duration) if self.executor == SOAK else (Segment("", duration, rate, rate),)

    @property
    def seconds(self) -> float:
        """How long the run starts new work, in seconds; of a search, the longest that it may take."""
        if self.is_search:
            rules, rest = self.search, self.search.settle + max(self.cool_down, self.follow.deadline)
            return self.bounds.most_probes * (rules.probe + rest) + rules.confirmations * ((self.duration or 0.0) + rest)
        return sum(part.seconds for part in self.parts)

    @property
    def limits(self) -> tuple[Threshold, ...]:
        """The thresholds, parsed. Raises ConfigError for a scenario that did not come from `load_scenario`.

        An open load that says nothing of dropped starts is limited to `DROPPED`: else its figures could be those of a part
        of the load only.
        """
        given = tuple(parse_threshold(entry, stages=stages_of(self)) for entry in self.thresholds)
        unlimited = self.is_open and all(limit.metric != "dropped" for limit in given)
        return (*given, parse_threshold(DROPPED)) if unlimited else given


DROPPED = "dropped: rate < 1%"
"""The limit on dropped starts of an open load that states none."""
_DRIVING = (
    *("users", "spawn_rate", "duration", "stages", "rate", "start_rate", "peak_rate", "max_rate", "time_unit", "warm_up"),
    *("preallocated_users", "max_users", "starts", "search"),
)


def stages_of(scenario: Scenario) -> tuple[str, ...]:
    """Return the names of the stages that thresholds may select."""
    return tuple(part.name for part in scenario.parts if part.measured and part.name)


def load_scenario(text: str, source: str) -> Scenario:
    """Decode a scenario from YAML text; `source` names it in errors. Raises ConfigError with file, line and key."""
    root = parse(text, source)
    nodes = list(_threshold_nodes(root))
    for index, node in enumerate(nodes):
        if isinstance(node.value, Mapping) and "limit" not in node.value:
            hint = 'put a limit in quotes, as in "errors: rate < 1%", or give it under the key `limit`'
            raise ConfigError("a mapping without a limit", source=source, line=node.line, key=f"thresholds[{index}]", hint=hint)
    scenario = decode(root, Scenario, source)
    for index, (node, entry) in enumerate(zip(nodes, scenario.thresholds, strict=True)):
        key, where = f"thresholds[{index}]", node
        if isinstance(node.value, Mapping):
            key, where = f"{key}.limit", node.value["limit"]
        parse_threshold(entry, source, where.line, key, stages_of(scenario))
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
