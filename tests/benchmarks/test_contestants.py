"""The clients that ours are compared with make calls that the sink answers; how fast is no matter here."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import pytest

from benchmarks import messages
from benchmarks.bars import AIO, TITLES
from benchmarks.contestants import Task, contestants, cost
from benchmarks.ours import Workbench
from benchmarks.processes import Cores, Done, FailedError, Reading, run, sink, steady


def test_everybody_is_there_or_missing(tmp_path: Path) -> None:
    found = contestants(Workbench(tmp_path))
    assert set(found) == set(TITLES)
    assert {one for one in found.values() if isinstance(one, str)} <= {"not installed"}


@pytest.mark.parametrize("what", [messages.STATUS, messages.BATCH])
def test_a_client_is_measured(tmp_path: Path, what: str) -> None:
    client = contestants(Workbench(tmp_path))[AIO]
    assert not isinstance(client, str)
    with sink(Cores(None, None)) as served:
        found = cost(client(Task(what, served, 4, 1.0)))
    assert found.calls > 0
    assert found.client > 0
    assert found.sink > 0


def readings(*rates: float) -> list[Reading]:
    """Return looks a second apart, with so many calls between them that take 1 ms of the client and 2 ms of the sink each."""
    calls = [0, *itertools.accumulate(rates)]
    return [Reading(float(at), int(done), done * 0.002, done * 0.001) for at, done in enumerate(calls)]


@pytest.mark.parametrize(
    ("rates", "begin", "end"),
    [
        ((0, 3, 100, 90, 110, 100, 5, 0), 3, 6),
        ((100, 100, 100), 1, 3),
        ((0, 100, 0), 1, 2),
        ((0, 100, 0, 0, 80, 3), 2, 5),
        ((0, 0), 0, 2),
        ((), 0, 0),
    ],
)
def test_a_client_is_at_full_work_between_its_start_and_its_end(rates: tuple[float, ...], begin: int, end: int) -> None:
    looks = readings(*rates)
    assert steady(looks) == (looks[begin], looks[end])


def test_a_cost_is_that_of_full_work() -> None:
    looks = readings(0, 3, 1000, 1000, 1000, 10)
    begin, end = steady(looks)
    found = cost(Done(3013, 500.0, begin, end, 0))
    assert (found.calls, found.rate) == (2000, 500.0)
    assert found.client == pytest.approx(1000)
    assert found.sink == pytest.approx(2000)
    with pytest.raises(FailedError, match="no calls"):
        cost(Done(0, 0.0, looks[0], looks[0], 0))


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
