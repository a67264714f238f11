"""The kit that checks are written with: its pure parts by properties, the rest against a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.kit import Case, DisturbedError, UnobservableError
from conformance.kit.hold import held
from conformance.kit.observers import read_observer
from conformance.kit.oracles import counting, fill
from conformance.kit.reads import backward_reads
from harness.budget import Spending
from harness.call import Call
from harness.endpoint import Endpoint, read_profile, resolve
from harness.facts import Observer
from harness.history import Rpc
from harness.model import Status
from harness.profile import load_profile
from harness.server.embedded_thread import background_server
from harness.server.settings import ServerSettings
from harness.stubs import service_pb2 as pb
from tests.conformance.runs import REFERENCE

ORDER = (Status.QUEUED, Status.RUNNING, Status.POST_PROCESSING, Status.SUCCEEDED)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with background_server(ServerSettings(queue_capacity=300, executors=2)) as bound:
        text = REFERENCE.read_text(encoding="utf-8").replace("address: embedded", f"address: {bound.address}")
        text = text.replace(
            "queue_capacity: 2000\n  max_conf", f"queue_capacity: 300\n  observer: {{url: {bound.metrics_url}}}\n  max_conf"
        )
        text = text.replace("executors: 1\n  queue_capacity: 300", "executors: 2\n  queue_capacity: 300")
        profile = load_profile(text.replace("identities:\n", "identities: {}\n").replace(_identities(text), ""), "test")
        yield resolve(profile, Path())


def _identities(text: str) -> str:
    lines = [line for line in text.splitlines(keepends=True) if line.startswith(("  main:", "  guest:", "  former:"))]
    return "".join(lines)


@pytest.fixture
def case(endpoint: Endpoint) -> Iterator[Case]:
    made = Case(endpoint, spending=Spending(endpoint.profile.budget), seed="1", origin_ns=0)
    yield made
    made.clean_up()
    made.close()


def test_held_keeps_every_executor_busy(case: Case) -> None:
    with held(case) as blockers:
        assert len(blockers) == 2
        ids = case.submit(count=3)
        assert [case.status(job_id) for job_id in ids] == [Status.QUEUED] * 3


def test_held_notices_that_it_did_not_hold(case: Case) -> None:
    with pytest.raises(DisturbedError, match="was to be busy"), held(case) as blockers:
        case.finish(blockers, within=2)


def test_fill_finds_exactly_the_room_that_is_left(case: Case) -> None:
    with held(case):
        case.submit(count=17)
        assert len(fill(case, 300)) == 300 - 17


def test_fill_does_not_believe_a_wrong_capacity(case: Case) -> None:
    with pytest.raises(DisturbedError, match="more than 250"), held(case):
        fill(case, 250)


@pytest.mark.parametrize("jobs", [0, 1, 7])
def test_counting_by_observer(case: Case, jobs: int) -> None:
    with counting(case) as count:
        if jobs:
            case.submit(count=jobs)
    assert (count.jobs, count.oracle) == (jobs, "observer")


def test_an_observer_without_the_metric(endpoint: Endpoint) -> None:
    found = endpoint.profile.facts.observer
    assert found is not None
    with pytest.raises(UnobservableError, match="no metric 'nonsense'"):
        read_observer(Observer(url=found.url, metric="nonsense"))
    with pytest.raises(UnobservableError, match="no metric"):
        read_observer(Observer(url=found.url, labels={"processor": "nowhere"}))


def test_an_illegal_move_is_noticed_in_passing(case: Case) -> None:
    (job_id,) = case.submit()
    case.finish([job_id])
    case._seen[job_id] = Status.CANCELED
    case.status(job_id)
    assert [item.requirement for item in case.discrepancies] == ["STA-01"]


def _read(endpoint: Endpoint, status: Status, started: int, ended: int) -> Call:
    response = pb.GetControllerJobStatusResponse(status=pb.GetControllerJobStatusResponse.Status.Value(status.value))
    request = pb.GetControllerJobStatusRequest(job_id="j")
    return Call(1, Rpc.STATUS, "c", "", "r", 1.0, started, ended, request, response, None, endpoint)


@pytest.fixture(scope="module")
def anywhere() -> Endpoint:
    profile, base = read_profile("reference")
    return resolve(profile, base)


@given(data=st.data())
def test_reads_of_one_legal_life_are_never_blamed(anywhere: Endpoint, data: st.DataObject) -> None:
    moves = sorted(data.draw(st.lists(st.integers(0, 1000), min_size=3, max_size=3)))

    def at(time: int) -> Status:
        return ORDER[sum(time >= move for move in moves)]

    spans = data.draw(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 200), st.floats(0, 1)), max_size=40))
    reads = [_read(anywhere, at(start + round(length * part)), start, start + length) for start, length, part in spans]
    assert backward_reads(sorted(reads, key=lambda call: call.ended_ns)) == []


@given(rank=st.integers(1, 3), back=st.integers(0, 2), gap=st.integers(1, 100))
def test_a_read_that_goes_back_is_blamed(anywhere: Endpoint, rank: int, back: int, gap: int) -> None:
    earlier, later = ORDER[rank], ORDER[min(back, rank - 1)]
    reads = [_read(anywhere, earlier, 0, 10), _read(anywhere, later, 10 + gap, 20 + gap)]
    assert backward_reads(reads) == [(reads[0], reads[1])]


def test_overlapping_reads_may_disagree(anywhere: Endpoint) -> None:
    reads = [_read(anywhere, Status.RUNNING, 0, 10), _read(anywhere, Status.QUEUED, 5, 15)]
    assert backward_reads(reads) == []
