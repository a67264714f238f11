"""`controller-harness compare`: what it prints, writes, refuses and ends with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.record import Record, encode
from tests.cli.commands import Cli
from tests.reports import records
from tests.reports.comparisons import RPC, run


def store(cli: Cli, name: str, record: Record) -> Path:
    """Put a record into the folder of the command."""
    path = cli.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(encode(line) + "\n" for line in record.lines), encoding="utf-8")
    return path


@pytest.fixture
def pool(cli: Cli) -> Cli:
    """Fill the folder with three fast and three slow runs."""
    for number in range(3):
        store(cli, f"fast-{number}/record.jsonl", run(number, seconds=9))
        store(cli, f"slow-{number}/record.jsonl", run(number + 10, seconds=9, level=7000))
    return cli


FAST, SLOW = ([f"{kind}-{number}" for number in range(3)] for kind in ("fast", "slow"))


def test_a_slower_build_ends_with_one(pool: Cli) -> None:
    done = pool("compare", *FAST, "--", *SLOW)
    assert (done.code, done.err) == (1, "")
    assert done.out.splitlines()[-1].startswith(f"Regression: Worse: latency of all calls, p50 of {RPC}")
    assert "base: 3 records of 127.0.0.1:50051 (fast-0/record.jsonl, " in done.out


def test_a_faster_build_ends_with_zero(pool: Cli) -> None:
    done = pool("compare", *SLOW, "--", *FAST)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1].startswith(f"No regression: Better: latency of all calls, p50 of {RPC}")


def test_files_are_written_and_are_the_same_again(pool: Cli) -> None:
    for out in ("one", "two/below"):
        assert pool("compare", *FAST, "--", *SLOW, "--out", out).code == 1
    files = sorted(path.name for path in (pool.folder / "one").iterdir())
    assert files == ["comparison.html", "comparison.json", "comparison.md"]
    for name in files:
        assert (pool.folder / "one" / name).read_bytes() == (pool.folder / "two/below" / name).read_bytes()
    assert json.loads((pool.folder / "one/comparison.json").read_text("ascii"))["regressed"] is True


def test_options_may_stand_anywhere(pool: Cli) -> None:
    assert pool("compare", "--floor", "90", *FAST, "--", *SLOW).code == 0
    assert pool("compare", *FAST, "--floor", "90", "--", *SLOW).code == 0
    assert pool("compare", *FAST, "--", "--floor", "90", *SLOW).code == 0


def test_a_violated_requirement_is_a_regression(cli: Cli) -> None:
    store(cli, "old.jsonl", records.passing())
    store(cli, "new.jsonl", records.failing())
    done = cli("compare", "old.jsonl", "--", "new.jsonl")
    assert (done.code, done.err) == (1, "")
    assert "Regression: Worse: UUID-08, EXEC-01." in done.out
    assert cli("compare", "new.jsonl", "--", "old.jsonl").code == 0


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ((), "`--` is missing"),
        (("fast-0",), "`--` is missing"),
        (("fast-0", "slow-0"), "`--` is missing"),
        (("--",), "no record before `--`"),
        (("fast-0", "--"), "no record after `--`"),
        (("--", "slow-0"), "no record before `--`"),
        (("fast-0", "--", "slow-0", "--floor", "-1"), "--floor"),
        (("fast-0", "--", "slow-0", "--allow-different", "weather"), "--allow-different"),
        (("fast-0", "--", "nowhere"), "nowhere: cannot be read: no such file or directory"),
        (("fast-0", "--", "."), "record.jsonl: cannot be read: no such file or directory"),
        (("fast-0", "--", "tiny.yaml"), "tiny.yaml:1: not a run record"),
    ],
)
def test_wrong_usage_is_one_line(pool: Cli, words: tuple[str, ...], named: str) -> None:
    assert named in pool("compare", *words).complaint(2)


def test_a_file_that_cannot_be_read(pool: Cli) -> None:
    (pool.folder / "loop.jsonl").symlink_to("loop.jsonl")
    assert "loop.jsonl: cannot be read" in pool("compare", "fast-0", "--", "loop.jsonl").complaint(2)


@pytest.mark.parametrize(
    ("kind", "record", "named"),
    [
        ("profile", run(1, seconds=9, profile={"name": "other"}), 'name ("my-controller" against "other")'),
        ("machine", run(1, seconds=9, machine={"cores": 64}), "cores (2 against 64)"),
    ],
)
def test_records_that_differ_are_refused_unless_told(pool: Cli, kind: str, record: Record, named: str) -> None:
    store(pool, "odd.jsonl", record)
    told = pool("compare", "fast-0", "--", "odd.jsonl").complaint(2)
    assert f"the {kind}s of fast-0/record.jsonl and odd.jsonl differ in " in told
    assert named in told
    assert told.endswith(f"--allow-different {kind} compares them all the same")
    done = pool("compare", "fast-0", "--", "odd.jsonl", "--allow-different", kind)
    assert done.code in {0, 1}
    assert named in done.out


def test_nothing_is_written_for_records_that_are_refused(pool: Cli) -> None:
    store(pool, "odd.jsonl", run(1, machine={"cores": 64}))
    assert pool("compare", "fast-0", "--", "odd.jsonl", "--out", "out").code == 2
    assert not (pool.folder / "out").exists()


def test_a_truncated_record_is_not_valid(pool: Cli) -> None:
    whole = (pool.folder / "fast-1/record.jsonl").read_text(encoding="utf-8")
    pool.write("cut.jsonl", whole[: len(whole) // 2])
    told = pool("compare", "fast-0", "--", "cut.jsonl").complaint(4)
    assert told.startswith("not a run that can be compared: cut.jsonl: The record is incomplete: ")


def test_checks_against_load(pool: Cli) -> None:
    store(pool, "checks.jsonl", records.passing())
    assert "nothing in common" in pool("compare", "fast-0", "--", "checks.jsonl").complaint(2)


def test_a_place_that_cannot_be_written(pool: Cli) -> None:
    pool.write("file", "")
    assert "cannot be written" in pool("compare", *FAST, "--", *SLOW, "--out", "file/below").complaint(2)
