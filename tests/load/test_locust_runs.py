"""Whole load runs: the record, Locust's own figures and the server's counts agree, and every way to end has its exit code."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.errors import ExitCode
from harness.gates import record_exit
from harness.record import Footer, Header, Interval, Latency, Ledger, Record, SectionEnd, SectionStart, ThresholdLine
from harness.recorder import RecordWriter, make_header
from harness.scenario import TRANSPORTS
from harness.server.embedded_thread import background_server
from harness.server.run import Bound
from harness.server.settings import ServerSettings
from loadtests.runner import LOCUSTFILE
from tests.edge.certificates import issue
from tests.load.locusts import Files, files, lines_of, metrics

PATIENCE = 60.0
"""Seconds to wait for something that always comes on a machine that is not stuck."""


@pytest.fixture(scope="module")
def server() -> Iterator[Bound]:
    with background_server(ServerSettings()) as bound:
        yield bound


def calls_by(record: Record) -> Counter[tuple[str, str]]:
    return Counter(
        {(line.name, line.code): line.histogram.count for line in lines_of(record.lines, Latency) if line.kind == "rpc"}
    )


def until(ready: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    pause = threading.Event()
    while not ready():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "waited in vain"
        pause.wait(0.05)


def has_intervals(record: Path) -> Callable[[], bool]:
    return lambda: record.exists() and '"type":"interval"' in record.read_text(encoding="utf-8")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_record_server_and_locust_count_the_same(transport: str, tmp_path: Path) -> None:
    limits = ["ledger_violations: count == 0", "jobs_finished: count > 0"]
    job = "controller-job duration=20ms estimate=20ms"  # long enough to be cancelled in
    with background_server(ServerSettings()) as bound:
        run = files(tmp_path, bound.address, thresholds=limits, job=job, transport=transport)
        ended = run.run("--csv", str(tmp_path / "locust"), progress=True)
        seen = metrics(bound.metrics_url or "")
    assert (ended.code, ended.stderr) == (0, "")

    record = run.read()
    assert record.incomplete == ""
    assert record_exit(record)[0] is ExitCode.OK
    made = calls_by(record)
    made["GetControllerJobStatus", "NOT_FOUND"] += 1  # the probe before the run
    prefix = "controller_requests_total{"
    served = {name: int(count) for name, count in seen.items() if name.startswith(prefix)}
    assert served == {f'{prefix}code="{code}",rpc="{rpc}"}}': count for (rpc, code), count in made.items()}

    (ledger,) = lines_of(record.lines, Ledger)
    assert ledger.acknowledged_jobs == ledger.finished == seen['controller_jobs_accepted_total{processor="qpu-1"}']
    assert ledger.canceled == seen['controller_jobs_finished_total{processor="qpu-1",status="canceled"}']
    assert ledger.replays == seen["controller_replays_total"]
    assert made["ExecuteControllerJob", "OK"] + made["BatchExecuteControllerJobs", "OK"] == ledger.submissions + ledger.replays
    assert min(ledger.submissions, ledger.replays, ledger.canceled) > 0

    made["GetControllerJobStatus", "NOT_FOUND"] -= 1
    by_rpc: Counter[str] = Counter()
    for line in lines_of(record.lines, Interval):
        by_rpc[line.rpc] += line.count
    assert by_rpc == Counter({rpc: count for (rpc, _), count in (+made).items()})
    assert locust_counts(tmp_path / "locust_stats.csv") == dict(by_rpc)

    events = [json.loads(line)["progress"] for line in ended.stdout.splitlines()]
    assert len(events) >= 2
    assert events[-1]["calls"] <= by_rpc.total()
    assert events[0]["rps"] == sum(line.count for line in lines_of(record.lines, Interval) if line.second == 0)
    assert {event["violations"] for event in events} == {0}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_run_over_tls(transport: str, tmp_path: Path) -> None:
    issue(tmp_path)
    settings = ServerSettings(tls_cert=str(tmp_path / "localhost.pem"), tls_key=str(tmp_path / "localhost.key"))
    with background_server(settings) as bound:
        run = files(tmp_path, bound.address, duration="1s", extra="tls: {roots: authority.pem}\n", transport=transport)
        ended = run.run()
    assert (ended.code, ended.stderr) == (0, "")
    (ledger,) = lines_of(run.read().lines, Ledger)
    assert ledger.finished == ledger.acknowledged_jobs > 0


def locust_counts(path: Path) -> dict[str, int]:
    rows = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    return {row[1]: int(row[2]) for row in rows if row[0] == "grpc"}


def test_the_record_says_what_was_run(server: Bound, tmp_path: Path) -> None:
    run = files(tmp_path, server.address, duration="1s", thresholds=["errors: rate < 1%"])
    assert run.run().code == 0
    record = run.read()
    assert [type(record.lines[index]) for index in (0, 1, -2, -1)] == [Header, SectionStart, SectionEnd, Footer]
    assert record.header.endpoint == server.address
    assert record.header.command[0] == "locust"
    (start,) = lines_of(record.lines, SectionStart)
    assert (start.section, start.planned) == ("load", 1)
    assert (start.detail["name"], start.detail["workload"]["replayed"]) == ("test", 0.3)
    (end,) = lines_of(record.lines, SectionEnd)
    assert (end.outcome, end.exit_code) == ("completed", 0)
    phases = [line.name for line in lines_of(record.lines, Latency) if line.kind == "lifecycle"]
    assert phases[0] == "queued"
    assert phases[-1] == "to_result"


def test_users_come_and_go_with_the_stages_of_a_ramp(server: Bound, tmp_path: Path) -> None:
    run = files(tmp_path, server.address)
    ramp = "stages: [{duration: 2s, users: 6}, {duration: 2s, users: 0}]"
    text = run.scenario.read_text().replace("constant-users", "ramping-users").replace("users: 3\nduration: 2s", ramp)
    run.scenario.write_text(text)
    ended = run.run()
    assert (ended.code, ended.stderr) == (0, "")
    record = run.read()
    users = [line.users for line in lines_of(record.lines, Interval) if line.rpc == "GetControllerJobStatus"]
    assert max(users) > users[-1]
    assert 0 < max(users) <= 6
    (ledger,) = lines_of(record.lines, Ledger)
    assert ledger.finished == ledger.acknowledged_jobs > 0


def test_a_record_that_somebody_else_began_gets_a_section_and_nothing_more(server: Bound, tmp_path: Path) -> None:
    run = files(tmp_path, server.address, duration="1s")
    header = make_header(command=("controller-harness", "load"), endpoint=server.address, profile={}, seed=5)
    RecordWriter.create(run.record, header).close()
    assert run.run().code == 0
    record = run.read()
    assert record.header == header
    assert record.footer is None
    assert [line.section for line in lines_of(record.lines, SectionEnd)] == ["load"]


def test_a_finished_record_is_left_alone(server: Bound, tmp_path: Path) -> None:
    run = files(tmp_path, server.address, duration="1s")
    header = make_header(command=("controller-harness", "load"), endpoint=server.address, profile={}, seed=5)
    RecordWriter.create(run.record, header).finish(0)
    before = run.record.read_bytes()
    ended = run.run()
    assert ended.code == ExitCode.USAGE
    assert ended.stderr == f"controller-harness: {run.record}: holds a finished run already; give another --record\n"
    assert run.record.read_bytes() == before


def test_a_missed_threshold_is_named_and_ends_with_1(server: Bound, tmp_path: Path) -> None:
    run = files(tmp_path, server.address, duration="1s", thresholds=["errors: rate < 1%", "jobs_finished: count > 1000000"])
    ended = run.run()
    assert (ended.code, ended.stderr) == (1, "")
    record = run.read()
    assert [line.held for line in lines_of(record.lines, ThresholdLine)] == [True, False]
    assert record_exit(record)[0] is ExitCode.BELOW_THRESHOLD


def test_failed_calls_alone_are_judged_by_thresholds_only(server: Bound, tmp_path: Path) -> None:
    run = files(tmp_path, server.address, duration="1s", thresholds=["rpcs: count > 0"])
    run.profile.write_text(run.profile.read_text().replace("qpu-1", "qpu-9"))
    ended = run.run()
    assert (ended.code, ended.stderr) == (0, "")
    assert set(calls_by(run.read())) <= {("ExecuteControllerJob", "NOT_FOUND"), ("BatchExecuteControllerJobs", "NOT_FOUND")}


@pytest.mark.parametrize(
    ("mutant", "requirement"),
    [("idem-key-ignored", "IDEM-01"), ("batch-key-ignored", "BATCH-05"), ("sta-unknown-1-in-20", "STA-02")],
)
def test_a_broken_promise_is_named_and_ends_with_3(mutant: str, requirement: str, tmp_path: Path) -> None:
    with background_server(ServerSettings(mutant=mutant)) as bound:
        run = files(tmp_path, bound.address)
        ended = run.run()
    assert (ended.code, ended.stderr) == (3, "")
    (ledger,) = lines_of(run.read().lines, Ledger)
    assert ledger.violation_count > 0
    assert {violation.requirement for violation in ledger.violations} == {requirement}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_dead_endpoint_is_one_line_and_ends_with_5(transport: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        run = files(tmp_path, address, transport=transport)
        ended = run.run()
    assert ended.code == 5
    assert ended.stderr.startswith(f"controller-harness: {address} does not answer")
    assert ended.stderr.count("\n") == 1
    assert not run.record.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_written_down_and_ends_with_130(number: signal.Signals, server: Bound, tmp_path: Path) -> None:
    run = files(tmp_path, server.address, duration="60s")
    process = run.start()
    until(has_intervals(run.record), process)
    process.send_signal(number)
    ended = run.wait(process)
    assert (ended.code, ended.stderr) == (130, "")
    record = run.read()
    assert record.incomplete == ""
    (end,) = lines_of(record.lines, SectionEnd)
    assert (end.outcome, end.exit_code, end.reason) == ("interrupted", 130, "interrupted before the scenario's 60 s were over")
    (ledger,) = lines_of(record.lines, Ledger)
    assert ledger.acknowledged_jobs == ledger.finished > 0
    assert lines_of(record.lines, ThresholdLine)


def test_a_second_signal_does_not_wait_for_users(tmp_path: Path) -> None:
    with background_server(ServerSettings(drain=0)) as bound:
        run = files(tmp_path, bound.address, duration="60s", job="controller-job duration=60s estimate=60s", patience="50s")
        process = run.start()
        until(has_intervals(run.record), process)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        ended = run.wait(process)
    assert (ended.code, ended.stderr) == (130, "")
    (ledger,) = lines_of(run.read().lines, Ledger)
    assert ledger.unfinished > 0


def test_a_signal_before_there_is_a_session_gives_no_traceback(tmp_path: Path) -> None:
    run = files(tmp_path, "127.0.0.1:1")
    started = tmp_path / "started"
    script = (
        "import pathlib, signal\n"
        "from loadtests.quiet import leave_quietly\n"
        "leave_quietly()\n"
        f"pathlib.Path({str(started)!r}).touch()\n"
        "signal.pause()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(started.exists, process)
    process.send_signal(signal.SIGINT)
    ended = run.wait(process)
    assert (ended.code, ended.stderr) == (130, "controller-harness: interrupted\n")


def test_an_endpoint_that_dies_ends_the_run_in_time_with_its_errors_counted(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "harness.server", '{"port": 0, "observer_port": null}']
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        bound = json.loads(server.stdout.readline())
        address = f"{bound['host']}:{bound['port']}"
        run = files(tmp_path, address, duration="3s", patience="1s", thresholds=["errors{code:UNAVAILABLE}: count == 0"])
        process = run.start()
        until(has_intervals(run.record), process)
        server.kill()
        ended = run.wait(process)
    finally:
        server.kill()
        server.communicate()
    assert (ended.code, ended.stderr) == (1, "")
    record = run.read()
    assert record.incomplete == ""
    assert sum(count for (_, code), count in calls_by(record).items() if code == "UNAVAILABLE") > 0
    assert lines_of(record.lines, SectionEnd)[0].outcome == "completed"


def test_a_spent_budget_ends_the_run_and_says_so(server: Bound, tmp_path: Path) -> None:
    run = files(tmp_path, server.address, duration="60s", extra="budget: {jobs: 30}\n")
    ended = run.run()
    assert ended.code == ExitCode.USAGE
    assert "budget of 30" in ended.stderr
    assert ended.stderr.count("\n") == 1
    record = run.read()
    (ledger,) = lines_of(record.lines, Ledger)
    assert 0 < ledger.acknowledged_jobs <= 30
    assert "budget of 30" in lines_of(record.lines, SectionEnd)[0].reason


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda run: run.scenario.write_text("name: s\nexecutor: constant-users\nuser: 4\n"),
            "scenario.yaml:3: user: unknown key",
        ),
        (lambda run: run.scenario.unlink(), "no such scenario"),
        (lambda run: run.profile.write_text("name: s\naddress: nowhere\njobs: {quick: {text: x}}\n"), "is not host:port"),
        (lambda run: run.profile.write_text("name: s\naddress: embedded\njobs: {quick: {text: x}}\n"), "controller-harness load"),
        (lambda run: run.profile.unlink(), "no such file"),
        (lambda run: run.scenario.write_text(run.scenario.read_text() + "x: [\n"), "not valid YAML"),
        (
            lambda run: run.scenario.write_text(run.scenario.read_text().replace("single: 1", "single: 1\n  job: slow")),
            "workload.job: the profile has no job 'slow'",
        ),
        (
            lambda run: run.scenario.write_text(
                run.scenario.read_text().replace("single: 1", "single: 1\n  jobs: {quick: 1, slow: 2}")
            ),
            "workload.jobs: the profile has no job 'slow'",
        ),
        (
            lambda run: run.scenario.write_text(
                run.scenario.read_text().replace("single: 1", "single: 1\n  memory_values_per_configuration: 2")
            ),
            "workload.memory_region: the profile's job 'quick' has no memory region to fill; name one with memory_region",
        ),
    ],
)
def test_what_cannot_be_run_is_one_line_and_ends_with_2(change: Callable[[Files], object], told: str, tmp_path: Path) -> None:
    run = files(tmp_path, "127.0.0.1:1")
    change(run)
    ended = run.run()
    assert ended.code == 2
    assert told in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not run.record.exists()


def get(url: str, data: bytes | None = None) -> bytes:
    with urllib.request.urlopen(url, data, timeout=PATIENCE) as response:  # noqa: S310 - loopback
        body: bytes = response.read()
    return body


def answers(url: str) -> bool:
    try:
        get(url)
    except (urllib.error.URLError, ConnectionError):
        return False
    return True


def test_plain_locust_serves_its_page_and_starts_and_stops_runs_from_it(server: Bound, tmp_path: Path) -> None:
    run = files(tmp_path, server.address, duration="1s")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "CONTROLLER_HARNESS_PROFILE": str(run.profile),
        "CONTROLLER_HARNESS_SCENARIO": str(run.scenario),
        "CONTROLLER_HARNESS_RECORD": str(run.record),
    }
    words = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--web-host", "127.0.0.1", "--web-port", str(port)]
    process = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    page = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(f"{page}/stats/requests"), process)
        assert json.loads(get(f"{page}/stats/requests"))["state"] == "ready"
        assert server.address.encode() in get(page)
        assert json.loads(get(f"{page}/swarm", b"host=" + server.address.encode()))["success"]
        until(lambda: json.loads(get(f"{page}/stats/requests"))["state"] == "stopped", process)
        figures = json.loads(get(f"{page}/stats/requests"))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 0
    shown = {row["name"]: row["num_requests"] for row in figures["stats"] if row["method"] == "grpc"}
    recorded: Counter[str] = Counter()
    for (rpc, _), count in calls_by(run.read()).items():
        recorded[rpc] += count
    assert shown == recorded
    assert run.read().incomplete == ""
