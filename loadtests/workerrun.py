"""One load run at a worker process: makes its share of the calls, and sends what it counted to the master once a second.

Writes nothing itself. Knows gevent, but not Locust: how messages are sent is passed in.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import Event

from harness.endpoint import Endpoint
from harness.errors import ExitCode, HarnessError
from harness.scenario import Scenario
from loadtests.collect import Audience, Collector, Share, grace_of
from loadtests.crew import HIRED, PARCEL
from loadtests.garbage import spare_collections
from loadtests.parcels import Parcel, pack, series_of
from loadtests.workers import Worker


class Bystander:
    """The work of a user that comes when there is no run: none."""

    def work(self, asked_to_stop: Event) -> None:
        """Wait until asked to stop."""
        asked_to_stop.wait()


class WorkerRun:
    """A run in progress, number `number` of the master's. `send` reaches the master, `audience` hears of calls.

    `patience` is how many seconds its users may go on once they are being stopped.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        scenario: Scenario,
        share: Share,
        number: int,
        *,
        send: Callable[[str, dict[str, Any]], object],
        users: Callable[[], int],
        audience: Audience,
    ) -> None:
        self._scenario = scenario
        self._number = number
        self._send = send
        self._collector = Collector(endpoint, scenario, share, users=users, audience=audience, give_up=self.give_up)
        self._parcels = 0
        self._told: dict[tuple[str, str, str, str], int] = {}
        self._error: HarnessError | None = None
        self._announcing = False
        self._finished = False
        self.grace = grace_of(endpoint, scenario)
        self.patience = scenario.follow.deadline
        self.is_stopping = False

    def begin(self) -> None:
        """Start the clock."""
        spare_collections()
        self._ticker = gevent.spawn(self._tick)

    def hire(self) -> Worker:
        """Return the work of one more user, and tell the master of it."""
        worker = self._collector.hire()
        if not self._announcing:
            self._announcing = True
            gevent.spawn(self._announce)
        return worker

    def pool(self) -> int | None:
        """Fail: the master alone decides how many users there are."""
        raise AssertionError("a worker has no pool of its own")

    def start_schedule(self) -> None:
        """Begin with this worker's turns in the schedule of an open load."""
        self._collector.start_schedule()

    def give_up(self, error: HarnessError) -> None:
        """Tell the master of an error that ends the run; the first one counts."""
        if self._error is None:
            self._error = error

    def stopping(self, *, interrupted: bool) -> float:  # noqa: ARG002 - the master has said how much patience there is
        """Note that users are being stopped, and return how many seconds they may still take."""
        self.is_stopping = True
        self._collector.stopping(self.patience)
        return min(self.patience + 1, self.grace)

    def finish(self) -> ExitCode:
        """Close the books and send the last figures, once. What the run amounts to is the master's to say."""
        if not self._finished:
            self._finished = True
            try:
                self._collector.resolve()
            except HarnessError as error:
                self.give_up(error)
            self._ticker.kill()
            self._collector.close()
            self._hand_over(self._collector.last_parcel(), last=True)
        return ExitCode.OK

    def _announce(self) -> None:
        self._announcing = False
        self._send(HIRED, {"run": self._number, "hired": self._collector.hired})

    def _tick(self) -> None:
        for second in itertools.count(1):
            gevent.sleep(max(0.0, second - self._collector.elapsed))
            self._hand_over(self._collector.parcel(second), last=False)

    def _hand_over(self, parcel: Parcel, *, last: bool) -> None:
        parcel = parcel.news(self._told)
        self._told.update((series_of(line), line.histogram.count) for line in parcel.latencies)
        self._parcels += 1
        arrivals, short = self._collector.arrivals, 0
        if arrivals is not None:
            short, arrivals.dispatch.short = arrivals.dispatch.short, 0
        message = {
            "run": self._number,
            "number": self._parcels,
            "hired": self._collector.hired,
            "short": short,
            "over": arrivals is not None and arrivals.is_over,
            "last": last,
            "problem": None if self._error is None else [int(self._error.exit_code), str(self._error)],
            "parcel": pack(parcel),
        }
        self._send(PARCEL, message)
