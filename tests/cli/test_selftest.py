"""`selftest`: what it finds out about servers that are known, what it writes, and how it ends."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from harness.cli import selftest, trials
from harness.cli.suites import suite_command
from harness.killmatrix import Fate, Subject
from harness.server.mutants import MUTANTS
from harness.server.variants import VARIANTS
from tests.cli.commands import Cli, alive

ODD = next(iter(VARIANTS))


def matrix(folder: Path) -> dict[str, Any]:
    assert sorted(path.name for path in folder.iterdir()) == ["matrix.html", "matrix.json", "trials"]
    found: dict[str, Any] = json.loads((folder / "matrix.json").read_text(encoding="utf-8"))
    return found


def test_two_mutants_are_killed_by_their_own_checks(cli: Cli) -> None:
    done = cli("selftest", "--mutant", "uuid-accepts-zero", "--mutant", "uuid-wrong-code", "--seed", "7", "--out", "o")
    assert (done.code, done.err) == (0, "")
    assert "2 of 2 mutants killed" in done.out
    assert done.out.splitlines()[-1] == "matrix: o/matrix.html, o/matrix.json"
    found = matrix(cli.folder / "o")
    assert (found["exit_code"], found["findings"]) == (0, [])
    assert found["control"]["scope"] == ["UUID"]
    assert list(found["control"]["verdicts"]) == ["pass"]
    by_name = {item["name"]: item for item in found["mutants"]}
    assert {kill["requirement"] for kill in by_name["uuid-accepts-zero"]["kills"]} == {"UUID-02"}
    assert by_name["uuid-wrong-code"]["cells"]["UUID-08"] == "own"
    assert set(by_name["uuid-accepts-zero"]["trials"][0]["reached"]) == {"accepts", "_check_key"}
    again = cli("report", "o/trials/uuid-accepts-zero", "--out", "again")
    assert again.code == 3, "the record of a trial is a record like any other"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--mutant", "can-nevr"], "no such mutant: can-nevr; did you mean can-never?"),
        (["--mutant", "####"], "no such mutant: ####; see `controller-harness serve --list-mutants`"),
        (["--mutant", "exec-lost-job-1-in-1000"], "the mutant exec-lost-job-1-in-1000 shows under load only"),
        (["--variant", f"{ODD}x"], f"no such variant: {ODD}x; did you mean {ODD}?"),
        (["--chapter", "UIUD"], "no such chapter: UIUD; did you mean UUID?"),
        (["--variants", "--mutant", "can-never"], "variants and mutants are tried apart"),
        (["--runs", "0", "--variants"], "Invalid value for '--runs'"),
        (["--out", "profile.yaml"], "profile.yaml: cannot be written: "),
    ],
)
def test_what_cannot_be_done_leaves_nothing(cli: Cli, arguments: list[str], complaint: str) -> None:
    cli.write("profile.yaml", "")
    before = sorted(cli.folder.iterdir())
    assert cli("selftest", *arguments).complaint(2).startswith(complaint)
    assert sorted(cli.folder.iterdir()) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_all_that_was_started(cli: Cli, number: signal.Signals) -> None:
    with cli.started("selftest", "--chapter", "STA", "--jobs", "2", "--out", "o") as started:
        records = cli.folder / "o" / "trials"
        started.until(lambda: sum('"type":"check"' in path.read_text() for path in records.glob("*/record.jsonl")) == 2)
        offspring = started.offspring()
        assert len(offspring) >= 4, "two suites and their servers"
        started.send(number)
        done = started.end()
    assert done.code == 130
    assert alive(offspring) == []
    found = matrix(cli.folder / "o")
    assert [item["kind"] for item in found["findings"]] == ["interrupted"]
    assert "untried" in {item["fate"] for item in found["mutants"]}


def narrowed(monkeypatch: pytest.MonkeyPatch, expression: str, *subjects: Subject) -> None:
    """Try only some checks, and these subjects in place of the mutants."""

    def command(profile: str, record: Path, seed: int, arguments: list[str]) -> list[str]:
        return [*suite_command(profile, record, seed, arguments), "-k", expression]

    monkeypatch.setattr(trials, "suite_command", command)
    monkeypatch.setattr(selftest, "chosen_mutants", lambda *_: subjects)


def run(folder: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    code = selftest.selftest.main(["--out", str(folder), "--seed", "7", *arguments], standalone_mode=False)
    return code, matrix(folder)


def test_what_no_check_notices_has_survived_and_what_never_runs_is_unreached(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Servers that are wrong, but not in the way that is claimed: the checks below have no way to notice.
    harmless = Subject("opt-default-timeout-too-short", "", "UUID-01", MUTANTS["opt-default-timeout-too-short"].changes)
    idle = Subject("res-duration-zero", "", "UUID-01", MUTANTS["res-duration-zero"].changes)
    narrowed(monkeypatch, "test_accepts_every_well_formed_key", harmless, idle)
    code, found = run(tmp_path / "o", "--chapter", "UUID")
    assert code == 1
    assert [(item["kind"], item["subject"]) for item in found["findings"]] == [
        ("survived", harmless.name),
        ("unreached", idle.name),
    ]
    assert [len(item["trials"]) for item in found["mutants"]] == [2, 2], "the whole suite had its turn"
    assert "\nsurvived: opt-default-timeout-too-short\nnever reached: res-duration-zero\n" in capsys.readouterr().out


def test_a_kill_by_checks_of_something_else_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    subject = Subject("uuid-accepts-zero", "", "UUID-01", MUTANTS["uuid-accepts-zero"].changes)
    narrowed(monkeypatch, "test_accepts_every_well_formed_key or test_refuses_the_zero_key", subject)
    code, found = run(tmp_path / "o", "--chapter", "UUID")
    assert code == 1
    assert [item["kind"] for item in found["findings"]] == ["elsewhere"]
    assert {kill["requirement"] for kill in found["mutants"][0]["other_kills"]} == {"UUID-02", "UUID-06"}


def test_a_sound_server_that_fails_ends_it_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    narrowed(monkeypatch, "test_refuses_the_zero_key", *selftest.chosen_mutants((), ["UUID"]))
    sound = selftest.reference_profile
    monkeypatch.setattr(selftest, "reference_profile", lambda **how: sound(**{"mutant": "uuid-accepts-zero", **how}))
    code, found = run(tmp_path / "o", "--chapter", "UUID", "--jobs", "1")
    assert code == 4
    assert {item["kind"] for item in found["findings"]} == {"control"}
    assert {item["fate"] for item in found["mutants"]} == {"untried"}


def test_a_suite_that_does_not_end_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(trials, "suite_command", lambda *_: ["sleep", "600"])
    with trials.Trials(1, limit=0.2) as maker:
        trial = maker.make(trials.Plan("m", (), {}, 7, tmp_path / "t"))
    assert trial.broken == "stopped: it did not end within 0.2 s"


def test_a_trial_is_cut_short_when_the_rest_would_say_nothing_new(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(trials, "ENOUGH", 0.0)
    profile = selftest.reference_profile(mutant="uuid-accepts-zero")
    with trials.Trials(1) as maker:
        trial = maker.make(trials.Plan("uuid-accepts-zero", ("UUID", "IDEM"), profile, 7, tmp_path / "t", enough="UUID-02"))
    assert trial.broken == "cut short after 0 s: it was killed by then"
    subject = Subject("uuid-accepts-zero", "", "UUID-02", MUTANTS["uuid-accepts-zero"].changes)
    assert Fate(subject, (trial,)).fate == "killed"
    assert not [check for check in trial.checks if check.name.startswith("test_wire")]


def test_a_suite_that_says_nothing_is_no_verdict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(trials, "suite_command", lambda *_: ["sh", "-c", "echo first >&2; echo ERROR: it broke >&2; exit 3"])
    with trials.Trials(1) as maker:
        trial = maker.make(trials.Plan("m", (), {}, 7, tmp_path / "t"))
    assert (trial.broken, trial.checks) == ("it broke", ())


def test_variants_run_several_times_with_seeds_of_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    narrowed(monkeypatch, "test_refuses_the_zero_key")
    code, found = run(tmp_path / "o", "--variant", ODD, "--runs", "2")
    assert code == 0
    (item,) = found["variants"]
    assert (item["name"], item["passes"]) == (ODD, 2)
    assert sorted(trial["seed"] for trial in item["trials"]) == [7, 8]
    assert found["mutants"] == []
    assert (tmp_path / "o" / "trials" / ODD / "2" / "record.jsonl").is_file()
