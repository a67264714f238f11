"""Open load runs on a real Controller: the offered rate is made, slowness shows, and a slow generator is no slow endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import ExitCode
from harness.gates import record_exit
from harness.histogram import Histogram
from harness.record import Arrivals, Interval, Latency, Record, SectionEnd, SectionStart, ThresholdLine
from harness.server.embedded_thread import background_server
from harness.server.run import Bound
from harness.server.settings import ServerSettings
from tests.load.locusts import Files, files, lines_of

QUICK, SLOW = "controller-job duration=2ms estimate=2ms", "controller-job duration=300ms estimate=300ms"
CALM = "late_after: 5s, behind_limit: 1"
"""Rules for runs whose outcome is not to depend on how busy this machine is."""


@pytest.fixture(scope="module")
def server() -> Iterator[Bound]:
    with background_server(ServerSettings()) as bound:
        yield bound


def open_run(
    folder: Path, address: str, text: str, *thresholds: str, job: str = "controller-job duration=2ms estimate=2ms"
) -> Files:
    run = files(folder, address, job=job)
    limits = "".join(f'\n- "{limit}"' for limit in (*thresholds, "ledger_violations: count == 0"))
    follow = "" if "follow:" in text else "follow: {poll_min: 5ms, poll_max: 50ms, deadline: 20s}\n"
    run.scenario.write_text(f"name: open\n{text}{follow}thresholds:{limits}\n")
    return run


def merged(record: Record, kind: str, name: str) -> Histogram:
    histogram = Histogram()
    for line in lines_of(record.lines, Latency):
        if (line.kind, line.name, line.measured) == (kind, name, True):
            histogram.merge(line.histogram)
    return histogram


@pytest.mark.parametrize("spacing", ["even", "poisson"])
def test_a_fast_server_is_offered_every_start(spacing: str, server: Bound, tmp_path: Path) -> None:
    text = (
        "executor: constant-arrival-rate\nrate: 1200\ntime_unit: 1min\nduration: 3s\npreallocated_users: 60\n"
        f"seed: 5\nstarts: {{spacing: {spacing}, {CALM}}}\n"
    )
    run = open_run(tmp_path, server.address, text, "errors: count == 0", "iterations: rate > 10/s", "late: rate < 50%")
    ended = run.run()
    assert (ended.code, ended.stderr) == (0, "")
    record = run.read()
    (starts,) = lines_of(record.lines, Arrivals)
    assert (starts.dropped, starts.waited) == (0, 0)
    assert starts.started == merged(record, "scheduling", "start").count
    assert (starts.started == 60) is (spacing == "even")
    assert 30 < starts.started < 90
    response, service = (merged(record, kind, "ExecuteControllerJob") for kind in ("rpc", "service"))
    assert response.count == service.count == starts.started
    assert response.total >= service.total
    (start,) = lines_of(record.lines, SectionStart)
    assert start.detail["thresholds"][-1] == "dropped: rate < 1%"


def test_a_slow_server_shows_in_response_times_and_in_drops(server: Bound, tmp_path: Path) -> None:
    """Two users whose jobs take 300 ms cannot keep up with 40 starts a second: what waits has long response times."""
    text = (
        "executor: constant-arrival-rate\nrate: 40\nduration: 3s\npreallocated_users: 2\n"
        f"starts: {{wait: 1s, {CALM}}}\nfollow: {{poll_min: 100ms, poll_max: 300ms, deadline: 20s}}\n"
    )
    run = open_run(tmp_path, server.address, text, job=SLOW)
    ended = run.run()
    assert (ended.code, ended.stderr) == (1, "")
    record = run.read()
    (starts,) = lines_of(record.lines, Arrivals)
    assert starts.scheduled == 120
    assert starts.dropped > 60
    assert starts.waited > 0
    assert starts.late == 0
    response, service = (merged(record, kind, "ExecuteControllerJob") for kind in ("rpc", "service"))
    assert response.percentile(50) > 300_000
    assert response.total > 5 * service.total
    assert [line.expression for line in lines_of(record.lines, ThresholdLine) if not line.held] == ["dropped: rate < 1%"]


def test_the_pool_grows_when_starts_find_no_free_user(server: Bound, tmp_path: Path) -> None:
    text = (
        "executor: ramping-arrival-rate\nstart_rate: 10\nstages: [{duration: 2s, rate: 10}, {duration: 4s, rate: 0}]\n"
        f"preallocated_users: 1\nmax_users: 60\nstarts: {{wait: 10s, {CALM}}}\n"
    )
    run = open_run(tmp_path, server.address, text, "dropped: rate < 50%", job="controller-job duration=100ms estimate=100ms")
    ended = run.run()
    assert (ended.code, ended.stderr) == (0, "")
    record = run.read()
    starts = lines_of(record.lines, Arrivals)
    assert sum(line.scheduled for line in starts) == 40
    assert sum(line.waited for line in starts) > 0
    assert 1 < max(line.users for line in lines_of(record.lines, Interval)) <= 60


BUSY = """
import time
import gevent
from loadtests.locustfile import *
from loadtests.locustfile import hooks

burning = []

def burn():
    while True:
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            pass
        gevent.sleep(0.001)

hooks.test_start.add_listener(lambda **_: burning.append(gevent.spawn(burn)))
hooks.test_stopping.add_listener(lambda **_: burning.pop().kill())
"""


def test_a_generator_that_cannot_keep_up_is_said_to_be_at_fault(server: Bound, tmp_path: Path) -> None:
    locustfile = tmp_path / "busy.py"
    locustfile.write_text(BUSY)
    text = "executor: constant-arrival-rate\nrate: 50\nduration: 2s\npreallocated_users: 5\nstarts: {late_after: 100ms}\n"
    run = open_run(tmp_path, server.address, text)
    ended = run.run("-f", str(locustfile))
    assert (ended.code, ended.stderr) == (4, "")
    record = run.read()
    (starts,) = lines_of(record.lines, Arrivals)
    assert starts.late + starts.dropped_behind > 50
    (end,) = lines_of(record.lines, SectionEnd)
    assert end.reason.startswith("The generator fell behind: of 100 starts,")
    code, reason = record_exit(record)
    assert code is ExitCode.NOT_VALID
    assert "fell behind" in reason


def test_a_warm_up_is_kept_apart(server: Bound, tmp_path: Path) -> None:
    text = (
        "executor: ramping-arrival-rate\nstart_rate: 10\nstages:\n- {name: warm-up, duration: 2s, rate: 10, measured: false}\n"
        "- {name: steady, duration: 2s, rate: 30}\n- {duration: 1s, rate: 0}\n"
        f"preallocated_users: 50\nstarts: {{{CALM}}}\n"
    )
    limits = ["rpcs{rpc:ExecuteControllerJob,stage:steady}: count == 40", "rpcs{rpc:ExecuteControllerJob}: count == 55"]
    run = open_run(tmp_path, server.address, text, *limits, "dropped{stage:3}: count == 0", "iterations: rate < 30/s")
    ended = run.run()
    record = run.read()
    assert [line.reason for line in lines_of(record.lines, ThresholdLine) if not line.held] == []
    assert (ended.code, ended.stderr) == (0, "")
    counts = [(line.stage, line.measured, line.started) for line in lines_of(record.lines, Arrivals)]
    assert counts == [("warm-up", False, 20), ("steady", True, 40), ("3", True, 15)]
    stages = {(line.stage, line.measured) for line in lines_of(record.lines, Latency)}
    assert stages == {("warm-up", False), ("steady", True), ("3", True)}


def test_a_closed_loop_has_stages_too(server: Bound, tmp_path: Path) -> None:
    text = (
        "executor: ramping-users\nstages:\n- {name: up, duration: 3s, users: 4, measured: false}\n"
        "- {name: high, duration: 2s, users: 4}\n"
    )
    run = open_run(tmp_path, server.address, text, "rpcs{stage:high}: count > 0", "service_duration{stage:high}: count > 0")
    assert run.run().code == 0
    record = run.read()
    found = lines_of(record.lines, Latency)
    assert {(line.stage, line.measured) for line in found} == {("up", False), ("high", True)}
    assert {line.kind for line in found} == {"rpc", "lifecycle", "lifecycle_error"}
    assert lines_of(record.lines, Arrivals) == []
