"""The clients that are compared: how each is started, and what its calls cost.

That is the CPU time of its process while it is at full work, divided by its calls.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import messages, ours
from benchmarks.bars import AIO, ENGINE, GHZ, H2LOAD, LOCUST, OURS, Cost
from benchmarks.processes import ROOT, Done, FailedError, Sink, run
from harness.scenario import CALLBACKS, USERS

IN_FLIGHT = 64
SPARE = 45.0
"""Seconds that a client may take beyond its duration."""
WORK: Mapping[str, Mapping[str, object]] = {messages.STATUS: ours.FOLLOWING, messages.BATCH: ours.BATCHING}
PROTOSET = ROOT / "harness" / "stubs" / "controller.protoset"


@dataclass(frozen=True)
class Task:
    """What a client is to do: which call, against which sink, so many at a time, for so many seconds."""

    what: str
    sink: Sink
    in_flight: int
    seconds: float

    @property
    def target(self) -> str:
        """Where the sink listens."""
        return f"127.0.0.1:{self.sink.port}"

    @property
    def path(self) -> str:
        """The `:path` of the call."""
        return f"/{messages.SERVICE}/{messages.METHODS[self.what]}"


Contestant = Callable[[Task], Done]


def contestants(workbench: ours.Workbench) -> dict[str, Contestant | str]:
    """Return how each client is run, by name; a text says why one is missing."""
    found: dict[str, Contestant | str] = {
        OURS: _harness(workbench, USERS),
        ENGINE: _harness(workbench, CALLBACKS),
        LOCUST: _locust,
        AIO: _aio,
    }
    for name, make in ((H2LOAD, _h2load), (GHZ, _ghz)):
        path = shutil.which(name)
        found[name] = "not installed" if path is None else make(path, workbench.folder)
    return found


def cost(done: Done) -> Cost:
    """Return what calls have cost while the client was at full work. Raises FailedError if there were none."""
    calls = done.end.calls - done.begin.calls
    if calls <= 0:
        raise FailedError("made no calls")
    client, sink = done.end.client - done.begin.client, done.end.sink - done.begin.sink
    return Cost(calls, 1e6 * client / calls, 1e6 * sink / calls, done.rate)


def _harness(workbench: ours.Workbench, engine: str) -> Contestant:
    def start(task: Task) -> Done:
        work = WORK[task.what]
        return workbench.run(task.sink, ours.users(work, task.in_flight, engine), task.seconds).done

    return start


def _locust(task: Task) -> Done:
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "benchmarks" / "clients" / "locust_grpcio.py"), "--headless"]
    command += ["--skip-log-setup", "--only-summary", "--users", str(task.in_flight), "--spawn-rate", str(task.in_flight)]
    command += ["--run-time", f"{max(1, round(task.seconds))}s"]
    env = {"BENCHMARK_TARGET": task.target, "BENCHMARK_CALL": task.what}
    return run(command, task.sink, task.seconds + SPARE, env | {"PYTHONPATH": str(ROOT)})


def _aio(task: Task) -> Done:
    command = [sys.executable, "-m", "benchmarks.clients.grpc_aio", task.target, task.what, str(task.in_flight)]
    command += [str(task.seconds)]
    return run(command, task.sink, task.seconds + SPARE)


def _h2load(path: str, folder: Path) -> Contestant:
    def start(task: Task) -> Done:
        much = ["-D", f"{task.seconds:g}", "-m", str(task.in_flight)]
        return run(h2load(path, task, folder, much), task.sink, task.seconds + SPARE)

    return start


def h2load(path: str, task: Task, folder: Path, more: list[str]) -> list[str]:
    """Return the command line of h2load for a task, with one connection and one thread."""
    files = messages.write(task.what, folder)
    command = [path, "-c", "1", "-t", "1", "-d", str(files.framed), *more]
    command += ["-H", "content-type: application/grpc", "-H", "te: trailers", "-H", "grpc-timeout: 30S"]
    return [*command, f"http://{task.target}{task.path}"]


def _ghz(path: str, folder: Path) -> Contestant:
    def start(task: Task) -> Done:
        files = messages.write(task.what, folder)
        command = [path, "--insecure", f"--protoset={PROTOSET}", f"--call={messages.SERVICE}.{messages.METHODS[task.what]}"]
        command += [f"--binary-file={files.plain}", "--connections=1", "--cpus=1", "--timeout=30s"]
        command += [f"--concurrency={task.in_flight}", f"--duration={task.seconds:g}s"]
        return run([*command, task.target], task.sink, task.seconds + SPARE)

    return start
