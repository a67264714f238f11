"""What only the edge on `ngh2` has to prove by itself: it lives through everything that is sent to its port."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import grpc
import ngh2
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from harness.h2frames import PREFACE, Kind, frame, rst_stream
from harness.server.service import SERVICE
from harness.stubs import service_pb2

END_STREAM, END_HEADERS = 1, 4


@pytest.fixture
def edge() -> str:
    return "wire"


def literal(name: bytes, value: bytes) -> bytes:
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


def head(method: str = "GetControllerJobStatus") -> bytes:
    path = f"/{SERVICE}/{method}".encode()
    fields = (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"a"),
        (b"content-type", b"application/grpc"),
    )
    return b"".join(literal(*each) for each in fields)


BEGIN = PREFACE + frame(Kind.SETTINGS, 0, 0, b"")
HEAD = head()
HOSTILE = {
    "nothing": b"",
    "HTTP/1.1": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 20,
    "octets": bytes(range(256)) * 100,
    "a preface that breaks off": PREFACE[:10],
    "a frame that breaks off": BEGIN + b"\0\xff\xff",
    "a frame that is too long": BEGIN + b"\xff\xff\xff\0\0\0\0\0\1",
    "headers that never end": BEGIN + frame(Kind.HEADERS, 0, 1, HEAD) + frame(Kind.CONTINUATION, 0, 1, b"") * 500,
    "headers that are no HPACK": BEGIN + frame(Kind.HEADERS, END_HEADERS, 1, b"\xff" * 50),
    "headers without end": BEGIN
    + frame(Kind.HEADERS, 0, 1, HEAD)
    + frame(Kind.CONTINUATION, 0, 1, literal(b"a", b"b") * 500) * 20,
    "a body without headers": BEGIN + frame(Kind.DATA, 0, 1, b"x"),
    "a window that overflows": BEGIN + frame(8, 0, 0, b"\x7f\xff\xff\xff") * 2,
    "settings without end": BEGIN + frame(Kind.SETTINGS, 0, 0, b"\0\4\0\0\0\0" * 1000) * 50,
    "pings without end": BEGIN + frame(6, 0, 0, bytes(8)) * 50_000,
    "resets without end": BEGIN
    + b"".join(frame(Kind.HEADERS, END_HEADERS, n, HEAD) + rst_stream(n, 8) for n in range(1, 20_001, 2)),
    "a message of 4 GiB": BEGIN + frame(Kind.HEADERS, END_HEADERS, 1, HEAD) + frame(Kind.DATA, 0, 1, b"\0\xff\xff\xff\xff"),
    "a request without end": BEGIN + frame(Kind.HEADERS, END_HEADERS, 1, HEAD) + frame(Kind.DATA, 0, 1, b"\0\0\0"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_serves_on_whatever_is_sent_to_it(support: Any, name: str) -> None:
    client = support.serve()
    with socket.create_connection(("127.0.0.1", client.bound.port), timeout=support.DEADLINE) as peer:
        with contextlib.suppress(ConnectionError):
            peer.sendall(HOSTILE[name])
        assert len(client.submit()) == 1


@pytest.mark.parametrize("name", ["HTTP/1.1", "octets", "a body without headers", "headers that are no HPACK"])
def test_closes_the_connection_of_who_breaks_http(support: Any, name: str) -> None:
    client = support.serve()
    with socket.create_connection(("127.0.0.1", client.bound.port), timeout=support.DEADLINE) as peer:
        peer.sendall(HOSTILE[name])
        with contextlib.suppress(ConnectionResetError):  # it may close before it has read all of it
            while peer.recv(65536):
                pass
    assert len(client.submit()) == 1


def test_a_head_in_many_continuations(support: Any) -> None:
    client = support.serve()
    octets = HEAD + literal(b"x-long", b"y" * 100)
    parts = [octets[start : start + 3] for start in range(0, len(octets), 3)]
    with socket.create_connection(("127.0.0.1", client.bound.port), timeout=support.DEADLINE) as peer:
        peer.sendall(BEGIN + frame(Kind.HEADERS, 0, 1, parts[0]))
        for part in parts[1:]:
            peer.sendall(frame(Kind.CONTINUATION, 0, 1, part))
        peer.sendall(frame(Kind.CONTINUATION, END_HEADERS, 1, b"") + frame(Kind.DATA, END_STREAM, 1, bytes(5)))
        name = 'controller_requests_total{code="INVALID_ARGUMENT",rpc="GetControllerJobStatus"}'
        assert support.wait_for(lambda: client.metrics().get(name)) == 1


def test_connections_are_recycled_with_grace_for_their_calls(support: Any) -> None:
    client = support.serve(connection_age=0.3)
    (job_id,) = client.submit("controller-job duration=1s")
    assert client.results(job_id).status == 1
    with socket.create_connection(("127.0.0.1", client.bound.port), timeout=support.DEADLINE) as peer:
        h2 = ngh2.Connection(ngh2.Role.CLIENT, ngh2.Configuration())
        h2.initiate_connection({})
        seen: list[ngh2.Event] = []
        while not any(isinstance(event, ngh2.GoAwayReceived) for event in seen):
            peer.sendall(h2.data_to_send())
            h2.receive_data(peer.recv(65536))
            seen += h2.events()


def test_health_of_services_it_does_not_know(support: Any) -> None:
    client = support.serve()
    health: Any = health_pb2_grpc.HealthStub(client.channel)
    with pytest.raises(grpc.RpcError) as caught:
        health.Check(health_pb2.HealthCheckRequest(service="other"), timeout=support.DEADLINE)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    watch = health.Watch(health_pb2.HealthCheckRequest(service="other"), timeout=support.DEADLINE)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    watch.cancel()


def test_reflection_answers_one_question_after_the_other(support: Any) -> None:
    client = support.serve()
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(client.channel)
    questions = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_by_filename=service_pb2.DESCRIPTOR.name),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="nowhere"),
    ]
    answers = list(stub.ServerReflectionInfo(iter(questions), timeout=support.DEADLINE))
    assert [answer.WhichOneof("message_response") for answer in answers] == [
        "list_services_response",
        "file_descriptor_response",
        "error_response",
    ]
    assert [answer.original_request for answer in answers] == questions


def test_a_question_that_is_no_message(support: Any) -> None:
    client = support.serve()
    for path in ("/grpc.health.v1.Health/Check", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"):
        call = client.channel.stream_stream(path)(iter([b"\xff\xff\xff"]), timeout=support.DEADLINE)
        with pytest.raises(grpc.RpcError) as caught:
            list(call)
        assert caught.value.code() is grpc.StatusCode.INTERNAL
