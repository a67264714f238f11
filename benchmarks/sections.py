"""The measurements, one section after the other, into one `Results`. What fails is noted there, and the others go on."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import messages, ours, server_edges
from benchmarks.bars import ENGINE, H2LOAD, TITLES, Cost, Edge, Grown, OpenRun, Paced, Results
from benchmarks.contestants import IN_FLIGHT, Contestant, Task, contestants, cost, h2load
from benchmarks.processes import ROOT, Cores, FailedError, run, sink
from harness.scenario import CALLBACKS

PACED_RATE, PACED_DELAY = 200.0, 0.005
BLOCKING = "a blocking client"
"""Stands in for h2load at a steady pace where that is not installed."""
SPARE = 45.0


@dataclass(frozen=True)
class Sizes:
    """How much is measured: rounds, seconds of one run, jobs of the reference server, calls in flight, and calls to make.

    `long_rounds` is how often so many calls are made.
    """

    rounds: int
    seconds: float
    jobs: int
    in_flight: tuple[int, ...]
    lengths: tuple[int, ...]
    long_rounds: int


QUICK = Sizes(1, 1.0, 5_000, (10, 200), (), 1)
FULL = Sizes(3, 4.0, 100_000, (10, 100, 500, 2000), (100_000, 1_000_000), 2)
LONG = Sizes(3, 4.0, 100_000, (10, 100, 500, 2000), (100_000, 1_000_000, 10_000_000), 1)


@dataclass(frozen=True)
class Kind:
    """Work of an open load: starts per second, and the sink's `life` that makes them 40,000 calls per second or a few more."""

    name: str
    work: Mapping[str, Any]
    rate: float
    life: float


_BRIEF: Mapping[str, Any] = {**ours.FOLLOWING, "follow": {**ours.FOLLOWING["follow"], "results": False}}
_STEADY: Mapping[str, Any] = {"poll_min": "15ms", "poll_max": "15ms", "backoff": 1, "jitter": 0, "deadline": "5s"}
KINDS = (
    Kind("a submission", ours.SUBMITTING, 40_000.0, 0.0),
    Kind("a submission and a poll", _BRIEF, 20_000.0, 0.0),
    Kind("a job polled every 15 ms", {"workload": {"single": 1}, "follow": _STEADY}, 4000.0, 0.1),
)


class Bench:
    """Measures. `tell` is given a line for everything that was measured."""

    def __init__(self, sizes: Sizes, cores: Cores, folder: Path, tell: Callable[[str], None]) -> None:
        self.results = Results()
        self._sizes = sizes
        self._cores = cores
        self._folder = folder
        self._tell = tell
        self._workbench = ours.Workbench(folder)
        self._clients: dict[str, Contestant] = {}
        for name, client in contestants(self._workbench).items():
            if isinstance(client, str):
                self.results.missing[TITLES[name]] = client
            else:
                self._clients[name] = client
        self.sections: dict[str, Callable[[], None]] = {
            "compare": self.compare,
            "open": self.open,
            "paced": self.paced,
            "growth": self.growth,
            "edges": self.edges,
        }

    @contextlib.contextmanager
    def _noting(self, name: str) -> Iterator[None]:
        """Note what fails in the block under a name."""
        try:
            yield
        except FailedError as error:
            self.results.missing[name] = str(error).replace(f"{self._folder}/", "").replace(f"{ROOT}/", "")
            self._tell(f"{name}: {error}")

    def compare(self) -> None:
        """Have all clients make both calls, in turns."""
        clients = self._clients
        for what in (messages.STATUS, messages.BATCH):
            found = self.results.compared.setdefault(what, {name: [] for name in clients})
            for number in range(self._sizes.rounds):
                for name in clients if number % 2 == 0 else reversed(clients):
                    self._compare_one(found, name, what)
            self.results.compared[what] = {name: costs for name, costs in found.items() if len(costs) == self._sizes.rounds}

    def _compare_one(self, found: dict[str, list[Cost]], name: str, what: str) -> None:
        with self._noting(f"{TITLES[name]}, {what}"):
            with sink(self._cores) as served:
                figures = cost(self._clients[name](Task(what, served, IN_FLIGHT, self._sizes.seconds)))
            found[name].append(figures)
            told = f"{figures.client:8.1f} us (sink {figures.sink:5.1f} us) per call, {figures.rate:9,.0f} calls/s"
            self._tell(f"{what:<7} {TITLES[name]:<28} {told}")

    def open(self) -> None:
        """Make 40,000 calls a second in three ways: with a start for every call, for every other, and for each eleven or so."""
        for kind in KINDS:
            found = self.results.open.setdefault(kind.name, [])
            for _ in range(self._sizes.rounds):
                with self._noting(f"open load, {kind.name}"):
                    found.append(self._open_one(kind))

    def _open_one(self, kind: Kind) -> OpenRun:
        seconds = 2 * self._sizes.seconds
        with sink(self._cores, life=kind.life) as served:
            scenario = ours.arrivals(kind.work, kind.rate, 2000, CALLBACKS)
            made = self._workbench.run(served, scenario, seconds, may_fall_behind=True)
        arrived = made.arrivals
        if arrived is None or not arrived.started:
            raise FailedError("nothing was started")
        client = cost(made.done).client
        p50, p99 = (float(made.percentile("scheduling", percent)) for percent in (50, 99))
        rate = made.calls_within(seconds) / seconds
        found = OpenRun(kind.name, kind.rate, rate, arrived.scheduled, arrived.late, arrived.dropped, p50, p99, client)
        told = f"{found.calls_per_second:9,.0f} calls/s, delay p50 {found.p50:.0f} us, p99 {found.p99:.0f} us"
        self._tell(
            f"open    {kind.name:<28} {told}, {found.client:.1f} us per call, {found.late:,} late, {found.dropped:,} dropped"
        )
        return found

    def paced(self) -> None:
        """Call 200 times a second somebody who answers after 5 ms."""
        path = shutil.which(H2LOAD)
        peer = BLOCKING if path is None else H2LOAD
        found: dict[str, list[Paced]] = {ENGINE: [], peer: []}
        self.results.paced = found
        for _ in range(self._sizes.rounds):
            with self._noting("latency at a steady pace"), sink(self._cores, life=0.0, delay=PACED_DELAY) as served:
                task = Task(messages.SINGLE, served, 1, max(2.0, self._sizes.seconds))
                made = self._workbench.run(served, ours.arrivals(ours.SUBMITTING, PACED_RATE, 100, CALLBACKS), task.seconds)
                p50, p99 = (float(made.percentile("rpc", percent)) for percent in (50, 99))
                mine = Paced(p50, p99, float(made.percentile("service", 50)))
                theirs = self._blocking(task) if path is None else self._paced_h2load(path, task)
                found[ENGINE].append(mine)
                found[peer].append(theirs)
                self._tell(f"paced   p50 ours {mine.p50:.0f} us (sent {mine.service:.0f} us), {peer} {theirs.p50:.0f} us")

    def _paced_h2load(self, path: str, task: Task) -> Paced:
        log = self._folder / "h2load.log"
        log.unlink(missing_ok=True)
        count = str(round(PACED_RATE * task.seconds))
        # With more than one stream, its --rps sends in bursts every 10 ms, and its log shows waiting times of its own.
        more = ["-n", count, "-m", "1", "--rps", f"{PACED_RATE:g}", f"--log-file={log}"]
        run(h2load(path, task, self._folder, more), task.sink, task.seconds + SPARE)
        return paced([int(line.split("\t")[2]) for line in log.read_text(encoding="ascii").splitlines()])

    def _blocking(self, task: Task) -> Paced:
        command = [sys.executable, "-m", "benchmarks.clients.paced", str(task.sink.port), task.what]
        done = run([*command, str(PACED_RATE), str(task.seconds)], task.sink, task.seconds + SPARE)
        return paced(json.loads(done.said))

    def growth(self) -> None:
        """See whether a call costs the same with more in flight, and after more of them."""
        self.results.in_flight = {size: [] for size in self._sizes.in_flight}
        self.results.lengths = {calls: [] for calls in self._sizes.lengths}
        for _ in range(self._sizes.rounds):
            for size in self._sizes.in_flight:
                with self._noting(f"{size:,} in flight"):
                    found = self._grown(size, self._sizes.seconds)
                    self.results.in_flight[size].append(Grown(size, found.calls, found.client))
        rate = 0.0
        for _ in range(self._sizes.long_rounds):
            for calls in self._sizes.lengths:
                with self._noting(f"{calls:,} calls"):
                    rate = rate or self._grown(IN_FLIGHT, self._sizes.seconds).calls / self._sizes.seconds
                    found = self._grown(IN_FLIGHT, max(1.0, math.ceil(calls / rate)))
                    self.results.lengths[calls].append(Grown(calls, found.calls, found.client))

    def _grown(self, in_flight: int, seconds: float) -> Cost:
        # Jobs live longer where there are more of them, so that submissions are no more than a hundredth of the calls.
        with sink(self._cores, life=max(0.5, in_flight / 500)) as served:
            found = cost(self._workbench.run(served, ours.users(ours.FOLLOWING, in_flight, CALLBACKS), seconds).done)
        self._tell(f"growth  {in_flight:>6,} in flight, {found.calls:>12,} calls: {found.client:.2f} us per call")
        return found

    def edges(self) -> None:
        """See how many status calls the reference server answers with its real engine."""
        sizes, found = self._sizes, self.results.edges.setdefault(self._sizes.jobs, [])
        with self._noting("the reference server"):
            try:
                (all_figures,) = server_edges.measure_all(
                    ("wire",), sizes.jobs, sizes.seconds, sizes.rounds, IN_FLIGHT, server_core=self._cores.sink
                ).values()
            except (OSError, RuntimeError, ValueError) as error:
                raise FailedError(str(error)) from None
            for one in all_figures:
                found.append(Edge(one.rate, one.server, one.client))
                told = f"{one.rate:,.0f} calls/s, server {one.server:.1f} us, its client {one.client:.1f} us per call"
                self._tell(f"server  {told}")


def paced(taken: list[int]) -> Paced:
    """Return what latencies in microseconds, each from when its call was sent, amount to. Raises FailedError for too few."""
    if len(taken) < 100:
        raise FailedError(f"only {len(taken)} calls were logged")
    cuts = statistics.quantiles(taken, n=100)
    return Paced(cuts[49], cuts[98], cuts[49])
