"""Lanes, end to end: suites of their own on several targets of the embedded server, with rendezvous instead of luck."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from harness.record import Footer, SectionEnd, SectionStart
from harness.recorder import load_record
from tests.conformance.runs import SUITES, Outcome, profile
from tests.conformance.test_plugin import PREAMBLE, run_check

PATIENCE = 60.0
ENDLESS = {"duration=800ms estimate=800ms\n    duration: 800ms": "duration=3600s estimate=3600s\n    duration: 3600s"}
"""Makes a `slow` job one whose result nobody lives to see."""
HANG = """
    def hang(case: Case, began: threading.Event | None = None) -> None:
        # Past the case, so that no clean-up stumbles over the closed connection before there is a verdict.
        job_id, = case.client.execute(case.requests.execute("slow")).job_execution_ids
        if began is not None:
            began.set()
        case.accept("RES-01", case.requests.results(job_id), "a call that does not end")
"""


def lanes(count: int) -> tuple[str, ...]:
    return ("--lanes", str(count))


def checks(body: str, *names: str, covers: str = '"EXEC-01"') -> str:
    """Write one check per name, all with the same body."""
    text = ""
    for name in names:
        text += f"\n@covers({covers})\ndef test_{name}(case: Case) -> None:\n    '''Check {name}.'''\n"
        text += textwrap.indent(textwrap.dedent(body).strip().replace("NAME", name), "    ") + "\n"
    return text


def suite(*parts: str) -> str:
    return "import os, signal, sys, threading\n" + "\n".join(textwrap.dedent(part) for part in parts)


def expect_ended(outcome: Outcome, how: str, code: int) -> None:
    """Expect that the run left a whole record, whose lines stand in the order in which checks were collected."""
    lines = outcome.record.lines
    starts = [line for line in lines if isinstance(line, SectionStart)]
    ends = [line for line in lines if isinstance(line, SectionEnd)]
    assert len(starts) == 1
    assert [(end.outcome, end.exit_code) for end in ends] == [(how, code)], outcome.output
    assert isinstance(outcome.record.footer, Footer)
    assert (outcome.code, outcome.record.footer.exit_code) == (code, code), outcome.output
    names = [line.check for line in outcome.checks]
    assert names == sorted(names)


def test_checks_meet_on_lanes_and_the_record_keeps_their_order(tmp_path: Path) -> None:
    ends_backwards = """
    meeting.wait(30)
    case.submit()
    if "NAME" < "c":
        assert after["NAME"].wait(30)
    before["NAME"].set()
    """
    setup = "meeting = threading.Barrier(3)\na, b, c = (threading.Event() for _ in range(3))\n"
    setup += 'before, after = {"a": a, "b": b, "c": c}, {"a": b, "b": c}\n'
    outcome = run_check(tmp_path, suite(setup, checks(ends_backwards, "a", "b", "c")), arguments=lanes(3))
    assert [line.verdict for line in outcome.checks] == ["pass"] * 3, outcome.output
    expect_ended(outcome, "completed", 0)
    (start,) = [line for line in outcome.record.lines if isinstance(line, SectionStart)]
    assert start.detail["lanes"] == 3


def test_checks_cannot_meet_on_one_lane(tmp_path: Path) -> None:
    setup = "meeting = threading.Barrier(2)"
    lonely = """
    try:
        meeting.wait(0.2)
    except threading.BrokenBarrierError:
        meeting.reset()
    else:
        raise AssertionError("somebody came")
    """
    outcome = run_check(tmp_path, suite(setup, checks(lonely, "a", "b", "c")), arguments=lanes(1))
    assert [line.verdict for line in outcome.checks] == ["pass"] * 3, outcome.output


def test_a_target_has_one_check_at_a_time(tmp_path: Path) -> None:
    setup = "lock, meeting, busy, seen = threading.Lock(), threading.Barrier(3), set(), set()"
    exclusive = """
    target = case.profile.target.name
    with lock:
        assert target not in busy, "two on one target"
        busy.add(target)
        seen.add(target)
    if "NAME" < "d":
        meeting.wait(30)
        assert len(seen) == 3, "three that meet are on three targets"
    case.submit()
    with lock:
        busy.remove(target)
    """
    outcome = run_check(
        tmp_path, suite(setup, checks(exclusive, *"abcdefghijkl", covers='"EXEC-01", exclusive=True')), arguments=lanes(3)
    )
    assert [line.verdict for line in outcome.checks] == ["pass"] * 12, outcome.output


def test_a_check_that_is_alone_overlaps_with_none_and_comes_last(tmp_path: Path) -> None:
    setup = "lock, busy, shared = threading.Lock(), [], threading.Barrier(3)\nlonely = threading.Event()"
    alone = """
    lonely.set()
    with lock:
        assert not busy, busy
        busy.append("NAME")
    case.submit(count=3)
    with lock:
        assert busy == ["NAME"], busy
        busy.clear()
    """
    in_company = """
    shared.wait(30)
    with lock:
        busy.append("NAME")
    assert not lonely.wait(0.2), "somebody began to be alone"
    with lock:
        busy.remove("NAME")
    """
    body = suite(setup, checks(alone, "a", "b", "c", covers='"EXEC-01", alone=True'), checks(in_company, "d", "e", "f"))
    outcome = run_check(tmp_path, body, arguments=lanes(3))
    assert [line.verdict for line in outcome.checks] == ["pass"] * 6, outcome.output
    assert [line.check[-1] for line in outcome.checks] == [*"defabc"]


def test_a_long_check_begins_first(tmp_path: Path) -> None:
    setup = "began = threading.Event()"
    first = 'assert began.wait(30), "the long one did not begin"'
    body = suite(setup, checks(first, "a", "b"), checks("began.set()", "c", covers='"EXEC-01", long=True'))
    outcome = run_check(tmp_path, body, arguments=lanes(2))
    assert [line.verdict for line in outcome.checks] == ["pass"] * 3, outcome.output
    expect_ended(outcome, "completed", 0)


def test_the_first_failure_stops_all_lanes(tmp_path: Path) -> None:
    fail = """
    assert began.wait(30)
    call = case.accept("EXEC-01", case.requests.execute(), "a request")
    case.expect("EXEC-01", False, "this", "that", call)
    """
    setup = "began = threading.Event()"
    body = suite(setup, HANG, checks("case.submit()", "a"), checks(fail, "b"), checks("hang(case, began)", "c", "d", "e", "f"))
    outcome = run_check(tmp_path, body, replace=ENDLESS, arguments=("-x", *lanes(3)))
    expect_ended(outcome, "completed", 3)
    assert [(line.check[-1], line.verdict) for line in outcome.checks] == [("a", "pass"), ("b", "fail")], outcome.output


def test_lanes_that_lose_their_endpoint_blame_nobody(tmp_path: Path) -> None:
    """What rests on answers alone stays found; what may come from the loss of the connection does not become a violation."""
    setup = "meeting = threading.Barrier(4)\nraw = '/services.controller.Controller/NoSuchMethod'"
    kill = """
    meeting.wait(30)
    with open(case.facts.restart_command[-1]) as file:
        os.kill(int(file.read()), signal.SIGKILL)
    while (call := case.attempt(case.requests.execute())).error is None:
        pass
    case.expect("EXEC-01", False, "an answer", call.code, call)
    """
    lose = """
    first = case.accept("IDEM-01", case.requests.execute(), "a request")
    meeting.wait(30)
    while (again := case.attempt(case.requests.execute())).error is None:
        pass
    case.expect("IDEM-01", False, "the original", "nothing", first, again)
    """
    lose_without_evidence = """
    meeting.wait(30)
    code = ""
    while code != "UNAVAILABLE":
        try:
            case.client.raw(raw, b"", timeout=5)
        except Exception as error:
            code = error.code().name
    case.expect("WIRE-05", False, "UNIMPLEMENTED", code)
    """
    prove = """
    call = case.accept("EXEC-02", case.requests.execute(), "a request")
    case.expect("EXEC-02", False, "this", "that", call)
    meeting.wait(30)
    while case.attempt(case.requests.execute()).error is None:
        pass
    """
    bodies = {"a": kill, "b": lose, "c": lose_without_evidence, "d": prove, "e": "case.submit()", "f": "case.submit()"}
    body = suite(setup, *(checks(text, name) for name, text in bodies.items()))
    outcome = run_check(tmp_path, body, arguments=lanes(4))
    expect_ended(outcome, "crashed", 5)
    assert outcome.violated == {"EXEC-02": ["test_exec.py::test_d"]}
    verdicts = {line.check[-1]: line.verdict for line in outcome.checks}
    assert [verdicts[name] for name in "abcd"] == ["inconclusive"] * 3 + ["fail"], outcome.output
    assert "e" not in verdicts or verdicts["e"] == "inconclusive"


def test_lanes_share_one_budget(tmp_path: Path) -> None:
    setup = "meeting = threading.Barrier(4)"
    spend = """
    meeting.wait(30)
    case.submit(count=3)
    """
    body = suite(setup, checks(spend, *"abcdefgh"))
    outcome = run_check(tmp_path, body, replace={"facts:\n": "budget:\n  jobs: 14\nfacts:\n"}, arguments=lanes(4))
    assert sorted(line.verdict for line in outcome.checks) == ["pass"] * 4 + ["skipped"] * 4, outcome.output
    assert sum(line.jobs for line in outcome.checks) == 12
    assert sum(line.calls_made for line in outcome.checks if line.verdict == "skipped") == 0


@pytest.mark.parametrize("count", [1, 3])
def test_a_crash_in_a_lane_is_the_checks_own(count: int, tmp_path: Path) -> None:
    body = suite(
        checks("case.submit()", "a"),
        checks("raise ZeroDivisionError('oh')", "b"),
        checks("sys.exit('oh')", "c"),
        checks("case.submit()", "d"),
    )
    outcome = run_check(tmp_path, body, arguments=lanes(count))
    assert [line.verdict for line in outcome.checks] == ["pass", "inconclusive", "inconclusive", "pass"], outcome.output
    assert [line.reason_kind for line in outcome.checks] == ["", "crashed", "crashed", ""]
    assert "SystemExit: oh" in outcome.checks[2].reason
    expect_ended(outcome, "completed", 4)


@pytest.mark.parametrize("count", [1, 3])
def test_a_check_with_a_fixture_waits_for_the_lanes_and_a_broken_one_is_not_passed_over(count: int, tmp_path: Path) -> None:
    plain = "running.append('NAME')\ncase.submit()\nrunning.remove('NAME')"
    fixtures = """
    @pytest.fixture
    def broken() -> None:
        raise OSError("no")

    @pytest.fixture
    def role() -> str:
        return "quick"

    @covers("EXEC-01")
    def test_b(case: Case, role: str) -> None:
        '''Check b.'''
        assert not running
        case.submit(role)

    @covers("EXEC-01")
    def test_c(case: Case, broken: None) -> None:
        '''Check c.'''
    """
    body = suite("import pytest\nrunning = []", checks(plain, "a"), fixtures, checks(plain, "d", "e", "f", "g"))
    outcome = run_check(tmp_path, body, arguments=lanes(count))
    expect_ended(outcome, "completed", 4)
    assert [(line.check[-1], line.verdict) for line in outcome.checks] == [(name, "pass") for name in "abdefg"]
    (end,) = [line for line in outcome.record.lines if isinstance(line, SectionEnd)]
    assert end.reason == "1 check broke without a verdict"


def test_each_lane_counts_the_jobs_of_its_own_target(tmp_path: Path) -> None:
    setup = "from conformance.kit.oracles import counting, expect_jobs\nmeeting = threading.Barrier(2)"
    count = """
    jobs = {"a": 3, "b": 5}["NAME"]
    with counting(case) as count:
        meeting.wait(30)
        case.submit(count=jobs)
        meeting.wait(30)
    expect_jobs(case, "EXEC-01", count, jobs, "side by side")
    assert count.oracle == "observer"
    """
    outcome = run_check(tmp_path, suite(setup, checks(count, "a", "b")), arguments=lanes(2))
    assert [line.verdict for line in outcome.checks] == ["pass"] * 2, outcome.output


@pytest.mark.parametrize("count", [1, 3])
def test_an_interrupted_run_ends_although_checks_hang_in_calls(count: int, tmp_path: Path) -> None:
    """The calls are cut off, which is nobody's violation; what was found before stays on record."""
    suites = tmp_path / "suites"
    suites.mkdir()
    (suites / "conftest.py").write_text((SUITES / "conftest.py").read_text(encoding="utf-8"), encoding="utf-8")
    told = """
    class Told:
        def set(self) -> None:
            print("hangs", flush=True)
    """
    body = suite(HANG, told, checks("case.submit()", "a"), checks("hang(case, Told())", "b", "c", "d", "e"))
    (suites / "test_exec.py").write_text(PREAMBLE + body, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", str(suites), "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:xdist", "-s"]
    command += ["-c", os.devnull, "--import-mode=importlib", "--rootdir", str(suites), "--seed", "7", *lanes(count)]
    command += ["--profile", str(profile(tmp_path, replace=ENDLESS)), "--record", str(tmp_path / "record.jsonl")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=SUITES.parent) as process:
        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.start()
        assert process.stdout is not None
        hanging = 0
        while hanging < count and (line := process.stdout.readline()):
            hanging += line.count("hangs")
        process.send_signal(signal.SIGINT)
        output = process.stdout.read()
        code = process.wait()
        watchdog.cancel()
    outcome = Outcome(code, output, load_record(tmp_path / "record.jsonl"))
    assert hanging == count, output
    expect_ended(outcome, "interrupted", 130)
    assert [(line.check[-1], line.verdict) for line in outcome.checks] == [("a", "pass")]


def test_lanes_need_an_observer_that_tells_them_apart(tmp_path: Path) -> None:
    observer = "facts:\n  observer:\n    url: http://127.0.0.1:1/metrics\n    metric: jobs\n"
    path = profile(tmp_path, replace={"facts:\n": observer})
    command = [sys.executable, "-m", "pytest", str(SUITES), "-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:randomly"]
    command += ["-c", os.devnull, "--import-mode=importlib", "--profile", str(path), "--record", str(tmp_path / "record.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=SUITES.parent, timeout=PATIENCE)
    problem = "lanes: facts.observer counts the jobs of all targets together; put {target} where it names the target"
    problem += ", for example in a label"
    assert done.returncode == 2
    assert {line.removeprefix("Exit: ") for line in done.stderr.splitlines()} == {problem}
    assert not (tmp_path / "record.jsonl").exists()
