"""What was measured, and what it is held against. Pure: no clock, no process.

Figures of different clients are only ever compared within a round, in which they took turns; a ratio is the median over rounds.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

OURS, ENGINE, LOCUST, AIO, H2LOAD, GHZ = "users", "callbacks", "locust", "aio", "h2load", "ghz"
TITLES: Mapping[str, str] = {
    OURS: "this harness, users",
    ENGINE: "this harness, engine mode",
    LOCUST: "Locust with grpcio",
    AIO: "grpc.aio",
    H2LOAD: "h2load (decodes nothing)",
    GHZ: "ghz",
}
"""Who is compared, and how pages call them."""

CHEAPER_USERS, CHEAPER_ENGINE, DEARER_THAN_H2LOAD = 15.0, 25.0, 3.0
OPEN_RATE, OPEN_DELAY_US = 40_000.0, 1000.0
OVERHEAD_US = 500.0
GROWTH = 1.15
EDGE_RATE = 25_000.0
REACHED = 0.99
"""Share of a rate that counts as having reached it: the last starts of a run are cut off."""


@dataclass(frozen=True)
class Cost:
    """One run of one client: calls, CPU microseconds per call of client and sink, highest calls per second (on one core)."""

    calls: int
    client: float
    sink: float
    rate: float


@dataclass(frozen=True)
class OpenRun:
    """One open run: what was asked for and what came of it; `p50` and `p99` of the scheduling delay in microseconds."""

    name: str
    starts_per_second: float
    calls_per_second: float
    scheduled: int
    late: int
    dropped: int
    p50: float
    p99: float
    client: float


@dataclass(frozen=True)
class Paced:
    """Latencies of one paced run in microseconds, from when calls were due; `service`: the p50 from when they were sent."""

    p50: float
    p99: float
    service: float


@dataclass(frozen=True)
class Grown:
    """The cost of a call (microseconds) at some size: calls in flight, or calls made."""

    size: int
    calls: int
    client: float


@dataclass(frozen=True)
class Edge:
    """One measurement of the reference server with its real engine: status calls per second by the clock, costs as in `Cost`."""

    rate: float
    server: float
    client: float


@dataclass
class Results:
    """All that one invocation has measured; lists are in order of rounds, and empty where every attempt failed.

    Keys are: calls and clients; kinds of starts; clients; calls in flight; calls made; live jobs. `missing` says what there is
    not, and why.
    """

    compared: dict[str, dict[str, list[Cost]]] = field(default_factory=dict)
    open: dict[str, list[OpenRun]] = field(default_factory=dict)
    paced: dict[str, list[Paced]] = field(default_factory=dict)
    in_flight: dict[int, list[Grown]] = field(default_factory=dict)
    lengths: dict[int, list[Grown]] = field(default_factory=dict)
    edges: dict[int, list[Edge]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Bar:
    """A limit and what was measured; None: it was not. `least`: the limit is the least, else the most that is allowed."""

    name: str
    limit: float
    measured: float | None
    unit: str
    least: bool = False
    also: bool = True
    """Whether whatever else has to hold did."""

    @property
    def held(self) -> bool | None:
        """Whether the limit was kept; None: not measured."""
        if self.measured is None:
            return None
        kept = self.measured >= self.limit if self.least else self.measured <= self.limit
        return kept and self.also


def ratio(costs: Mapping[str, Sequence[Cost]], dear: str, cheap: str) -> float | None:
    """Return how many times dearer one client is than another: the median over the rounds that both were in."""
    pairs = list(zip(costs.get(dear, ()), costs.get(cheap, ()), strict=False))
    if not pairs or any(one.client <= 0 or other.client <= 0 for one, other in pairs):
        return None
    return statistics.median(one.client / other.client for one, other in pairs)


def spread(grown: Mapping[int, Sequence[Grown]]) -> float | None:
    """Return how many times dearer a call is at the dearest size than at the cheapest: the median over rounds."""
    rounds = list(zip(*grown.values(), strict=False))
    if len(grown) < 2 or not rounds or any(one.client <= 0 for sizes in rounds for one in sizes):
        return None
    costs = [[float(one.client) for one in sizes] for sizes in rounds]
    return float(statistics.median(max(one) / min(one) for one in costs))


def growth(grown: Mapping[int, Sequence[Grown]]) -> float | None:
    """Return how many times dearer a call is at the largest size than at the smallest: the median over rounds."""
    if len(grown) < 2:
        return None
    pairs = list(zip(grown[min(grown)], grown[max(grown)], strict=False))
    if not pairs or any(one.client <= 0 for pair in pairs for one in pair):
        return None
    return statistics.median(large.client / small.client for small, large in pairs)


def overhead(paced: Mapping[str, Sequence[Paced]], peer: str) -> float | None:
    """Return by how many microseconds our p50 is above a peer's: the median over rounds."""
    pairs = list(zip(paced.get(ENGINE, ()), paced.get(peer, ()), strict=False))
    return statistics.median(ours.p50 - theirs.p50 for ours, theirs in pairs) if pairs else None


def _calls(runs: Sequence[Grown]) -> str:
    """Return how many calls such runs have made, to two digits."""
    return f"{float(f'{statistics.median(run.calls for run in runs):.2g}'):,.0f}" if runs else "no"


def bars(results: Results, peer: str) -> list[Bar]:
    """Return every bar; `peer` is whose p50 ours is compared with."""
    found = []
    for what, costs in results.compared.items():
        found.append(
            Bar(f"{what}: cheaper than Locust with grpcio, users", CHEAPER_USERS, ratio(costs, LOCUST, OURS), "times", True)
        )
        found.append(
            Bar(
                f"{what}: cheaper than Locust with grpcio, engine mode",
                CHEAPER_ENGINE,
                ratio(costs, LOCUST, ENGINE),
                "times",
                True,
            )
        )
        found.append(Bar(f"{what}: CPU against h2load, engine mode", DEARER_THAN_H2LOAD, ratio(costs, ENGINE, H2LOAD), "times"))
    for name, runs in results.open.items():
        rate = statistics.median(run.calls_per_second for run in runs) if runs else 0.0
        delay = statistics.median(run.p99 for run in runs) if runs else None
        kept = rate >= REACHED * OPEN_RATE and not any(run.dropped > (1 - REACHED) * run.scheduled for run in runs)
        found.append(Bar(f"p99 scheduling delay at 40,000 calls/s, {name}", OPEN_DELAY_US, delay, "us", also=kept))
    if results.paced:
        title = f"p50 above that of {peer} at 200 calls/s against a responder of 5 ms"
        found.append(Bar(title, OVERHEAD_US, overhead(results.paced, peer), "us"))
    if results.in_flight:
        sizes = f"{min(results.in_flight):,} to {max(results.in_flight):,}"
        found.append(
            Bar(f"cost of a call, dearest against cheapest, {sizes} in flight", GROWTH, spread(results.in_flight), "times")
        )
    if results.lengths:
        made = [_calls(results.lengths[size]) for size in (max(results.lengths), min(results.lengths))]
        found.append(Bar(f"cost of a call, {made[0]} against {made[1]} calls", GROWTH, growth(results.lengths), "times"))
    for jobs, edges in results.edges.items():
        title = f"status calls/s of the reference server, wire edge, one core, {jobs:,} live jobs"
        measured = statistics.median(edge.rate for edge in edges) if edges else None
        found.append(Bar(title, EDGE_RATE, measured, "calls/s", True))
    return found
