"""A limit that may end a run early does so in order: what was begun is finished, counted and judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import ExitCode
from harness.gates import record_exit
from harness.record import Latency, Ledger, Line, SectionEnd, ThresholdLine
from harness.scenario import load_scenario
from harness.server.embedded_thread import background_server
from harness.server.run import Bound
from harness.server.settings import ServerSettings
from loadtests.conclude import Conclusion
from loadtests.parcels import Parcel, together
from loadtests.sink import Sink
from tests.load.locusts import files, lines_of
from tests.load.test_open_runs import CALM
from tests.reports.records import histogram

CLOSED = "name: s\nexecutor: constant-users\nusers: 3\nduration: 10min\n"
OPEN = f"name: s\nexecutor: constant-arrival-rate\nrate: 20\nduration: 10min\npreallocated_users: 20\nstarts: {{{CALM}}}\n"
FOLLOW = "follow: {poll_min: 5ms, poll_max: 50ms, deadline: 20s}\n"
BROKEN = "rpc_duration{rpc:GetStatus}: avg < 1us"
LIMITS = f"""thresholds:
- "dropped: rate < 100%"
- {{limit: "{BROKEN}", abort_on_fail: true, delay: 1s}}
- {{limit: "errors: rate < 50%", abort_on_fail: true}}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Bound]:
    with background_server(ServerSettings()) as bound:
        yield bound


@pytest.mark.parametrize(("text", "extra"), [(CLOSED, ()), (OPEN, ()), (CLOSED, ("--processes", "2"))])
def test_a_run_ends_early_by_a_limit(text: str, extra: tuple[str, ...], server: Bound, tmp_path: Path) -> None:
    run = files(tmp_path, server.address)
    run.scenario.write_text(text + FOLLOW + LIMITS)
    ended = run.run(*extra)
    assert (ended.code, ended.stderr) == (1, "")
    record = run.read()
    (end,) = lines_of(record.lines, SectionEnd)
    assert (end.outcome, end.exit_code) == ("aborted", 1)
    assert f"by the limit {BROKEN}: measured" in end.reason
    limits = {line.expression: line.held for line in lines_of(record.lines, ThresholdLine)}
    assert (limits[BROKEN], limits["errors: rate < 50%"]) == (False, True)
    (ledger,) = lines_of(record.lines, Ledger)
    assert (ledger.unfinished, ledger.unknown_submissions, ledger.violation_count) == (0, 0, 0)
    assert ledger.finished > 0
    code, reason = record_exit(record)
    assert code is ExitCode.BELOW_THRESHOLD
    assert BROKEN in reason


class Kept(Sink):
    """Keeps the lines of a run in memory."""

    def __init__(self) -> None:
        super().__init__(None, None)
        self.lines: list[Line] = []

    def write(self, line: Line) -> None:
        self.lines.append(line)


def parcel(good: int, bad: int) -> Parcel:
    counts = {"OK": good, "UNAVAILABLE": bad}
    lines = [Latency("rpc", "ExecuteControllerJob", code, histogram([5] * count)) for code, count in counts.items()]
    return replace(together([]), latencies=tuple(lines), span=7.0)


def test_a_limit_that_ended_a_run_is_missed_even_if_it_holds_in_the_end() -> None:
    limit = "errors: rate < 10%"
    text = CLOSED + f'thresholds: [{{limit: "{limit}", abort_on_fail: true}}]\n'
    sink = Kept()
    conclusion = Conclusion(load_scenario(text, "s.yaml"), sink, lambda _: None)
    conclusion.take(parcel(95, 5))
    assert not conclusion.is_broken()
    conclusion.take(parcel(80, 20))
    assert conclusion.is_broken()
    conclusion.take(parcel(980, 20))
    assert conclusion.is_broken()
    assert conclusion.close(None, interrupted=False) is ExitCode.BELOW_THRESHOLD
    (line,) = lines_of(sink.lines, ThresholdLine)
    assert (line.held, line.reason) == (False, "measured 20%, the limit is < 10%")
    (end,) = lines_of(sink.lines, SectionEnd)
    assert (end.outcome, end.reason) == ("aborted", f"ended 7 s after its start by the limit {limit}: {line.reason}")
