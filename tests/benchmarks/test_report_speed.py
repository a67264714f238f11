"""The record that the speed of reports is measured on: made up, but one that a run could have left."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

from jsonschema import Draft202012Validator

from benchmarks.report_speed import measure, write_record
from harness.errors import ExitCode
from harness.recorder import load_record
from reports import FORMATS, build_view


def test_the_record_is_a_whole_one_of_the_size_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    assert write_record(path, checks=60, seconds=7) == path.stat().st_size
    schema = json.loads((resources.files("harness") / "schemas" / "record.schema.json").read_text("utf-8"))
    validator = Draft202012Validator(schema)
    for line in path.read_text(encoding="ascii").splitlines():
        validator.validate(json.loads(line))
    record = load_record(path)
    view = build_view([record])
    assert record.incomplete == ""
    assert view.verdict.exit_code is ExitCode.VIOLATION
    assert view.conformance is not None
    assert len(view.conformance.checks) == 60
    assert len(view.loads[0].intervals) == 7 * 5


def test_a_report_of_it_is_made_and_measured(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    write_record(path, checks=60, seconds=7)
    cost = measure(path, tmp_path / "out", ("json", "csv"))
    assert sorted(item.name for item in (tmp_path / "out").iterdir()) == [FORMATS["json"], FORMATS["csv"]]
    assert cost.computing > 0
    assert cost.wall > 0
    assert cost.peak > 10
