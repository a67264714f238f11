"""Ask an endpoint by gRPC server reflection what its Controller service looks like, and turn descriptors into plain values.

Whoever answers is not trusted: calls, octets and seconds are bounded, and octets that are no descriptors are a finding like
any other. Nothing here judges; `harness.descriptors` compares.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FeatureSet,
    FieldDescriptorProto,
    FileDescriptorProto,
    ServiceDescriptorProto,
)
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from harness.call import prepare
from harness.channel import open_channel
from harness.descriptors import Contract, Enum, Field, Message, Method, Value, merged, needed
from harness.endpoint import Endpoint
from harness.history import SERVICE
from harness.stubs import service_pb2

VERSIONS = ("v1", "v1alpha")
"""Versions of the protocol in the order in which they are tried; their messages are the same on the wire."""
MOST_CALLS = 32
"""Calls that one look at an endpoint makes at most."""
MOST_OCTETS = 4 << 20
"""Octets of answers that one look takes at most."""

_STREAMING = {(False, False): "unary", (True, False): "client", (False, True): "server", (True, True): "both"}


@dataclass(frozen=True)
class Reflection:
    """What an endpoint reflects: in which version of the protocol ("" when in none), and the service, or why it is not known."""

    version: str
    contract: Contract | None
    problem: str = ""


class _ReflectionError(Exception):
    """What is wrong with what was reflected."""


def reflect(endpoint: Endpoint, timeout: float, service: str = SERVICE) -> Reflection:
    """Ask for a service and everything that it needs, in `timeout` seconds at most. Whatever goes wrong is part of the answer."""
    deadline = time.monotonic() + timeout
    with open_channel(endpoint) as channel:
        for version in VERSIONS:
            asking = _Asking(channel, endpoint, version, deadline)
            try:
                contract = contract_of(asking.files(service), service)
            except _ReflectionError as error:
                return Reflection(version, None, str(error))
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                    return Reflection(version, None, f"{error.code().name}: {error.details() or 'no message'}")
            else:
                known = bool(contract.methods)
                return Reflection(version, contract if known else None, "" if known else f"{service} is not in what it reflects")
    return Reflection("", None, "UNIMPLEMENTED")


def our_contract() -> Contract:
    """Return the Controller service as our stubs have it."""
    return contract_of(_with_imports(service_pb2.DESCRIPTOR).values(), SERVICE)


def contract_of(files: Iterable[FileDescriptorProto], service: str) -> Contract:
    """Return a service and what it needs, as far as it is in the files; without any methods if the service is not."""
    methods: tuple[Method, ...] = ()
    messages: list[Message] = []
    enums: list[Enum] = []
    for file in files:
        methods = next((_methods(item) for item in file.service if _joined(file.package, item.name) == service), methods)
        enums += (_enum(item, file.package) for item in file.enum_type)
        for scope, message in _flat(file.message_type, file.package):
            messages.append(_message(message, scope, file))
            enums += (_enum(item, _joined(scope, message.name)) for item in message.enum_type)
    return needed(Contract(service, methods, tuple(messages), tuple(enums)))


class _Asking:
    """One conversation in one version of the protocol; every method may raise _ReflectionError or grpc.RpcError."""

    def __init__(self, channel: grpc.Channel, endpoint: Endpoint, version: str, deadline: float) -> None:
        self._method: Any = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=ServerReflectionRequest.SerializeToString,
            response_deserializer=None,
        )
        self._endpoint = endpoint
        self._deadline = deadline
        self._calls = 0
        self._octets = 0

    def files(self, service: str) -> tuple[FileDescriptorProto, ...]:
        """Return the file of a service and all that it imports; imports that the endpoint does not know are left out."""
        answer = self._ask(ServerReflectionRequest(file_containing_symbol=service))
        if answer.HasField("error_response"):
            raise _ReflectionError(f"{service} is not known to it: {answer.error_response.error_message or 'no message'}")
        found = {_text(file.name): file for file in _files(answer)}
        waiting = [_text(name) for file in found.values() for name in file.dependency]
        asked: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name in found or name in asked:
                continue
            asked.add(name)
            answer = self._ask(ServerReflectionRequest(file_by_filename=name))
            for file in () if answer.HasField("error_response") else _files(answer):
                found.setdefault(_text(file.name), file)
                waiting += map(_text, file.dependency)
        return tuple(found.values())

    def _ask(self, request: ServerReflectionRequest) -> ServerReflectionResponse:
        self._calls += 1
        if self._calls > MOST_CALLS:
            raise _ReflectionError(f"more than {MOST_CALLS} files would have to be asked for")
        headers = prepare(self._endpoint, self._endpoint.profile.default_identity, ())[1]
        left = max(0.0, self._deadline - time.monotonic())
        stream = self._method(iter([request]), timeout=left, metadata=headers)
        try:
            octets = next(stream, None)
        finally:
            stream.cancel()
        if octets is None:
            raise _ReflectionError("a request was not answered")
        self._octets += len(octets)
        if self._octets > MOST_OCTETS:
            raise _ReflectionError(f"the answers are longer than {MOST_OCTETS:,} octets")
        try:
            return ServerReflectionResponse.FromString(octets)
        except DecodeError:
            raise _ReflectionError("an answer is no message of the protocol") from None


def _files(answer: ServerReflectionResponse) -> list[FileDescriptorProto]:
    if not answer.HasField("file_descriptor_response"):
        raise _ReflectionError("an answer does not fit its request")
    try:
        return [FileDescriptorProto.FromString(octets) for octets in answer.file_descriptor_response.file_descriptor_proto]
    except DecodeError:
        raise _ReflectionError("an answer holds octets that are no descriptor") from None


def _with_imports(file: FileDescriptor) -> Mapping[str, FileDescriptorProto]:
    found: dict[str, FileDescriptorProto] = {}
    waiting = [file]
    while waiting:
        each = waiting.pop()
        found[each.name] = FileDescriptorProto()
        each.CopyToProto(found[each.name])
        waiting += (item for item in each.dependencies if item.name not in found)
    return found


def _text(name: str | bytes) -> str:
    """Return a name of a descriptor; protobuf hands out octets that are no UTF-8 as they are."""
    return name if isinstance(name, str) else repr(name)


def _joined(scope: str, name: str) -> str:
    return f"{_text(scope)}.{_text(name)}" if scope else _text(name)


def _flat(messages: Iterable[DescriptorProto], scope: str) -> Iterator[tuple[str, DescriptorProto]]:
    """Yield messages and those nested in them, each with the name of what it is nested in."""
    for message in messages:
        yield scope, message
        yield from _flat(message.nested_type, _joined(scope, message.name))


def _methods(service: ServiceDescriptorProto) -> tuple[Method, ...]:
    return tuple(
        Method(
            _text(item.name),
            _text(item.input_type).removeprefix("."),
            _text(item.output_type).removeprefix("."),
            _STREAMING[item.client_streaming, item.server_streaming],
        )
        for item in service.method
    )


def _message(message: DescriptorProto, scope: str, file: FileDescriptorProto) -> Message:
    oneofs = [_text(item.name) for item in message.oneof_decl]
    return Message(
        _joined(scope, message.name),
        tuple(_field(item, oneofs, file) for item in message.field),
        merged((item.start, item.end - 1) for item in message.reserved_range),
        frozenset(map(_text, message.reserved_name)),
    )


def _field(field: FieldDescriptorProto, oneofs: list[str], file: FileDescriptorProto) -> Field:
    kind = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    type_ = f"{kind} {_text(field.type_name).removeprefix('.')}" if field.type_name else kind
    grouped = field.HasField("oneof_index") and not field.proto3_optional and field.oneof_index < len(oneofs)
    oneof = oneofs[field.oneof_index] if grouped else ""
    return Field(_text(field.name), field.number, type_, _label(field, file), oneof)


def _label(field: FieldDescriptorProto, file: FileDescriptorProto) -> str:
    presence = field.options.features.field_presence or file.options.features.field_presence
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return "repeated"
    if field.label == FieldDescriptorProto.LABEL_REQUIRED or presence == FeatureSet.LEGACY_REQUIRED:
        return "required"
    told_apart = field.HasField("oneof_index") or field.type in {
        FieldDescriptorProto.TYPE_MESSAGE,
        FieldDescriptorProto.TYPE_GROUP,
    }
    if told_apart or (file.syntax != "proto3" and presence != FeatureSet.IMPLICIT):
        return "optional"
    return "singular"


def _enum(enum: EnumDescriptorProto, scope: str) -> Enum:
    return Enum(
        _joined(scope, enum.name),
        tuple(Value(_text(item.name), item.number) for item in enum.value),
        merged((item.start, item.end) for item in enum.reserved_range),
        frozenset(map(_text, enum.reserved_name)),
    )
