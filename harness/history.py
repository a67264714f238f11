"""One RPC as a value: who asked what, when, and what came of it.

A deadline or a cut connection leaves an operation *unknown*: it may have happened or not. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from harness.jsoncodec import checked

SERVICE = "services.controller.Controller"
"""Full name of the gRPC service."""

Json = Mapping[str, Any]


class Rpc(StrEnum):
    """The five methods of the service."""

    EXECUTE = "ExecuteControllerJob"
    BATCH = "BatchExecuteControllerJobs"
    RESULTS = "GetControllerJobResults"
    CANCEL = "CancelControllerJobs"
    STATUS = "GetControllerJobStatus"

    @property
    def path(self) -> str:
        """The HTTP/2 `:path` of the method."""
        return f"/{SERVICE}/{self.value}"


UNDECIDED_CODES = frozenset({"DEADLINE_EXCEEDED", "UNAVAILABLE", "CANCELLED"})
"""Status codes after which the server may have done the work all the same."""


@dataclass(frozen=True, slots=True)
class Ok:
    """The server answered."""

    response: Json


@dataclass(frozen=True, slots=True)
class Failed:
    """The server refused: nothing was done."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """No answer arrived: the work may have been done, or may be done later."""

    code: str
    message: str


Outcome = Ok | Failed | Unknown


def outcome_of_error(code: str, message: str) -> Failed | Unknown:
    """Sort a gRPC error into refused and undecided."""
    return Unknown(code, message) if code in UNDECIDED_CODES else Failed(code, message)


@dataclass(frozen=True, slots=True)
class Operation:
    """One call. Times are nanoseconds since the start of the run, on one monotonic clock."""

    number: int
    rpc: Rpc
    client: str
    identity: str
    request_id: str
    started_ns: int
    ended_ns: int
    request: Json
    outcome: Outcome
    command: str = ""

    @property
    def latency_ms(self) -> float:
        """Milliseconds from the send to the answer."""
        return (self.ended_ns - self.started_ns) / 1e6

    @property
    def code(self) -> str:
        """The gRPC status code by name."""
        return "OK" if isinstance(self.outcome, Ok) else self.outcome.code

    def to_json(self) -> dict[str, Any]:
        """Return the operation as a JSON object; `from_json` reads it back."""
        outcome: dict[str, Any]
        if isinstance(self.outcome, Ok):
            outcome = {"kind": "ok", "response": dict(self.outcome.response)}
        else:
            kind = "failed" if isinstance(self.outcome, Failed) else "unknown"
            outcome = {"kind": kind, "code": self.outcome.code, "message": self.outcome.message}
        return {
            "number": self.number,
            "rpc": self.rpc.value,
            "client": self.client,
            "identity": self.identity,
            "request_id": self.request_id,
            "started_ns": self.started_ns,
            "ended_ns": self.ended_ns,
            "request": dict(self.request),
            "outcome": outcome,
            "command": self.command,
        }

    @staticmethod
    def from_json(data: Json) -> Operation:
        """Read an operation back. Raises KeyError, TypeError or ValueError when it is none."""
        return Operation(
            number=checked(data["number"], int),
            rpc=Rpc(data["rpc"]),
            client=checked(data["client"], str),
            identity=checked(data["identity"], str),
            request_id=checked(data["request_id"], str),
            started_ns=checked(data["started_ns"], int),
            ended_ns=checked(data["ended_ns"], int),
            request=checked(data["request"], dict),
            outcome=_outcome(checked(data["outcome"], dict)),
            command=checked(data["command"], str),
        )


def _outcome(data: Json) -> Outcome:
    kind = data["kind"]
    if kind == "ok":
        return Ok(checked(data["response"], dict))
    if kind in {"failed", "unknown"}:
        return (Failed if kind == "failed" else Unknown)(checked(data["code"], str), checked(data["message"], str))
    raise ValueError(f"unknown outcome {kind!r}")
