"""The plugin: every way in which a check can end becomes the right verdict, on record and in the exit code."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from harness.record import Footer, Header, RequirementLine, SectionEnd, SectionStart
from tests.conformance.runs import SUITES, Outcome, profile, run_suites

PREAMBLE = """
from conformance.kit import Case, DisturbedError, NotApplicableError, UnobservableError, covers
from conformance.kit.hold import held
"""


def run_check(folder: Path, body: str, *, replace: dict[str, str] | None = None, arguments: tuple[str, ...] = ()) -> Outcome:
    """Run checks made for a test, in a suite of their own."""
    suites = folder / "suites"
    suites.mkdir()
    (suites / "conftest.py").write_text((SUITES / "conftest.py").read_text(encoding="utf-8"), encoding="utf-8")
    (suites / "test_exec.py").write_text(PREAMBLE + textwrap.dedent(body), encoding="utf-8")
    return run_suites(folder, profile(folder, replace=replace), arguments, suites)


ENDINGS = """
    attempts = []

    @covers("EXEC-01")
    def test_pass(case: Case) -> None:
        '''A check that holds.'''
        assert len(case.submit(count=2)) == 2

    @covers("EXEC-01")
    def test_fail(case: Case) -> None:
        '''A check that finds something.'''
        call = case.accept("EXEC-01", case.requests.execute(), "a request")
        case.expect("EXEC-01", False, "this", "that", call)
        case.expect("EXEC-02", False, "more of this", "more of that")
        raise RuntimeError("what comes after a discrepancy does not hide it")

    @covers("EXEC-08")
    def test_warn(case: Case) -> None:
        '''A SHOULD that does not hold.'''
        case.submit()
        case.expect("EXEC-08", False, "this", "that")

    @covers("EXEC-01")
    def test_unobservable(case: Case) -> None:
        '''A check without a way to see.'''
        raise UnobservableError("nothing to see")

    @covers("EXEC-01")
    def test_not_applicable(case: Case) -> None:
        '''A check that does not concern the endpoint.'''
        raise NotApplicableError("not here")

    @covers("EXEC-01")
    def test_crash(case: Case) -> None:
        '''A check with a fault of its own.'''
        raise ZeroDivisionError("oh")

    @covers("EXEC-01")
    def test_disturbed_twice(case: Case) -> None:
        '''A check that finds its situation the third time.'''
        attempts.append(len(case.calls))
        case.submit()
        case.expect("EXEC-01", len(attempts) == 3, "a third attempt", len(attempts))
        if len(attempts) < 3:
            raise DisturbedError("not yet")
        assert attempts == [0, 0, 0], "evidence of earlier attempts is dropped"

    @covers("EXEC-01")
    def test_always_disturbed(case: Case) -> None:
        '''A check that never finds its situation.'''
        case.expect("EXEC-01", False, "nothing", "a discrepancy of a disturbed attempt counts for nothing")
        raise DisturbedError("never")

    @covers("EXEC-01")
    def test_refused(case: Case) -> None:
        '''A check whose scene cannot be set.'''
        case.submit(configurations=[])

    @covers("BATCH-07")
    def test_info(case: Case) -> None:
        '''A line of behaviour.'''
        case.observe("BATCH-07", "it does this")
"""


@pytest.fixture(scope="module")
def endings(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run_check(tmp_path_factory.mktemp("endings"), ENDINGS)


@pytest.mark.parametrize(
    ("name", "verdict", "kind"),
    [
        ("pass", "pass", ""),
        ("fail", "fail", ""),
        ("warn", "fail", ""),
        ("unobservable", "inconclusive", "unobservable"),
        ("not_applicable", "not_applicable", ""),
        ("crash", "inconclusive", "crashed"),
        ("disturbed_twice", "pass", ""),
        ("always_disturbed", "inconclusive", "disturbed"),
        ("refused", "inconclusive", "disturbed"),
        ("info", "pass", ""),
    ],
)
def test_an_ending_becomes_a_verdict(endings: Outcome, name: str, verdict: str, kind: str) -> None:
    (line,) = [line for line in endings.checks if line.check == f"test_exec.py::test_{name}"]
    assert (line.verdict, line.reason_kind) == (verdict, kind), line
    assert bool(line.discrepancies) == (verdict == "fail")
    assert bool(line.traceback) == (kind == "crashed")
    assert line.title.endswith(".")


def test_a_violated_must_outranks_the_rest(endings: Outcome) -> None:
    assert endings.code == 3
    footer = endings.record.footer
    assert isinstance(footer, Footer)
    assert footer.exit_code == 3


def test_the_record_holds_everything(endings: Outcome) -> None:
    lines = endings.record.lines
    assert isinstance(lines[0], Header)
    assert lines[0].seed == 7
    assert [type(line) for line in lines if isinstance(line, SectionStart | SectionEnd)] == [SectionStart, SectionEnd]
    assert len([line for line in lines if isinstance(line, RequirementLine)]) == 78
    (fail,) = [line for line in endings.checks if line.check.endswith("test_fail")]
    assert [item.requirement for item in fail.discrepancies] == ["EXEC-01", "EXEC-02"]
    (call,) = [call for call in fail.calls if call.number == fail.discrepancies[0].calls[0]]
    assert call.command.startswith("grpcurl ")
    assert call.request_id in call.command
    (info,) = [line for line in endings.checks if line.check.endswith("test_info")]
    assert info.observations[0].text == "it does this"


def test_pytest_shows_the_same(endings: Outcome) -> None:
    assert "3 passed" in endings.output or "4 passed" in endings.output, endings.output
    assert "EXEC-01: expected this; observed that" in endings.output
    assert "EXEC-08: expected this; observed that" in endings.output
    assert "ZeroDivisionError" in endings.output


def test_a_crash_alone_makes_the_run_not_valid(tmp_path: Path) -> None:
    body = """
    @covers("EXEC-01")
    def test_crash(case: Case) -> None:
        '''A check with a fault of its own.'''
        raise ZeroDivisionError("oh")
    """
    assert run_check(tmp_path, body).code == 4


def test_a_warning_alone_passes(tmp_path: Path) -> None:
    body = """
    @covers("EXEC-08")
    def test_warn(case: Case) -> None:
        '''A SHOULD that does not hold.'''
        case.submit()
        case.expect("EXEC-08", False, "this", "that")
    """
    outcome = run_check(tmp_path, body)
    assert (outcome.code, list(outcome.violated)) == (0, ["EXEC-08"])


def test_the_budget_is_kept(tmp_path: Path) -> None:
    body = """
    @covers("EXEC-01")
    def test_within(case: Case) -> None:
        '''A check within the budget.'''
        case.submit(count=3)

    @covers("EXEC-01")
    def test_beyond(case: Case) -> None:
        '''A check beyond the budget.'''
        case.submit(count=2)
    """
    outcome = run_check(tmp_path, body, replace={"facts:\n": "budget:\n  jobs: 4\nfacts:\n"})
    assert [line.verdict for line in outcome.checks] == ["pass", "skipped"]
    assert "budget of 4" in outcome.checks[1].reason


def test_what_a_check_leaves_behind_is_cleaned_up(tmp_path: Path) -> None:
    body = """
    @covers("EXEC-01")
    def test_litter(case: Case) -> None:
        '''A check that leaves many jobs queued.'''
        with held(case):
            case.submit(count=900)

    @covers("EXEC-01")
    def test_next(case: Case) -> None:
        '''The next check finds an idle executor.'''
        job_id, = case.submit("slow")
        case.wait_for(job_id, within=0)
        assert sum(call.rpc == "GetControllerJobStatus" for call in case.calls) > 0
    """
    outcome = run_check(tmp_path, body)
    assert [line.verdict for line in outcome.checks] == ["pass", "pass"]
    assert outcome.checks[1].seconds < 3 * 0.8 + 3


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--requirement", "EXEC-1"), "no such requirement: EXEC-1; did you mean EXEC-10?"),
        (("--chapter", "EXEX"), "no such chapter: EXEX; did you mean EXEC?"),
        (("--profile", "missing.yaml"), "missing.yaml: no such file"),
    ],
)
def test_a_wrong_choice_is_one_line(tmp_path: Path, arguments: tuple[str, ...], text: str) -> None:
    command = [sys.executable, "-m", "pytest", str(SUITES), "-c", os.devnull, "-p", "no:terminal", "-p", "no:cacheprovider"]
    command += ["--import-mode=importlib", "--record", str(tmp_path / "record.jsonl"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=SUITES.parent, timeout=60)
    assert done.returncode == 2
    lines = [line.removeprefix("Exit: ") for line in done.stderr.splitlines()]
    assert set(lines) == {text} if "missing.yaml" not in text else all(line.startswith(text) for line in lines)
    assert not (tmp_path / "record.jsonl").exists()


def test_selection_keeps_what_was_asked_for(tmp_path: Path) -> None:
    body = """
    @covers("EXEC-01", "EXEC-03")
    def test_one(case: Case) -> None:
        '''One.'''
        case.submit()

    @covers("EXEC-02")
    def test_two(case: Case) -> None:
        '''Two.'''

    @covers("BATCH-01")
    def test_three(case: Case) -> None:
        '''Three.'''
        case.submit()
    """
    outcome = run_check(tmp_path, body, arguments=("--requirement", "EXEC-03", "--requirement", "BATCH-01"))
    assert [line.check for line in outcome.checks] == ["test_exec.py::test_one", "test_exec.py::test_three"]
