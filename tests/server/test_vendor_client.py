"""The vendor's own client (qcs-sdk-python) works against the reference server, without identity provider or network.

What it puts on the wire, as seen here: requests are gzip-compressed, carry `authorization: Bearer TOKEN` from the session it was
given and an `x-request-id`, no deadline, no idempotency key, and memory as real values only. The target is the processor id if
one is given, and missing if the client is given nothing but an address; the latter needs a server that is no gateway. The program
is the JSON form of an EncryptedControllerJob, its payload base64; without `encryption` that field stays unset. The option fields
stay unset as well unless set on purpose.
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from qcs_sdk.client import AuthServer, ExternallyManaged, OAuthSession, QCSClient
from qcs_sdk.qpu.api import (
    APIExecutionOptions,
    ConnectionStrategy,
    ExecutionOptions,
    ExecutionOptionsBuilder,
    QpuApiError,
    cancel_job,
    retrieve_results,
    submit,
    submit_with_parameter_batch,
)

from harness.server.service import Service
from harness.server.settings import EDGES
from harness.server.tokens import Token

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(params=EDGES)
def edge(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def program(text: str) -> str:
    return json.dumps({"job": base64.b64encode(text.encode()).decode(), "encryption": None})


def vendor_client(url: str) -> QCSClient:
    session = OAuthSession(ExternallyManaged(lambda _: "tok"), AuthServer("client", NOWHERE), "tok")
    return QCSClient(oauth_session=session, grpc_api_url=url, api_url=NOWHERE)


def options(url: str, api_options: APIExecutionOptions | None = None) -> ExecutionOptions:
    builder = ExecutionOptionsBuilder()
    builder.connection_strategy = ConnectionStrategy.EndpointAddress(url)
    builder.timeout_seconds = 10.0
    builder.api_options = api_options
    return builder.build()


class Vendor:
    """The vendor's functions, pointed at one address."""

    def __init__(self, address: str, processor: str | None = "qpu-1", api_options: APIExecutionOptions | None = None) -> None:
        self._rest = (processor, vendor_client(f"http://{address}"), options(f"http://{address}", api_options))

    def submit(self, text: str, **memory: list[float]) -> str:
        return str(submit(program(text), memory, *self._rest))

    def submit_batch(self, text: str, *memories: dict[str, list[float]]) -> list[str]:
        return list(submit_with_parameter_batch(program(text), memories, *self._rest))

    def results(self, job_id: str) -> Any:
        return retrieve_results(job_id, *self._rest)

    def cancel(self, job_id: str) -> None:
        cancel_job(job_id, *self._rest)


@pytest.fixture(autouse=True)
def _no_settings_of_this_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("QCS_SETTINGS_FILE_PATH", str(tmp_path / "settings.toml"))
    monkeypatch.setenv("QCS_SECRETS_FILE_PATH", str(tmp_path / "secrets.toml"))


def test_submits_and_fetches_results(support: Any) -> None:
    client = support.serve()
    vendor = Vendor(client.bound.address)
    job_id = vendor.submit("controller-job duration=2ms readout=theta", theta=[1.0, 2.5])
    found = vendor.results(job_id)
    assert found.execution_duration_microseconds == 2000
    assert [complex(value) for value in found.buffers["theta"].data] == [1 + 0j, 2.5 + 0j]
    assert set(found.memory) == {"theta"}
    assert client.phase(job_id) == support.Status.SUCCEEDED


def test_submits_a_parameter_batch_in_order(support: Any) -> None:
    client = support.serve()
    vendor = Vendor(client.bound.address)
    ids = vendor.submit_batch("controller-job duration=1ms readout=x", *({"x": [float(number)]} for number in range(12)))
    assert [vendor.results(job_id).buffers["x"].data[0] for job_id in ids] == list(range(12))


def test_cancels_a_waiting_job(support: Any) -> None:
    client = support.serve()
    vendor = Vendor(client.bound.address)
    running, waiting = vendor.submit_batch("controller-job duration=1000s", {}, {})
    vendor.cancel(running)
    vendor.cancel(waiting)
    assert client.phase(running) == support.Status.RUNNING
    assert client.phase(waiting) == support.Status.CANCELED


def test_hears_of_failures(support: Any) -> None:
    vendor = Vendor(support.serve().bound.address)
    job_id = vendor.submit("controller-job outcome=user-failure")
    with pytest.raises(Exception, match="USER_FAILURE"):
        vendor.results(job_id)
    with pytest.raises(QpuApiError, match="protected settings"):
        vendor.submit("controller-job touches-settings=yes")


def test_sends_its_options(support: Any) -> None:
    client = support.serve(anonymous_may_bypass=True)
    bypass = Vendor(client.bound.address, api_options=APIExecutionOptions(bypass_settings_protection=True))
    assert bypass.submit("controller-job touches-settings=yes")


def test_sends_its_token(support: Any) -> None:
    good = support.serve(tokens=(Token("tok", "vendor"),))
    assert Vendor(good.bound.address).submit("controller-job")
    other = support.serve(tokens=(Token("another", "vendor"),))
    with pytest.raises(QpuApiError, match="unknown token"):
        Vendor(other.bound.address).submit("controller-job")


def test_without_a_processor_it_needs_a_server_that_is_no_gateway(support: Any) -> None:
    with pytest.raises(QpuApiError, match="target: missing"):
        Vendor(support.serve().bound.address, processor=None).submit("controller-job")
    vendor = Vendor(support.serve(require_target=False).bound.address, processor=None)
    assert vendor.results(vendor.submit("controller-job"))


def test_what_it_puts_on_the_wire(support: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    original = Service.execute

    def execute(self: Service, request: Any, context: Any) -> Any:
        seen.append((request, context))
        return original(self, request, context)

    monkeypatch.setattr(Service, "execute", execute)
    with _relay(support.serve().bound.port) as (address, octets):
        Vendor(address).submit("controller-job", theta=[1.0])
    ((request, context),) = seen
    assert b"\x1f\x8b\x08" in octets, "requests are not compressed"
    assert request.quantum_processor_id == "qpu-1"
    assert request.encrypted.job == b"controller-job"
    assert not request.encrypted.HasField("encryption")
    assert not request.HasField("idempotency_key")
    assert not request.options.HasField("timeout")
    assert list(request.execution_configurations[0].memory_values["theta"].real.data) == [1.0]
    assert context.deadline is None


@contextlib.contextmanager
def _relay(port: int) -> Iterator[tuple[str, bytearray]]:
    """Pass one connection on to a port; yields the address to connect to, and what the client has sent."""
    sent = bytearray()

    def forward(source: socket.socket, sink: socket.socket, copy: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                copy += data
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def serve() -> None:
        client, _ = listener.accept()
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            back = threading.Thread(target=forward, args=(server, client, bytearray()))
            back.start()
            forward(client, server, sent)
            back.join()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", sent


@pytest.mark.parametrize(
    "order",
    [
        ("qcs_sdk.qpu.api", "qcs_api_client_common.configuration", "harness.stubs.service_pb2"),
        ("harness.stubs.service_pb2", "qcs_api_client_common.configuration", "qcs_sdk.qpu.api"),
    ],
    ids=["vendor-first", "stubs-first"],
)
def test_its_packages_and_our_stubs_live_in_one_process(order: tuple[str, ...]) -> None:
    code = "; ".join(f"import {name}" for name in order)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
