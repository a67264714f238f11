"""Known failures and strictness, with real mutants of the reference server."""

from __future__ import annotations

from pathlib import Path

from harness.gates import record_exit
from harness.record import KnownLine
from tests.conformance.runs import Outcome, profile, run_suites


def run(folder: Path, entries: str, *arguments: str, mutant: str = "uuid-accepts-zero") -> Outcome:
    path = profile(folder, mutant=mutant)
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}\nknown_failures:\n{entries}", encoding="utf-8")
    return run_suites(folder, path, arguments)


def states(outcome: Outcome) -> list[tuple[str, str]]:
    return [(line.name, line.state) for line in outcome.record.lines if isinstance(line, KnownLine)]


def test_a_known_failure_excuses_the_mutant(tmp_path: Path) -> None:
    entries = (
        "  - {requirement: UUID-02, reason: ticket 12}\n  - {requirement: UUID-06, reason: ticket 13, expires: 2999-01-01}\n"
    )
    outcome = run(tmp_path, entries, "--check", "test_uuid.py::test_refuses_the_zero_key")
    assert outcome.code == 0, outcome.output
    assert {(line.verdict, line.reason) for line in outcome.checks} == {
        ("known_failure", "ticket 12"),
        ("known_failure", "ticket 13 (until 2999-01-01)"),
    }
    assert states(outcome) == [("UUID-02", "excused"), ("UUID-06", "excused")]
    assert all(line.calls for line in outcome.checks), "the evidence is kept"


def test_an_entry_that_no_longer_fails_is_an_error_that_names_it(tmp_path: Path) -> None:
    entries = "  - {check: 'test_uuid.py::test_refuses_other_v*[single]', reason: old}\n"
    outcome = run(tmp_path, entries, "--requirement", "UUID-03", "--requirement", "UUID-04")
    assert outcome.code == 2
    assert "1 known failure no longer fails: test_uuid.py::test_refuses_other_v*[single] (passed: " in outcome.output
    assert record_exit(outcome.record)[0] == 2


def test_an_expired_entry_excuses_nothing_and_says_so(tmp_path: Path) -> None:
    entries = "  - {requirement: UUID-02, reason: ticket 12, expires: 2020-01-01}\n"
    outcome = run(tmp_path, entries, "--check", "*zero_key[single]")
    assert outcome.code == 3
    (line,) = outcome.checks
    assert line.verdict == "fail"
    assert line.reason.endswith("; the known failure of UUID-02 (ticket 12) expired on 2020-01-01")
    assert states(outcome) == [("UUID-02", "expired")]


def test_a_should_fails_a_strict_run_and_its_record_ever_after(tmp_path: Path) -> None:
    path = profile(tmp_path, mutant="uuid-wrong-code")
    choice = ("--check", "*helpful[single]")
    lax, strict = tmp_path / "lax", tmp_path / "strict"
    lax.mkdir()
    strict.mkdir()
    warned, failed = run_suites(lax, path, choice), run_suites(strict, path, (*choice, "--strict-should"))
    assert (warned.code, failed.code) == (0, 3), failed.output
    assert record_exit(warned.record)[0] == 0
    assert record_exit(warned.record, strict=True)[0] == record_exit(failed.record)[0] == 3
