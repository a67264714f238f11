"""A load run says nothing against servers that are odd but right: the ledger has no violation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from harness.cli.selftest import builtin_tree
from harness.record import Ledger
from harness.recorder import load_record
from harness.server.variants import VARIANTS
from tests.load.locusts import LONGEST, lines_of

SCENARIO = """\
name: odd
executor: constant-users
users: 6
duration: 2s
connections: 2
workload:
  job: correlated
  single: 2
  batch: 1
  requests_per_batch: {min: 1, max: 3}
  configurations_per_request: {min: 1, max: 4}
  cancelled: 0.3
  replayed: 0.4
follow: {poll_min: 10ms, poll_max: 200ms, deadline: 10s}
"""
ODDEST = (
    "results-once",
    "results-once-when-ready",
    "results-once-then-unknown",
    "results-fail-until-ready",
    "cancel-forgotten-soon",
    "status-unknown-is-ok",
    "codes-not-found",
    "queue-tiny-unavailable",
    "keys-other-request-refused",
    "executors-4-random",
    "connections-recycled",
)


@pytest.mark.parametrize("name", ODDEST)
def test_a_server_that_is_odd_but_right_breaks_nothing(name: str, tmp_path: Path) -> None:
    profile, scenario, out = tmp_path / "profile.yaml", tmp_path / "scenario.yaml", tmp_path / "out"
    profile.write_text(yaml.safe_dump(VARIANTS[name].profile_tree(builtin_tree()), sort_keys=False))
    scenario.write_text(SCENARIO)
    words = [sys.executable, "-m", "harness.cli", "load", str(scenario), "--profile", str(profile), "--out", str(out)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=LONGEST, check=False)
    assert done.returncode == 0, done.stderr
    (ledger,) = lines_of(load_record(next(out.glob("*.jsonl"))).lines, Ledger)
    assert (ledger.violations, ledger.lost, ledger.duplicated, ledger.unexpected) == ((), 0, 0, 0)
    assert ledger.finished == ledger.acknowledged_jobs > 0
