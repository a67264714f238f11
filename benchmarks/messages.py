"""The two calls that are compared, as messages and as files for tools that are no Python."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import Message

from harness.grpcframing import pack
from harness.stubs import service_pb2

STATUS, BATCH, SINGLE = "status", "batch", "single"
METHODS = {STATUS: "GetControllerJobStatus", BATCH: "BatchExecuteControllerJobs", SINGLE: "ExecuteControllerJob"}
SERVICE = "services.controller.Controller"

PROCESSOR, PAYLOAD, REGION = "qpu-1", "controller-job duration=2ms", "theta"
REQUESTS, CONFIGURATIONS, REALS = 10, 10, 16
"""Of a batch: its requests, configurations in each, reals in each of those."""
_JOB = "00000001-0001-4000-8000-000000000000"


def status() -> service_pb2.GetControllerJobStatusRequest:
    """Return a request for the status of a job."""
    return service_pb2.GetControllerJobStatusRequest(job_id=_JOB, quantum_processor_id=PROCESSOR)


def single(configurations: int = 1) -> service_pb2.ExecuteControllerJobRequest:
    """Return a submission of so many configurations."""
    draw = random.Random(1)  # noqa: S311 - nothing secret
    request = service_pb2.ExecuteControllerJobRequest(quantum_processor_id=PROCESSOR)
    request.encrypted.job = PAYLOAD.encode()
    for _ in range(configurations):
        values = request.execution_configurations.add().memory_values[REGION]
        values.real.data.extend(draw.random() for _ in range(REALS))
    return request


def batch() -> service_pb2.BatchExecuteControllerJobsRequest:
    """Return a batch with the idempotency key of any submission."""
    request = service_pb2.BatchExecuteControllerJobsRequest(requests=[single(CONFIGURATIONS)] * REQUESTS)
    request.idempotency_key.high, request.idempotency_key.low = 0x1234567812344678, 0x9234567812345678
    return request


def message(what: str) -> Message:
    """Return the request of a kind of call."""
    return {STATUS: status, BATCH: batch, SINGLE: single}[what]()


@dataclass(frozen=True)
class Files:
    """A request on disk: as a message, and with what gRPC puts before it."""

    plain: Path
    framed: Path


def write(what: str, folder: Path) -> Files:
    """Write the request of a kind of call into a folder."""
    octets = message(what).SerializeToString()
    files = Files(folder / f"{what}.bin", folder / f"{what}.grpc")
    files.plain.write_bytes(octets)
    files.framed.write_bytes(pack(octets))
    return files
