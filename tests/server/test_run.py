"""Starting and stopping: settings, ports, signals."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from harness.errors import ConfigError
from harness.server.run import Bound
from harness.server.service import SERVICE
from harness.server.settings import EDGES, ServerSettings, parse_settings
from harness.server.tokens import Token
from harness.stubs import service_pb2


@pytest.fixture(params=EDGES)
def edge(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        ({"prot": 1}, "settings: prot: unknown key; did you mean port?"),
        ({"port": "1"}, "settings: port: cannot be '1'"),
        ({"port": True}, "settings: port: cannot be True"),
        ({"port": 65536}, "port: must be within 0..65535"),
        ({"executors": 0}, "executors: must be at least 1"),
        ({"default_timeout": 0}, "default_timeout: must be above zero"),
        ({"default_timeout": 7200}, "default_timeout: is above max_timeout"),
        ({"retention": -1}, "retention: must not be negative"),
        ({"drain": float("nan")}, "drain: must not be negative"),
        ({"processors": []}, "processors: needs one or more"),
        ({"processors": ["a", "a"]}, "processors: needs one or more distinct"),
        ({"processors": "a"}, "settings: processors: cannot be 'a'"),
        ({"endpoint_ids": {"e": "x"}}, "endpoint_ids.e: leads to 'x'"),
        ({"endpoint_ids": {"e": 1}}, "settings: endpoint_ids: cannot be"),
        ({"tls_cert": "x"}, "tls_cert and tls_key: go together"),
        ({"client_ca": "x"}, "client_ca: needs tls_cert"),
        ({"tokens": [{"token": "a"}]}, "settings: [0].subject: must be a text"),
    ],
)
def test_settings_that_cannot_be(raw: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_settings(raw)
    assert str(caught.value).startswith(complaint)


def test_settings_from_plain_data() -> None:
    raw = {"processors": ["x"], "port": 5, "drain": 1, "observer_port": None, "tokens": [{"token": "a", "subject": "b"}]}
    assert parse_settings(raw) == ServerSettings(
        processors=("x",), endpoint_ids={}, port=5, drain=1, observer_port=None, tokens=(Token("a", "b"),)
    )
    assert parse_settings({}) == ServerSettings()


def test_an_address_of_version_6_is_bracketed() -> None:
    bound = Bound("::1", 5, 6, 7)
    assert (bound.address, bound.metrics_url) == ("[::1]:5", "http://[::1]:6/metrics")
    assert replace(bound, host="h").address == "h:5"


def test_a_port_in_use_is_one_line(support: Any) -> None:
    bound = support.serve().bound
    with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{bound.port}: Address already in use; choose another"):
        support.background(ServerSettings(port=bound.port))


def test_two_servers_in_one_process(support: Any) -> None:
    first, second = support.serve(), support.serve()
    (job_id,) = first.submit()
    with pytest.raises(grpc.RpcError):
        second.phase(job_id)
    assert first.phase(job_id)


@pytest.mark.parametrize(
    ("argument", "complaint"),
    [
        ("x", "the settings are not JSON"),
        ("[]", "the settings are not a JSON object"),
        (json.dumps({"mutant": "can-nevr"}), "mutant: unknown mutant 'can-nevr'; did you mean can-never"),
    ],
)
def test_the_process_ends_with_one_line_and_code_2(argument: str, complaint: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "harness.server", argument], capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith(complaint)
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_calls_in_flight_finish(support: Any, number: signal.Signals) -> None:
    server = support.spawn(drain=10.0)
    client = support.client(server.bound)
    (job_id,) = client.submit("controller-job duration=600ms")
    call = client.stub.GetControllerJobResults.future(
        service_pb2.GetControllerJobResultsRequest(job_execution_id=job_id, quantum_processor_id="qpu-1"),
        timeout=support.DEADLINE,
    )
    support.wait_for(lambda: client.metrics().get('controller_requests_total{code="OK",rpc="ExecuteControllerJob"}'))
    health: Any = health_pb2_grpc.HealthStub(client.channel)
    watch = health.Watch(health_pb2.HealthCheckRequest(service=SERVICE), timeout=support.DEADLINE)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    ender = threading.Thread(target=server.end, args=(number,))
    ender.start()
    assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert call.result().result.status == 1
    with pytest.raises(grpc.RpcError):
        client.submit()
    ender.join(support.DEADLINE)
    assert server.process.returncode == 0
    assert server.process.stderr is not None
    assert server.process.stderr.read() == ""


def test_calls_that_outlast_the_drain_are_turned_away(support: Any) -> None:
    server = support.spawn(drain=0.2)
    client = support.client(server.bound)
    (job_id,) = client.submit("controller-job duration=1000s")
    call = client.stub.GetControllerJobResults.future(
        service_pb2.GetControllerJobResultsRequest(job_execution_id=job_id, quantum_processor_id="qpu-1"),
        timeout=support.DEADLINE,
    )
    assert client.phase(job_id) == support.Status.RUNNING
    assert server.end(signal.SIGTERM) == 0
    assert call.code() is grpc.StatusCode.UNAVAILABLE
    assert call.details() == "the server is stopping"
