"""What the tests of the reference Controller share: a server of each kind, and a client that speaks its text form."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import pytest

from harness.ids import IdempotencyKey
from harness.server.embedded_thread import background_server
from harness.server.run import Bound
from harness.server.settings import ServerSettings
from harness.stubs import job_pb2, service_pb2
from harness.stubs.service_pb2_grpc import ControllerStub

Status = service_pb2.GetControllerJobStatusResponse
TERMINAL = {Status.SUCCEEDED, Status.FAILED, Status.CANCELED}
DEADLINE = 20.0
"""Seconds after which a wait in a test has failed; nothing waits that long in a healthy run."""


def configuration(number: int, region: str = "n") -> job_pb2.JobExecutionConfiguration:
    message = job_pb2.JobExecutionConfiguration()
    message.memory_values[region].integer.data.append(number)
    return message


def submission(
    text: str = "controller-job duration=1ms",
    numbers: Sequence[int] = (0,),
    *,
    key: IdempotencyKey | None = None,
    processor: str | None = "qpu-1",
) -> service_pb2.ExecuteControllerJobRequest:
    request = service_pb2.ExecuteControllerJobRequest(execution_configurations=[configuration(number) for number in numbers])
    request.encrypted.job = text.encode()
    if key is not None:
        request.idempotency_key.high, request.idempotency_key.low = key.high, key.low
    if processor is not None:
        request.quantum_processor_id = processor
    return request


@dataclass
class Client:
    """A synchronous client of one server; every call has a deadline."""

    bound: Bound
    channel: grpc.Channel
    processor: str = "qpu-1"
    metadata: tuple[tuple[str, str], ...] = ()
    stub: Any = field(init=False)

    def __post_init__(self) -> None:
        self.stub = ControllerStub(self.channel)

    def execute(self, request: service_pb2.ExecuteControllerJobRequest) -> list[str]:
        return list(self.stub.ExecuteControllerJob(request, timeout=DEADLINE, metadata=self.metadata).job_execution_ids)

    def submit(self, text: str = "controller-job duration=1ms", numbers: Sequence[int] = (0,), **details: Any) -> list[str]:
        return self.execute(submission(text, numbers, processor=self.processor, **details))

    def batch(
        self, requests: Sequence[service_pb2.ExecuteControllerJobRequest], key: IdempotencyKey | None = None
    ) -> list[list[str]]:
        message = service_pb2.BatchExecuteControllerJobsRequest(requests=requests)
        if key is not None:
            message.idempotency_key.high, message.idempotency_key.low = key.high, key.low
        response = self.stub.BatchExecuteControllerJobs(message, timeout=DEADLINE, metadata=self.metadata)
        return [list(one.job_execution_ids) for one in response.responses]

    def status(self, job_id: str) -> Status:
        request = service_pb2.GetControllerJobStatusRequest(job_id=job_id, quantum_processor_id=self.processor)
        answer: Status = self.stub.GetControllerJobStatus(request, timeout=DEADLINE, metadata=self.metadata)
        return answer

    def phase(self, job_id: str) -> int:
        return self.status(job_id).status

    def results(self, job_id: str, timeout: float = DEADLINE) -> job_pb2.ControllerJobExecutionResult:
        request = service_pb2.GetControllerJobResultsRequest(job_execution_id=job_id, quantum_processor_id=self.processor)
        answer: job_pb2.ControllerJobExecutionResult = self.stub.GetControllerJobResults(
            request, timeout=timeout, metadata=self.metadata
        ).result
        return answer

    def cancel(self, ids: Sequence[str]) -> None:
        request = service_pb2.CancelControllerJobsRequest(job_ids=ids, quantum_processor_id=self.processor)
        self.stub.CancelControllerJobs(request, timeout=DEADLINE, metadata=self.metadata)

    def wait_phase(self, job_id: str, wanted: set[int]) -> None:
        wait_for(lambda: self.phase(job_id) in wanted)

    def metrics(self) -> dict[str, float]:
        assert self.bound.metrics_url is not None
        with urllib.request.urlopen(self.bound.metrics_url, timeout=DEADLINE) as response:  # noqa: S310  (loopback)
            lines = response.read().decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def wait_for(condition: Callable[[], Any]) -> Any:
    """Poll until the condition is truthy, and return what it gave."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
    raise AssertionError("waited in vain")


@dataclass
class ServerProcess:
    """A server of its own; ended by its pid."""

    process: subprocess.Popen[str]
    bound: Bound

    def end(self, number: signal.Signals) -> int:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)
        return self.process.wait(DEADLINE)


class Support:
    """Everything above, for tests (modules of tests cannot import each other)."""

    Status = Status
    TERMINAL = TERMINAL
    DEADLINE = DEADLINE
    configuration = staticmethod(configuration)
    submission = staticmethod(submission)
    wait_for = staticmethod(wait_for)

    def __init__(self, stack: contextlib.ExitStack, edge: str) -> None:
        self._stack = stack
        self._edge = edge

    def client(self, bound: Bound, channel: grpc.Channel | None = None, **details: Any) -> Client:
        opened = self._stack.enter_context(channel or grpc.insecure_channel(bound.address))
        return Client(bound, opened, **details)

    def serve(self, **settings: Any) -> Client:
        """Start a server in this process, and return a client of it."""
        return self.client(self.background(ServerSettings(**settings)))

    def background(self, settings: ServerSettings) -> Bound:
        return self._stack.enter_context(background_server(replace(settings, edge=self._edge)))

    def spawn(self, **settings: Any) -> ServerProcess:
        """Start a server process, and wait until it serves."""
        process = subprocess.Popen(
            [sys.executable, "-m", "harness.server", json.dumps({"edge": self._edge, **settings})],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._stack.callback(_reap, process)
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            assert selector.select(DEADLINE), "the server did not announce itself"
        return ServerProcess(process, Bound(**json.loads(process.stdout.readline())))


def _reap(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
    process.communicate(timeout=DEADLINE)


@pytest.fixture
def edge() -> str:
    """Return what carries the calls of every server; modules whose tests hold for both edges go through both."""
    return "grpcio"


@pytest.fixture
def support(edge: str) -> Iterator[Support]:
    with contextlib.ExitStack() as stack:
        yield Support(stack, edge)


@pytest.fixture
def key() -> IdempotencyKey:
    """Return a valid key."""
    return IdempotencyKey(0x0123456789AB4DEF, 0x9123456789ABCDEF)
