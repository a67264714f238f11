"""One call as it was made, with its messages; turned into an `Operation`, and into a `grpcurl` line, only when someone looks.

Both clients share this, so that errors are translated in one place.
"""

from __future__ import annotations

import json
import re
import shlex
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message

from harness.endpoint import Endpoint
from harness.errors import HarnessError
from harness.history import SERVICE, Failed, Ok, Operation, Outcome, Rpc, Unknown, outcome_of_error
from harness.stubs import service_pb2

REQUEST_ID = "x-request-id"
"""Header that carries a fresh UUID per call."""
_LONGEST_INLINE = 4096
_MOST_ITEMS = 6

REQUEST_TYPES: dict[Rpc, type[Message]] = {
    Rpc.EXECUTE: service_pb2.ExecuteControllerJobRequest,
    Rpc.BATCH: service_pb2.BatchExecuteControllerJobsRequest,
    Rpc.RESULTS: service_pb2.GetControllerJobResultsRequest,
    Rpc.CANCEL: service_pb2.CancelControllerJobsRequest,
    Rpc.STATUS: service_pb2.GetControllerJobStatusRequest,
}
RESPONSE_TYPES: dict[Rpc, type[Message]] = {
    Rpc.EXECUTE: service_pb2.ExecuteControllerJobResponse,
    Rpc.BATCH: service_pb2.BatchExecuteControllerJobsResponse,
    Rpc.RESULTS: service_pb2.GetControllerJobResultsResponse,
    Rpc.CANCEL: service_pb2.CancelControllerJobsResponse,
    Rpc.STATUS: service_pb2.GetControllerJobStatusResponse,
}


@dataclass(frozen=True, slots=True)
class Call:
    """What was sent, when (monotonic nanoseconds since the run's origin) and what came back."""

    number: int
    rpc: Rpc
    client: str
    identity: str
    request_id: str
    timeout: float
    started_ns: int
    ended_ns: int
    request: Message
    response: Message | None
    error: Failed | Unknown | None
    endpoint: Endpoint = field(repr=False)

    @property
    def code(self) -> str:
        """The gRPC status code by name."""
        return "OK" if self.error is None else self.error.code

    def to_operation(self, *, whole: bool = False) -> Operation:
        """Return the call as a value: messages as JSON, long lists cut (for records) unless it is to be `whole` (histories)."""
        shown: Callable[[Any], Any] = _whole if whole else _shortened
        outcome: Outcome = self.error if self.error is not None else Ok(shown(message_json(self.response)))
        return Operation(
            number=self.number,
            rpc=self.rpc,
            client=self.client,
            identity=self.identity,
            request_id=self.request_id,
            started_ns=self.started_ns,
            ended_ns=self.ended_ns,
            request=shown(message_json(self.request)),
            outcome=outcome,
            command=self.grpcurl(),
        )

    def request_text(self) -> str:
        """Return the whole request as one line of JSON."""
        # JSON lets DEL stand as it is; a terminal would not.
        return json.dumps(message_json(self.request), separators=(",", ":")).replace("\x7f", "\\u007f")

    @property
    def has_request_file(self) -> bool:
        """Whether the request is too long for a command line, so that `grpcurl` reads it from `requests/<request id>.json`."""
        return self.request.ByteSize() * 2 > _LONGEST_INLINE

    def grpcurl(self) -> str:
        """Return a line for a shell that repeats the call; run it in the folder of the report.

        What may be secret is left to shell variables: `$CONTROLLER_TOKEN` is the bearer token of the call's identity, and
        `$HEADER_X_TENANT` the value that the profile's metadata has for `x-tenant`. Certificates are named by absolute path.
        """
        words = ["grpcurl", "-protoset", "controller.protoset", "-max-time", f"{self.timeout:g}", *self._tls_words()]
        words += ["-H", f"{REQUEST_ID}: {self.request_id}"]
        line = " ".join(shlex.quote(word) for word in words)
        for name in self.endpoint.profile.metadata:
            line += f' -H "{name.lower()}: ${_variable(name)}"'
        if self.endpoint.tokens.get(self.identity):
            line += ' -H "authorization: Bearer $CONTROLLER_TOKEN"'
        data = "@" if self.has_request_file else self.request_text()
        line += f" -d {shlex.quote(data)} {shlex.quote(self.endpoint.address)} {SERVICE}/{self.rpc.value}"
        return line + (f" < requests/{self.request_id}.json" if self.has_request_file else "")

    def _tls_words(self) -> list[str]:
        tls = self.endpoint.profile.tls
        if tls is None:
            return ["-plaintext"]
        words = []
        for flag, name in (("-cacert", tls.roots), ("-cert", tls.certificate), ("-key", tls.key)):
            words += [] if name is None else [flag, str(Path(self.endpoint.base, name).absolute())]
        return words + ([] if tls.server_name is None else ["-servername", tls.server_name])


class RpcError(HarnessError):
    """A call that did not succeed; `call` holds all that is known of it."""

    def __init__(self, call: Call) -> None:
        assert call.error is not None  # noqa: S101 - only failed calls are raised
        self.call = call
        self.error = call.error
        super().__init__(f"{call.rpc.value} failed: {call.error.code}: {call.error.message} (request id {call.request_id})")

    @property
    def code(self) -> str:
        """The gRPC status code by name."""
        return self.error.code

    @property
    def details(self) -> str:
        """The server's message."""
        return self.error.message


def prepare(
    endpoint: Endpoint, identity: str | None, extra: Sequence[tuple[str, str]]
) -> tuple[str, tuple[tuple[str, str | bytes], ...]]:
    """Return a fresh request id and the headers of a call made as `identity` (None: without credentials)."""
    request_id = str(uuid.uuid4())
    headers = [(REQUEST_ID, request_id), *((name.lower(), value) for name, value in endpoint.profile.metadata.items())]
    token = endpoint.tokens.get(identity) if identity is not None else None
    if token is not None:
        headers.append(("authorization", f"Bearer {token}"))
    return request_id, (*headers, *extra)


def translate(error: grpc.RpcError) -> Failed | Unknown:
    """Turn a gRPC exception into an outcome."""
    code = error.code() if callable(getattr(error, "code", None)) else grpc.StatusCode.UNKNOWN
    details = error.details() if callable(getattr(error, "details", None)) else str(error)
    return outcome_of_error(code.name, details or "")


def jobs_in(request: Message) -> int:
    """Return how many jobs a request would queue."""
    if isinstance(request, service_pb2.ExecuteControllerJobRequest):
        return len(request.execution_configurations)
    if isinstance(request, service_pb2.BatchExecuteControllerJobsRequest):
        return sum(len(member.execution_configurations) for member in request.requests)
    return 0


def _variable(header: str) -> str:
    return "HEADER_" + re.sub(r"[^0-9A-Z]", "_", header.upper())


def message_json(message: Message | None) -> dict[str, Any]:
    """Return a message in protobuf's JSON form, with field names as in the `.proto`."""
    return {} if message is None else json_format.MessageToDict(message, preserving_proto_field_name=True)


def _whole(value: Any) -> Any:
    return value


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        kept = [_shortened(item) for item in value[:_MOST_ITEMS]]
        return kept if len(value) <= _MOST_ITEMS else [*kept, f"... {len(value) - _MOST_ITEMS} more"]
    if isinstance(value, str) and len(value) > 400:
        return f"{value[:400]}... {len(value) - 400} more characters"
    return value
