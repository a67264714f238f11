"""The server as a client sees it over a real connection."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from harness.ids import IdempotencyKey
from harness.server.service import RPCS, SERVICE
from harness.server.settings import EDGES
from harness.stubs import job_pb2, service_pb2

MIB = 1 << 20
SUCCESS = job_pb2.ControllerJobExecutionResult.SUCCESS


@pytest.fixture(params=EDGES)
def edge(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def code_of(call: Any) -> tuple[str, str | None]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code().name, caught.value.details()


def test_jobs_give_back_their_own_memory(support: Any) -> None:
    client = support.serve()
    ids = client.submit("controller-job duration=1ms readout=n", range(10))
    for number, job_id in enumerate(ids):
        result = client.results(job_id)
        assert result.status == SUCCESS
        assert list(result.memory_values["n"].integer.data) == [number]
        assert list(result.readout_values["n"].integer_values.values) == [number]
        assert result.execution_duration_microseconds == 1000
        assert client.phase(job_id) == support.Status.SUCCEEDED


def memory(**regions: Any) -> job_pb2.JobExecutionConfiguration:
    message = job_pb2.JobExecutionConfiguration()
    for name, (kind, data) in regions.items():
        getattr(message.memory_values[name], kind).MergeFrom(type(getattr(message.memory_values[name], kind))(data=data))
    return message


@pytest.mark.parametrize(
    ("kind", "data", "readout"),
    [
        ("integer", [1, -(1 << 31)], {"integer_values": [1, -(1 << 31)]}),
        ("integer", [1 << 40], {"complex_values": [float(1 << 40)]}),
        ("real", [0.5, -2.0], {"complex_values": [0.5, -2.0]}),
        ("binary", b"\x00\xff", {}),
    ],
)
def test_readout_follows_the_kind_of_memory(support: Any, kind: str, data: Any, readout: dict[str, list[float]]) -> None:
    client = support.serve()
    request = support.submission("controller-job readout=r")
    del request.execution_configurations[:]
    request.execution_configurations.append(memory(r=(kind, data), other=("real", [1.0])))
    (job_id,) = client.execute(request)
    result = client.results(job_id)
    assert result.memory_values == request.execution_configurations[0].memory_values
    found: dict[str, list[float]] = {}
    for values in result.readout_values.values():
        which = values.WhichOneof("values")
        numbers = getattr(values, which).values
        found[which] = list(numbers) if which == "integer_values" else [number.real for number in numbers]
    assert found == readout


def test_readout_of_a_region_that_is_not_there_fails_the_job(support: Any) -> None:
    client = support.serve()
    (job_id,) = client.submit("controller-job readout=elsewhere")
    result = client.results(job_id)
    assert result.status == job_pb2.ControllerJobExecutionResult.USER_FAILURE
    assert "'elsewhere'" in result.status_message
    assert client.phase(job_id) == support.Status.FAILED


def test_batches_and_keys(support: Any, key: IdempotencyKey) -> None:
    client = support.serve()
    members = [support.submission(numbers=(1, 2)), support.submission(numbers=(3,), processor="qpu-2")]
    groups = client.batch(members, key)
    assert list(map(len, groups)) == [2, 1]
    assert client.batch(members, key) == groups
    assert client.submit(key=key) == client.submit(key=key)


def test_n_concurrent_submissions_with_one_key_are_one(support: Any, key: IdempotencyKey) -> None:
    client = support.serve()
    channels = [grpc.insecure_channel(client.bound.address) for _ in range(4)]
    clients = [support.client(client.bound, channel) for channel in channels]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda index: clients[index % 4].submit(numbers=(1, 2), key=key), range(24)))
    assert len({tuple(ids) for ids in answers}) == 1
    assert client.metrics()['controller_jobs_accepted_total{processor="qpu-1"}'] == 2


def test_results_wait_until_the_job_is_done(support: Any) -> None:
    client = support.serve()
    ids = client.submit("controller-job duration=100ms")
    begin = time.monotonic()
    assert client.results(ids[0]).status == SUCCESS
    assert time.monotonic() - begin > 0.05


def test_a_deadline_ends_the_wait_for_results(support: Any) -> None:
    client = support.serve()
    (job_id,) = client.submit("controller-job duration=30s")
    assert code_of(lambda: client.results(job_id, timeout=0.1))[0] == "DEADLINE_EXCEEDED"
    assert client.phase(job_id) == support.Status.RUNNING


def test_many_calls_wait_at_once(support: Any) -> None:
    client = support.serve()
    ids = client.submit("controller-job duration=1ms", range(200))
    request = [service_pb2.GetControllerJobResultsRequest(job_execution_id=one, quantum_processor_id="qpu-1") for one in ids]
    calls = [client.stub.GetControllerJobResults.future(one, timeout=support.DEADLINE) for one in request]
    assert [list(call.result().result.memory_values["n"].integer.data) for call in calls] == [[n] for n in range(200)]


@pytest.mark.parametrize("rpc", RPCS)
def test_bytes_that_are_no_message_get_an_error(support: Any, rpc: str) -> None:
    client = support.serve()
    call = client.channel.unary_unary(f"/{SERVICE}/{rpc}")
    assert code_of(lambda: call(b"\xff\xff\xff", timeout=support.DEADLINE))[0] == "INVALID_ARGUMENT"
    assert len(client.submit()) == 1


def test_an_unknown_method_is_unimplemented(support: Any) -> None:
    client = support.serve()
    call = client.channel.unary_unary(f"/{SERVICE}/ListControllerJobs")
    assert code_of(lambda: call(b"", timeout=support.DEADLINE))[0] == "UNIMPLEMENTED"


def test_unknown_and_reserved_fields_are_ignored(support: Any) -> None:
    client = support.serve()
    payload = support.submission().SerializeToString()
    # Field 4 (options) with its reserved fields 1 and 2, and field 1000 of the request.
    payload += b"\x22\x04\x08\x01\x10\x01" + b"\xc0\x3e\x01"
    answer = client.channel.unary_unary(f"/{SERVICE}/ExecuteControllerJob")(payload, timeout=support.DEADLINE)
    assert len(service_pb2.ExecuteControllerJobResponse.FromString(answer).job_execution_ids) == 1


def test_large_messages_pass_both_ways(support: Any) -> None:
    bound = support.serve().bound
    limits = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    client = support.client(bound, grpc.insecure_channel(bound.address, options=limits))
    request = support.submission("controller-job duration=1ms\n" + "x" * (32 * MIB))
    request.execution_configurations[0].memory_values["big"].binary.data = b"y" * (64 * MIB)
    (job_id,) = client.execute(request)
    assert len(client.results(job_id).memory_values["big"].binary.data) == 64 * MIB


def test_messages_above_the_limit_are_refused(support: Any) -> None:
    client = support.serve(max_message=MIB)
    assert code_of(lambda: client.submit("x" * (2 * MIB)))[0] == "RESOURCE_EXHAUSTED"
    assert len(client.submit()) == 1


def test_gzip_is_accepted(support: Any) -> None:
    bound = support.serve().bound
    client = support.client(bound, grpc.insecure_channel(bound.address, compression=grpc.Compression.Gzip))
    (job_id,) = client.submit("controller-job duration=1ms\n" + "x" * MIB)
    assert client.results(job_id).status == SUCCESS


def test_health_and_reflection(support: Any) -> None:
    client = support.serve()
    health: Any = health_pb2_grpc.HealthStub(client.channel)
    for name in ("", SERVICE):
        answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=support.DEADLINE)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    reflection: Any = reflection_pb2_grpc.ServerReflectionStub(client.channel)
    question = reflection_pb2.ServerReflectionRequest(list_services="")
    (answer,) = reflection.ServerReflectionInfo(iter([question]), timeout=support.DEADLINE)
    assert {SERVICE, "grpc.health.v1.Health"} <= {one.name for one in answer.list_services_response.service}
    question = reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE)
    (answer,) = reflection.ServerReflectionInfo(iter([question]), timeout=support.DEADLINE)
    assert service_pb2.DESCRIPTOR.serialized_pb in answer.file_descriptor_response.file_descriptor_proto


def test_a_caller_that_gives_up_is_not_waited_for(support: Any) -> None:
    client = support.serve()
    (job_id,) = client.submit("controller-job duration=30s")
    request = service_pb2.GetControllerJobResultsRequest(job_execution_id=job_id, quantum_processor_id="qpu-1")
    call = client.stub.GetControllerJobResults.future(request, timeout=support.DEADLINE)
    answered = threading.Event()
    call.add_done_callback(lambda _: answered.set())
    assert client.phase(job_id) == support.Status.RUNNING
    call.cancel()
    assert answered.wait(support.DEADLINE)
    name = 'controller_requests_total{code="CANCELLED",rpc="GetControllerJobResults"}'
    support.wait_for(lambda: client.metrics().get(name) == 1)
