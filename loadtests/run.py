"""One load run in one process, from its first user to its last line: collects, and concludes from what was collected.

Knows gevent, but not Locust: who counts users and who can end the run are passed in.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

import gevent

from harness.endpoint import Endpoint
from harness.errors import ExitCode, HarnessError
from harness.scenario import Scenario
from loadtests.collect import Audience, Collector, Share, grace_of
from loadtests.conclude import Conclusion
from loadtests.garbage import spare_collections
from loadtests.observed import Watch
from loadtests.runner import Progress
from loadtests.sink import Sink
from loadtests.workers import Worker

INTERRUPTED_PATIENCE = 3.0
"""Seconds that users may go on with what they are at after Ctrl-C."""


class LoadRun:
    """A run in progress. `users` says how many users there are, `cut_short` ends the run, `audience` hears of calls."""

    def __init__(
        self,
        endpoint: Endpoint,
        scenario: Scenario,
        sink: Sink,
        *,
        users: Callable[[], int],
        cut_short: Callable[[], None],
        audience: Audience,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._scenario = scenario
        self.grace = grace_of(endpoint, scenario)
        self._cut_short = cut_short
        watch = Watch(endpoint)  # before the collector, whose clock starts at once
        self._collector = Collector(endpoint, scenario, Share(), users=users, audience=audience, give_up=self.give_up)
        self._conclusion = Conclusion(scenario, sink, on_progress, watch)
        self._interrupted = False
        self._error: HarnessError | None = None
        self._ending = threading.Lock()
        self._exit_code: ExitCode | None = None

    def begin(self) -> None:
        """Start the section of the record and the clock. Raises HarnessError when the record cannot be written."""
        self._conclusion.begin()
        spare_collections()
        self._ticker = gevent.spawn(self._tick)

    def hire(self) -> Worker:
        """Return the work of one more user."""
        worker = self._collector.hire()
        if self._scenario.is_open and self._collector.hired == self._scenario.preallocated_users:
            self._collector.start_schedule()
        return worker

    def pool(self) -> int | None:
        """Return how many users the pool of an open load is to have; None: the run is over."""
        arrivals = self._collector.arrivals
        return None if arrivals is None else arrivals.pool(self._collector.hired)

    def give_up(self, error: HarnessError) -> None:
        """End the run early because of an error; the first one is told."""
        if self._error is None:
            self._error = error
            self._cut_short()

    def stopping(self, *, interrupted: bool) -> float:
        """Note that users are being stopped, and return how many seconds they may still take."""
        interrupted = interrupted and not self._conclusion.is_aborted
        self._interrupted = self._interrupted or interrupted
        patience = INTERRUPTED_PATIENCE if interrupted else self._scenario.follow.deadline
        self._collector.stopping(patience)
        return patience + 1 if interrupted else self.grace

    def finish(self) -> ExitCode:
        """Close the books and the section of the record, once, and return what the run amounts to."""
        with self._ending:
            if self._exit_code is None:
                self._exit_code = self._finish()
            return self._exit_code

    def _finish(self) -> ExitCode:
        try:
            self._collector.resolve()
        except HarnessError as error:
            self.give_up(error)
        self._ticker.kill()
        self._collector.close()
        try:
            self._conclusion.take(self._collector.last_parcel())
        except HarnessError as error:
            self.give_up(error)
        return self._conclusion.close(self._error, interrupted=self._interrupted)

    def _tick(self) -> None:
        for second in itertools.count(1):
            gevent.sleep(max(0.0, second - self._collector.elapsed))
            try:
                self._conclusion.take(self._collector.parcel(second))
            except HarnessError as error:
                self.give_up(error)
                return
            self._conclusion.tell(self._collector.elapsed)
            if self._conclusion.is_broken():
                self._cut_short()
