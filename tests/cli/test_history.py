"""`controller-harness history`: the trend of a folder, whatever else lies in it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.record import Record, encode
from tests.cli.commands import Cli
from tests.reports.comparisons import run


def store(folder: Path, number: int, record: Record) -> None:
    """Put a record into a folder of its own, an hour after the one before."""
    header = replace(record.header, started=f"2026-01-01T{number:02}:00:00.000Z")
    path = folder / f"run-{number:02}" / "record.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(encode(line) + "\n" for line in (header, *record.lines[1:])), encoding="utf-8")


@pytest.fixture
def runs(cli: Cli) -> Path:
    """Fill a folder with six fast and six slow runs."""
    for number in range(12):
        store(cli.folder / "runs", number, run(number, level=5000 if number < 6 else 7000))
    return cli.folder / "runs"


def test_a_change_is_found_and_drawn(cli: Cli, runs: Path) -> None:
    done = cli("history", "runs")
    assert done.code == 0
    assert "since 2026-01-01 06:00:00 UTC (runs/run-06/record.jsonl): latency of all calls worse: " in done.out
    assert done.out.splitlines()[-1].startswith("12 runs, 1 group, ")
    assert "<svg " in (runs / "history.html").read_text(encoding="utf-8")
    assert len(json.loads((runs / "history.json").read_text("ascii"))["groups"][0]["entries"]) == 12


def test_the_same_folder_gives_the_same_bytes(cli: Cli, runs: Path) -> None:
    for out in ("one", "two"):
        assert cli("history", runs.name, "--out", out).code == 0
    for name in ("history.html", "history.json"):
        assert (cli.folder / "one" / name).read_bytes() == (cli.folder / "two" / name).read_bytes()
    assert not (runs / "history.html").exists()


def test_broken_and_foreign_files_are_named_and_skipped(cli: Cli, runs: Path) -> None:
    whole = (runs / "run-01/record.jsonl").read_text(encoding="utf-8")
    (runs / "cut.jsonl").write_text(whole[: len(whole) // 2], encoding="utf-8")
    (runs / "foreign.jsonl").write_text('{"a": 1}\n', encoding="utf-8")
    (runs / "binary.jsonl").write_bytes(bytes(range(256)))
    (runs / "notes.txt").write_text("not looked at", encoding="utf-8")
    (runs / "loop.jsonl").symlink_to("loop.jsonl")
    done = cli("history", "runs")
    assert done.code == 0
    for name in ("cut", "foreign", "binary", "loop"):
        assert f"skipped: runs/{name}.jsonl:" in done.out
    assert "notes.txt" not in done.out
    assert done.out.splitlines()[-1].endswith(", 4 skipped files")


def test_no_valid_run_is_still_a_history(cli: Cli) -> None:
    (cli.folder / "runs").mkdir()
    store(cli.folder / "runs", 1, replace(run(1), lines=run(1).lines[:-1]))
    done = cli("history", "runs")
    assert done.code == 0
    assert "skipped: runs/run-01/record.jsonl: The record is incomplete" in done.out


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ((), "Missing argument 'DIR'"),
        (("nowhere",), "nowhere: does not exist"),
        (("tiny.yaml",), "tiny.yaml: is no folder"),
        (("empty",), "empty: no run record below it"),
        (("empty", "--floor", "many"), "--floor"),
    ],
)
def test_wrong_usage_is_one_line(cli: Cli, words: tuple[str, ...], named: str) -> None:
    (cli.folder / "empty").mkdir()
    assert named in cli("history", *words).complaint(2)


def test_a_place_that_cannot_be_written(cli: Cli, runs: Path) -> None:
    cli.write("file", "")
    assert "cannot be written" in cli("history", runs.name, "--out", "file/below").complaint(2)
