"""Mutants of the chapters WIRE and SEC: messages and credentials, whatever the call."""

# ruff: noqa: D101, D102  (the summary given to `mutant` is what is to be said of each)

from __future__ import annotations

from dataclasses import replace
from typing import Any

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from harness.server.mutants.registry import Mutant, add, mutant
from harness.server.refusal import Code, Refusal, invalid
from harness.server.service import RPCS, SERVICE, Answer, CallContext, Service
from harness.server.settings import MIB
from harness.server.values import Caller


@mutant("wire-rejects-unknown-fields", "WIRE-01", "refuses a request with a field that it does not know")
class RejectsUnknownFields(Service):
    def _parse(self, rpc: str, payload: bytes) -> Message:
        request = super()._parse(rpc, payload)
        if any(map(_has_unknown_fields, (request, *_parts(request)))):
            raise invalid("unknown field")
        return request


def _has_unknown_fields(message: Message) -> bool:
    return len(UnknownFieldSet(message)) > 0


def _parts(message: Message) -> list[Message]:
    """Return the messages directly inside a message."""
    values = [value for _, value in message.ListFields()]
    return [value for value in values if isinstance(value, Message)]


add(
    Mutant(
        "wire-no-gzip",
        "WIRE-02",
        "refuses compressed requests",
        settings=lambda settings: replace(settings, accept_gzip=False),
    )
)
add(
    Mutant(
        "wire-4-mib-only",
        "WIRE-03",
        "refuses requests above 4 MiB",
        settings=lambda settings: replace(settings, max_message=4 * MIB),
    )
)


@mutant("wire-malformed-accepted", "WIRE-04", "answers OK to bytes that are not a message")
class MalformedAccepted(Service):
    def call(self, rpc: str, payload: bytes, **details: Any) -> Answer[bytes]:
        try:
            return super().call(rpc, payload, **details)
        except Refusal as refusal:
            if refusal.message.startswith("the request is not a "):
                return b""
            raise


@mutant("wire-method-in-any-case", "WIRE-05", "takes the names of methods in any mixture of upper and lower case")
class MethodInAnyCase(Service):
    def method_at(self, path: str) -> str | None:
        for name in RPCS:
            if path.lower() == f"/{SERVICE}/{name}".lower():
                return name
        return None


@mutant("wire-malformed-stops-serving", "WIRE-08", "answers UNAVAILABLE to every call after a malformed one")
class MalformedStopsServing(Service):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._broken = False
        super().__init__(*args, **kwargs)

    def _parse(self, rpc: str, payload: bytes) -> Message:
        if self._broken:
            raise Refusal(Code.UNAVAILABLE, "broken")
        try:
            return super()._parse(rpc, payload)
        except Refusal:
            self._broken = True
            raise


@mutant("sec-expired-accepted", "SEC-01", "takes expired tokens for valid ones")
class ExpiredAccepted(Service):
    def _authenticate(self, rpc: str, payload: bytes, authorization: str | None) -> Caller:  # noqa: ARG002  (as in Service)
        return self.access.caller(authorization, 0.0)


@mutant("sec-batch-open", "SEC-01", "needs no credential for the batch call")
class BatchOpen(Service):
    def _authenticate(self, rpc: str, payload: bytes, authorization: str | None) -> Caller:
        try:
            return super()._authenticate(rpc, payload, authorization)
        except Refusal:
            if rpc != "BatchExecuteControllerJobs":
                raise
            return Caller("nobody", may_bypass=False)


@mutant("sec-refused-enqueues", "SEC-02", "queues the jobs of a submission whose credential it refuses")
class RefusedEnqueues(Service):
    def _authenticate(self, rpc: str, payload: bytes, authorization: str | None) -> Caller:
        try:
            return super()._authenticate(rpc, payload, authorization)
        except Refusal:
            if rpc == "ExecuteControllerJob":
                context = CallContext(Caller("nobody", may_bypass=False))
                self._handlers[rpc](self._parse(rpc, payload), context)
            raise
