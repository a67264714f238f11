"""The requests of a load run as octets: what is the same in all of them encoded once, what differs appended.

Protobuf messages that follow each other without a gap are one message, merged ("Last One Wins", encoding guide of protobuf): so
a request is its constant part and its own fields, and nothing is built afresh. Pure.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Hashable, Sequence

from google.protobuf.message import Message

from harness.endpoint import Endpoint
from harness.fixtures import Correlation, MemoryValue
from harness.history import Rpc
from harness.ids import IdempotencyKey
from harness.profile import Profile
from harness.requests import Requests
from harness.stubs import service_pb2
from harness.workload import Workload
from loadtests.varints import SHORT, varint
from loadtests.workload import Submission

MOST_KEPT = 32 << 20
"""Octets of encoded constants that are kept, but for the last one, which may be larger."""

_ENTRY = 256
"""About the octets that it takes to keep a constant, beside its own."""
_CORRELATED = "correlated"
_PERIOD = 1 << 16
"""Octets after which noise repeats: beyond the reach of gzip, so that it cannot be compressed."""
_NOISE = random.Random(1).randbytes(_PERIOD)  # noqa: S311 - nothing secret
_HALVES = struct.Struct("<QBQ")


class Payloads:
    """The requests for one endpoint, with the profile's target, for one workload. Raises ValueError as `region_of` does."""

    def __init__(self, endpoint: Endpoint, workload: Workload, most_kept: int = MOST_KEPT) -> None:
        self._requests = Requests(endpoint)
        self._profile = endpoint.profile
        self._regions: dict[str, str] = {}
        if workload.memory_values_per_configuration is not None:
            self._regions = {role: region_of(workload, endpoint.profile, role) for role in workload.roles}
        self._is_plain = not self._regions and workload.payload_size is None and not any(map(self.correlation, workload.roles))
        self._is_fixed = workload.is_fixed
        self._constants = Constants(most_kept)
        self.status = _naming(self._requests.status(""), service_pb2.GetControllerJobStatusRequest.JOB_ID_FIELD_NUMBER)
        self.results = _naming(
            self._requests.results(""), service_pb2.GetControllerJobResultsRequest.JOB_EXECUTION_ID_FIELD_NUMBER
        )
        self._cancel = self._requests.cancel(()).SerializeToString()
        self._single_key = _key_head(service_pb2.ExecuteControllerJobRequest.IDEMPOTENCY_KEY_FIELD_NUMBER)
        self._batch_key = _key_head(service_pb2.BatchExecuteControllerJobsRequest.IDEMPOTENCY_KEY_FIELD_NUMBER)

    @property
    def kept(self) -> int:
        """Octets of the encoded constants that are kept."""
        return self._constants.octets

    def submission(self, submission: Submission) -> bytes:
        """Return the request of a submission."""
        if not self._is_fixed:
            return b"".join((*self._parts(submission), _halves(submission.key)))
        # Submissions that differ in nothing but their keys may as well be kept whole.
        rpc, key, sizes, _, _, _, role, memory, payloads = submission
        return self._constants.get((rpc, sizes, role, memory, payloads), self._all_but_key, submission) + _halves(key)

    def _all_but_key(self, submission: Submission) -> bytes:
        return b"".join(self._parts(submission))

    def _parts(self, submission: Submission) -> list[bytes]:
        """Return what a request is joined from, up to what announces its key."""
        if submission.rpc is Rpc.EXECUTE:
            return [self._part(submission, 0, 0, self._request), self._single_key]
        parts, place = [], 0
        for index, size in enumerate(submission.sizes):
            parts.append(self._part(submission, index, place, self._member))
            place += size
        return [*parts, self._batch_key]

    def cancel(self, job_ids: Sequence[bytes]) -> bytes:
        """Return a request to cancel jobs."""
        names = [job_id.decode() for job_id in job_ids]
        return self._cancel + service_pb2.CancelControllerJobsRequest(job_ids=names).SerializeToString()

    def correlation(self, role: str) -> Correlation | None:
        """Return how the results of a role show which configuration of their submission they are of, if they do.

        Configuration i of a submission then carries the number i, counted from 0 over all its requests.
        """
        return self._profile.correlation if role == _CORRELATED else None

    def _part(self, submission: Submission, index: int, place: int, encode: Callable[..., bytes]) -> bytes:
        """Return one request of a submission, from the constants; its first configuration is number `place`."""
        role, size = submission.job, submission.sizes[index]
        if self._is_plain:
            return self._constants.get((encode.__name__, role, size), encode, role, (None,) * size, None, None)
        memory = submission.memory[index] if submission.memory else (None,) * size
        payload = submission.payloads[index] if submission.payloads else None
        first = None if self.correlation(role) is None else place
        return self._constants.get((encode.__name__, role, memory, payload, first), encode, role, memory, payload, first)

    def _member(self, role: str, memory: Sequence[int | None], payload: int | None, first: int | None) -> bytes:
        request = self._request(role, memory, payload, first)
        return _head(service_pb2.BatchExecuteControllerJobsRequest.REQUESTS_FIELD_NUMBER) + varint(len(request)) + request

    def _request(self, role: str, memory: Sequence[int | None], payload: int | None, first: int | None) -> bytes:
        get = self._constants.get
        parts = [get(("program", role, payload), self._program, role, payload)]
        for index, count in enumerate(memory):
            tag = None if first is None else first + index
            parts.append(get(("configuration", role, count, tag), self._configuration, role, count, tag))
        return b"".join(parts)

    def _program(self, role: str, size: int | None) -> bytes:
        request = self._requests.execute(role, configurations=())
        if size is not None:
            request.encrypted.job = padded(request.encrypted.job, size)
        return request.SerializeToString()

    def _configuration(self, role: str, count: int | None, tag: int | None) -> bytes:
        memory = {} if count is None else {self._regions[role]: MemoryValue(real=reals(count))}
        correlation = self.correlation(role)
        if correlation is not None and tag is not None:
            memory[correlation.region] = MemoryValue(integer=(tag,))
        configuration = self._requests.configuration(role, memory)
        return service_pb2.ExecuteControllerJobRequest(execution_configurations=[configuration]).SerializeToString()


class Constants:
    """Encoded constants, made when they are first asked for; the oldest go when they come to more than `most` octets."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[Hashable, bytes] = {}
        self.octets = 0

    def get(self, key: Hashable, make: Callable[..., bytes], *arguments: object) -> bytes:
        """Return the constant of a key; if it is not known, it is made from the arguments."""
        found = self._known.get(key)
        return self._keep(key, make(*arguments)) if found is None else found

    def _keep(self, key: Hashable, made: bytes) -> bytes:
        self._known[key] = made
        self.octets += len(made) + _ENTRY
        while self.octets > self._most and len(self._known) > 1:
            self.octets -= len(self._known.pop(next(iter(self._known)))) + _ENTRY
        return made


def padded(payload: bytes, size: int) -> bytes:
    """Return a payload filled up to a size, in octets, with a line feed and noise; it is never cut."""
    missing = size - len(payload) - 1
    if missing < 0:
        return payload
    return b"".join((payload, b"\n", _NOISE * (missing // _PERIOD), _NOISE[: missing % _PERIOD]))


def reals(count: int) -> tuple[float, ...]:
    """Return so many reals, always the same."""
    return (_REALS * (count // len(_REALS) + 1))[:count]


def region_of(workload: Workload, profile: Profile, role: str) -> str:
    """Return the memory region of a role that holds the reals. Raises ValueError when the profile leaves none."""
    taken = profile.correlation.region if profile.correlation is not None and role == _CORRELATED else None
    if workload.memory_region is not None:
        if workload.memory_region == taken:
            raise ValueError(f"the region {taken!r} holds the number by which the job {role!r} is known; name another one")
        return workload.memory_region
    region = next((name for name in profile.jobs[role].memory if name != taken), None)
    if region is None:
        raise ValueError(f"the profile's job {role!r} has no memory region to fill; name one with memory_region")
    return region


def _naming(constant: Message, field: int) -> Callable[[bytes], bytes]:
    """Return how a request is made that names one job in a field of its own."""
    octets = constant.SerializeToString() + _head(field)
    heads = [octets + bytes([length]) for length in range(SHORT)]

    def named(job_id: bytes) -> bytes:
        length = len(job_id)
        return (heads[length] if length < SHORT else octets + varint(length)) + job_id

    return named


def _head(field: int) -> bytes:
    """Return what announces a field that has a length (wire type 2)."""
    return varint(field << 3 | 2)


def _key_head(field: int) -> bytes:
    """Return what announces a key: 18 octets of two 64-bit integers (wire type 1), `high` (1) and `low` (2)."""
    return _head(field) + bytes([18, 1 << 3 | 1])


def _halves(key: IdempotencyKey) -> bytes:
    return _HALVES.pack(key.high, 2 << 3 | 1, key.low)


def _some_reals() -> tuple[float, ...]:
    source = random.Random(2)  # noqa: S311 - nothing secret
    return tuple(source.random() for _ in range(_PERIOD // 8))


_REALS = _some_reals()
