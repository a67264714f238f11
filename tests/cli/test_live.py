"""What is to be seen while a run goes on: in a terminal, elsewhere, and in CI."""

from __future__ import annotations

import io
import signal
from typing import Any

import pytest

from harness.cli.progress import Display
from harness.cli.screen import Screen
from harness.cli.tally import Tally
from tests.cli.commands import COMMAND, PROFILE, Cli
from tests.cli.terminal import Seen, Terminal, run_in_terminal

OPEN = """\
name: open
executor: ramping-arrival-rate
stages:
  - {name: calm, duration: 2s, rate: 40}
  - {name: peak, duration: 2s, rate: 80}
preallocated_users: 4
workload: {job: quick}
follow: {poll_min: 5ms, poll_max: 50ms, deadline: 5s}
"""
SECOND = {
    "elapsed": 12.0,
    "total": 45.0,
    "stage": "rise",
    "offered": 60,
    "late": 0,
    "dropped": 3,
    "users": 50,
    "rps": 1234,
    "p50": 1.21,
    "p95": 3.45,
    "p99": 5.67,
    "in_flight": 7,
    "calls": 9000,
    "errors": 0,
    "jobs_finished": 8,
    "violations": 0,
}


@pytest.fixture(autouse=True)
def nobody_asked_for_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def screen(width: int = 80, *, terminal: bool = True) -> tuple[Screen, io.StringIO]:
    file = io.StringIO()
    return Screen(file=file, force_terminal=terminal, width=width, height=40), file


def seen(file: io.StringIO, width: int = 80) -> Seen:
    terminal = Terminal(width)
    terminal.feed(file.getvalue())
    return Seen(0, terminal)


def begin(done: int, title: str, check: str = "test_sta.py::test_a") -> dict[str, Any]:
    return {"event": "begin", "check": check, "title": title, "done": done, "planned": 20}


def end(done: int, verdict: str, **more: Any) -> dict[str, Any]:
    fields = {"event": "end", "check": "test_sta.py::test_a", "title": "A job moves", "requirements": ["STA-01"]}
    return {**fields, "verdict": verdict, "failed_must": True, "done": done, "planned": 20, **more}


# In a terminal


def test_checks_show_chapter_title_counts_and_time() -> None:
    board, file = screen()
    with Display(board, "conformance") as display:
        display.check_event({"event": "plan", "text": "tier full: 20 checks"})
        display.check_event(begin(4, "A job only moves forward " * 5))
        display.check_event(end(5, "fail"))
        display.check_event(end(6, "inconclusive"))
    found = seen(file)
    found.once(r"^tier full: 20 checks$")
    found.once(r"^conformance ━+[╸╺]?━+ +6/20 0:00:0\d ETA ")
    assert len(found.once(r"^  STA A job only moves forward .*…$")[0]) == 80
    found.once(r"^  1 failed, 1 open$")
    found.once(r"^FAIL STA-01  A job moves  \(test_sta.py::test_a\)$")
    assert "━" not in found.terminal.screen
    assert not found.terminal.hidden


def test_load_shows_stage_rates_latencies_and_what_is_left() -> None:
    board, file = screen()
    with Display(board, "load", 45.0) as display:
        display.load_event({"progress": SECOND})
    found = seen(file)
    found.once(r"^load ━+[╸╺]?━+ 12/45 s ETA 0:00:33$")
    found.once(r"^  rise  1,234 calls/s  60 starts/s due  3 dropped  0 late$")
    found.once(r"^  p50 1.2  p95 3.5  p99 5.7 ms  0 errors  7 in flight  50 users$")


def test_load_by_users_shows_no_starts() -> None:
    board, file = screen()
    with Display(board, "load", 45.0) as display:
        display.load_event({"progress": {**SECOND, "offered": None, "stage": "", "errors": 2, "violations": 1}})
    found = seen(file)
    found.once(r"^  1,234 calls/s$")
    found.once(r"^  p50 .* 2 errors .* 1 violations$")


def test_the_end_of_a_load_is_told_apart_from_its_course() -> None:
    board, file = screen()
    with Display(board, "load", 45.0) as display:
        display.load_event({"progress": {**SECOND, "elapsed": 47.0}})
    found = seen(file)
    found.once(r"^load ━+ 45/45 s ETA 0:00:00$")
    found.once(r"^  rise  finishing  1,234 calls/s")


def test_a_search_may_end_sooner() -> None:
    board, file = screen()
    with Display(board, "load", 7200.0, may_end_sooner=True) as display:
        display.load_event({"progress": SECOND})
    seen(file).once(r"12/7200 s ETA at most 1:59:48$")


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_no_row_is_wider_than_the_terminal(width: int) -> None:
    board, file = screen(width)
    with Display(board, "conformance") as display:
        display.check_event(begin(4, "[/] \x1b[31m A job only moves forward " * 9))
    with Display(board, "load", 3600.0) as display:
        display.load_event({"progress": SECOND})
    found = seen(file, 10**6).terminal
    assert max(len(row) for shown in found.screens for row in shown.splitlines()) <= width
    assert found.screen == ""


def test_a_terminal_with_few_letters_gets_no_others() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="latin-1", errors="backslashreplace")
    board = Screen(file=file, force_terminal=True, width=60, height=40)
    with Display(board, "conformance") as display:
        display.check_event(begin(4, "A job only moves forward " * 5))
    file.flush()
    terminal = Terminal(10**6)
    terminal.feed(raw.getvalue().decode("latin-1"))
    assert max(len(row) for shown in terminal.screens for row in shown.splitlines()) <= 60
    assert not any("\\" in shown for shown in terminal.screens)


def test_trials_show_the_last_one_and_how_many_were_bad() -> None:
    board, file = screen()
    with Tally(board, "self-test", 30) as tally:
        tally.done("uuid-accepts-zero: killed", bad=False)
        tally.done("sta-goes-back: survived", bad=True)
    found = seen(file)
    found.once(r"^self-test ━+[╸╺]?━+  2/30 0:00:0\d ETA ")
    found.once(r"^  1 bad$")
    assert found.terminal.screen == "sta-goes-back: survived"


def test_an_interrupt_is_answered_at_once() -> None:
    board, file = screen(120)
    with Display(board, "load", 45.0) as display:
        display.stopping()
    found = seen(file, 120)
    found.once(r"^load, stopping ━")
    assert found.terminal.screen.startswith("interrupted: waiting for what was gathered to be written")


def test_ctrl_c_is_answered_before_the_run_has_ended(cli: Cli) -> None:
    record = cli.folder / "o" / "record.jsonl"
    with cli.started("conformance", "--chapter", "STA", "--out", "o") as started:
        started.until(lambda: record.exists() and '"type":"check"' in record.read_text(encoding="utf-8"))
        started.send(signal.SIGINT)
        assert started.line("interrupted: waiting for what was gathered")
        assert started.end().code == 130


# Elsewhere


def test_without_a_terminal_lines_are_plain() -> None:
    board, file = screen(terminal=False)
    with Display(board, "conformance") as display:
        display.check_event(begin(0, "First"))
        display.check_event(begin(1, "Second"))
        display.check_event(end(2, "inconclusive"))
        display.check_event(begin(2, "Third", "test_uuid.py::test_b"))
        display.check_event(end(3, "fail", failed_must=False))
    lines = ["    0/20  STA", "    2/20  UUID", "warn STA-01  A job moves  (test_sta.py::test_a)"]
    assert file.getvalue().splitlines() == lines


def test_in_ci_only_failures_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    board, file = screen()
    with Display(board, "conformance") as display:
        display.check_event(begin(0, "First"))
        display.check_event(end(1, "fail"))
        display.check_event(end(2, "inconclusive"))
    with Tally(board, "self-test", 3) as tally:
        tally.done("a: killed", bad=False)
        tally.done("b: survived", bad=True)
    assert seen(file).terminal.screens == ["FAIL STA-01  A job moves  (test_sta.py::test_a)\nb: survived"]


# Whole commands in a pseudo-terminal


def test_a_conformance_run_in_a_terminal(cli: Cli) -> None:
    profile = cli.write("profile.yaml", PROFILE.format(address="embedded", more="embedded: {mutant: uuid-accepts-zero}"))
    found = run_in_terminal([*COMMAND, "conformance", "--profile", str(profile), "--chapter", "UUID", "--out", "o"], cli.folder)
    assert found.code == 3
    found.once(r"^conformance ━.* \d+/\d+ 0:00:\d\d ETA ")
    found.once(r"^  UUID \S+")
    found.once(r"^report ━+$")
    last = found.terminal.screen
    assert "━" not in last
    assert "FAIL UUID-02" in last
    assert "report: o/report.html" in last
    assert not found.terminal.hidden


def test_an_open_load_in_a_terminal(cli: Cli) -> None:
    cli.write("open.yaml", OPEN)
    found = run_in_terminal([*COMMAND, "load", "open.yaml", "--out", "o"], cli.folder)
    assert found.code in {0, 1, 4}, found.terminal.screen  # a busy machine may drop starts, or fall behind
    found.once(r"^load ━.* [1-4]/4 s ETA 0:00:0[0-3]$")
    found.once(r"^  (calm|peak)  (finishing  )?[\d,]+ calls/s  \d+ starts/s due  \d+ dropped  \d+ late$")
    found.once(r"^  p50 [\d.]+  p95 [\d.]+  p99 [\d.]+ ms  \d+ errors  \d+ in flight  4 users")
    assert "━" not in found.terminal.screen
    assert "report: o/report.html" in found.terminal.screen
