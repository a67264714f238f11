"""Requests that are joined from constants say the same as those that are built afresh, whatever is in them."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.draws import Counts
from harness.endpoint import Endpoint, resolve
from harness.fixtures import MemoryValue
from harness.history import Rpc
from harness.ids import IdempotencyKey
from harness.profile import load_profile
from harness.requests import Requests
from harness.server.jobtext import parse_job
from harness.stubs import service_pb2 as pb
from harness.workload import Workload
from loadtests.payloads import Constants, Payloads, padded, reals, region_of
from loadtests.workload import Submission

PROFILE = """\
name: t
address: 127.0.0.1:1
target: {target}
jobs:
  quick: {{text: controller-job duration=2ms, key_id: key, nonce: AAEC, memory: {{theta: {{real: [0.5]}}}}}}
  slow: {{base64: AAEC}}
  correlated: {{text: controller-job readout=tag}}
{more}"""
CORRELATION = "correlation: {region: tag}\n"
TARGETS = ("{quantum_processor_id: qpu-1}", "{endpoint_id: e}", "{}")

halves = st.integers(0, (1 << 64) - 1)
keys = st.builds(IdempotencyKey, halves, halves)
job_ids = st.text(st.characters(exclude_categories=["Cs"]), max_size=400)
counts = st.integers(1, 40)


def endpoint(target: str = TARGETS[0], more: str = CORRELATION) -> Endpoint:
    return resolve(load_profile(PROFILE.format(target=target, more=more), "test"), Path())


ENDPOINTS = tuple(endpoint(target) for target in TARGETS)


@st.composite
def submissions(draw: st.DrawFn) -> tuple[Workload, Submission]:
    """Draw a workload, and a submission that fits it."""
    rpc = draw(st.sampled_from([Rpc.EXECUTE, Rpc.BATCH]))
    sizes = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=1 if rpc is Rpc.EXECUTE else 5)))
    role = draw(st.sampled_from(["quick", "slow", "correlated"]))
    memory = payloads = None
    if draw(st.booleans()):
        memory = tuple(tuple(draw(counts) for _ in range(size)) for size in sizes)
    if draw(st.booleans()):
        payloads = tuple(draw(st.integers(0, 3000)) for _ in sizes)
    workload = Workload(
        job=role,
        configurations_per_request=draw(st.just(1) | st.just(Counts(min=1, max=6))),
        memory_values_per_configuration=None if memory is None else 1,
        memory_region=None if memory is None else "phi",
        payload_size=None if payloads is None else 1,
    )
    return workload, Submission(rpc, draw(keys), sizes, False, False, True, role, memory or (), payloads or ())


def built_afresh(
    endpoint: Endpoint, submission: Submission
) -> pb.ExecuteControllerJobRequest | pb.BatchExecuteControllerJobsRequest:
    """Build the message of a submission the plain way."""
    requests, role = Requests(endpoint), submission.job
    members, place = [], 0
    for index, size in enumerate(submission.sizes):
        configurations = []
        for number in range(size):
            memory = {"phi": MemoryValue(real=reals(submission.memory[index][number]))} if submission.memory else {}
            if role == "correlated":
                memory["tag"] = MemoryValue(integer=(place,))
            configurations.append(requests.configuration(role, memory))
            place += 1
        key = submission.key if submission.rpc is Rpc.EXECUTE else None
        member = requests.execute(role, configurations=configurations, key=key)
        if submission.payloads:
            member.encrypted.job = padded(member.encrypted.job, submission.payloads[index])
        members.append(member)
    return members[0] if submission.rpc is Rpc.EXECUTE else requests.batch(members, key=submission.key)


@given(st.sampled_from(ENDPOINTS), submissions(), st.integers(0, 3000))
def test_a_submission_says_what_a_message_built_afresh_says(
    endpoint: Endpoint, drawn: tuple[Workload, Submission], kept: int
) -> None:
    workload, submission = drawn
    payloads, expected = Payloads(endpoint, workload, kept), built_afresh(endpoint, submission)
    for _ in range(2):  # the second time from what was kept
        assert type(expected).FromString(payloads.submission(submission)) == expected


@given(st.sampled_from(ENDPOINTS), job_ids, st.lists(job_ids, max_size=5))
def test_requests_that_name_jobs_say_what_messages_built_afresh_say(endpoint: Endpoint, job_id: str, more: list[str]) -> None:
    payloads, requests = Payloads(endpoint, Workload()), Requests(endpoint)
    assert pb.GetControllerJobStatusRequest.FromString(payloads.status(job_id.encode())) == requests.status(job_id)
    assert pb.GetControllerJobResultsRequest.FromString(payloads.results(job_id.encode())) == requests.results(job_id)
    assert pb.CancelControllerJobsRequest.FromString(payloads.cancel([each.encode() for each in more])) == requests.cancel(more)


@pytest.mark.parametrize("job_id", ["", "a", "a" * 127, "a" * 128, "é" * 64, "語" * 6000, "\0" * 17_000])
def test_ids_of_all_lengths_are_named(job_id: str) -> None:
    found = pb.GetControllerJobStatusRequest.FromString(Payloads(ENDPOINTS[0], Workload()).status(job_id.encode()))
    assert (found.job_id, found.quantum_processor_id) == (job_id, "qpu-1")


def test_a_configuration_carries_its_place_in_the_whole_submission() -> None:
    payloads = Payloads(ENDPOINTS[0], Workload(job="correlated"))
    submission = Submission(Rpc.BATCH, IdempotencyKey(1, 2), (2, 1, 3), False, False, job="correlated")
    request = pb.BatchExecuteControllerJobsRequest.FromString(payloads.submission(submission))
    tags = [list(each.memory_values["tag"].integer.data) for one in request.requests for each in one.execution_configurations]
    assert tags == [[0], [1], [2], [3], [4], [5]]
    assert payloads.correlation("correlated") is not None
    assert payloads.correlation("quick") is None


@given(st.binary(max_size=50), st.integers(0, 200_000))
def test_padding_makes_a_payload_as_large_as_asked_and_leaves_its_beginning(payload: bytes, size: int) -> None:
    found = padded(payload, size)
    assert len(found) == max(size, len(payload))
    assert found.startswith(payload)
    assert found[len(payload) :][:1] in {b"", b"\n"}


def test_the_reference_controller_runs_a_padded_job_as_it_would_without() -> None:
    text = b"controller-job duration=3ms post=2ms readout=tag"
    assert parse_job(padded(text, 100_000), 1) == parse_job(text, 1)


@given(st.integers(0, 100_000), st.integers(0, 100_000))
def test_reals_are_always_the_same(one: int, two: int) -> None:
    few, many = sorted((one, two))
    assert len(reals(many)) == many
    assert reals(many)[:few] == reals(few)


def test_noise_and_reals_cannot_be_compressed() -> None:
    assert len(zlib.compress(padded(b"", 500_000))) > 490_000
    assert len(set(reals(8192))) == 8192


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 600)), max_size=60), st.integers(0, 5000))
def test_constants_are_right_and_their_octets_bounded(asked: list[tuple[int, int]], most: int) -> None:
    constants = Constants(most)
    for key, size in asked:
        assert constants.get((key, size), lambda key, size: bytes([key]) * size, key, size) == bytes([key]) * size
        assert constants.octets <= max(most, size + 256)


def test_a_constant_is_made_once_while_it_is_kept() -> None:
    made: list[str] = []

    def make(name: str) -> bytes:
        made.append(name)
        return name.encode() * 1000

    constants = Constants(3000)
    for name in ("a", "b", "a", "c", "b", "a"):
        constants.get(name, make, name)
    assert made == ["a", "b", "c", "a"]


def test_a_payload_of_many_mebibytes_is_not_kept_beside_others() -> None:
    payloads = Payloads(ENDPOINTS[0], Workload(payload_size=20 << 20), 1 << 20)
    submission = Submission(Rpc.EXECUTE, IdempotencyKey(1, 2), (1,), False, False, payloads=(20 << 20,))
    request = pb.ExecuteControllerJobRequest.FromString(payloads.submission(submission))
    assert len(request.encrypted.job) == 20 << 20
    assert payloads.kept <= (20 << 20) + 2000


@pytest.mark.parametrize(
    ("role", "region", "expected"),
    [("quick", None, "theta"), ("quick", "phi", "phi"), ("slow", "phi", "phi"), ("correlated", "phi", "phi")],
)
def test_the_region_is_the_scenario_s_or_the_first_of_the_job(role: str, region: str | None, expected: str) -> None:
    workload = Workload(memory_values_per_configuration=2, memory_region=region)
    assert region_of(workload, ENDPOINTS[0].profile, role) == expected


@pytest.mark.parametrize(
    ("role", "region", "told"),
    [("slow", None, "has no memory region to fill"), ("correlated", "tag", "the region 'tag' holds the number")],
)
def test_a_region_that_cannot_hold_the_reals_is_refused(role: str, region: str | None, told: str) -> None:
    workload = Workload(job=role, memory_values_per_configuration=2, memory_region=region)
    with pytest.raises(ValueError, match=told):
        Payloads(ENDPOINTS[0], workload)
