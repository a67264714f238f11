"""The sessions of a distributed run: a master that has no users, and workers that have them.

Locust starts and stops users as ever and gathers its own statistics. Beside that, master and workers exchange the messages of
`loadtests.crew` over Locust's connection: Locust's master would not wait for a worker's last figures before it ends a test.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import gevent
from locust import runners
from locust.dispatch import UsersDispatcher
from locust.env import Environment
from locust.runners import STATE_MISSING, DistributedRunner, MasterRunner, WorkerNode, WorkerRunner

from harness.endpoint import Endpoint
from harness.errors import ConfigError, ExitCode, HarnessError, NotValidError
from loadtests.collect import Share
from loadtests.crew import BEGIN, HELLO, HIRED, INTERRUPT, PARCEL, REFUSAL, SHARE, SILENCE, STOP, Crew, Hello, error_of
from loadtests.master import MasterRun
from loadtests.options import Plan
from loadtests.quiet import complain
from loadtests.session import Run, Session, progress_printer
from loadtests.tally import LocustTally
from loadtests.workerrun import Bystander, WorkerRun
from loadtests.workers import Worker

GATHERING = 60.0
"""Seconds within which the processes that `--processes` starts have to be ready."""
INTRODUCTION = 20.0
"""Seconds that a worker that is connected has to introduce itself."""


class FixedDispatcher(UsersDispatcher):
    """Leaves users where they are: one that is lost is not made up for by others, and who comes late gets none."""

    def add_worker(self, worker_node: WorkerNode) -> None:
        """Pass over a worker that came while a run was on."""

    def remove_worker(self, worker_node: WorkerNode) -> None:
        """Leave the others as they are."""


class MasterSession(Session):
    """Gathers workers, gives them their shares, and writes down what they count. Raises HarnessError for an unusable plan."""

    def __init__(self, locust: Environment, plan: Plan) -> None:
        super().__init__(locust, plan)
        assert isinstance(locust.runner, MasterRunner)  # noqa: S101 - chosen by it
        self._master = locust.runner
        self._crew = Crew(plan.fingerprint)
        self._runs = 0
        options = locust.parsed_options
        self._expected = options.expect_workers if options is not None and options.processes else 0
        self._master_run: MasterRun | None = None
        self._leaving = False
        locust.dispatcher_class = FixedDispatcher
        # The crew says who is lost: Locust itself would end a test when all workers are merely slow for three seconds.
        runners.HEARTBEAT_LIVENESS = round(2 * SILENCE / runners.HEARTBEAT_INTERVAL)

    def listen(self) -> None:
        """Subscribe to Locust's events, to signals, and to what workers send."""
        super().listen()
        for kind, listener in ((HELLO, self._on_hello), (PARCEL, self._on_parcel), (HIRED, self._on_hired)):
            self._master.register_message(kind, listener)
        self._master.register_message(INTERRUPT, lambda **_: self._shape.cut_short())
        events: Any = self._locust.events
        events.heartbeat_sent.add_listener(lambda client_id, **_: self._crew.heard(client_id))
        events.quit.add_listener(lambda **_: self._crew.dismiss())
        if self._expected:
            gevent.spawn_later(GATHERING, self._check_gathered)

    def _on_start(self, **_: Any) -> None:
        if not self._leaving:
            super()._on_start()

    def _make_run(self, endpoint: Endpoint) -> Run:
        deadline = time.monotonic() + INTRODUCTION
        while not all(self._crew.knows(client) for client in self._clients()):
            if time.monotonic() > deadline:
                raise NotValidError("a worker is connected, but does not introduce itself", hint="are all workers the harness's?")
            gevent.sleep(0.05)
        clients, users = self._clients(), self._plan.scenario.preallocated_users
        if not clients:
            raise NotValidError("no worker is left")
        if users is not None and users < len(clients):
            text = (
                f"preallocated_users ({users}) is below the number of workers ({len(clients)}): those without a user would drop"
            )
            raise ConfigError(f"{text} their starts", hint="give every worker one")
        self._runs += 1
        self._master_run = MasterRun(
            endpoint,
            self._plan.scenario,
            self._sink(),
            crew=self._crew,
            clients=clients,
            number=self._runs,
            send=self._master.send_message,
            cut_short=self._shape.cut_short,
            on_lost=self._forget_users,
            on_progress=progress_printer(),
        )
        return self._master_run

    def _clients(self) -> list[str]:
        present = [client for client, node in self._master.clients.items() if node.state != STATE_MISSING]
        there = [client for client in present if not (self._crew.knows(client) and self._crew.why_gone(client))]
        return sorted(there, key=self._master.get_worker_index)

    def _forget_users(self, client: str) -> None:
        """Have Locust not wait for the users of a worker that is lost."""
        if client in self._master.clients:
            self._master.clients[client].user_classes_count = {}

    def _on_stopping(self, **_: Any) -> None:
        self._shape.held = True
        super()._on_stopping()

    def _on_stop(self, **_: Any) -> None:
        # Several greenlets of Locust may end a test at once, and one kills the other: the record must not be cut short by that.
        gevent.spawn(super()._on_stop).join()

    def _on_hello(self, msg: Any, **_: Any) -> None:
        error = self._crew.greet(msg.node_id, msg.data)
        if error is None or self._leaving:
            return
        complain(error)
        self._master.send_message(REFUSAL, {"exit_code": int(error.exit_code), "text": str(error)}, msg.node_id)
        if self._locust.web_ui is None and self._run is None:
            self._last = error.exit_code
            self._leaving = True
            self._quit()

    def _on_parcel(self, msg: Any, **_: Any) -> None:
        if self._master_run is not None:
            self._master_run.received(msg.node_id, msg.data)

    def _on_hired(self, msg: Any, **_: Any) -> None:
        if self._master_run is not None:
            self._master_run.hired(msg.node_id, msg.data)

    def _check_gathered(self) -> None:
        missing = self._expected - len(self._master.clients)
        if self._runs == 0 and self._master.shape_greenlet is None and missing > 0:
            error = NotValidError(f"{missing} of the processes were not ready within {GATHERING:.0f} s")
            complain(error)
            self._last = error.exit_code
            self._quit()

    def _on_signal(self, number: int) -> None:
        super()._on_signal(number)
        if self._locust.web_ui is None and self._master.shape_greenlet is None:
            self._quit()

    def _hurry(self) -> None:
        if self._master_run is not None:
            self._master_run.hurry()

    def _leave(self) -> None:
        waiting = self._locust.web_ui is None and self._master.shape_greenlet is None
        super()._leave()
        if waiting:
            # Locust still counts workers, and would for ever.
            sys.exit(int(self._last))


class WorkerSession(Session):
    """Makes a share of the load, and leaves everything else to the master. Raises HarnessError for an unusable plan."""

    def __init__(self, locust: Environment, plan: Plan) -> None:
        super().__init__(locust, plan)
        assert isinstance(locust.runner, WorkerRunner)  # noqa: S101 - chosen by it
        self._worker = locust.runner
        self._share: tuple[int, Share] | None = None
        self._worker_run: WorkerRun | None = None
        self._heard = time.monotonic()

    def listen(self) -> None:
        """Subscribe to Locust's events, to signals, and to what the master sends; then say hello."""
        super().listen()
        for kind, listener in ((REFUSAL, self._on_refusal), (SHARE, self._on_share), (BEGIN, self._on_begin)):
            self._worker.register_message(kind, listener)
        self._worker.register_message(STOP, self._on_order_to_stop, concurrent=True)
        events: Any = self._locust.events
        events.heartbeat_received.add_listener(self._on_heartbeat)
        self._worker.send_message(HELLO, dict(Hello.of(self._plan.fingerprint).to_json()))
        self._watch = gevent.spawn(self._watch_master)

    def hire(self) -> Worker:
        """Return the work of one more user of the present run; without one there is none."""
        return self._run.hire() if self._run is not None else Bystander()

    def _make_run(self, endpoint: Endpoint) -> Run:
        assert self._share is not None  # noqa: S101 - checked by _on_start
        number, share = self._share
        self._share = None
        self._worker_run = WorkerRun(
            endpoint,
            self._plan.scenario,
            share,
            number,
            send=self._worker.send_message,
            users=self._users,
            audience=LocustTally(self._locust),
        )
        return self._worker_run

    def _on_start(self, **_: Any) -> None:
        if self._share is not None:
            super()._on_start()

    def _on_stop(self, **_: Any) -> None:
        super()._on_stop()
        # Locust would have the worker rest for so long before it is ready for the next run.
        self._locust.stop_timeout = 0.0

    def _on_share(self, msg: Any, **_: Any) -> None:
        self._share = msg.data["run"], Share(msg.data["index"], msg.data["of"], msg.data["key"])

    def _on_begin(self, **_: Any) -> None:
        if self._worker_run is not None and self._run is not None:
            self._worker_run.start_schedule()

    def _on_order_to_stop(self, msg: Any, **_: Any) -> None:
        """Stop users and hand over the last figures; told a second time, drop what users are at."""
        run = self._worker_run if self._run is not None else None
        if run is None:
            self._share = None
            self._worker.send_message(PARCEL, nothing(msg.data["run"]))
        elif run.is_stopping:
            self._worker.user_greenlets.kill(block=False)
        else:
            run.patience = msg.data["patience"]
            self._worker.stop()

    def _on_refusal(self, msg: Any, **_: Any) -> None:
        self._part(error_of(msg.data["exit_code"], msg.data["text"]))

    def _on_signal(self, number: int) -> None:  # noqa: ARG002 - the same for all
        self._worker.send_message(INTERRUPT, {})

    def _on_heartbeat(self, **_: Any) -> None:
        self._heard = time.monotonic()

    def _watch_master(self) -> None:
        while time.monotonic() - self._heard < SILENCE:
            gevent.sleep(1)
        self._part(NotValidError("the master of this worker is gone", hint="nothing of this run is kept here"))

    def _part(self, error: HarnessError) -> None:
        """End the process, with what users are at dropped."""
        complain(error)
        self._last = error.exit_code
        if self._worker_run is not None:
            self._worker_run.patience = 0.0
        self._worker.user_greenlets.kill(block=False)
        self._quit()

    def _on_quitting(self, **_: Any) -> None:
        super()._on_quitting()
        if is_forked(self._locust):
            # The master tells what came of the run.
            self._locust.process_exit_code = int(ExitCode.OK)


def nothing(run: int) -> dict[str, Any]:
    """Return the last word of a worker that has done nothing in a run."""
    return {"run": run, "number": 1, "hired": 0, "short": 0, "over": True, "last": True, "problem": None, "parcel": None}


def is_forked(locust: Environment) -> bool:
    """Whether this worker was forked by its own master, which says all that is to be said, and dislikes other codes than 0."""
    options = locust.parsed_options
    started_as_worker = "--worker" in sys.argv or "LOCUST_MODE_WORKER" in os.environ
    return options is not None and bool(options.processes) and not started_as_worker


def decline(runner: DistributedRunner, error: HarnessError) -> None:
    """Have a process that cannot take part leave: a worker tells the master why, and one that was forked by it no one else."""
    for kind in (HELLO, REFUSAL):
        # Locust warns of messages that nobody listens to.
        runner.register_message(kind, lambda **_: None)
    if not isinstance(runner, WorkerRunner):
        return
    runner.send_message(HELLO, dict(Hello.of("", error).to_json()))
    gevent.sleep(0.5)
    if is_forked(runner.environment):
        sys.exit(int(ExitCode.OK))
