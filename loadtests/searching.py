"""A search for the highest rate while it runs: one trial after the other on the schedule of an open load.

Which rate comes next is for `harness.slosearch` to say, whether a limit has held for `harness.measurements`; here, trials are
made. Each is a stage of its own, after one in which the rate settles, and is followed by a rest without load. Knows gevent only.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass

import gevent

from harness.config import format_duration
from harness.gates import fell_behind, plural
from harness.measurements import Excerpt, evaluate_all
from harness.record import Arrivals, Latency, Ledger, Probe
from harness.scenario import Scenario
from harness.schedule import Segment
from harness.slosearch import Outcome, Search, search_line
from harness.thresholds import plain
from loadtests.openload import OpenLoad
from loadtests.parcels import Found, Parcel
from loadtests.recording import Recording

LOOK = 0.02
"""Seconds between two looks at whether the work of a trial is done."""


@dataclass(frozen=True)
class Sources:
    """Where a search reads its figures: `origin_ns` is the start of the run, to which the times of the recording refer.

    `longest` is how many seconds the work of an iteration may take at most.
    """

    recording: Recording
    books: Callable[[], Ledger]
    origin_ns: int
    longest: float


class Searching:
    """The search of one run."""

    def __init__(self, scenario: Scenario, load: OpenLoad, sources: Sources) -> None:
        self._scenario = scenario
        self._limits = scenario.limits
        self._load = load
        self._sources = sources
        self._search = Search.begin(scenario.bounds)
        self._probes: list[Probe] = []
        self._excerpt: Excerpt | None = None
        self._greenlet: gevent.Greenlet | None = None

    def start(self, failed: Callable[[BaseException], object]) -> None:
        """Begin with the first trial; `failed` hears of a fault of the harness that ends the search."""
        self._greenlet = gevent.spawn(self._run)
        self._greenlet.link_exception(lambda greenlet: failed(greenlet.exception))

    def stop(self) -> None:
        """Make no further trials."""
        if self._greenlet is not None:
            self._greenlet.kill()

    def told(self, parcel: Parcel) -> Parcel:
        """Return a parcel that tells how the search stands as well."""
        return dataclasses.replace(parcel, found=Found(search_line(self._search, self._probes), self._excerpt))

    def _run(self) -> None:
        while self._search.ending is None:
            self._search = self._search.after(self._try(self._search))
        self._load.conclude()

    def _try(self, search: Search) -> Outcome:
        """Make a trial, rest, and judge it."""
        rules, rate = self._scenario.search, search.rate
        number = f"{len(self._probes) + 1} ({plain(rate)}/s)"
        seconds = (self._scenario.duration or 0.0) if search.confirms else rules.probe
        stage = Segment(f"{'confirmation' if search.confirms else 'probe'}-{number}", seconds, rate, rate, measured=False)
        settle = Segment(f"settle-{number}", rules.settle, rate, rate, measured=False)
        excerpt = Excerpt(stage.name, seconds, rules.settle + seconds, self._sources.books())
        at_ns = self._load.enter([settle, stage] if rules.settle else [stage])
        for part in (settle, stage) if rules.settle else (stage,):
            self._sources.recording.enter(part, at_ns - self._sources.origin_ns)
            at_ns += round(part.seconds * 1e9)
        self._excerpt = excerpt
        gevent.sleep(max(0.0, (at_ns - time.monotonic_ns()) / 1e9))
        left = self._rest()
        probe = self._judge(search, excerpt, left)
        self._probes.append(probe)
        return Outcome(probe.outcome)

    def _rest(self) -> int:
        """Wait until the work of a trial is done; return how much of it was left when that should have been."""
        begun = time.monotonic()
        cool_down, left = self._scenario.cool_down, 0
        while (busy := self._load.dispatch.busy) or self._load.dispatch.next_due_ns is not None:
            waited = time.monotonic() - begun
            left = left or (busy if waited > cool_down else 0)
            if waited > max(cool_down, self._sources.longest):
                break
            gevent.sleep(LOOK)
        return left

    def _judge(self, search: Search, excerpt: Excerpt, left: int) -> Probe:
        latencies: tuple[Latency, ...] = (*self._sources.recording.latencies(), *self._load.dispatch.delays())
        arrivals: tuple[Arrivals, ...] = self._load.dispatch.summary()
        measured = excerpt.of(latencies, arrivals, self._sources.books())
        missed = [line for line in evaluate_all(self._limits, measured) if not line.held]
        limit, observed = (missed[0].expression, missed[0].observed) if missed else ("", "")
        if left and not missed:
            limit, observed = f"cool_down: {format_duration(self._scenario.cool_down)}", f"{plural(left, 'iteration')} not done"
        outcome = Outcome.HELD
        if fell_behind(measured.arrivals):
            outcome, limit, observed = Outcome.BEHIND, "", ""
        elif limit:
            outcome = Outcome.FAILED
        mine = measured.starts(None)
        return Probe(
            stage=excerpt.stage,
            rate=search.rate,
            confirms=search.confirms,
            outcome=outcome.value,
            limit=limit,
            observed=observed,
            starts=sum(line.scheduled for line in mine),
            late=sum(line.late for line in mine),
            dropped=sum(line.dropped for line in mine),
        )
