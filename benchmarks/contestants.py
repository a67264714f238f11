"""The clients that are compared: how each is started, for a while and for the next to nothing that its start costs.

A client costs the CPU time of its process, less that of a null run in the same round, divided by its calls.
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
    """What a client is to do: which call, against which sink, so many at a time, for so many seconds (0: the null run)."""

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


def null_run(client: Contestant, served: Sink) -> Done:
    """Run a client for next to nothing. Raises FailedError."""
    return client(Task(messages.STATUS, served, 1, 0.0))


def cost(done: Done, null: Done) -> Cost:
    """Return what the calls of a run have cost beyond those of a null run. Raises FailedError if there were none."""
    calls = done.calls - null.calls
    if calls <= 0:
        raise FailedError("made no calls")
    return Cost(calls, 1e6 * (done.cpu - null.cpu) / calls, 1e6 * (done.sink_cpu - null.sink_cpu) / calls, done.rate)


def _harness(workbench: ours.Workbench, engine: str) -> Contestant:
    def start(task: Task) -> Done:
        work = WORK[task.what]
        scenario = ours.users(work, task.in_flight, engine) if task.seconds else ours.idle(work, engine)
        return workbench.run(task.sink, scenario, task.seconds or 1.0).done

    return start


def _locust(task: Task) -> Done:
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "benchmarks" / "clients" / "locust_grpcio.py"), "--headless"]
    command += ["--skip-log-setup", "--only-summary", "--users", str(task.in_flight), "--spawn-rate", str(task.in_flight)]
    command += ["--run-time", f"{max(1, round(task.seconds))}s"]
    env = {"BENCHMARK_TARGET": task.target, "BENCHMARK_CALL": task.what, "BENCHMARK_PAUSE": "0" if task.seconds else "1"}
    return run(command, task.sink, task.seconds + SPARE, env | {"PYTHONPATH": str(ROOT)})


def _aio(task: Task) -> Done:
    command = [sys.executable, "-m", "benchmarks.clients.grpc_aio", task.target, task.what, str(task.in_flight)]
    command += [str(task.seconds or 0.1), "0" if task.seconds else "1"]
    return run(command, task.sink, task.seconds + SPARE)


def _h2load(path: str, folder: Path) -> Contestant:
    def start(task: Task) -> Done:
        much = ["-D", f"{task.seconds:g}", "-m", str(task.in_flight)] if task.seconds else ["-n", "1"]
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
        much = [f"--concurrency={task.in_flight}", f"--duration={task.seconds:g}s"]
        command += much if task.seconds else ["--concurrency=1", "--total=1"]
        return run([*command, task.target], task.sink, task.seconds + SPARE)

    return start
