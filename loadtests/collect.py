"""The part of a load run that makes the calls and counts them: its users' work, the samples, the books.

A run has one collector in every process that has users; what it counted leaves it in parcels, once a second. Knows gevent, but
neither Locust nor records: how many users there are is passed in.
"""

from __future__ import annotations

import dataclasses
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import gevent

from harness.endpoint import Endpoint
from harness.errors import HarnessError, NotValidError
from harness.scenario import CALLBACKS, Scenario, users_at
from loadtests.audit import CLERKS, Audit, Step
from loadtests.crowd import Crowd, Stream
from loadtests.driver import Driver, Workshop
from loadtests.engine import Engine, Timers
from loadtests.ledger import LoadLedger
from loadtests.openload import OpenLoad
from loadtests.parcels import Parcel
from loadtests.patience import Patience
from loadtests.payloads import Payloads
from loadtests.program import Answer, Program, run_waiting
from loadtests.recording import Fold, Recording
from loadtests.searching import Searching, Sources
from loadtests.transport.calls import Watchers, open_transport
from loadtests.workers import Looper, Waiter, Worker
from loadtests.workload import Chooser

LEAST_AUDIT = 1.0
"""Seconds that the audit has at least, when users have left none of their patience."""
_SECOND = 1_000_000_000


@dataclass(frozen=True)
class Share:
    """The part of a run that falls to one of its collectors: number `index` of `of`.

    By the `key`, their ids can be compared; it is empty if their processes hash alike.
    """

    index: int = 0
    of: int = 1
    key: bytes | None = None

    def part(self, whole: int) -> int:
        """Return this collector's part of a number; all parts together are the whole."""
        return whole // self.of + (self.index < whole % self.of)


def grace_of(endpoint: Endpoint, scenario: Scenario) -> float:
    """Return after how many seconds a user that is told to stop may be killed: nothing that it does takes longer by itself."""
    deadlines = endpoint.profile.deadlines
    return max(scenario.follow.deadline, deadlines.call, deadlines.submit, deadlines.results) + 1


class Audience(Protocol):
    """Who hears of calls besides the figures of the run."""

    def begin(self) -> bool:
        """Take note that a run begins, and return whether all calls are to be told one by one, or failed ones only."""

    def answered(self, answer: Answer, octets: int) -> None:
        """Hear of one call and of the size of its answer."""

    def folded(self, fold: Fold) -> None:
        """Hear of all calls of a kind that ended in a second."""


class Collector:
    """Works for a run from now on. `users` says how many users there are here, `audience` hears of calls.

    `give_up` ends the run early because of an error.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        scenario: Scenario,
        share: Share,
        *,
        users: Callable[[], int],
        audience: Audience,
        give_up: Callable[[HarnessError], None],
    ) -> None:
        self._scenario = scenario
        self._share = share
        self._users = users
        self._origin_ns = time.monotonic_ns()
        self._recording = Recording(scenario.parts, is_open=scenario.is_open, on_fold=audience.folded)
        self._ledger = LoadLedger(share.key or None)
        self._patience = Patience()
        endpoint = _part_of(endpoint, share)
        watchers = Watchers(self._recording.add_call, audience.answered, audience.begin(), self._patience)
        self._transport = open_transport(scenario.transport, endpoint, scenario.connections, watchers, self._origin_ns)
        payloads = Payloads(endpoint, scenario.workload)
        self._shop = Workshop(payloads, scenario.follow, self._ledger, self._recording, self._patience)
        self._timers = Timers()
        self._engine = Engine(self._transport.start, give_up, self._timers) if scenario.engine == CALLBACKS else None
        self._crowd: Crowd | None = None
        # Never the same twice, and a fraction of the cost of asking the system for each key.
        self._keys = random.Random(random.SystemRandom().getrandbits(256))  # noqa: S311 - unique, not secret
        self._users_at_end: int | None = None
        self.hired = 0
        self.arrivals = OpenLoad(scenario, share.index, share.of) if scenario.is_open else None
        self._give_up = give_up
        self._searching: Searching | None = None
        if self.arrivals is not None and scenario.is_search:
            sources = Sources(self._recording, self._ledger.summary, self._origin_ns, grace_of(endpoint, scenario))
            self._searching = Searching(scenario, self.arrivals, sources)

    @property
    def elapsed(self) -> float:
        """Seconds since the start of the run."""
        return (time.monotonic_ns() - self._origin_ns) / _SECOND

    def hire(self) -> Worker:
        """Return the work of one more user; the scenario's seed decides what each one does."""
        if self._engine is not None:
            return self._hire_engine(self._engine)
        driver = self._driver()
        if self.arrivals is None:
            return Looper(driver, self._run)
        return Waiter(driver, self._run, self.arrivals.dispatch, self._origin_ns)

    def _hire_engine(self, engine: Engine) -> Worker:
        if self.arrivals is None:
            self._crowd = Crowd(engine, self._driver, lambda: self._share.part(self._users_due()))
            return self._crowd
        part = self._share.part
        first, most = self._scenario.preallocated_users or 0, self._scenario.max_users or 0
        return Stream(engine, self._driver, self.arrivals.dispatch, (part(first), part(max(first, most))), self._origin_ns)

    def _users_due(self) -> int:
        elapsed, rate = self.elapsed, self._scenario.spawn_rate
        users = users_at(self._scenario, elapsed) or 0
        return users if rate is None else min(users, math.ceil(elapsed * rate))

    def start_schedule(self) -> None:
        """Begin with the starts of an open load: the pool is filled."""
        assert self.arrivals is not None  # noqa: S101 - closed loads have no schedule
        begun_ns = self.arrivals.start()
        if self._searching is None:
            self._recording.begin(begun_ns - self._origin_ns)
        else:
            self._searching.start(self._search_failed)

    def stopping(self, patience: float) -> None:
        """Note that users are being stopped, and have so many seconds for what they are at."""
        if self._searching is not None:
            self._searching.stop()
        if self.arrivals is not None:
            self.arrivals.stop()
        self._users_at_end = self._users_present()
        self._patience.by = time.monotonic() + patience

    def resolve(self) -> None:
        """Ask once more about everything whose end nobody saw, as long as patience lasts. Raises HarnessError."""
        self._patience.by = max(self._patience.by or 0.0, time.monotonic() + LEAST_AUDIT)
        shop = self._shop

        def share(step: Step) -> None:
            gevent.joinall([gevent.spawn(self._run, step()) for _ in range(CLERKS)], raise_error=True)

        Audit(self._ledger, shop.payloads, shop.follow, self._patience.left).conduct(share)

    def close(self) -> None:
        """Drop all connections."""
        self._transport.close()
        self._timers.close()

    def last_parcel(self) -> Parcel:
        """Return the calls of all seconds that were not returned yet, and all other figures, for good."""
        ids = self._ledger.digests() if self._share.of > 1 else b""
        return dataclasses.replace(self.parcel(int(self.elapsed) + 1), ids=ids)

    def parcel(self, closed: int) -> Parcel:
        """Return the calls of all seconds below `closed` that were not returned yet, and all other figures so far."""
        latencies = self._recording.latencies()
        begun_ns = self._origin_ns
        if self.arrivals is not None:
            begun_ns = self.arrivals.begun_ns or begun_ns
            latencies = (*latencies, *self.arrivals.dispatch.delays())
        parcel = Parcel(
            closed=closed,
            seconds=tuple(self._recording.take_seconds(closed)),
            latencies=latencies,
            arrivals=() if self.arrivals is None else self.arrivals.dispatch.summary(),
            ledger=self._ledger.summary(),
            span=(time.monotonic_ns() - begun_ns) / _SECOND,
            users=self._users_present() if self._users_at_end is None else self._users_at_end,
            in_flight=self._transport.in_flight,
            calls=self._recording.calls,
            errors=self._recording.errors,
        )
        return parcel if self._searching is None else self._searching.told(parcel)

    def _search_failed(self, error: BaseException) -> None:
        self._give_up(
            NotValidError(f"the search crashed: {type(error).__name__}: {error}", hint="this is a fault of the harness")
        )

    def _run(self, program: Program[object]) -> None:
        run_waiting(program, self._transport.call, gevent.sleep)

    def _users_present(self) -> int:
        """Return how many users there are; in engine mode Locust counts one, whatever it drives."""
        if self._crowd is not None:
            return self._crowd.users
        if self._engine is not None and self.arrivals is not None:
            return self.hired
        return self._users()

    def _driver(self) -> Driver:
        self.hired += 1
        choices = random.Random(f"{self._scenario.seed}:{self._share.index}:{self.hired}")  # noqa: S311 - choices, not secrets
        return Driver(self._shop, Chooser(self._scenario.workload, self._scenario.follow, choices, self._keys))


def _part_of(endpoint: Endpoint, share: Share) -> Endpoint:
    """Return the endpoint with this collector's part of the budget of the run."""
    budget = endpoint.profile.budget
    part = dataclasses.replace(
        budget,
        jobs=None if budget.jobs is None else share.part(budget.jobs),
        calls=None if budget.calls is None else share.part(budget.calls),
    )
    return dataclasses.replace(endpoint, profile=dataclasses.replace(endpoint.profile, budget=part))
