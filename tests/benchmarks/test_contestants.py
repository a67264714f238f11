"""The clients that ours are compared with make calls that the sink answers; how fast is no matter here."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import messages
from benchmarks.bars import AIO, TITLES, Cost
from benchmarks.contestants import Task, contestants, cost, null_run
from benchmarks.ours import Workbench
from benchmarks.processes import Cores, Done, FailedError, run, sink


def test_everybody_is_there_or_missing(tmp_path: Path) -> None:
    found = contestants(Workbench(tmp_path))
    assert set(found) == set(TITLES)
    assert {one for one in found.values() if isinstance(one, str)} <= {"not installed"}


@pytest.mark.parametrize("what", [messages.STATUS, messages.BATCH])
def test_a_client_is_measured(tmp_path: Path, what: str) -> None:
    client = contestants(Workbench(tmp_path))[AIO]
    assert not isinstance(client, str)
    with sink(Cores(None, None)) as served:
        null = null_run(client, served)
        assert cost(client(Task(what, served, 4, 0.3)), null).calls > 0


def test_a_cost_leaves_out_the_null_run() -> None:
    assert cost(Done(1010, 3.0, 2.5, 500.0, 0), Done(10, 1.0, 0.5, 5.0, 0)) == Cost(1000, 2000.0, 2000.0, 500.0)
    with pytest.raises(FailedError, match="no calls"):
        cost(Done(10, 3.0, 2.5, 500.0, 0), Done(10, 1.0, 0.5, 5.0, 0))


def test_the_blocking_client_says_how_long_each_call_took() -> None:
    with sink(Cores(None, None), delay=0.005) as served:
        done = run(
            [sys.executable, "-m", "benchmarks.clients.paced", str(served.port), messages.SINGLE, "100", "0.2"], served, 60
        )
    taken = json.loads(done.said)
    assert len(taken) == done.calls == 20
    assert min(taken) >= 5000


def test_a_client_that_fails_is_told_with_its_last_words() -> None:
    with sink(Cores(None, None)) as served, pytest.raises(FailedError, match=r"^exit code 3: the end$"):
        run([sys.executable, "-c", "import sys; print('so'); print('the end'); sys.exit(3)"], served, 60)


def test_a_client_that_does_not_end_is_ended() -> None:
    with sink(Cores(None, None)) as served, pytest.raises(FailedError, match="did not end"):
        run([sys.executable, "-c", "import threading; threading.Event().wait()"], served, 0.3)


def test_files_for_tools_hold_the_request(tmp_path: Path) -> None:
    files = messages.write(messages.BATCH, tmp_path)
    octets = files.plain.read_bytes()
    assert octets == messages.batch().SerializeToString()
    assert files.framed.read_bytes() == b"\0" + len(octets).to_bytes(4, "big") + octets
