"""The sink's answers are such that clients and their books are content."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import messages
from benchmarks.processes import Cores, Reading, best_rate, sink
from benchmarks.sink import Answers, batch_template, single_template
from benchmarks.wire_client import Client
from harness.stubs import service_pb2

STATUS = service_pb2.GetControllerJobStatusResponse


def submit(answers: Answers, configurations: int = 1) -> list[str]:
    octets = answers.submission(single_template, messages.single(configurations).SerializeToString())
    return list(service_pb2.ExecuteControllerJobResponse.FromString(octets).job_execution_ids)


def status(answers: Answers, job_id: str) -> int:
    octets = answers.status(
        service_pb2.GetControllerJobStatusRequest(job_id=job_id, quantum_processor_id="q").SerializeToString()
    )
    return STATUS.FromString(octets).status


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_every_configuration_gets_an_id_of_its_own(sizes: list[int]) -> None:
    answers = Answers(1.0)
    given_ids = [submit(answers, size) for size in sizes]
    assert [len(ids) for ids in given_ids] == sizes
    flat = [one for ids in given_ids for one in ids]
    assert len(set(flat)) == len(flat)


def test_a_batch_is_answered_request_by_request() -> None:
    answers, octets = Answers(1.0), messages.batch().SerializeToString()
    both = [
        service_pb2.BatchExecuteControllerJobsResponse.FromString(answers.submission(batch_template, octets)) for _ in range(2)
    ]
    ids = [one for response in both for member in response.responses for one in member.job_execution_ids]
    assert [len(member.job_execution_ids) for member in both[0].responses] == [messages.CONFIGURATIONS] * messages.REQUESTS
    assert len(set(ids)) == 2 * messages.REQUESTS * messages.CONFIGURATIONS


def test_a_job_runs_for_one_to_two_lives() -> None:
    answers = Answers(1.0)
    answers.age()
    (job,) = submit(answers)
    assert status(answers, job) == STATUS.RUNNING
    answers.age()
    assert status(answers, job) == STATUS.RUNNING
    answers.age()
    assert status(answers, job) == STATUS.SUCCEEDED


def test_without_a_life_jobs_have_succeeded_at_once() -> None:
    answers = Answers(0.0)
    answers.age()
    (job,) = submit(answers)
    assert status(answers, job) == STATUS.SUCCEEDED


def test_the_job_may_be_named_last() -> None:
    """As the harness does, which appends what differs to what is the same in all requests."""
    answers = Answers(1.0)
    answers.age()
    (job,) = submit(answers)
    head = service_pb2.GetControllerJobStatusRequest(quantum_processor_id="q").SerializeToString()
    tail = service_pb2.GetControllerJobStatusRequest(job_id=job).SerializeToString()
    assert STATUS.FromString(answers.status(head + tail)).status == STATUS.RUNNING


@pytest.mark.parametrize("delay", [0.0, 0.003])
def test_a_sink_serves_and_counts(delay: float) -> None:
    with sink(Cores(None, None), delay=delay) as served:
        before = served.read()
        client = Client(served.port)
        for _ in range(5):
            client.start("ExecuteControllerJob", messages.single(2).SerializeToString())
            client.start("GetControllerJobResults", b"")
            client.start("CancelControllerJobs", b"")
        while client.done < 15:
            client.turn()
        after = served.read()
        client.close()
    assert after.calls - before.calls == 15
    assert after.sink >= before.sink


def test_the_best_rate_is_that_of_a_second() -> None:
    calls = [0, 0, 10, 20, 30, 40, 40, 40]
    readings = [Reading(0.25 * index, number, 0.0) for index, number in enumerate(calls)]
    assert best_rate(readings) == 40
    assert best_rate(readings[:3]) == 20
    assert best_rate([Reading(1.0, 5, 0.0)]) == 0
