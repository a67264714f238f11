"""The `grpcurl` line of a call, and the files that it needs: complete, for a shell, and without a secret."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from harness.call import REQUEST_TYPES, Call, RpcError
from harness.channel import options
from harness.client import ControllerClient
from harness.endpoint import Endpoint
from harness.errors import HarnessError
from harness.evidence import save_requests
from harness.grpcframing import MAX_MESSAGE
from harness.history import Failed, Rpc
from harness.profile import Tls
from harness.stubs import job_pb2, service_pb2
from tests.edge.endpoints import endpoint, identities, profile

SECRET = "s3cr3t-t0ken"
ID = "0b0f6a0e-6a5e-4a51-9d5a-2a1f4c1b7e11"
PLAIN = endpoint("127.0.0.1:50051")


def call_of(request: Message, where: Endpoint = PLAIN, *, rpc: Rpc = Rpc.EXECUTE, identity: str = "main", **changes: Any) -> Call:
    details: dict[str, Any] = {"number": 1, "client": "c", "timeout": 2.5, "started_ns": 0, "ended_ns": 5, "request_id": ID}
    found = {**details, "rpc": rpc, "identity": identity, "request": request, "response": None, "error": None, **changes}
    return Call(endpoint=where, **found)


def body_of(words: list[str]) -> str:
    return words[words.index("-d") + 1]


def test_a_line_word_by_word() -> None:
    request = service_pb2.GetControllerJobStatusRequest(job_id="it's a job", quantum_processor_id="q")
    assert shlex.split(call_of(request, rpc=Rpc.STATUS).grpcurl()) == [
        *("grpcurl", "-protoset", "controller.protoset", "-max-time", "2.5", "-plaintext", "-H", f"x-request-id: {ID}"),
        *("-d", '{"job_id":"it\'s a job","quantum_processor_id":"q"}', "127.0.0.1:50051"),
        "services.controller.Controller/GetControllerJobStatus",
    ]


def test_secrets_are_left_to_variables_of_the_shell() -> None:
    where = endpoint(
        "127.0.0.1:50051",
        metadata={"X-Api.Key": SECRET, "x-tenant": "it's $HOME"},
        identities=identities(main=SECRET, guest=None),
    )
    line = call_of(service_pb2.CancelControllerJobsRequest(), where, rpc=Rpc.CANCEL).grpcurl()
    assert SECRET not in line
    assert "HOME" not in line
    words = shlex.split(line)
    headers = [words[index + 1] for index, word in enumerate(words) if word == "-H"]
    assert headers == [
        f"x-request-id: {ID}",
        "x-api.key: $HEADER_X_API_KEY",
        "x-tenant: $HEADER_X_TENANT",
        "authorization: Bearer $CONTROLLER_TOKEN",
    ]
    assert '"x-tenant: $HEADER_X_TENANT"' in line
    for nobody in ("guest", ""):
        assert "authorization" not in call_of(service_pb2.CancelControllerJobsRequest(), where, identity=nobody).grpcurl()


def test_secrets_are_no_part_of_any_text_form() -> None:
    where = endpoint("127.0.0.1:50051", metadata={"x-key": SECRET}, identities=identities(main=SECRET))
    call = call_of(service_pb2.CancelControllerJobsRequest(), where, error=Failed("INTERNAL", "x"))
    for shown in (where, call, call.to_operation(), RpcError(call)):
        assert SECRET not in repr(shown)
        assert SECRET not in str(shown)


def test_certificates_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tls = Tls(roots="ca.pem", certificate="/etc/a b.pem", key="k.pem", server_name="controller.example")
    where = Endpoint(profile("h:1", tls=tls), "h:1", tokens={}, payloads={}, base=Path("profiles"))
    words = shlex.split(call_of(service_pb2.CancelControllerJobsRequest(), where).grpcurl())
    assert "-plaintext" not in words
    assert words[5:13] == [
        *("-cacert", str(tmp_path / "profiles" / "ca.pem"), "-cert", "/etc/a b.pem"),
        *("-key", str(tmp_path / "profiles" / "k.pem"), "-servername", "controller.example"),
    ]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
memory = st.dictionaries(
    texts,
    st.one_of(
        st.builds(lambda v: {"integer": {"data": v}}, st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3)),
        st.builds(lambda v: {"real": {"data": v}}, st.lists(st.floats(allow_nan=False), max_size=3)),
        st.builds(lambda v: {"binary": {"data": v}}, st.binary(max_size=9)),
    ),
    max_size=3,
)
executions = st.builds(
    lambda job, key_id, regions, target, key: service_pb2.ExecuteControllerJobRequest(
        execution_configurations=[job_pb2.JobExecutionConfiguration(memory_values=regions)],
        encrypted=job_pb2.EncryptedControllerJob(job=job, encryption=job_pb2.JobEncryption(key_id=key_id, nonce=job[:12])),
        quantum_processor_id=target,
        idempotency_key=service_pb2.Uuid(high=key, low=key // 3),
    ),
    st.binary(max_size=3000),
    texts,
    memory,
    texts,
    st.integers(0, 2**64 - 1),
)


@given(executions)
def test_the_line_holds_the_request_or_names_the_file_that_does(request: service_pb2.ExecuteControllerJobRequest) -> None:
    call = call_of(request)
    line = call.grpcurl()
    words = shlex.split(line)
    assert "\n" not in line
    if call.has_request_file:
        assert body_of(words) == "@"
        assert words[-2:] == ["<", f"requests/{ID}.json"]
        assert len(line) < 1000
        text = call.request_text()
    else:
        text = body_of(words)
    assert json_format.Parse(text, service_pb2.ExecuteControllerJobRequest()) == request
    assert all(letter.isprintable() for letter in line)


@pytest.mark.parametrize("rpc", list(Rpc))
def test_the_body_of_every_rpc_is_its_request(rpc: Rpc) -> None:
    fields: dict[Rpc, dict[str, Any]] = {
        Rpc.EXECUTE: {"encrypted": {"job": "AAE="}},
        Rpc.BATCH: {"requests": [{"endpoint_id": "e"}]},
        Rpc.RESULTS: {"job_execution_id": "i"},
        Rpc.CANCEL: {"job_ids": ["a", "b"]},
        Rpc.STATUS: {"job_id": "j"},
    }
    request = json_format.ParseDict(fields[rpc], REQUEST_TYPES[rpc]())
    words = shlex.split(call_of(request, rpc=rpc).grpcurl())
    assert json_format.Parse(body_of(words), REQUEST_TYPES[rpc]()) == request
    assert words[-1] == f"services.controller.Controller/{rpc.value}"


def test_long_lists_and_texts_are_cut_on_record() -> None:
    request = service_pb2.CancelControllerJobsRequest(job_ids=["x" * 1000, *(str(number) for number in range(9))])
    ids = call_of(request, error=Failed("INTERNAL", "")).to_operation().request["job_ids"]
    assert ids == ["x" * 400 + "... 600 more characters", "0", "1", "2", "3", "4", "... 4 more"]


# Files that go with the record


def test_long_requests_and_the_descriptor_set_are_saved(tmp_path: Path) -> None:
    short = call_of(service_pb2.CancelControllerJobsRequest(job_ids=["a"]), rpc=Rpc.CANCEL, request_id="short")
    long = call_of(service_pb2.CancelControllerJobsRequest(job_ids=["b" * 10_000, "\n\u2028é"]), rpc=Rpc.CANCEL)
    save_requests(tmp_path, [short, long])
    assert [path.name for path in (tmp_path / "requests").iterdir()] == [f"{ID}.json"]
    text = (tmp_path / "requests" / f"{ID}.json").read_text(encoding="utf-8")
    assert json_format.Parse(text, service_pb2.CancelControllerJobsRequest()) == long.request
    assert sorted(path.name for path in tmp_path.iterdir()) == ["controller.protoset", "requests"]


def test_no_long_request_no_folder(tmp_path: Path) -> None:
    save_requests(tmp_path, [call_of(service_pb2.CancelControllerJobsRequest())])
    assert [path.name for path in tmp_path.iterdir()] == ["controller.protoset"]


def test_the_descriptor_set_resolves_every_type(tmp_path: Path) -> None:
    save_requests(tmp_path, [])
    files = descriptor_pb2.FileDescriptorSet.FromString((tmp_path / "controller.protoset").read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.AddSerializedFile(file.SerializeToString())
    service = pool.FindServiceByName("services.controller.Controller")
    assert [method.name for method in service.methods] == [rpc.value for rpc in Rpc]
    for method in service.methods:
        for kind in (method.input_type, method.output_type):
            message_factory.GetMessageClass(kind)().SerializeToString()
        request = REQUEST_TYPES[Rpc(method.name)]()
        assert method.input_type.full_name == request.DESCRIPTOR.full_name
    job = message_factory.GetMessageClass(pool.FindMessageTypeByName("services.controller.ExecuteControllerJobRequest"))
    sent = service_pb2.ExecuteControllerJobRequest(encrypted=job_pb2.EncryptedControllerJob(job=b"x"))
    read = json_format.Parse(call_of(sent).request_text(), job(), descriptor_pool=pool)
    assert read.SerializeToString() == sent.SerializeToString() != b""


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "requests").write_text("in the way", encoding="utf-8")
    with pytest.raises(HarnessError, match="requests: cannot be written: file exists") as caught:
        save_requests(tmp_path, [call_of(service_pb2.CancelControllerJobsRequest(job_ids=["b" * 10_000]))])
    assert "\n" not in str(caught.value)


def test_the_line_of_a_real_failure(served: Endpoint) -> None:
    with ControllerClient(served) as client, pytest.raises(RpcError) as caught:
        client.status(service_pb2.GetControllerJobStatusRequest(job_id="x"), timeout=9.0)
    operation = caught.value.call.to_operation()
    assert operation.command == caught.value.call.grpcurl()
    assert f"x-request-id: {operation.request_id}" in operation.command
    assert operation.request_id in str(caught.value)


def test_channels_take_the_messages_that_the_vendor_client_takes() -> None:
    arguments = dict(options(PLAIN))
    assert MAX_MESSAGE >= 250 << 20
    assert arguments["grpc.max_receive_message_length"] == arguments["grpc.max_send_message_length"] == MAX_MESSAGE
    assert arguments["grpc.enable_retries"] == 0
    assert "grpc.enable_http_proxy" not in dict(options(endpoint("controller.example:443")))
    assert dict(options(endpoint("[::1]:443")))["grpc.enable_http_proxy"] == 0
