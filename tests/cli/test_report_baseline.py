"""`controller-harness report --baseline`: what changed since an earlier run, and the code that it ends with."""

from __future__ import annotations

from pathlib import Path

from harness.record import Record, encode
from tests.cli.commands import Cli
from tests.reports import records as make


def store(cli: Cli, name: str, record: Record) -> Path:
    """Put a record into a folder of its own."""
    path = cli.folder / name / "record.jsonl"
    path.parent.mkdir()
    path.write_text("".join(encode(line) + "\n" for line in record.lines), encoding="utf-8")
    return path


def test_what_became_worse_ends_with_one_and_is_in_every_form(cli: Cli) -> None:
    should = make.record(*make.conformance(*make.catalogue(), make.failed("uuid", "UUID-08")))
    store(cli, "new", should)
    store(cli, "old", make.passing())
    assert cli("report", "new").code == 0
    done = cli("report", "new", "--baseline", "old")
    assert (done.code, done.err) == (1, "")
    assert done.out.splitlines()[-1].startswith("Since the baseline: Regression. Worse: UUID-08.")
    assert "What changed since the baseline" in (cli.folder / "new" / "report.html").read_text(encoding="utf-8")
    assert "Since the baseline: Regression" in (cli.folder / "new" / "summary.md").read_text(encoding="utf-8")


def test_a_violation_weighs_more_than_what_became_worse(cli: Cli) -> None:
    store(cli, "new", make.failing())
    store(cli, "old", make.passing())
    assert cli("report", "new", "--format", "markdown", "--baseline", "old/record.jsonl").code == 3


def test_nothing_became_worse(cli: Cli) -> None:
    store(cli, "new", make.passing())
    store(cli, "old", make.passing())
    done = cli("report", "new", "--format", "markdown", "--baseline", "old")
    assert done.code == 0
    assert done.out.splitlines()[-1] == "Since the baseline: No regression. No verdict changed."


def test_a_baseline_that_says_nothing_changes_no_code(cli: Cli) -> None:
    store(cli, "new", make.passing())
    store(cli, "old", make.incomplete())
    done = cli("report", "new", "--format", "markdown", "--baseline", "old")
    assert done.code == 0
    assert "Since the baseline: Not comparable." in done.out


def test_a_baseline_that_is_not_there(cli: Cli) -> None:
    store(cli, "new", make.passing())
    assert "old" in cli("report", "new", "--baseline", "old").complaint(2)
