"""A load run finds the one job in a thousand that is lost or doubled, and the sound server comes through it unharmed."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import ExitCode
from harness.gates import record_exit
from harness.record import Ledger
from harness.server.embedded_thread import background_server
from harness.server.mutants import LOAD_MUTANTS
from harness.server.settings import ServerSettings
from loadtests.runner import processes
from tests.load.locusts import Ended, Files, lines_of

PROFILE = """\
name: test
address: {address}
target: {{quantum_processor_id: qpu-1}}
jobs:
  quick: {{text: controller-job duration=1ms estimate=1ms}}
  correlated: {{text: controller-job duration=1ms estimate=1ms readout=tag}}
correlation: {{region: tag, shown_in: readout_values}}
facts: {{observer: {{url: "{observer}"}}}}
"""
SCENARIO = """\
name: thousands
executor: constant-users
users: 8
duration: 2s
workload:
  job: correlated
  single: 0
  batch: 1
  requests_per_batch: {min: 10, max: 10}
  configurations_per_request: {min: 10, max: 10}
  replayed: 1.0
follow: {poll_min: 20ms, poll_max: 200ms, deadline: 30s}
"""
FOUND = {
    "exec-lost-job-1-in-1000": ("STA-02", "EXEC-05"),
    "sta-finished-job-lost-1-in-1000": ("STA-02",),
    "exec-doubles-job-1-in-1000": ("IDEM-02",),
    "exec-double-id-1-in-1000": ("EXEC-03",),
    "exec-swaps-two-ids-1-in-1000": ("EXEC-02",),
    "idem-replay-doubles-1-in-1000": ("BATCH-05",),
}
"""What the ledger of a run against each mutant has to name."""


def loaded(folder: Path, mutant: str | None, *options: str, scenario: str = SCENARIO) -> tuple[Ended, Ledger]:
    """Put the load on a server; return how the run ended, and its books."""
    run = Files(folder / "profile.yaml", folder / "scenario.yaml", folder / "record.jsonl")
    with background_server(ServerSettings(mutant=mutant, edge="wire", executors=64, queue_capacity=100_000)) as bound:
        run.profile.write_text(PROFILE.format(address=bound.address, observer=bound.metrics_url))
        run.scenario.write_text(scenario)
        ended = run.run(*options)
    assert run.record.exists(), ended.stderr
    record = run.read()
    assert record_exit(record)[0] is ExitCode(ended.code)
    (ledger,) = lines_of(record.lines, Ledger)
    return ended, ledger


def test_every_mutant_of_load_is_tried() -> None:
    assert set(FOUND) == set(LOAD_MUTANTS)


@pytest.mark.parametrize("mutant", FOUND)
def test_one_job_in_a_thousand_is_found(mutant: str, tmp_path: Path) -> None:
    ended, ledger = loaded(tmp_path, mutant)
    assert ledger.acknowledged_jobs >= 1000
    assert ended.code == ExitCode.VIOLATION
    named = {violation.requirement for violation in ledger.violations}
    assert set(FOUND[mutant]) <= named
    assert bool(ledger.lost) == ("lost" in mutant)
    assert bool(ledger.duplicated) == ("double" in mutant)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("mutant", [name for name in FOUND if "double" in name])
def test_one_job_in_a_thousand_is_found_though_nobody_follows_any(mutant: str, workers: int, tmp_path: Path) -> None:
    scenario = SCENARIO.replace("replayed: 1.0", "replayed: 0.5\n  followed: 0")
    ended, ledger = loaded(tmp_path, mutant, *(processes(workers) if workers > 1 else ()), scenario=scenario)
    assert ledger.acknowledged_jobs == ledger.not_followed >= 2000
    assert ended.code == ExitCode.VIOLATION
    assert set(FOUND[mutant]) <= {violation.requirement for violation in ledger.violations}
    assert ledger.duplicated > 0


def test_the_sound_server_keeps_every_job(tmp_path: Path) -> None:
    ended, ledger = loaded(tmp_path, None)
    assert (ended.code, ended.stderr) == (ExitCode.OK, "")
    assert ledger.acknowledged_jobs >= 1000
    assert ledger.attempted_jobs == ledger.acknowledged_jobs == ledger.finished
    assert (ledger.lost, ledger.duplicated, ledger.unexpected, ledger.unknown_jobs, ledger.unfinished) == (0, 0, 0, 0, 0)
    assert (ledger.violation_count, ledger.violations) == (0, ())
