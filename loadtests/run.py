"""One load run from its first user to its last line: owns the books, the samples and the section of the record.

Knows gevent, but not Locust: who counts users and who can end the run are passed in.
"""

from __future__ import annotations

import itertools
import math
import random
import threading
import time
from collections.abc import Callable

import gevent

from harness.call import Call
from harness.endpoint import Endpoint
from harness.errors import ExitCode, HarnessError, worst
from harness.gates import load_exit
from harness.measurements import Measurements, evaluate_all
from harness.record import Arrivals, Line, SectionEnd, SectionStart
from harness.recorder import now_text
from harness.scenario import Scenario
from harness.template import masked
from loadtests.driver import Driver, Workshop
from loadtests.ledger import LoadLedger
from loadtests.openload import OpenLoad
from loadtests.quiet import complain
from loadtests.recording import Recording
from loadtests.runner import Progress
from loadtests.sink import Sink
from loadtests.transport.calls import open_transport
from loadtests.workers import Looper, Waiter, Worker
from loadtests.workload import Chooser

INTERRUPTED_PATIENCE = 3.0
"""Seconds that users may go on with what they are at after Ctrl-C."""

_SECOND = 1_000_000_000


class LoadRun:
    """A run in progress. `users` says how many users there are, `cut_short` ends the run, `on_call` hears of every call."""

    def __init__(
        self,
        endpoint: Endpoint,
        scenario: Scenario,
        sink: Sink,
        *,
        users: Callable[[], int],
        cut_short: Callable[[], None],
        on_call: Callable[[Call], None],
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._scenario = scenario
        self._sink = sink
        self._users = users
        self._cut_short = cut_short
        self._on_progress = on_progress
        self._origin_ns = time.monotonic_ns()
        self._recording = Recording(scenario.parts, is_open=scenario.is_open)
        self._ledger = LoadLedger()
        self._transport = open_transport(scenario.transport, endpoint, scenario.connections, on_call, self._origin_ns)
        self._shop = Workshop(
            endpoint, scenario, self._transport, self._ledger, self._recording, gevent.sleep, self._patience, self._origin_ns
        )
        deadlines = endpoint.profile.deadlines
        self._longest_call = max(deadlines.call, deadlines.submit, deadlines.results)
        self._keys = random.SystemRandom()
        self._hired = 0
        self._arrivals = OpenLoad(scenario) if scenario.is_open else None
        self._stop_at: float | None = None
        self._interrupted = False
        self._error: HarnessError | None = None
        self._ending = threading.Lock()
        self._exit_code: ExitCode | None = None

    @property
    def grace(self) -> float:
        """Seconds after which a user that is told to stop may be killed: nothing that it does takes longer by itself."""
        return max(self._scenario.follow.deadline, self._longest_call) + 1

    def begin(self) -> None:
        """Start the section of the record and the clock. Raises HarnessError when the record cannot be written."""
        detail = {**masked(self._scenario), "thresholds": [limit.expression for limit in self._scenario.limits]}
        self._sink.write(SectionStart("load", now_text(), math.ceil(self._scenario.seconds), detail))
        self._ticker = gevent.spawn(self._tick)

    def hire(self) -> Worker:
        """Return the work of one more user; the scenario's seed decides what each one does."""
        driver = self._driver()
        if self._arrivals is None:
            return Looper(driver)
        if self._hired == self._scenario.preallocated_users:
            self._recording.begin(self._arrivals.start() - self._origin_ns)
        return Waiter(driver, self._arrivals.dispatch, self._origin_ns)

    def pool(self) -> int | None:
        """Return how many users the pool of an open load is to have; None: the run is over."""
        return None if self._arrivals is None else self._arrivals.pool(self._hired)

    def give_up(self, error: HarnessError) -> None:
        """End the run early because of an error; the first one is told."""
        if self._error is None:
            self._error = error
            self._cut_short()

    def stopping(self, *, interrupted: bool) -> float:
        """Note that users are being stopped, and return how many seconds they may still take."""
        self._interrupted = self._interrupted or interrupted
        if self._arrivals is not None:
            self._arrivals.stop()
        patience = INTERRUPTED_PATIENCE if interrupted else self._scenario.follow.deadline
        self._stop_at = time.monotonic() + patience
        return patience + 1 if interrupted else self.grace

    def finish(self) -> ExitCode:
        """Close the books and the section of the record, once, and return what the run amounts to."""
        with self._ending:
            if self._exit_code is None:
                self._exit_code = self._finish()
            return self._exit_code

    def _finish(self) -> ExitCode:
        self._resolve()
        self._ticker.kill()
        self._transport.close()
        measured = self._measurements()
        lines: tuple[Line, ...] = (
            *measured.latencies,
            *measured.arrivals,
            measured.ledger,
            *evaluate_all(self._scenario.limits, measured),
        )
        code, reason = load_exit(lines)
        try:
            self._close_seconds(self._elapsed_ns() // _SECOND + 1)
            for line in lines:
                self._sink.write(line)
            code, end = self._end(code, reason)
            self._sink.write(end)
            self._sink.close(code)
        except HarnessError as error:
            self._error = self._error or error
            code = worst((code, error.exit_code))
        if self._error is not None:
            complain(self._error)
        return code

    def _measurements(self) -> Measurements:
        parts = self._scenario.parts
        unmeasured = sum(part.seconds for part in parts if not part.measured)
        latencies = self._recording.latencies()
        begun_ns = self._origin_ns
        arrivals: tuple[Arrivals, ...] = ()
        if self._arrivals is not None:
            begun_ns = self._arrivals.begun_ns or begun_ns
            latencies, arrivals = (*latencies, *self._arrivals.dispatch.delays()), self._arrivals.dispatch.summary()
        seconds = max(0.0, (time.monotonic_ns() - begun_ns) / _SECOND - unmeasured)
        stages = {part.name: part.seconds for part in parts}
        return Measurements(seconds, latencies, self._ledger.summary(), arrivals, stages)

    def _driver(self) -> Driver:
        self._hired += 1
        choices = random.Random(f"{self._scenario.seed}:{self._hired}")  # noqa: S311 - choices, not secrets
        return Driver(self._shop, Chooser(self._scenario.workload, self._scenario.follow, choices, self._keys))

    def _end(self, code: ExitCode, reason: str) -> tuple[ExitCode, SectionEnd]:
        outcome = "completed"
        if self._error is not None:
            code, reason = worst((code, self._error.exit_code)), str(self._error)
            outcome = "crashed" if self._error.exit_code is ExitCode.NOT_VALID else outcome
        elif self._interrupted:
            code, outcome = ExitCode.INTERRUPTED, "interrupted"
            reason = f"interrupted before the scenario's {self._scenario.seconds:g} s were over"
        return code, SectionEnd("load", now_text(), outcome, reason, int(code))

    def _resolve(self) -> None:
        """Ask once more for every submission that was never answered, as long as patience lasts."""
        driver = self._driver()
        for submission in self._ledger.unknown:
            if self._patience() == 0:
                return
            try:
                driver.resolve(submission)
            except HarnessError as error:
                self.give_up(error)
                return

    def _patience(self) -> float | None:
        return None if self._stop_at is None else max(0.0, self._stop_at - time.monotonic())

    def _elapsed_ns(self) -> int:
        return time.monotonic_ns() - self._origin_ns

    def _tick(self) -> None:
        for second in itertools.count(1):
            gevent.sleep(max(0.0, second - self._elapsed_ns() / _SECOND))
            try:
                self._close_seconds(second)
            except HarnessError as error:
                self.give_up(error)
                return
            self._on_progress(self._progress())

    def _close_seconds(self, before: int) -> None:
        for line in self._recording.close_seconds(before, self._users()):
            self._sink.write(line)

    def _progress(self) -> Progress:
        recent = self._recording.recent
        return Progress(
            elapsed=round(self._elapsed_ns() / _SECOND, 1),
            total=self._scenario.seconds,
            users=self._users(),
            rps=recent.count,
            p50=recent.p50 / 1000,
            p95=recent.p95 / 1000,
            p99=recent.p99 / 1000,
            in_flight=self._transport.in_flight,
            calls=self._recording.calls,
            errors=self._recording.errors,
            jobs_finished=self._ledger.finished,
            violations=self._ledger.violations,
        )
