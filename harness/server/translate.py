"""Between the messages on the wire and the values of the engine; holds no state and makes no decision about jobs.

Memory of a configuration travels through the engine as the bytes of its JobExecutionConfiguration.
Readout (`jobtext`): an integer region within int32 becomes integer_values, a wider one complex_values with the numbers as real
parts (rounded to single precision), a real region complex_values; a binary region has no readout form, only memory comes back.
Every result gives back all memory of its configuration.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from harness.ids import IdempotencyKey
from harness.server.jobtext import parse_job
from harness.server.values import (
    SECOND,
    BatchRequest,
    JobSpec,
    PlannedJob,
    Result,
    ResultStatus,
    StatusReply,
    SubmitRequest,
    Target,
    TargetKind,
)
from harness.stubs import job_pb2, readout_pb2, service_pb2

AnyTargeted = (
    service_pb2.ExecuteControllerJobRequest
    | service_pb2.GetControllerJobResultsRequest
    | service_pb2.GetControllerJobStatusRequest
    | service_pb2.CancelControllerJobsRequest
)

_INT32 = range(-(1 << 31), 1 << 31)


def target(message: AnyTargeted) -> Target | None:
    """Return the target oneof of a request."""
    which = message.WhichOneof("target")
    if which is None:
        return None
    if which == "quantum_processor_id":
        return Target(TargetKind.PROCESSOR, message.quantum_processor_id)
    return Target(TargetKind.ENDPOINT, message.endpoint_id)


def submit_request(message: service_pb2.ExecuteControllerJobRequest, default_duration: int) -> SubmitRequest:
    """Return a submission as a value; `default_duration` in nanoseconds is for payloads that do not say."""
    spec = parse_job(message.encrypted.job, default_duration)
    return SubmitRequest(
        jobs=tuple(_planned(spec, configuration) for configuration in message.execution_configurations),
        target=target(message),
        key=_key(message.idempotency_key) if message.HasField("idempotency_key") else None,
        timeout=_timeout(message.options),
        bypass=message.options.bypass_settings_protection,
        has_job=message.WhichOneof("job") is not None,
    )


def batch_request(message: service_pb2.BatchExecuteControllerJobsRequest, default_duration: int) -> BatchRequest:
    """Return a batch as a value."""
    return BatchRequest(
        tuple(submit_request(member, default_duration) for member in message.requests),
        _key(message.idempotency_key) if message.HasField("idempotency_key") else None,
    )


def batch_response(groups: Iterable[Iterable[str]]) -> service_pb2.BatchExecuteControllerJobsResponse:
    """Return the response to a batch: ids of each member, in order."""
    return service_pb2.BatchExecuteControllerJobsResponse(
        responses=[service_pb2.ExecuteControllerJobResponse(job_execution_ids=ids) for ids in groups]
    )


def status_response(reply: StatusReply) -> service_pb2.GetControllerJobStatusResponse:
    """Return a status with its estimate."""
    response = service_pb2.GetControllerJobStatusResponse(status=int(reply.phase))  # type: ignore[arg-type]
    delay = response.estimated_job_completion_delay
    _set(delay.minimum, reply.minimum)
    _set(delay.maximum, reply.maximum)
    _set(delay.now, reply.now)
    return response


def result_response(result: Result) -> service_pb2.GetControllerJobResultsResponse:
    """Return what a job left behind."""
    response = service_pb2.GetControllerJobResultsResponse()
    message = response.result
    message.status = int(result.status)  # type: ignore[assignment]
    if result.message:
        message.status_message = result.message
    # Whole microseconds, rounded down so as not to exceed the time it was seen alive; but a job that ran took time (RES-06).
    message.execution_duration_microseconds = max(1, result.execution // 1000) if result.execution else 0
    configuration = job_pb2.JobExecutionConfiguration.FromString(result.memory)
    for region, value in configuration.memory_values.items():
        message.memory_values[region].CopyFrom(value)
    if result.readout is not None and result.status is ResultStatus.SUCCESS:
        _fill_readout(message, result.readout, configuration.memory_values[result.readout])
    return response


def _planned(spec: JobSpec, configuration: job_pb2.JobExecutionConfiguration) -> PlannedJob:
    if spec.readout is not None and spec.readout not in configuration.memory_values:
        message = f"readout: the configuration has no memory region {spec.readout!r}"
        spec = dataclasses.replace(spec, outcome=ResultStatus.USER_FAILURE, message=message)
    return PlannedJob(spec, configuration.SerializeToString())


def _key(message: service_pb2.Uuid) -> IdempotencyKey:
    return IdempotencyKey(message.high, message.low)


def _timeout(options: service_pb2.ExecutionOptions) -> tuple[int, int] | None:
    return (options.timeout.seconds, options.timeout.nanos) if options.HasField("timeout") else None


def _set(message: object, nanoseconds: int) -> None:
    seconds, nanos = divmod(nanoseconds, SECOND)
    message.seconds = seconds  # type: ignore[attr-defined]  # Duration and Timestamp alike
    message.nanos = nanos  # type: ignore[attr-defined]


def _fill_readout(message: job_pb2.ControllerJobExecutionResult, region: str, value: job_pb2.DataValue) -> None:
    readout = message.readout_values[region]
    which = value.WhichOneof("value")
    if which == "integer":
        if all(number in _INT32 for number in value.integer.data):
            readout.integer_values.values.extend(value.integer.data)
        else:
            readout.complex_values.values.extend(map(_complex, value.integer.data))
    elif which == "real":
        readout.complex_values.values.extend(map(_complex, value.real.data))
    else:
        del message.readout_values[region]


def _complex(number: float) -> readout_pb2.Complex64:
    return readout_pb2.Complex64(real=number)
