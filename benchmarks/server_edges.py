"""How many status calls the reference Controller answers per second on one core, by either of its edges.

`python -m benchmarks.server_edges [--jobs 100000] [--seconds 3] [--rounds 2] [--in-flight 64]`. Each edge has a server of its
own with the real engine and so many live jobs in memory; servers are pinned to one core, the one client that asks both in turn
to another, where the machine has two. Only figures of one invocation may be compared. What is counted is the server's CPU time
per call, too: it says how fast the server could be if the client were no limit.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.wire_client import Client
from harness.stubs import job_pb2, service_pb2

EDGES = ("grpcio", "wire")
CONNECTIONS = 2
CONFIGURATIONS = 1000
"""Jobs of one submission."""
MOST_SECONDS = 30.0


@dataclass(frozen=True)
class Figures:
    """One measurement: calls per second, and CPU microseconds of the server and of the client per call."""

    rate: float
    server: float
    client: float


@contextlib.contextmanager
def served(edge: str, jobs: int, core: int | None) -> Iterator[tuple[int, int]]:
    """Run a server process, and yield its pid and port."""
    settings = {"edge": edge, "queue_capacity": 2 * jobs, "executors": 1, "observer_port": None, "drain": 0.1}
    command = [sys.executable, "-m", "harness.server", json.dumps(settings)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ours
        try:
            if core is not None:
                os.sched_setaffinity(process.pid, {core})
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            yield process.pid, json.loads(process.stdout.readline())["port"]
        finally:
            process.terminate()


def fill(client: Client, jobs: int) -> list[str]:
    """Queue jobs that do not end while this runs, and return their ids."""
    request = service_pb2.ExecuteControllerJobRequest(quantum_processor_id="qpu-1")
    request.encrypted.job = b"controller-job duration=1000s"
    for number in range(min(CONFIGURATIONS, jobs)):
        configuration = job_pb2.JobExecutionConfiguration()
        configuration.memory_values["n"].integer.data.append(number)
        request.execution_configurations.append(configuration)
    message = request.SerializeToString()
    ids: list[str] = []
    while len(ids) < jobs:
        client.start("ExecuteControllerJob", message)
        answers: list[bytes] = []
        while not answers:
            answers = client.turn()
        ids += service_pb2.ExecuteControllerJobResponse.FromString(answers[0]).job_execution_ids
    return ids


def measure(clients: Sequence[Client], pid: int, requests: list[bytes], seconds: float, in_flight: int) -> Figures:
    """Ask for the status of one job after the other for a while, on several connections in turn.

    While the answers of one connection are read, the server works on the requests of the others.
    """
    number = 0
    for _ in range(max(1, in_flight // len(clients))):
        for client in clients:
            client.start("GetControllerJobStatus", requests[number % len(requests)])
            number += 1
    for client in clients:
        client.flush()
    started, server, own = number, _cpu_of(pid), _own_cpu()
    begun, calls = time.monotonic(), 0
    while time.monotonic() - begun < seconds:
        for client in clients:
            for answer in client.turn():
                assert answer  # noqa: S101 - a status has octets
                client.start("GetControllerJobStatus", requests[number % len(requests)])
                number += 1
                calls += 1
            client.flush()
    elapsed = time.monotonic() - begun
    server, own = _cpu_of(pid) - server, _own_cpu() - own
    for client in clients:
        left = started // len(clients)
        while left:
            left -= len(client.turn())
    return Figures(calls / elapsed, 1e6 * server / calls, 1e6 * own / calls)


def measure_all(
    edges: Sequence[str],
    jobs: int,
    seconds: float,
    rounds: int,
    in_flight: int,
    *,
    server_core: int | None,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, list[Figures]]:
    """Measure edges in turns, each with a server of its own; the client is this process, wherever it runs."""
    found: dict[str, list[Figures]] = {edge: [] for edge in edges}
    with contextlib.ExitStack() as stack:
        sides = {}
        for edge in edges:
            pid, port = stack.enter_context(served(edge, jobs, server_core))
            clients = [Client(port) for _ in range(CONNECTIONS)]
            for client in clients:
                stack.callback(client.close)
            ids = fill(clients[0], jobs)
            requests = [
                service_pb2.GetControllerJobStatusRequest(job_id=one, quantum_processor_id="qpu-1").SerializeToString()
                for one in ids
            ]
            sides[edge] = clients, pid, requests
        for number in range(rounds):
            for edge in edges:
                clients, pid, requests = sides[edge]
                figures = measure(clients, pid, requests, seconds, in_flight)
                found[edge].append(figures)
                told = f"CPU per call: server {figures.server:6.1f} us, client {figures.client:5.1f} us"
                tell(f"round {number + 1}   {edge:<7} {figures.rate:9,.0f} calls/s   {told}")
    return found


def _cpu_of(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """Measure and print; 0 when everything was measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=100_000, help="live jobs in memory (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one measurement (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, choices=range(1, 11), metavar="N", help="measurements of each edge")
    parser.add_argument("--in-flight", type=int, default=64, help="calls under way at a time (default: %(default)s)")
    options = parser.parse_args()
    if not 1 <= options.jobs <= 1_000_000 or not 0 < options.seconds <= MOST_SECONDS or not 1 <= options.in_flight <= 1000:
        parser.error(f"--jobs is 1 to 1,000,000, --seconds up to {MOST_SECONDS:g}, --in-flight 1 to 1,000")
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[1]})
    server_core = cores[0] if len(cores) > 1 else None
    found = measure_all(
        EDGES, options.jobs, options.seconds, options.rounds, options.in_flight, server_core=server_core, tell=print
    )
    rates = {edge: statistics.median(one.rate for one in figures) for edge, figures in found.items()}
    server = {edge: statistics.median(one.server for one in figures) for edge, figures in found.items()}
    print(f"\nratio wire to grpcio: {rates['wire'] / rates['grpcio']:.1f} in calls per second, ", end="")
    print(f"{server['grpcio'] / server['wire']:.1f} in CPU of the server per call   ({options.jobs:,} live jobs)")
    print(f"calls per second and core: grpcio {1e6 / server['grpcio']:,.0f}, wire {1e6 / server['wire']:,.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
