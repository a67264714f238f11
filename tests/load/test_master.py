"""The master's side of a run without any process: what workers send is added up, and whoever is missing is told."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import __version__
from harness.endpoint import Endpoint
from harness.errors import ConfigError, ExitCode, HarnessError
from harness.histogram import Histogram
from harness.history import Rpc
from harness.ids import random_key
from harness.profile import load_profile
from harness.record import Header, Interval, Latency, Ledger, SectionEnd
from harness.recorder import load_record, make_header
from harness.scenario import load_scenario
from loadtests.collect import Share
from loadtests.crew import BEGIN, SHARE, STOP, Crew, Hello
from loadtests.ledger import LoadLedger
from loadtests.master import MasterRun
from loadtests.parcels import Parcel, pack, together
from loadtests.receipts import ids_in
from loadtests.recording import SecondOfCalls
from loadtests.runner import Progress
from loadtests.sink import Sink
from loadtests.workload import Submission
from tests.load.locusts import lines_of

CLOSED = "name: c\nexecutor: constant-users\nusers: 4\nduration: 60s\n"
OPEN = "name: o\nexecutor: constant-arrival-rate\nrate: 10\nduration: 60s\npreallocated_users: 4\nmax_users: 9\n"
RPC = "GetControllerJobStatus"
STRANGER = 999_999


def hello(pid: int = STRANGER, **changes: Any) -> dict[str, Any]:
    return {**Hello("", "s", "elsewhere", pid, 1).to_json(), "version": __version__, **changes}


def crew_of(*clients: str, hashing: Sequence[int] = (1, 2)) -> Crew:
    crew = Crew("s")
    for number, client in enumerate(clients):
        assert crew.greet(client, hello(number, hashing=hashing[number])) is None
    return crew


class Scene:
    """A run with two workers, `a` and `b`, that are played by the test."""

    def __init__(self, folder: Path, scenario: str, crew: Crew) -> None:
        self.record = folder / "record.jsonl"
        self.sent: list[tuple[str, str, dict[str, Any]]] = []
        self.told: list[Progress] = []
        self.lost: list[str] = []
        self.cut_short = 0
        profile = load_profile("name: p\naddress: 127.0.0.1:1\njobs: {quick: {text: x}}\n", "p.yaml")
        self.run = MasterRun(
            Endpoint(profile, profile.address, {}, {}),
            load_scenario(scenario, "s.yaml"),
            Sink(self.record, self._header),
            crew=crew,
            clients=["a", "b"],
            number=1,
            send=lambda kind, data, client: self.sent.append((kind, client, data)),
            cut_short=self._cut,
            on_lost=self.lost.append,
            on_progress=self.told.append,
        )
        self.run.begin()
        self._numbers = {"a": 0, "b": 0}

    def parcel(self, client: str, closed: int, *counts: int, last: bool = False, **more: Any) -> None:
        """Have a worker send a parcel whose seconds, up to `closed`, have so many calls."""
        self._numbers[client] += 1
        message = {
            "run": 1,
            "number": self._numbers[client],
            "hired": 2,
            "short": 0,
            "over": False,
            "last": last,
            "problem": None,
            "parcel": pack(figures(closed, *counts)),
        }
        self.run.received(client, {**message, **more})

    def messages(self, kind: str) -> list[tuple[str, dict[str, Any]]]:
        return [(client, data) for sent, client, data in self.sent if sent == kind]

    def end(self) -> SectionEnd:
        (end,) = lines_of(load_record(self.record).lines, SectionEnd)
        return end

    def _header(self) -> Header:
        return make_header(command=("locust",), endpoint="e", profile={}, seed=1)

    def _cut(self) -> None:
        self.cut_short += 1


def figures(closed: int, *counts: int) -> Parcel:
    seconds = []
    for second, count in enumerate(counts, start=closed - len(counts)):
        latencies = Histogram()
        latencies.add(1000 + second, count)
        seconds.append(SecondOfCalls(second, RPC, latencies, {"UNAVAILABLE": 1}))
    everything = Histogram()
    everything.add(1000, 100 * closed)
    line = Latency("rpc", RPC, "OK", everything)
    return dataclasses.replace(
        together([]), closed=closed, seconds=tuple(seconds), latencies=(line,), users=2, calls=100 * closed, span=float(closed)
    )


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path, CLOSED, crew_of("a", "b"))
    yield made
    with contextlib.suppress(HarnessError):
        made.run.finish()


@given(st.integers(0, 10_000), st.integers(1, 100))
def test_shares_are_the_whole_and_differ_by_one_at_most(whole: int, workers: int) -> None:
    parts = [Share(index, workers).part(whole) for index in range(workers)]
    assert sum(parts) == whole
    assert max(parts) - min(parts) <= 1


def test_each_worker_is_told_its_share(scene: Scene) -> None:
    (_, first), (_, second) = scene.messages(SHARE)
    assert (first["run"], first["index"], first["of"]) == (1, 0, 2)
    assert second == {**first, "index": 1}
    assert len(first["key"]) == 32  # they do not hash alike


@pytest.mark.parametrize(("hashing", "alike"), [((7, 7), True), ((7, 8), False)])
def test_workers_that_hash_alike_are_told_from_others(hashing: tuple[int, int], alike: bool) -> None:
    assert crew_of("a", "b", hashing=hashing).hash_alike(["a", "b"]) is alike


def test_an_id_that_two_workers_were_given_breaks_a_promise(scene: Scene) -> None:
    books = {"a": LoadLedger(b"k"), "b": LoadLedger(b"k")}
    for client, book in books.items():
        submission = Submission(Rpc.EXECUTE, random_key(random.SystemRandom()), (2,), False, False)
        book.sent(submission)
        book.acknowledged(submission, ids_in([[f"of {client}", "of both"]]), "call")
        figured = dataclasses.replace(figures(1, 5), ledger=book.summary(), ids=book.digests())
        scene.parcel(client, 1, parcel=pack(figured))
    assert scene.run.finish() is ExitCode.VIOLATION
    (ledger,) = lines_of(load_record(scene.record).lines, Ledger)
    assert (ledger.acknowledged_jobs, ledger.violation_count) == (4, 1)
    assert [violation.requirement for violation in ledger.violations] == ["EXEC-03"]


def test_seconds_of_all_workers_are_added_up(scene: Scene) -> None:
    scene.parcel("a", 2, 5, 7)
    scene.parcel("b", 1, 30)
    scene.parcel("b", 3, 40, 50)
    scene.parcel("a", 3, 9)
    assert scene.run.finish() is ExitCode.OK
    lines = lines_of(load_record(scene.record).lines, Interval)
    assert [(line.second, line.count, line.errors["UNAVAILABLE"], line.users) for line in lines] == [
        (0, 35, 2, 4),
        (1, 47, 2, 4),
        (2, 59, 2, 4),
    ]
    (line,) = lines_of(load_record(scene.record).lines, Latency)
    assert line.histogram.count == 600
    assert scene.run.finish() is ExitCode.OK, "a run ends once"


def test_a_parcel_that_is_missing_is_noticed(scene: Scene) -> None:
    scene.parcel("a", 1, 5)
    scene.parcel("b", 1, 5)
    scene.parcel("b", 3, 7, number=3)
    scene.parcel("b", 4, 1000, number=4)
    scene.parcel("a", 2, 6)
    assert scene.run.finish() is ExitCode.NOT_VALID
    assert "worker elsewhere, process 1 was lost" in scene.end().reason
    assert "lost on the way" in scene.end().reason
    assert scene.lost == ["b"]
    assert [line.count for line in lines_of(load_record(scene.record).lines, Interval)] == [10, 6]


@pytest.mark.parametrize("octets", [b"", b"rubbish", pack(figures(1, 5))[:-1]])
def test_figures_that_make_no_sense_lose_the_worker(octets: bytes, scene: Scene) -> None:
    scene.parcel("a", 1, 5)
    scene.parcel("b", 1, parcel=octets)
    assert scene.run.finish() is ExitCode.NOT_VALID
    assert "make no sense" in scene.end().reason


def test_an_error_of_a_worker_ends_the_run_with_its_code(scene: Scene) -> None:
    scene.parcel("a", 1, 5)
    scene.parcel("b", 1, 5, problem=[int(ExitCode.UNREACHABLE), "cannot reach it"])
    assert scene.cut_short == 1
    assert scene.run.finish() is ExitCode.UNREACHABLE
    assert scene.end().reason == "worker elsewhere, process 1: cannot reach it"


def test_of_an_error_and_a_loss_both_are_told(scene: Scene) -> None:
    scene.parcel("a", 1, 5, problem=[int(ExitCode.UNREACHABLE), "cannot reach it"])
    scene.parcel("b", 1, 5, number=7)
    assert scene.run.finish() is ExitCode.UNREACHABLE
    assert scene.end().reason.startswith("worker elsewhere, process 0: cannot reach it; worker elsewhere, process 1 was lost")


def test_a_worker_that_leaves_by_itself_ends_the_run(scene: Scene) -> None:
    scene.parcel("b", 1, 5, last=True)
    assert scene.cut_short == 1
    assert scene.run.finish() is ExitCode.NOT_VALID
    assert "left the run" in scene.end().reason


def test_who_ends_because_of_a_second_signal_has_not_left(scene: Scene) -> None:
    scene.run.hurry()
    assert scene.messages(STOP) == [(client, {"run": 1, "patience": 0.0}) for client in ("a", "b")]
    scene.parcel("b", 1, 5, last=True)
    assert scene.cut_short == 0
    scene.run.finish()
    assert scene.end().outcome == "completed"


def test_what_comes_from_other_runs_or_strangers_is_passed_over(scene: Scene) -> None:
    scene.parcel("a", 1, 5)
    scene.parcel("a", 1, 1000, run=2)
    scene.run.received("c", {"run": 1})
    scene.run.hired("c", {"run": 1, "hired": 3})
    scene.run.finish()
    assert [line.count for line in lines_of(load_record(scene.record).lines, Interval)] == [5]


def test_all_are_told_to_end_and_waited_for(scene: Scene) -> None:
    scene.parcel("a", 1, 5, last=False)
    scene.parcel("b", 1, 5, last=False)

    def end(kind: str, _: dict[str, Any], client: str) -> None:
        assert kind == STOP
        scene.parcel(client, 2, 7, last=True)

    scene.run._send = end
    assert scene.run.stopping(interrupted=False) == 0
    assert scene.run.stopping(interrupted=True) == 0, "a second time there is nothing to wait for"
    assert scene.run.finish() is ExitCode.OK
    assert [line.count for line in lines_of(load_record(scene.record).lines, Interval)] == [10, 14]


def test_a_run_of_which_nothing_came_is_not_valid(scene: Scene) -> None:
    assert scene.run.finish() is ExitCode.NOT_VALID


def test_a_schedule_begins_everywhere_once_all_users_have_come(tmp_path: Path) -> None:
    scene = Scene(tmp_path, OPEN, crew_of("a", "b"))
    scene.run.hired("a", {"run": 1, "hired": 2})
    assert scene.run.pool() == 4
    assert scene.messages(BEGIN) == []
    scene.run.hired("b", {"run": 1, "hired": 2})
    assert [client for client, _ in scene.messages(BEGIN)] == ["a", "b"]
    scene.run.hired("b", {"run": 1, "hired": 2})
    assert len(scene.messages(BEGIN)) == 2
    scene.parcel("a", 1, 5, short=2)
    assert scene.run.pool() == 6
    scene.parcel("a", 2, 5, short=9, over=True)
    assert scene.run.pool() == 9, "no more than max_users"
    scene.parcel("b", 2, 5, over=True)
    assert scene.run.pool() is None
    scene.run.finish()


def test_a_worker_lost_before_the_schedule_begins_ends_the_run(tmp_path: Path) -> None:
    scene = Scene(tmp_path, OPEN, crew_of("a", "b"))
    scene.parcel("b", 1, 5, number=7)
    assert scene.cut_short == 1
    assert scene.run.finish() is ExitCode.NOT_VALID


@pytest.mark.parametrize(
    ("change", "told", "code"),
    [
        ({"version": "0.0.1"}, "is version 0.0.1 of the harness", ExitCode.USAGE),
        ({"scenario": "other"}, "has another scenario than its master", ExitCode.USAGE),
        ({"problem": "cannot connect", "exit_code": 5}, "process 999999: cannot connect", ExitCode.UNREACHABLE),
        ({"problem": "odd", "exit_code": 77}, "odd", ExitCode.NOT_VALID),
        ({"pid": "12"}, "is of another kind", ExitCode.USAGE),
    ],
)
def test_who_cannot_take_part_is_told_why(change: dict[str, Any], told: str, code: ExitCode) -> None:
    crew = Crew("s")
    error = crew.greet("a", hello(**change))
    assert error is not None
    assert told in str(error)
    assert error.exit_code is code
    assert not crew.knows("a")


def test_a_message_that_is_no_hello_is_no_traceback() -> None:
    assert isinstance(Crew("s").greet("a", None), ConfigError)


def test_a_child_that_ended_is_gone_and_one_that_hangs_is_put_away() -> None:
    crew = Crew("s")
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert crew.greet("a", hello(child.pid, host=socket.gethostname(), parent=os.getpid())) is None
        assert crew.why_gone("a") == ""
        crew.put_away("a")
        assert child.wait(60) < 0
        assert crew.why_gone("a") == "its process has ended"
        crew.put_away("a")
    finally:
        child.kill()
        child.communicate()


def test_a_worker_elsewhere_is_gone_when_it_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    crew = crew_of("a")
    assert crew.why_gone("a") == ""
    monkeypatch.setattr("loadtests.crew.SILENCE", -1.0)
    assert crew.why_gone("a") == "it said nothing for 0 s"
    crew.put_away("a")
