"""Our descriptors against the facts of the service, number by number, both ways."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto

from harness.history import SERVICE, Rpc
from harness.stubs import job_pb2, readout_pb2, service_pb2

FACTS = json.loads((Path(__file__).parent / "data" / "wire-contract.json").read_text(encoding="utf-8"))
Contract = dict[str, dict[str, Any]]


def file_protos() -> list[FileDescriptorProto]:
    protos = []
    for module in (service_pb2, job_pb2, readout_pb2):
        proto = FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(proto)
        protos.append(proto)
    return protos


def contract_of(files: Iterable[FileDescriptorProto]) -> Contract:
    """Return messages, enums and services by full name, in the form of the facts."""
    contract: Contract = {"messages": {}, "enums": {}, "services": {}}
    for file in files:
        assert file.syntax == "proto3"
        for message in file.message_type:
            _add_message(message, file.package, contract)
        for enum in file.enum_type:
            _add_enum(enum, file.package, contract)
        for service in file.service:
            assert not any(method.client_streaming or method.server_streaming for method in service.method)
            contract["services"][f"{file.package}.{service.name}"] = {
                method.name: {"request": method.input_type.lstrip("."), "response": method.output_type.lstrip(".")}
                for method in service.method
            }
    return contract


def _add_message(message: DescriptorProto, scope: str, contract: Contract) -> None:
    name = f"{scope}.{message.name}"
    entries = {f".{name}.{nested.name}": nested for nested in message.nested_type if nested.options.map_entry}
    oneofs = [oneof.name for oneof in message.oneof_decl]
    contract["messages"][name] = {
        "fields": {field.name: _field(field, entries, oneofs) for field in message.field},
        "reserved_numbers": sorted(n for gap in message.reserved_range for n in range(gap.start, gap.end)),
        "reserved_names": sorted(message.reserved_name),
    }
    for nested in message.nested_type:
        if not nested.options.map_entry:
            _add_message(nested, name, contract)
    for enum in message.enum_type:
        _add_enum(enum, name, contract)


def _add_enum(enum: EnumDescriptorProto, scope: str, contract: Contract) -> None:
    contract["enums"][f"{scope}.{enum.name}"] = {value.name: value.number for value in enum.value}


def _field(field: FieldDescriptorProto, entries: dict[str, DescriptorProto], oneofs: list[str]) -> dict[str, Any]:
    fact: dict[str, Any] = {"number": field.number, "type": _type(field), "label": "singular"}
    if field.type_name in entries:
        key, value = entries[field.type_name].field
        fact |= {"type": f"map<{_type(key)}, {_type(value)}>", "label": "map"}
    elif field.label == FieldDescriptorProto.LABEL_REPEATED:
        fact["label"] = "repeated"
    elif field.proto3_optional:
        fact["label"] = "optional"
    elif field.HasField("oneof_index"):
        fact["oneof"] = oneofs[field.oneof_index]
    return fact


def _type(field: FieldDescriptorProto) -> str:
    return field.type_name.lstrip(".") or FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()


def expected() -> Contract:
    """Return the facts, with fields by name and absent reservations written out."""
    messages = {
        name: {
            "fields": {field["name"]: {key: value for key, value in field.items() if key != "name"} for field in fact["fields"]},
            "reserved_numbers": sorted(fact.get("reserved_numbers", [])),
            "reserved_names": sorted(fact.get("reserved_names", [])),
        }
        for name, fact in FACTS["messages"].items()
    }
    return {"messages": messages, "enums": FACTS["enums"], "services": FACTS["services"]}


@pytest.mark.parametrize("part", ["messages", "enums", "services"])
def test_nothing_is_missing_and_nothing_is_extra(part: str) -> None:
    assert contract_of(file_protos())[part].keys() == expected()[part].keys()


@pytest.mark.parametrize("name", sorted(FACTS["messages"]))
def test_every_message_has_the_fields_of_the_service(name: str) -> None:
    assert contract_of(file_protos())["messages"][name] == expected()["messages"][name]


@pytest.mark.parametrize("part", ["enums", "services"])
def test_enums_and_methods_are_those_of_the_service(part: str) -> None:
    assert contract_of(file_protos())[part] == expected()[part]


def test_the_core_names_the_methods_as_the_service_does() -> None:
    assert {rpc.value for rpc in Rpc} == set(FACTS["services"][SERVICE])
    assert all(rpc.path == f"/{SERVICE}/{rpc.value}" for rpc in Rpc)


def _message(files: list[FileDescriptorProto], name: str) -> DescriptorProto:
    return next(message for file in files for message in file.message_type if message.name == name)


def _renumber(files: list[FileDescriptorProto]) -> None:
    _message(files, "ExecutionOptions").field[0].number = 1


def _retype(files: list[FileDescriptorProto]) -> None:
    _message(files, "Uuid").field[1].type = FieldDescriptorProto.TYPE_UINT64


def _repeat(files: list[FileDescriptorProto]) -> None:
    _message(files, "GetControllerJobStatusRequest").field[0].label = FieldDescriptorProto.LABEL_REPEATED


def _lose_presence(files: list[FileDescriptorProto]) -> None:
    _message(files, "BatchExecuteControllerJobsRequest").field[1].proto3_optional = False


def _leave_oneof(files: list[FileDescriptorProto]) -> None:
    _message(files, "ExecuteControllerJobRequest").field[3].ClearField("oneof_index")


def _unreserve(files: list[FileDescriptorProto]) -> None:
    del _message(files, "ExecutionOptions").reserved_range[:]


def _unreserve_name(files: list[FileDescriptorProto]) -> None:
    del _message(files, "EncryptedControllerJob").reserved_name[:]


def _add_value(files: list[FileDescriptorProto]) -> None:
    _message(files, "GetControllerJobStatusResponse").enum_type[0].value.add(name="PAUSED", number=7)


def _swap_response(files: list[FileDescriptorProto]) -> None:
    files[0].service[0].method[0].output_type = ".services.controller.GetControllerJobStatusResponse"


def _add_field(files: list[FileDescriptorProto]) -> None:
    _message(files, "CancelControllerJobsResponse").field.add(name="extra", number=1, type=FieldDescriptorProto.TYPE_BOOL)


@pytest.mark.parametrize(
    "change",
    [
        _renumber,
        _retype,
        _repeat,
        _lose_presence,
        _leave_oneof,
        _unreserve,
        _unreserve_name,
        _add_value,
        _swap_response,
        _add_field,
    ],
)
def test_a_changed_descriptor_is_noticed(change: Callable[[list[FileDescriptorProto]], None]) -> None:
    files = file_protos()
    change(files)
    assert contract_of(files) != expected()
