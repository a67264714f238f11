"""Build the service's request messages from a profile's fixtures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from google.protobuf.duration_pb2 import Duration

from harness.endpoint import Endpoint
from harness.fixtures import MemoryValue
from harness.ids import IdempotencyKey
from harness.profile import Target
from harness.stubs import job_pb2, service_pb2

DEFAULT_TARGET = Target()


class Requests:
    """Request messages for one endpoint, each with the profile's target."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._profile = endpoint.profile

    def configuration(
        self, role: str = "quick", memory: Mapping[str, MemoryValue] | None = None
    ) -> job_pb2.JobExecutionConfiguration:
        """Return one configuration of a fixture: its own memory, and `memory` on top."""
        regions = {**self._profile.jobs[role].memory, **(memory or {})}
        message = job_pb2.JobExecutionConfiguration()
        for name, value in regions.items():
            fill_region(message.memory_values[name], value)
        return message

    def tagged(self, tag: int) -> job_pb2.JobExecutionConfiguration:
        """Return a configuration of the `correlated` fixture that carries a number of ours (needs `correlation`)."""
        correlation = self._profile.correlation
        if correlation is None:
            raise ValueError("the profile says nothing about correlation")
        return self.configuration("correlated", {correlation.region: MemoryValue(integer=(tag,))})

    def execute(
        self,
        role: str = "quick",
        *,
        count: int = 1,
        configurations: Iterable[job_pb2.JobExecutionConfiguration] | None = None,
        key: IdempotencyKey | None = None,
        timeout: float | None = None,
        bypass: bool = False,
        target: Target | None = DEFAULT_TARGET,
    ) -> service_pb2.ExecuteControllerJobRequest:
        """Return a submission of a fixture with `count` equal configurations, or the given ones.

        `timeout` is in seconds. `target` None leaves the target out; the default is the profile's.
        """
        job = self._profile.jobs[role]
        request = service_pb2.ExecuteControllerJobRequest(
            execution_configurations=[self.configuration(role)] * count if configurations is None else configurations,
            encrypted=job_pb2.EncryptedControllerJob(
                job=self._endpoint.payloads[role],
                encryption=job_pb2.JobEncryption(key_id=job.key_id, nonce=job.nonce_octets()),
            ),
        )
        if key is not None:
            request.idempotency_key.CopyFrom(wire_key(key))
        if bypass:
            request.options.bypass_settings_protection = True
        if timeout is not None:
            request.options.timeout.CopyFrom(duration(timeout))
        self._aim(request, target)
        return request

    def batch(
        self, members: Sequence[service_pb2.ExecuteControllerJobRequest], *, key: IdempotencyKey | None = None
    ) -> service_pb2.BatchExecuteControllerJobsRequest:
        """Return a batch of submissions."""
        request = service_pb2.BatchExecuteControllerJobsRequest(requests=members)
        if key is not None:
            request.idempotency_key.CopyFrom(wire_key(key))
        return request

    def results(self, job_id: str) -> service_pb2.GetControllerJobResultsRequest:
        """Return a request for one job's result."""
        request = service_pb2.GetControllerJobResultsRequest(job_execution_id=job_id)
        self._aim(request, DEFAULT_TARGET)
        return request

    def cancel(self, job_ids: Iterable[str]) -> service_pb2.CancelControllerJobsRequest:
        """Return a request to cancel jobs."""
        request = service_pb2.CancelControllerJobsRequest(job_ids=job_ids)
        self._aim(request, DEFAULT_TARGET)
        return request

    def status(self, job_id: str) -> service_pb2.GetControllerJobStatusRequest:
        """Return a request for one job's status."""
        request = service_pb2.GetControllerJobStatusRequest(job_id=job_id)
        self._aim(request, DEFAULT_TARGET)
        return request

    def _aim(
        self,
        request: service_pb2.ExecuteControllerJobRequest
        | service_pb2.GetControllerJobResultsRequest
        | service_pb2.CancelControllerJobsRequest
        | service_pb2.GetControllerJobStatusRequest,
        target: Target | None,
    ) -> None:
        chosen = self._profile.target if target is DEFAULT_TARGET else target
        if chosen is None:
            return
        if chosen.quantum_processor_id is not None:
            request.quantum_processor_id = chosen.quantum_processor_id
        elif chosen.endpoint_id is not None:
            request.endpoint_id = chosen.endpoint_id


def wire_key(key: IdempotencyKey) -> service_pb2.Uuid:
    """Return a key as it travels."""
    return service_pb2.Uuid(high=key.high, low=key.low)


def duration(seconds: float) -> Duration:
    """Return seconds as a protobuf duration (negative ones too)."""
    message = Duration()
    message.FromNanoseconds(round(seconds * 1e9))
    return message


def fill_region(message: job_pb2.DataValue, value: MemoryValue) -> None:
    """Write a memory value into a message."""
    if value.integer is not None:
        message.integer.data.extend(value.integer)
    elif value.real is not None:
        message.real.data.extend(value.real)
    else:
        message.binary.data = value.binary_octets()
