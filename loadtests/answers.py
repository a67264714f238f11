"""What the answers of the service say, as plain values. Pure: knows the messages, but not how they came."""

from __future__ import annotations

from typing import Any, cast

from google.protobuf.message import Message

from harness.fixtures import Correlation
from harness.model import ResultStatus, Status
from harness.stubs import job_pb2, service_pb2
from loadtests.receipts import Ids

STATUS_OF = {number: Status(name) for name, number in service_pb2.GetControllerJobStatusResponse.Status.items()}
"""Statuses by their number on the wire; a number that is not among them is as good as UNKNOWN."""
_RESULT_OF = {number: ResultStatus(name) for name, number in job_pb2.ControllerJobExecutionResult.Status.items()}


def ids_of(response: Message | Ids | None) -> Ids:
    """Return the ids in the answer to a submission, which were taken out of it when it came."""
    return cast("Ids", response)


def status_of(response: Message | Ids | None) -> Status:
    """Return the status in the answer to a status call."""
    return STATUS_OF.get(cast("service_pb2.GetControllerJobStatusResponse", response).status, Status.UNKNOWN)


def result_of(response: Message | Ids | None) -> ResultStatus | None:
    """Return the status of the result in the answer to a results call; None: it holds no result."""
    answer = cast("service_pb2.GetControllerJobResultsResponse", response)
    return _RESULT_OF.get(answer.result.status, ResultStatus.UNKNOWN) if answer.HasField("result") else None


def shown_in(response: Message | Ids | None, correlation: Correlation) -> int | None:
    """Return the number of ours that the answer to a results call shows; None: it shows none."""
    result = cast("service_pb2.GetControllerJobResultsResponse", response).result
    name = correlation.shown_as or correlation.region
    numbers: Any = ()
    # Asking a map field for a key that it lacks would put it there.
    if correlation.shown_in == "readout_values":
        if name in result.readout_values:
            numbers = result.readout_values[name].integer_values.values
    elif name in result.memory_values:
        value = result.memory_values[name]
        numbers = value.integer.data or value.real.data
    return int(numbers[0]) if numbers else None
