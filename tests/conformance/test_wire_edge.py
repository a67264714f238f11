"""The reference Controller holds what the spec asks of any endpoint also on its fast edge; here by its cheaper chapters."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.runs import profile, run_suites


@pytest.mark.parametrize("part", ["--chapter WIRE --chapter UUID", "--chapter SEC"])
def test_holds_its_chapters(tmp_path: Path, part: str) -> None:
    wire = profile(tmp_path, replace={"embedded:\n": "embedded:\n  edge: wire\n"})
    outcome = run_suites(tmp_path, wire, part.split())
    assert outcome.violated == {}
    assert outcome.code == 0, outcome.output
    assert {line.verdict for line in outcome.checks} == {"pass"}
