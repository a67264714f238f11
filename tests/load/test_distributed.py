"""Runs of several worker processes: their figures add up exactly, and one that is lost is told without spoiling the rest."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import ExitCode
from harness.gates import record_exit
from harness.record import Arrivals, Interval, Latency, Ledger, Record, SectionEnd
from harness.server.embedded_thread import background_server
from harness.server.run import Bound
from harness.server.settings import ServerSettings
from loadtests.runner import command, processes
from tests.load.locusts import Ended, Files, files, lines_of, metrics
from tests.load.test_locust_runs import PATIENCE, answers, get, has_intervals, locust_counts, until

OPEN = (
    "name: open\nexecutor: ramping-arrival-rate\nstart_rate: 20\n"
    "stages: [{name: warm-up, duration: 1s, rate: 20, measured: false}, {name: steady, duration: 2s, rate: 20}]\n"
    "preallocated_users: 41\nseed: 5\nstarts: {wait: 20s, late_after: 20s, behind_limit: 1}\n"
    "follow: {poll_min: 5ms, poll_max: 50ms, deadline: 20s}\n"
)

SHORT = "deadlines: {call: 1s, submit: 1s, results: 1s}\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Bound]:
    with background_server(ServerSettings()) as bound:
        yield bound


def workers_of(record: Path) -> list[int]:
    """Return the process ids of the workers of a run under way."""
    (start,) = (json.loads(line) for line in record.read_text().splitlines() if '"type":"section_start"' in line)
    return [int(name.rpartition(" ")[2]) for name in start["detail"]["workers"]]


def is_there(process: int) -> bool:
    """Whether a process is there, and not only its exit status that nobody has asked for."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def calls_by(record: Record) -> Counter[tuple[str, str]]:
    """Return the number of calls by RPC and code, all stages together."""
    made: Counter[tuple[str, str]] = Counter()
    for line in lines_of(record.lines, Latency):
        if line.kind == "rpc":
            made[line.name, line.code] += line.histogram.count
    return made


def agree(record: Record, seen: dict[str, float], workers: int) -> None:
    """Check that record and server counted the same."""
    made = calls_by(record)
    made["GetControllerJobStatus", "NOT_FOUND"] += workers  # each one's probe before the run
    prefix = "controller_requests_total{"
    served = {name: int(count) for name, count in seen.items() if name.startswith(prefix)}
    assert served == {f'{prefix}code="{code}",rpc="{rpc}"}}': count for (rpc, code), count in made.items()}
    made["GetControllerJobStatus", "NOT_FOUND"] -= workers
    assert sum(line.count for line in lines_of(record.lines, Interval)) == made.total()
    (ledger,) = lines_of(record.lines, Ledger)
    assert ledger.acknowledged_jobs == ledger.finished == seen['controller_jobs_accepted_total{processor="qpu-1"}']
    assert ledger.replays == seen["controller_replays_total"]
    assert made["ExecuteControllerJob", "OK"] + made["BatchExecuteControllerJobs", "OK"] == ledger.submissions + ledger.replays
    assert ledger.submissions > 0
    assert ledger.violation_count == 0


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_counts_of_all_workers_are_those_of_the_server(workers: int, tmp_path: Path) -> None:
    with background_server(ServerSettings()) as bound:
        run = files(tmp_path, bound.address, thresholds=["ledger_violations: count == 0", "jobs_finished: count > 0"])
        run.scenario.write_text(run.scenario.read_text().replace("users: 3", "users: 5"))
        ended = run.run("--csv", str(tmp_path / "locust"), *processes(workers), progress=True)
        seen = metrics(bound.metrics_url or "")
    assert (ended.code, ended.stderr) == (0, "")
    record = run.read()
    assert record.incomplete == ""
    assert record_exit(record)[0] is ExitCode.OK
    agree(record, seen, workers)
    by_rpc: Counter[str] = Counter()
    for (rpc, _), count in calls_by(record).items():
        by_rpc[rpc] += count
    assert locust_counts(tmp_path / "locust_stats.csv") == dict(by_rpc)
    lines = lines_of(record.lines, Interval)
    assert len({(line.second, line.rpc) for line in lines}) == len(lines)
    assert max(line.users for line in lines) == 5
    events = [json.loads(line)["progress"] for line in ended.stdout.splitlines()]
    assert events[-1]["calls"] <= by_rpc.total()
    assert len(workers_of(run.record)) == workers


@pytest.mark.parametrize(
    ("workers", "more"),
    [(1, ""), (2, ""), (4, ""), (2, "engine: callbacks\n"), (2, "transport: grpcio\n")],
    ids=["1", "2", "4", "callbacks", "grpcio"],
)
def test_workers_take_turns_in_one_schedule(workers: int, more: str, tmp_path: Path) -> None:
    with background_server(ServerSettings()) as bound:
        run = files(tmp_path, bound.address)
        run.scenario.write_text(OPEN + more)
        ended = run.run(*processes(workers))
        seen = metrics(bound.metrics_url or "")
    assert (ended.code, ended.stderr) == (0, "")
    record = run.read()
    agree(record, seen, workers)
    counts = [(line.stage, line.measured, line.scheduled, line.started) for line in lines_of(record.lines, Arrivals)]
    assert counts == [("warm-up", False, 20, 20), ("steady", True, 40, 40)]
    for kind, name in (("scheduling", "start"), ("rpc", "ExecuteControllerJob"), ("service", "ExecuteControllerJob")):
        found = [line.histogram.count for line in lines_of(record.lines, Latency) if (line.kind, line.name) == (kind, name)]
        assert found == [20, 40]


def test_a_worker_that_is_killed_is_told_and_the_rest_stays_right(tmp_path: Path) -> None:
    with background_server(ServerSettings()) as bound:
        run = files(tmp_path, bound.address, duration="4s", patience="3s")
        process = run.start(*processes(2))
        until(has_intervals(run.record), process)
        victim = workers_of(run.record)[1]
        os.kill(victim, signal.SIGKILL)
        ended = run.wait(process)
        seen = metrics(bound.metrics_url or "")
    assert ended.code == ExitCode.NOT_VALID
    told = re.fullmatch(
        r"controller-harness: worker \S+, process (\d+) was lost \d+ s after the start: its process has ended; .*\n", ended.stderr
    )
    assert told is not None, ended.stderr
    assert int(told[1]) == victim
    record = run.read()
    assert record.incomplete == ""
    code, reason = record_exit(record)
    assert code is ExitCode.NOT_VALID
    assert f"process {victim} was lost" in reason
    (ledger,) = lines_of(record.lines, Ledger)
    accepted = seen['controller_jobs_accepted_total{processor="qpu-1"}']
    assert 0 < ledger.finished <= accepted
    assert ledger.violation_count == 0
    made = calls_by(record)
    served = sum(count for name, count in seen.items() if name.startswith("controller_requests_total{"))
    assert 0 < made.total() <= served
    last = max(line.second for line in lines_of(record.lines, Interval) if line.count)
    assert last >= 3, "the other worker goes on to the end"


def test_a_worker_that_hangs_does_not_keep_the_run(tmp_path: Path) -> None:
    with background_server(ServerSettings()) as bound:
        run = files(tmp_path, bound.address, duration="6s", patience="1s", extra=SHORT)
        process = run.start(*processes(2))
        until(has_intervals(run.record), process)
        victim = workers_of(run.record)[0]
        os.kill(victim, signal.SIGSTOP)
        ended = run.wait(process)
    assert ended.code == ExitCode.NOT_VALID
    assert f"process {victim} was lost" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert run.read().incomplete == ""
    assert not is_there(victim)


def test_an_interrupted_master_ends_all_in_order(server: Bound, tmp_path: Path) -> None:
    run = files(tmp_path, server.address, duration="60s")
    process = run.start(*processes(2))
    until(has_intervals(run.record), process)
    workers = workers_of(run.record)
    process.send_signal(signal.SIGINT)
    ended = run.wait(process)
    assert (ended.code, ended.stderr) == (130, "")
    record = run.read()
    assert record.incomplete == ""
    (end,) = lines_of(record.lines, SectionEnd)
    assert (end.outcome, end.exit_code) == ("interrupted", 130)
    (ledger,) = lines_of(record.lines, Ledger)
    assert ledger.acknowledged_jobs == ledger.finished > 0
    assert len(workers) == 2


def test_a_second_signal_does_not_wait_for_users(tmp_path: Path) -> None:
    with background_server(ServerSettings(drain=0)) as bound:
        run = files(tmp_path, bound.address, duration="60s", job="controller-job duration=60s estimate=60s", patience="50s")
        process = run.start(*processes(2))
        until(has_intervals(run.record), process)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        ended = run.wait(process)
    assert (ended.code, ended.stderr) == (130, "")
    (ledger,) = lines_of(run.read().lines, Ledger)
    assert ledger.unfinished > 0


def test_a_master_that_waits_for_workers_can_be_interrupted(server: Bound, tmp_path: Path) -> None:
    run = files(tmp_path, server.address)
    port = free_port()
    master, _ = start_apart(run, port)
    until(lambda: is_taken(port), master)
    master.send_signal(signal.SIGINT)
    ended = run.wait(master)
    assert ended.code == 130
    assert "Traceback" not in ended.stderr
    assert not run.record.exists()


def test_a_search_takes_one_process(server: Bound, tmp_path: Path) -> None:
    run = files(tmp_path, server.address)
    run.scenario.write_text(
        "name: s\nexecutor: slo-search\nrate: 5\nmax_rate: 50\nduration: 2s\npreallocated_users: 5\n"
        'thresholds: ["rpc_duration: p(99) < 1s"]\n'
    )
    ended = run.run(*processes(2))
    complaint = "executor: slo-search goes with one process only; run it in one process, or try rates yourself"
    assert (ended.code, ended.stderr) == (2, f"controller-harness: {complaint}\n")
    assert not run.record.exists()


def test_every_worker_needs_a_user_for_its_starts(server: Bound, tmp_path: Path) -> None:
    run = files(tmp_path, server.address)
    run.scenario.write_text(OPEN.replace("preallocated_users: 41", "preallocated_users: 1"))
    ended = run.run(*processes(2))
    assert ended.code == ExitCode.USAGE
    assert "preallocated_users (1) is below the number of workers (2)" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_port_that_is_taken_is_a_usage_error(server: Bound, tmp_path: Path) -> None:
    run = files(tmp_path, server.address)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        master, _ = start_apart(run, taken.getsockname()[1])
        ended = run.wait(master)
    assert ended.code == ExitCode.USAGE
    assert ended.stderr.startswith("controller-harness: master and workers cannot meet: ")
    assert ended.stderr.count("\n") == 1


def test_workers_end_when_their_master_vanishes(server: Bound, tmp_path: Path) -> None:
    run = files(tmp_path, server.address, duration="60s")
    process = run.start(*processes(2))
    until(has_intervals(run.record), process)
    workers = workers_of(run.record)
    process.kill()
    process.communicate(timeout=PATIENCE)
    deadline, pause = time.monotonic() + PATIENCE, threading.Event()
    while any(is_there(worker) for worker in workers):
        assert time.monotonic() < deadline, "they go on without it"
        pause.wait(0.05)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def is_taken(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def start_apart(run: Files, port: int, *workers: Files) -> tuple[subprocess.Popen[str], list[subprocess.Popen[str]]]:
    """Start a master and workers as one would on several machines."""
    expected = ["--expect-workers", str(len(workers) or 1)]
    master = run.start("--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", str(port), *expected)
    return master, [files.start("--worker", "--master-host", "127.0.0.1", "--master-port", str(port)) for files in workers]


def test_workers_that_were_started_apart(tmp_path: Path) -> None:
    with background_server(ServerSettings()) as bound:
        run = files(tmp_path, bound.address)
        master, workers = start_apart(run, free_port(), run, run)
        ends = [run.wait(process) for process in (master, *workers)]
        seen = metrics(bound.metrics_url or "")
    assert [(ended.code, ended.stderr) for ended in ends] == [(0, "")] * 3
    agree(run.read(), seen, workers=2)
    assert sorted(workers_of(run.record)) == sorted(worker.pid for worker in workers)


def test_a_worker_with_another_scenario_is_refused(server: Bound, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    run, other = files(tmp_path, server.address), files(tmp_path / "other", server.address)
    other.scenario.write_text(other.scenario.read_text().replace("users: 3", "users: 4"))
    master, (worker,) = start_apart(run, free_port(), other)
    ends: list[Ended] = [run.wait(process) for process in (master, worker)]
    complaint = (
        f"worker {socket.gethostname()}, process {worker.pid} has another scenario than its master; give all the same file"
    )
    assert [(ended.code, ended.stderr) for ended in ends] == [(2, f"controller-harness: {complaint}\n")] * 2
    assert not run.record.exists()


def test_workers_that_cannot_reach_the_endpoint_end_the_run_with_5(tmp_path: Path) -> None:
    run = files(tmp_path, f"127.0.0.1:{free_port()}")
    ended = run.run(*processes(2))
    assert ended.code == 5
    assert "does not answer" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not run.record.exists()


def test_a_spent_budget_is_shared_and_ends_the_run(server: Bound, tmp_path: Path) -> None:
    run = files(tmp_path, server.address, duration="60s", extra="budget: {jobs: 30}\n")
    ended = run.run(*processes(2))
    assert ended.code == ExitCode.USAGE
    assert re.search(r"worker \S+, process \d+: .*budget of 15", ended.stderr)
    assert ended.stderr.count("\n") == 1
    (ledger,) = lines_of(run.read().lines, Ledger)
    assert 0 < ledger.acknowledged_jobs <= 30


def test_the_page_of_a_master_starts_and_stops_runs(server: Bound, tmp_path: Path) -> None:
    run = files(tmp_path, server.address, duration="60s")
    port = free_port()
    words = [word for word in command(run.profile, run.scenario, run.record, processes(2)) if word != "--headless"]
    words += ["--web-host", "127.0.0.1", "--web-port", str(port)]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    page = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(f"{page}/stats/requests"), process)
        until(lambda: len(json.loads(get(f"{page}/stats/requests"))["workers"]) == 2, process)
        assert json.loads(get(f"{page}/swarm", b"host=" + server.address.encode()))["success"]
        until(lambda: json.loads(get(f"{page}/stats/requests"))["total_rps"] > 0, process)
        get(f"{page}/stop", b"")
        until(lambda: json.loads(get(f"{page}/stats/requests"))["state"] == "stopped", process)
        recorded: Counter[str] = Counter()
        for (rpc, _), count in calls_by(run.read()).items():
            recorded[rpc] += count
        assert recorded.total() > 0
        until(lambda: shown(json.loads(get(f"{page}/stats/requests"))["stats"]) == recorded, process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 130
    assert run.read().incomplete == ""


def shown(rows: list[dict[str, str | int]]) -> dict[str, int]:
    return {str(row["name"]): int(row["num_requests"]) for row in rows if row["method"] == "grpc"}
