"""The trial of `compare`: which runs it takes, what it counts, and a paced server that takes as long as it is told."""

from __future__ import annotations

import time
from pathlib import Path

import grpc
import pytest

from benchmarks.comparison import KINDS, Pool, judge, serving
from harness.errors import ConfigError
from harness.record import Record, encode
from harness.stubs import service_pb2, service_pb2_grpc
from tests.reports.comparisons import run


def rounds(count: int) -> list[dict[str, Record]]:
    """Return rounds of two runs that are alike and one that is slower by a fifth."""
    return [
        {kind: run(3 * number + place, level=6000 if kind == "slow" else 5000) for place, kind in enumerate(KINDS)}
        for number in range(count)
    ]


def test_stretches_of_rounds_are_compared() -> None:
    found = rounds(7)
    same, slower = judge(found, 3, "base", "again"), judge(found, 3, "base", "slow")
    assert (same.alarms, same.comparisons, same.disjoint) == (0, 5, 1)
    assert (slower.alarms, slower.comparisons, slower.share) == (5, 5, 1.0)
    assert all(15 < effect < 25 for effect in slower.effects)
    assert sum(slower.by_measure.values()) >= 5


def test_too_few_rounds_are_no_comparison() -> None:
    assert judge(rounds(2), 3, "base", "again").comparisons == 0


def test_runs_that_cannot_be_compared_are_an_error() -> None:
    found = rounds(3)
    found[1]["again"] = run(99, machine={"cores": 64})
    with pytest.raises(ConfigError, match="cores"):
        judge(found, 3, "base", "again")


def test_a_pool_has_the_rounds_that_are_complete(tmp_path: Path) -> None:
    pool = Pool(tmp_path / "pool", 3)
    for number, records in enumerate(rounds(3), start=1):
        for kind, record in records.items():
            text = "".join(encode(line) + "\n" for line in record.lines)
            pool.path(number, kind).write_text(text[:900] if (number, kind) == (2, "slow") else text, encoding="utf-8")
    pool.path(3, "again").unlink()
    (found,) = pool.rounds()
    assert found["base"].header.run_id == "run-0"


def test_a_paced_server_takes_its_time() -> None:
    with serving(0.2) as server, grpc.insecure_channel(f"{server['host']}:{server['port']}") as channel:
        begun = time.monotonic()
        with pytest.raises(grpc.RpcError):
            service_pb2_grpc.ControllerStub(channel).GetControllerJobStatus(
                service_pb2.GetControllerJobStatusRequest(job_id="none"), timeout=30
            )
        # Four standard deviations below the median.
        assert time.monotonic() - begun > 0.2 * 0.36
