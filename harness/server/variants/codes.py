"""Status codes are free unless gRPC fixes them: only SHOULDs ask for certain ones."""

# ruff: noqa: D101  (the summary given to `variant` is what is to be said of each)

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from harness.server.refusal import Code, Refusal
from harness.server.service import Service
from harness.server.variants.registry import variant


class OtherCodes(Service):
    """Answers with other codes."""

    codes: ClassVar[Mapping[Code, Code]]

    def _counted(self, rpc: str, error: Exception) -> Refusal:
        refusal = super()._counted(rpc, error)
        return Refusal(self.codes.get(refusal.code, refusal.code), refusal.message)


@variant("codes-precondition", "bad requests are FAILED_PRECONDITION or OUT_OF_RANGE, a full queue is UNAVAILABLE")
class Precondition(OtherCodes):
    codes: ClassVar = {
        Code.INVALID_ARGUMENT: Code.OUT_OF_RANGE,
        Code.NOT_FOUND: Code.FAILED_PRECONDITION,
        Code.RESOURCE_EXHAUSTED: Code.UNAVAILABLE,
        Code.PERMISSION_DENIED: Code.FAILED_PRECONDITION,
    }


@variant("codes-internal", "bad requests are INTERNAL, what is not known is UNKNOWN, a full queue is ABORTED")
class Internal(OtherCodes):
    codes: ClassVar = {
        Code.INVALID_ARGUMENT: Code.INTERNAL,
        Code.NOT_FOUND: Code.UNKNOWN,
        Code.FAILED_PRECONDITION: Code.INTERNAL,
        Code.RESOURCE_EXHAUSTED: Code.ABORTED,
    }


@variant(
    "codes-not-found", "every refusal is NOT_FOUND, as behind a router that hides its reasons; credentials are PERMISSION_DENIED"
)
class NotFound(OtherCodes):
    codes: ClassVar = {
        Code.INVALID_ARGUMENT: Code.NOT_FOUND,
        Code.FAILED_PRECONDITION: Code.NOT_FOUND,
        Code.RESOURCE_EXHAUSTED: Code.NOT_FOUND,
        Code.PERMISSION_DENIED: Code.NOT_FOUND,
        Code.UNAUTHENTICATED: Code.PERMISSION_DENIED,
    }
