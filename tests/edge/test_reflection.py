"""Server reflection as a client meets it: agreeing, differing, absent, silent and hostile."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FeatureSet,
    FieldDescriptorProto,
    FileDescriptorProto,
    MethodDescriptorProto,
)
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from harness.descriptors import differences
from harness.history import SERVICE
from harness.reflection import MOST_CALLS, MOST_OCTETS, contract_of, our_contract, reflect
from harness.server.run import Bound
from harness.stubs import service_pb2
from tests.edge.endpoints import PATIENCE, endpoint, identities, silent_socket

Answer = Callable[[ServerReflectionRequest, grpc.ServicerContext], bytes]
ALPHA, FINAL = "v1alpha", "v1"


class Reflector:
    """A server that reflects what a test wants; `asked` notes (version, request, authorization)."""

    def __init__(self, answer: Answer, versions: tuple[str, ...]) -> None:
        self.asked: list[tuple[str, ServerReflectionRequest, str]] = []
        self._answer = answer
        self._versions = versions

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        version = details.method.split(".")[2] if details.method.startswith("/grpc.reflection.") else ""
        if version not in self._versions:
            return None
        token = str(dict(details.invocation_metadata or ()).get("authorization", ""))

        def handle(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            for octets in requests:
                request = ServerReflectionRequest.FromString(octets)
                self.asked.append((version, request, token))
                yield self._answer(request, context)

        return grpc.stream_stream_rpc_method_handler(handle)


@contextlib.contextmanager
def reflector(answer: Answer, versions: tuple[str, ...] = (FINAL, ALPHA)) -> Iterator[tuple[str, Reflector]]:
    found = Reflector(answer, versions)

    class Handler(grpc.GenericRpcHandler):
        def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
            return found.service(handler_call_details)

    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.max_send_message_length", -1)])
    server.add_generic_rpc_handlers((Handler(),))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield address, found
    finally:
        server.stop(None).wait(PATIENCE)


def proto_of(descriptor: Any) -> FileDescriptorProto:
    proto = FileDescriptorProto()
    descriptor.CopyToProto(proto)
    return proto


def our_files() -> dict[str, FileDescriptorProto]:
    """Return the files of the service by name, as a server would have them."""
    found: dict[str, FileDescriptorProto] = {}
    waiting = [service_pb2.DESCRIPTOR]
    while waiting:
        descriptor = waiting.pop()
        found[descriptor.name] = proto_of(descriptor)
        waiting += descriptor.dependencies
    return found


def one_by_one(files: dict[str, FileDescriptorProto]) -> Answer:
    """Answer each request with the one file that it is about, as servers do that leave imports to the client."""

    def answer(request: ServerReflectionRequest, _context: grpc.ServicerContext) -> bytes:
        response = ServerReflectionResponse()
        symbol = request.file_containing_symbol
        holds = [file for file in files.values() for item in file.service if f"{file.package}.{item.name}" == symbol]
        holds += [files[request.file_by_filename]] if request.file_by_filename in files else []
        if holds:
            response.file_descriptor_response.file_descriptor_proto.append(holds[0].SerializeToString())
        else:
            response.error_response.error_code, response.error_response.error_message = 5, "never heard of it"
        return response.SerializeToString()

    return answer


def message(files: dict[str, FileDescriptorProto], name: str) -> DescriptorProto:
    return next(item for file in files.values() for item in file.message_type if item.name == name)


def field(files: dict[str, FileDescriptorProto], owner: str, name: str) -> FieldDescriptorProto:
    return next(item for item in message(files, owner).field if item.name == name)


def test_the_reference_server_agrees(bound: Bound) -> None:
    found = reflect(endpoint(bound.address), PATIENCE)
    assert (found.version, found.problem) == (ALPHA, "")
    assert found.contract is not None
    assert list(differences(our_contract(), found.contract)) == []
    assert len(found.contract.methods) == 5


def test_the_newer_version_is_asked_first_and_imports_are_fetched_once() -> None:
    files = our_files()
    with reflector(one_by_one(files)) as (address, server):
        found = reflect(endpoint(address, identities=identities(main="t0ken")), PATIENCE)
    assert found.version == FINAL
    assert found.contract is not None
    assert list(differences(our_contract(), found.contract)) == []
    assert len(server.asked) == len(files)
    assert {(version, token) for version, _, token in server.asked} == {(FINAL, "Bearer t0ken")}


def test_the_older_version_will_do() -> None:
    with reflector(one_by_one(our_files()), (ALPHA,)) as (address, server):
        found = reflect(endpoint(address), PATIENCE)
    assert (found.version, found.problem) == (ALPHA, "")
    assert {version for version, _, _ in server.asked} == {ALPHA}


def test_every_difference_is_listed() -> None:
    files = our_files()
    service = service_pb2.DESCRIPTOR.name
    field(files, "EncryptedControllerJob", "encryption").number = 4
    field(files, "JobEncryption", "nonce").name = "once"
    field(files, "ExecuteControllerJobResponse", "job_execution_ids").type = FieldDescriptorProto.TYPE_BYTES
    field(files, "GetControllerJobStatusRequest", "endpoint_id").ClearField("oneof_index")
    field(files, "CancelControllerJobsRequest", "job_ids").label = FieldDescriptorProto.LABEL_OPTIONAL
    field(files, "ControllerJobExecutionResult", "status_message").ClearField("proto3_optional")
    field(files, "ControllerJobExecutionResult", "status_message").ClearField("oneof_index")
    del message(files, "Uuid").field[1]
    message(files, "EstimatedDelay").field.add(name="mean", number=9, type=FieldDescriptorProto.TYPE_FLOAT, label=1)
    message(files, "ExecutionOptions").reserved_range.pop()
    states = message(files, "GetControllerJobStatusResponse").enum_type[0]
    states.value[6].number = 7
    states.value.add(name="PAUSED", number=8)
    methods = {item.name: item for item in files[service].service[0].method}
    methods["GetControllerJobResults"].server_streaming = True
    methods["GetControllerJobStatus"].input_type = ".services.controller.GetControllerJobResultsRequest"
    files[service].service[0].method.remove(methods["CancelControllerJobs"])
    files[service].service[0].method.append(
        MethodDescriptorProto(name="Ping", input_type=".services.controller.Uuid", output_type=".services.controller.Uuid")
    )
    with reflector(one_by_one(files)) as (address, _):
        found = reflect(endpoint(address), PATIENCE)
    assert found.contract is not None
    gone = "services.controller.GetControllerJobStatusRequest"
    assert sorted(differences(our_contract(), found.contract)) == sorted(
        [
            "field encryption of models.controller.EncryptedControllerJob: number 4, ours 2",
            "field nonce of models.controller.JobEncryption: name once, ours nonce",
            "field job_execution_ids of services.controller.ExecuteControllerJobResponse: type bytes, ours string",
            "field status_message of models.controller.ControllerJobExecutionResult: label singular, ours optional",
            "field low = 2 of services.controller.Uuid: missing",
            "field mean = 9 of services.controller.EstimatedDelay: additional",
            "message services.controller.ExecutionOptions: reserved numbers 1, ours 1 to 2",
            "value POST_PROCESSING of services.controller.GetControllerJobStatusResponse.Status: number 7, ours 6",
            "value PAUSED = 8 of services.controller.GetControllerJobStatusResponse.Status: additional",
            "method GetControllerJobResults: streaming server, ours unary",
            f"method GetControllerJobStatus: input services.controller.GetControllerJobResultsRequest, ours {gone}",
            "method CancelControllerJobs: missing",
            "method Ping: additional",
            f"message {gone}: missing",
            "message services.controller.CancelControllerJobsRequest: missing",
            "message services.controller.CancelControllerJobsResponse: missing",
        ]
    )


def test_names_that_are_no_text_are_shown_as_octets() -> None:
    files = our_files()

    def answer(request: ServerReflectionRequest, context: grpc.ServicerContext) -> bytes:
        octets = one_by_one(files)(request, context)
        return octets.replace(b"nonce", b"n\xff\xfece").replace(b"EstimatedDelay", b"Estimated\xff\xfe\xfd\xfc\xfb")

    with reflector(answer) as (address, _):
        found = reflect(endpoint(address), PATIENCE)
    assert found.contract is not None
    shown = r"b'.services.controller.Estimated\xff\xfe\xfd\xfc\xfb'"
    first = f"type message {shown}, ours message services.controller.EstimatedDelay"
    assert sorted(differences(our_contract(), found.contract)) == [
        f"field estimated_job_completion_delay of services.controller.GetControllerJobStatusResponse: {first}",
        r"field nonce of models.controller.JobEncryption: name b'n\xff\xfece', ours nonce",
        "message google.protobuf.Timestamp: missing",
        "message services.controller.EstimatedDelay: missing",
    ]


def test_an_import_that_is_withheld_is_missing_messages() -> None:
    files = our_files()
    del files["google/protobuf/duration.proto"]
    with reflector(one_by_one(files)) as (address, server):
        found = reflect(endpoint(address), PATIENCE)
    assert found.contract is not None
    assert list(differences(our_contract(), found.contract)) == ["message google.protobuf.Duration: missing"]
    assert len(server.asked) == len(files) + 1


def test_another_service_is_not_known() -> None:
    with reflector(one_by_one({})) as (address, _):
        found = reflect(endpoint(address), PATIENCE)
    assert (found.version, found.contract, found.problem) == (FINAL, None, f"{SERVICE} is not known to it: never heard of it")


def test_no_reflection_at_all() -> None:
    with reflector(one_by_one({}), ()) as (address, _):
        found = reflect(endpoint(address), PATIENCE)
    assert (found.version, found.contract, found.problem) == ("", None, "UNIMPLEMENTED")


def test_a_refusal_is_told() -> None:
    def answer(_request: ServerReflectionRequest, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "not for you")

    with reflector(answer) as (address, server):
        found = reflect(endpoint(address), PATIENCE)
    assert (found.version, found.problem) == (FINAL, "PERMISSION_DENIED: not for you")
    assert len(server.asked) == 1


def test_silence_has_an_end() -> None:
    gone = threading.Event()

    def answer(_request: ServerReflectionRequest, context: grpc.ServicerContext) -> bytes:
        context.add_callback(gone.set)
        gone.wait(PATIENCE)
        return b""

    begun = time.monotonic()
    with reflector(answer) as (address, _):
        found = reflect(endpoint(address), 0.3)
        assert gone.wait(PATIENCE)
    assert found.problem.startswith("DEADLINE_EXCEEDED: ")
    assert time.monotonic() - begun < PATIENCE


def test_a_socket_that_takes_connections_and_says_nothing() -> None:
    with silent_socket() as address:
        found = reflect(endpoint(address), 0.3)
    assert found.contract is None
    assert found.problem.partition(":")[0] in {"DEADLINE_EXCEEDED", "UNAVAILABLE"}


def descriptor_answer(*octets: bytes) -> bytes:
    response = ServerReflectionResponse()
    response.file_descriptor_response.file_descriptor_proto.extend(octets)
    return response.SerializeToString()


def listing() -> bytes:
    response = ServerReflectionResponse()
    response.list_services_response.service.add(name=SERVICE)
    return response.SerializeToString()


@pytest.mark.parametrize(
    ("octets", "problem"),
    [
        (b"\xff" * 20, "an answer is no message of the protocol"),
        (b"", "an answer does not fit its request"),
        (listing(), "an answer does not fit its request"),
        (descriptor_answer(b"\xff" * 20), "an answer holds octets that are no descriptor"),
        (descriptor_answer(), f"{SERVICE} is not in what it reflects"),
        (descriptor_answer(b"", b""), f"{SERVICE} is not in what it reflects"),
        (descriptor_answer(bytes(MOST_OCTETS)), f"the answers are longer than {MOST_OCTETS:,} octets"),
    ],
    ids=["garbage", "empty", "another kind", "garbage inside", "no file", "empty files", "too long"],
)
def test_garbage_is_told(octets: bytes, problem: str) -> None:
    with reflector(lambda _request, _context: octets) as (address, _):
        assert reflect(endpoint(address), PATIENCE).problem == problem


def test_a_stream_that_ends_without_an_answer() -> None:
    class Empty(grpc.GenericRpcHandler):
        def service(self, _details: grpc.HandlerCallDetails) -> Any:
            return grpc.stream_stream_rpc_method_handler(lambda _requests, _context: iter(()))

    server = grpc.server(ThreadPoolExecutor(2), handlers=[Empty()])
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        assert reflect(endpoint(address), PATIENCE).problem == "a request was not answered"
    finally:
        server.stop(None).wait(PATIENCE)


def test_imports_without_end_are_not_followed() -> None:
    def answer(request: ServerReflectionRequest, _context: grpc.ServicerContext) -> bytes:
        name = request.file_by_filename or "0"
        return descriptor_answer(FileDescriptorProto(name=name, dependency=[str(int(name) + 1)]).SerializeToString())

    with reflector(answer) as (address, server):
        found = reflect(endpoint(address), PATIENCE)
    assert found.problem == f"more than {MOST_CALLS} files would have to be asked for"
    assert len(server.asked) == MOST_CALLS


@pytest.mark.parametrize(
    ("syntax", "presence", "label"),
    [
        ("proto3", None, "singular"),
        ("proto2", None, "optional"),
        ("", None, "optional"),
        ("editions", FeatureSet.IMPLICIT, "singular"),
        ("editions", FeatureSet.EXPLICIT, "optional"),
        ("editions", FeatureSet.LEGACY_REQUIRED, "required"),
    ],
)
def test_presence_is_told_whatever_the_syntax(syntax: str, presence: Any, label: str) -> None:
    file = FileDescriptorProto(package="p", syntax=syntax)
    added = file.message_type.add(name="M").field.add(name="f", number=1, type=FieldDescriptorProto.TYPE_INT32, label=1)
    if presence is not None:
        added.options.features.field_presence = presence
    file.service.add(name="S").method.add(name="A", input_type=".p.M", output_type=".p.M")
    assert contract_of([file], "p.S").messages[0].fields[0].label == label
