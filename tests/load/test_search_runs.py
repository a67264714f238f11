"""Searches on a real Controller whose limit is known: one executor and the length of its jobs say how many it can do."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.record import Arrivals, Interval, Latency, Ledger, SearchLine, SectionEnd, ThresholdLine
from harness.server.embedded_thread import background_server
from harness.server.run import Bound
from harness.server.settings import ServerSettings
from tests.load.locusts import Files, files, lines_of
from tests.load.test_open_runs import BUSY, CALM

LIMIT = 20
"""Jobs of 50 ms that one executor can do in a second."""
SEARCH = """\
name: search
executor: slo-search
rate: {rate}
max_rate: {most}
duration: {duration}
preallocated_users: 60
search: {{factor: 4, precision: 1, probe: {probe}, settle: 200ms, cool_down: 700ms, confirmations: 2}}
starts: {{{starts}}}
follow: {{poll_min: 20ms, poll_max: 100ms, deadline: 20s}}
thresholds:
- "errors: rate < 50%"
- "jobs_unfinished: count == 0"
- "iterations: rate > 1/s"
- "ledger_violations: count == 0"
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Bound]:
    with background_server(ServerSettings(executors=1)) as bound:
        yield bound


def search(
    folder: Path, server: Bound, *, rate: int, most: int, job: str, probe: str = "2s", duration: str = "2s", starts: str = CALM
) -> Files:
    run = files(folder, server.address, job=job)
    run.scenario.write_text(SEARCH.format(rate=rate, most=most, probe=probe, duration=duration, starts=starts))
    return run


def test_the_limit_of_an_endpoint_is_found(server: Bound, tmp_path: Path) -> None:
    run = search(tmp_path, server, rate=2, most=32, job="controller-job duration=50ms estimate=50ms")
    ended = run.run()
    assert (ended.code, ended.stderr) == (0, "")
    record = run.read()
    (found,) = lines_of(record.lines, SearchLine)
    assert (found.ending, found.at_least) == ("endpoint", False)
    assert 2 <= found.found < 1.5 * LIMIT
    failed = [probe for probe in found.probes if probe.outcome == "failed"]
    assert failed[0].rate <= 32
    assert failed[0].limit
    assert failed[0].observed
    last = found.probes[-1]
    assert (last.outcome, last.confirms, last.rate) == ("held", True, found.found)
    assert {line.stage for line in lines_of(record.lines, Arrivals) if line.measured} == {last.stage}
    assert {line.stage for line in lines_of(record.lines, Latency) if line.measured} == {last.stage}
    (ledger,) = lines_of(record.lines, Ledger)
    assert ledger.submissions == sum(line.started for line in lines_of(record.lines, Arrivals))
    assert sum(line.count for line in lines_of(record.lines, Interval)) > ledger.submissions
    assert all(line.held for line in lines_of(record.lines, ThresholdLine))
    (end,) = lines_of(record.lines, SectionEnd)
    assert end.reason.startswith("Search: the endpoint keeps its limits at ")


def test_an_endpoint_that_takes_everything_is_said_to_take_at_least_that(server: Bound, tmp_path: Path) -> None:
    run = search(tmp_path, server, rate=4, most=8, job="controller-job duration=2ms estimate=2ms", probe="1s", duration="1s")
    with run.scenario.open("a") as text:
        text.write("engine: callbacks\n")
    ended = run.run()
    assert (ended.code, ended.stderr) == (0, "")
    (found,) = lines_of(run.read().lines, SearchLine)
    assert (found.found, found.at_least, found.ending) == (8.0, True, "maximum")
    assert [(probe.rate, probe.confirms) for probe in found.probes] == [(4.0, False), (8.0, False), (8.0, True)]


def test_an_endpoint_that_fails_even_the_lowest_rate_falls_short(server: Bound, tmp_path: Path) -> None:
    run = search(tmp_path, server, rate=40, most=80, job="controller-job duration=50ms estimate=50ms")
    ended = run.run()
    assert (ended.code, ended.stderr) == (1, "")
    (found,) = lines_of(run.read().lines, SearchLine)
    assert (found.found, found.ending, len(found.probes)) == (0.0, "lowest", 1)


def test_a_generator_that_falls_behind_finds_nothing_out(server: Bound, tmp_path: Path) -> None:
    locustfile = tmp_path / "busy.py"
    locustfile.write_text(BUSY)
    job = "controller-job duration=2ms estimate=2ms"
    run = search(tmp_path, server, rate=30, most=60, job=job, probe="500ms", starts="late_after: 100ms")
    ended = run.run("-f", str(locustfile))
    assert (ended.code, ended.stderr) == (4, "")
    (found,) = lines_of(run.read().lines, SearchLine)
    assert (found.found, found.ending) == (0.0, "generator")
    assert {probe.outcome for probe in found.probes} == {"behind"}


def test_an_interrupted_search_tells_what_it_tried(server: Bound, tmp_path: Path) -> None:
    run = search(tmp_path, server, rate=4, most=8, job="controller-job duration=2ms estimate=2ms", duration="10min")
    process = run.start(progress=True)
    assert process.stdout is not None
    for _ in range(2):
        assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert run.wait(process).code == 130
    record = run.read()
    (found,) = lines_of(record.lines, SearchLine)
    assert (found.found, found.ending) == (0.0, "unfinished")
    (end,) = lines_of(record.lines, SectionEnd)
    assert (end.outcome, end.reason) == ("interrupted", "interrupted before the search was over")
