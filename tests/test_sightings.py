"""What the judge reads out of operations, and what it refuses to read."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from harness.call import message_json
from harness.checker import judge
from harness.errors import ConfigError
from harness.history import Ok, Outcome, Rpc
from harness.sightings import Member, Submission, sighting
from harness.stubs import job_pb2, service_pb2
from tests.simulated_controller import Json, operation


@pytest.mark.parametrize(
    ("request_json", "outcome", "words"),
    [
        ({"job_ids": ["a", "... 12 more"]}, Ok({}), "shortened"),
        ({"job_ids": [], "x": {"y": "z" * 400 + "... 7 more characters"}}, Ok({}), "shortened"),
        ({"job_ids": [1]}, Ok({}), "expected str"),
        ({"job_ids": "a"}, Ok({}), "expected list"),
    ],
)
def test_what_is_no_whole_operation_is_refused(request_json: Json, outcome: Outcome, words: str) -> None:
    with pytest.raises(ConfigError, match=f"operation 7: cannot be judged: .*{words}"):
        judge([operation(7, Rpc.CANCEL, request_json, outcome, (0, 1))])


@pytest.mark.parametrize(
    ("rpc", "request_json", "answer"),
    [
        (Rpc.EXECUTE, {"idempotency_key": {"high": "x"}}, {}),
        (Rpc.EXECUTE, {"idempotency_key": {"high": 1e999}}, {}),
        (Rpc.EXECUTE, {"execution_configurations": [1]}, {}),
        (Rpc.EXECUTE, {}, {"job_execution_ids": [None]}),
        (Rpc.BATCH, {"requests": {}}, {}),
        (Rpc.BATCH, {}, {"responses": ["a"]}),
        (Rpc.STATUS, {"job_id": 1}, {}),
        (Rpc.STATUS, {}, {"status": "ALIVE"}),
        (Rpc.STATUS, {"endpoint_id": []}, {}),
        (Rpc.RESULTS, {}, {"result": []}),
        (Rpc.RESULTS, {}, {"result": {"status": None}}),
    ],
)
def test_what_is_none_of_the_messages_is_refused(rpc: Rpc, request_json: Json, answer: Json) -> None:
    with pytest.raises(ConfigError, match="operation 1: cannot be judged"):
        judge([operation(1, rpc, request_json, Ok(answer), (0, 1))])


@pytest.mark.parametrize("rpc", [Rpc.CANCEL, Rpc.EXECUTE])
def test_what_is_nested_too_deep_is_refused(rpc: Rpc) -> None:
    nested: list[Any] = []
    for _ in range(5000):
        nested = [nested]
    with pytest.raises(ConfigError, match="nested too deep"):
        judge([operation(1, rpc, {"a": nested}, Ok({}), (0, 1))])


def test_times_and_numbers_have_to_make_sense() -> None:
    call = operation(1, Rpc.CANCEL, {}, Ok({}), (5, 4))
    with pytest.raises(ConfigError, match="ends before it starts"):
        judge([call])
    with pytest.raises(ConfigError, match="occurs twice"):
        judge([dataclasses.replace(call, ended_ns=5)] * 2)


def test_messages_are_read_as_the_client_writes_them() -> None:
    request = service_pb2.ExecuteControllerJobRequest(
        execution_configurations=[job_pb2.JobExecutionConfiguration()] * 2,
        options=service_pb2.ExecutionOptions(timeout=Duration(seconds=1)),
        idempotency_key=service_pb2.Uuid(high=1 << 63, low=0),
        endpoint_id="e",
    )
    answer = service_pb2.ExecuteControllerJobResponse(job_execution_ids=["a", "b"])
    found = sighting(operation(1, Rpc.EXECUTE, message_json(request), Ok(message_json(answer)), (0, 1)))
    assert isinstance(found, Submission)
    assert (found.key, found.ids) == ("8000000000000000" + "0" * 16, (("a", "b"),))
    assert found.members == (Member(configurations=2, target="endpoint_id e", timeout=True),)
