"""Between Locust's events and our runs: starts and ends runs, and sets the exit code.

A web page can start several runs in one session; each is a `Run` of its own.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any, Protocol

import gevent
from locust.env import Environment
from locust.stats import CSV_STATS_INTERVAL_SEC

from harness.endpoint import Endpoint
from harness.errors import ConfigError, ExitCode, HarnessError, NotValidError
from harness.record import Header
from harness.recorder import load_record, make_header
from harness.template import masked
from loadtests.options import Plan
from loadtests.quiet import complain
from loadtests.run import LoadRun
from loadtests.runner import PROGRESS_VARIABLE, Progress
from loadtests.shapes import ScenarioShape
from loadtests.sink import Sink
from loadtests.tally import LocustTally
from loadtests.workers import Worker


class Run(Protocol):
    """A run in progress, as Locust's life cycle moves it."""

    grace: float
    """Seconds after which a user that is told to stop may be killed."""

    def begin(self) -> None:
        """Start. Raises HarnessError."""

    def hire(self) -> Worker:
        """Return the work of one more user."""

    def pool(self) -> int | None:
        """Return how many users the pool of an open load is to have; None: the run is over."""

    def give_up(self, error: HarnessError) -> None:
        """End the run early because of an error."""

    def stopping(self, *, interrupted: bool) -> float:
        """Note that users are being stopped, and return how many seconds they may still take."""

    def finish(self) -> ExitCode:
        """End the run, once, and return what it amounts to."""


class Session:
    """Everything of ours that lives as long as Locust's environment. Raises HarnessError for a plan that cannot be run.

    This one makes runs in one process; `loadtests.distributed` has those of masters and workers.
    """

    def __init__(self, locust: Environment, plan: Plan) -> None:
        shape = locust.shape_class
        assert isinstance(shape, ScenarioShape)  # noqa: S101 - the locustfile offers no other
        self._locust = locust
        self._plan = plan
        self._shape = shape
        self._shape.scenario = plan.scenario
        self._run: Run | None = None
        self._last = ExitCode.OK
        self._signals = 0
        # A record that was begun belongs to whoever started us; one that does not exist is ours to begin.
        self._owned = plan.record is not None and not plan.record.exists()
        if plan.record is not None and not self._owned and load_record(plan.record).footer is not None:
            raise ConfigError("holds a finished run already", source=str(plan.record), hint="give another --record")
        locust.host = plan.endpoint.address

    def listen(self) -> None:
        """Subscribe to Locust's events and to the signals that end a run early."""
        events: Any = self._locust.events
        events.test_start.add_listener(self._on_start)
        events.test_stopping.add_listener(self._on_stopping)
        events.test_stop.add_listener(self._on_stop)
        events.user_error.add_listener(self._on_user_error)
        events.quitting.add_listener(self._on_quitting)
        for number in (signal.SIGINT, signal.SIGTERM):
            gevent.signal_handler(number, self._on_signal, number)

    def hire(self) -> Worker:
        """Return the work of one more user of the present run."""
        return self._present.hire()

    def give_up(self, error: HarnessError) -> None:
        """End the present run early, and say why."""
        self._present.give_up(error)

    @property
    def _present(self) -> Run:
        assert self._run is not None  # noqa: S101 - users exist during runs only
        return self._run

    def _on_start(self, **_: Any) -> None:
        try:
            self._run = self._make_run(self._plan.endpoint_at(self._locust.host))
            self._locust.stop_timeout = self._run.grace
            self._run.begin()
            self._shape.pool = self._run.pool
        except HarnessError as error:
            self._run = None
            self._last = error.exit_code
            complain(error)
            self._quit()

    def _make_run(self, endpoint: Endpoint) -> Run:
        """Return a run that is about to begin. Raises HarnessError when it cannot."""
        return LoadRun(
            endpoint,
            self._plan.scenario,
            self._sink(),
            users=self._users,
            cut_short=self._shape.cut_short,
            audience=LocustTally(self._locust),
            on_progress=progress_printer(),
        )

    def _sink(self) -> Sink:
        return Sink(self._plan.record, self._header if self._owned else None)

    def _users(self) -> int:
        return self._locust.runner.user_count if self._locust.runner else 0

    def _on_stopping(self, **_: Any) -> None:
        if self._run is not None:
            self._locust.stop_timeout = self._run.stopping(interrupted=not self._shape.finished)

    def _on_stop(self, **_: Any) -> None:
        if self._run is not None:
            self._last = self._run.finish()
            self._run = self._shape.pool = None

    def _on_user_error(self, exception: BaseException, **_: Any) -> None:
        text = f"a user crashed: {type(exception).__name__}: {exception}"
        self.give_up(NotValidError(text, hint="this is a fault of the harness, not of the endpoint"))

    def _on_quitting(self, **_: Any) -> None:
        if self._run is not None and self._locust.runner is not None:
            self._locust.runner.quit()
        # Locust ends a test without its events when whoever is about to send them is killed by somebody who ends it, too.
        self._on_stopping()
        self._on_stop()
        if getattr(self._locust.parsed_options, "csv_prefix", None):
            # Locust writes its CSV files from time to time, but not at the end: without this the last second is missing.
            gevent.sleep(CSV_STATS_INTERVAL_SEC + 0.2)
        self._locust.process_exit_code = int(self._last)

    def _on_signal(self, number: int) -> None:
        """End the run in order the first time, at once the second; without a run, leave."""
        self._signals += 1
        if self._signals > 1:
            self._hurry()
        elif self._run is None and self._locust.web_ui is None:
            self._last = ExitCode.INTERRUPTED
        self._shape.cut_short()
        # Of SIGTERM, Locust itself takes care when it has a web page.
        if self._locust.web_ui is not None and number == signal.SIGINT:
            self._quit()

    def _hurry(self) -> None:
        """Drop what users are at."""
        if self._locust.runner is not None:
            self._locust.runner.user_greenlets.kill(block=False)

    def _quit(self) -> None:
        """End the run and Locust, from outside of the greenlets that this ends."""
        gevent.spawn(self._leave)

    def _leave(self) -> None:
        if self._locust.runner is not None:
            self._locust.runner.quit()
        page: Any = self._locust.web_ui
        if page is not None:
            page.stop()

    def _header(self) -> Header:
        endpoint = self._plan.endpoint_at(self._locust.host)
        return make_header(
            command=("locust", *sys.argv[1:]),
            endpoint=endpoint.address,
            profile=masked(endpoint.profile),
            seed=self._plan.scenario.seed,
        )


def progress_printer() -> Callable[[Progress], None]:
    """Return what prints how a run stands, if somebody has asked for it."""
    return _print_progress if os.environ.get(PROGRESS_VARIABLE) == "json" else lambda _: None


def _print_progress(progress: Progress) -> None:
    try:
        sys.stdout.write(progress.to_json() + "\n")
        sys.stdout.flush()
    except OSError:
        # Nobody reads any more; the record is what counts.
        return
