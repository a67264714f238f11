"""WIRE: the protocol around the five calls."""

from __future__ import annotations

import dataclasses

import grpc
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from conformance.kit import Case, NotApplicableError, covers
from conformance.kit.answers import describe, ids_of, status_of
from conformance.kit.clock import Stopwatch
from conformance.kit.probes import EVERY_READ, EVERY_RPC, NOBODYS, good_request
from harness.descriptors import differences
from harness.history import SERVICE, Rpc
from harness.model import Status
from harness.reflection import our_contract, reflect

MIB = 1 << 20


def tag(number: int, wire_type: int) -> bytes:
    """Return a field's key on the wire."""
    return _varint(number << 3 | wire_type)


def _varint(value: int) -> bytes:
    octets = bytearray()
    while value > 0x7F:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*octets, value])


def padded(message: Message, size: int) -> None:
    """Add an unknown field of `size` octets to a message."""
    message.MergeFromString(tag(900, 2) + _varint(size) + bytes(size))


def expect_service(case: Case, requirement: str, after: str) -> None:
    """Expect that the endpoint still takes a job and runs it."""
    call = case.accept(requirement, case.requests.execute(), f"a good submission after {after}")
    for job_id in ids_of(call):
        ended = case.finish([job_id])[job_id]
        case.expect(requirement, ended is Status.SUCCEEDED, f"a good job succeeds after {after}", ended)


def _finished(case: Case) -> str:
    """Return a finished job of its own for each call: results may be there to be fetched once only."""
    (job_id,) = case.submit()
    case.finish([job_id])
    return job_id


UNKNOWN_FIELDS = (
    tag(77, 0) + b"\x01",
    tag(1000, 1) + bytes(8),
    tag(1001, 5) + bytes(4),
    tag(19_500_000, 2) + b"\x05hello",
)
"""One unknown field of each wire type."""


@covers("WIRE-01", tier="light")
@EVERY_RPC
def test_unknown_fields_are_ignored(case: Case, rpc: Rpc) -> None:
    """Fields that the contract does not know are ignored, in requests of every kind."""
    for field in UNKNOWN_FIELDS:
        request = good_request(case, rpc, _finished(case))
        request.MergeFromString(field)
        plain = case.attempt(good_request(case, rpc, _finished(case)))
        call = case.attempt(request)
        same = call.code == plain.code
        case.expect(
            "WIRE-01", same, f"the answer of a request without the unknown field: {describe(plain)}", describe(call), call
        )


@covers("WIRE-01", tier="light")
@pytest.mark.parametrize("where", ["options 1", "options 2", "uuid", "configuration", "encrypted"])
def test_reserved_and_nested_fields_are_ignored(case: Case, where: str) -> None:
    """The reserved fields 1 and 2 of ExecutionOptions, and unknown fields deep inside a submission, are ignored."""
    request = case.requests.execute(count=2, key=case.key(), timeout=30)
    inner: Message = {
        "options 1": request.options,
        "options 2": request.options,
        "uuid": request.idempotency_key,
        "configuration": request.execution_configurations[1],
        "encrypted": request.encrypted,
    }[where]
    number = {"options 1": 1, "options 2": 2}.get(where, 500)
    for field in (tag(number, 0) + b"\x01", tag(number, 2) + b"\x02ok"):
        inner.MergeFromString(field)
    call = case.accept("WIRE-01", request, f"a submission with an unknown field in {where}")
    case.expect("WIRE-01", call.error is not None or len(ids_of(call)) == 2, "two jobs", describe(call), call)


@covers("WIRE-02")
@EVERY_RPC
def test_gzip_is_accepted(case: Case, rpc: Rpc) -> None:
    """Requests compressed with gzip are accepted on every RPC."""
    profile = dataclasses.replace(case.profile, compression="gzip")
    client = case.connect("gzip", endpoint=dataclasses.replace(case.endpoint, profile=profile))
    request = good_request(case, rpc, _finished(case))
    padded(request, 2000)
    plain = case.attempt(good_request(case, rpc, _finished(case)))
    call = case.attempt(request, client=client)
    case.expect("WIRE-02", call.code == plain.code, f"the answer of a plain request: {describe(plain)}", describe(call), call)


@covers("WIRE-03", alone=True)
@pytest.mark.parametrize("rpc", [Rpc.EXECUTE, Rpc.BATCH], ids=["single", "batch"])
def test_large_requests_are_accepted(case: Case, rpc: Rpc) -> None:
    """Submissions above gRPC's default limit of 4 MiB are accepted, up to the profile's limit (tried up to 64 MiB)."""
    sizes = [size for size in (4 * MIB + 1024, 16 * MIB, 64 * MIB - 4096) if size + 4096 <= case.facts.max_message]
    if not sizes:
        raise NotApplicableError(f"facts.max_message is {case.facts.max_message} octets")
    for size in sizes:
        request = good_request(case, rpc, "")
        padded(request, size)
        call = case.attempt(request)
        case.expect("WIRE-03", call.error is None, f"a request of {size / MIB:.0f} MiB is accepted", describe(call), call)


GARBAGE = (b"\x0a\x7f", b"\xff" * 11, b"\x1a\x05ab", b"\x07", bytes(40))
"""Octets that are no message of any kind: cut off, overlong, with a wire type or a field number that does not exist."""


@covers("WIRE-04", "WIRE-08", alone=True, tier="light")
@EVERY_RPC
def test_garbage_is_an_error(case: Case, rpc: Rpc) -> None:
    """Octets that are not a message get an error, and the endpoint goes on serving."""
    for body in GARBAGE:
        code = raw_code(case, rpc.path, body)
        case.expect("WIRE-04", code != "OK", f"an error for the octets {body[:8].hex()}...", code)
        case.expect("WIRE-04", code != "UNAVAILABLE", f"an answer to the octets {body[:8].hex()}..., not a lost connection", code)
    expect_service(case, "WIRE-08", f"octets that are no {rpc.value} request")


@covers("WIRE-04", alone=True, tier="read-only")
@EVERY_READ
def test_garbage_in_a_read_is_an_error(case: Case, rpc: Rpc) -> None:
    """Octets that are not a message get an error from the calls that read, and the next good call an answer."""
    for body in GARBAGE:
        code = raw_code(case, rpc.path, body)
        refused = code not in {"OK", "UNAVAILABLE"}
        case.expect("WIRE-04", refused, f"an error for the octets {body[:8].hex()}..., on a connection that stays", code)
    after = case.attempt(case.requests.status(NOBODYS))
    case.expect("WIRE-04", after.code != "UNAVAILABLE", "an answer to a good call afterwards", describe(after), after)


@covers("WIRE-01", "WIRE-02", tier="read-only")
@EVERY_READ
def test_a_read_may_be_compressed_and_hold_unknown_fields(case: Case, rpc: Rpc) -> None:
    """About a job that does not exist, a request with unknown fields, or compressed with gzip, gets what a plain one gets."""
    timeout = min(3.0, case.deadlines.call)
    plain = case.attempt(good_request(case, rpc, NOBODYS), timeout=timeout)
    expected = f"the answer of a plain request: {describe(plain)}"
    for field in UNKNOWN_FIELDS:
        request = good_request(case, rpc, NOBODYS)
        request.MergeFromString(field)
        call = case.attempt(request, timeout=timeout)
        case.expect("WIRE-01", call.code == plain.code, expected, describe(call), call)
    profile = dataclasses.replace(case.profile, compression="gzip")
    client = case.connect("gzip", endpoint=dataclasses.replace(case.endpoint, profile=profile))
    call = case.attempt(good_request(case, rpc, NOBODYS), client=client, timeout=timeout)
    case.expect("WIRE-02", call.code == plain.code, expected, describe(call), call)


def raw_code(case: Case, path: str, body: bytes) -> str:
    """Send octets and return the name of the status code."""
    try:
        case.client.raw(path, body, timeout=case.deadlines.call)
    except grpc.RpcError as error:
        code: str = error.code().name
        return raw_code(case, path, body) if case.reconnects(case.client, code, error.details() or "") else code
    return "OK"


UNKNOWN_METHODS = pytest.mark.parametrize(
    "path",
    [
        pytest.param(f"/{SERVICE}/NoSuchMethod", id="method"),
        pytest.param(f"/{SERVICE}/executecontrollerjob", id="method-case"),
        pytest.param(f"/{SERVICE.lower()}/ExecuteControllerJob", id="service-case"),
        pytest.param("/no.such.Service/Method", id="service"),
    ],
)


@covers("WIRE-05", tier="read-only")
@UNKNOWN_METHODS
def test_an_unknown_method_is_unimplemented(case: Case, path: str) -> None:
    """An unknown method is UNIMPLEMENTED."""
    code = raw_code(case, path, b"")
    case.expect("WIRE-05", code == "UNIMPLEMENTED", f"UNIMPLEMENTED for {path}", code)


@covers("WIRE-05", tier="light")
@UNKNOWN_METHODS
def test_an_unknown_method_takes_no_submission(case: Case, path: str) -> None:
    """An unknown method is UNIMPLEMENTED although its body is that of a good submission."""
    code = raw_code(case, path, case.requests.execute().SerializeToString())
    case.expect("WIRE-05", code == "UNIMPLEMENTED", f"UNIMPLEMENTED for {path}", code)


@covers("WIRE-06")
def test_a_short_deadline_ends_promptly(case: Case) -> None:
    """A deadline shorter than the work gives DEADLINE_EXCEEDED, promptly, and leaves nothing hanging."""
    job = case.profile.jobs[case.needs("slow")]
    (job_id,) = case.submit("slow")
    timeout = job.duration / 8
    for _ in range(4):
        watch = Stopwatch()
        call = case.result_call(job_id, timeout=timeout)
        if call.code not in {"DEADLINE_EXCEEDED", "OK"}:
            case.observe("WIRE-06", f"a results call on a running job does not wait: {describe(call)}")
            break
        case.expect(
            "WIRE-06", call.code == "DEADLINE_EXCEEDED" or watch.seconds() >= timeout / 2, "no early OK", describe(call), call
        )
        case.expect(
            "WIRE-06", watch.seconds() < timeout + 2.0, f"an end about {timeout:g} s later", f"{watch.seconds():.2f} s", call
        )
    done = case.result_call(job_id, timeout=job.total + case.deadlines.results)
    case.expect(
        "WIRE-06", done.error is None or done.code == "NOT_FOUND", "the result, for whoever waits longer", describe(done), done
    )


@covers("WIRE-07", tier="read-only")
def test_observe_health(case: Case) -> None:
    """What the standard health service says, with a name and without."""
    for name in ("", SERVICE):
        request = health_pb2.HealthCheckRequest(service=name).SerializeToString()
        try:
            body = case.client.raw("/grpc.health.v1.Health/Check", request, timeout=case.deadlines.call)
        except grpc.RpcError as error:
            case.observe("WIRE-07", f"health of {name or 'the server'}: {error.code().name}")
        else:
            status = health_pb2.HealthCheckResponse.FromString(body).status
            told = health_pb2.HealthCheckResponse.ServingStatus.Name(status)
            case.observe("WIRE-07", f"health of {name or 'the server'}: {told}")


MOST_DIFFERENCES = 40
"""How many differences between descriptors are put on record in full."""
LONGEST_DIFFERENCE = 300
"""Characters of a difference that are put on record: names come from the endpoint."""


@covers("WIRE-07", tier="read-only")
def test_observe_reflection(case: Case) -> None:
    """Whether the endpoint reflects its descriptors, and where they differ from ours."""
    found = reflect(case.endpoint, timeout=case.deadlines.call)
    name = f"server reflection ({found.version})" if found.version else "server reflection"
    if found.contract is None:
        case.observe("WIRE-07", f"{name}: {found.problem}"[:LONGEST_DIFFERENCE])
        return
    apart = list(differences(our_contract(), found.contract))
    told = f"{len(apart)} differences from our descriptors" if apart else "agrees with our descriptors field by field"
    case.observe("WIRE-07", f"{name}: {told}")
    for text in apart[:MOST_DIFFERENCES]:
        case.observe("WIRE-07", text[:LONGEST_DIFFERENCE])


@covers("WIRE-08", alone=True)
@EVERY_RPC
def test_a_bad_request_harms_nobody_else(case: Case, rpc: Rpc) -> None:
    """A bad request, in whatever RPC, does not keep good ones from being served, before it, beside it or after it."""
    running = case.submit(count=3)
    bad: dict[Rpc, Message] = {
        Rpc.EXECUTE: case.requests.execute(configurations=[], key=case.key().with_version(9)),
        Rpc.BATCH: case.requests.batch([case.requests.execute(configurations=[])] * 3),
        Rpc.RESULTS: case.requests.results("\x00 no id \u2603"),
        Rpc.CANCEL: case.requests.cancel(["", "\x00", "no id"] * 20),
        Rpc.STATUS: case.requests.status("x" * 10_000),
    }
    clients = [case.connect(f"c{number}") for number in range(3)]
    case.together(lambda client: case.attempt(bad[rpc], client=client, timeout=min(2.0, case.deadlines.call)), clients)
    expect_service(case, "WIRE-08", f"bad {rpc.value} requests")
    ended = case.finish(running)
    case.expect("WIRE-08", set(ended.values()) == {Status.SUCCEEDED}, "jobs queued before them succeed", sorted(ended.values()))
    for job_id in running:
        call = case.attempt(case.requests.status(job_id))
        known = call.error is None and status_of(call) is not Status.UNKNOWN
        case.expect("WIRE-08", known, "their status can be read", describe(call), call)
