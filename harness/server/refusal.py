"""The one exception by which the server says no, in the words of gRPC but without gRPC.

Pure; any transport maps `Refusal.code` to its own status.
"""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """The status codes of gRPC that this server answers with; value and name as in the gRPC specification."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


class Refusal(Exception):  # noqa: N818  (an answer, not a fault of the program)
    """A call is answered with an error status: which one, and one line that says why."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message


def invalid(message: str) -> Refusal:
    """Return an INVALID_ARGUMENT refusal."""
    return Refusal(Code.INVALID_ARGUMENT, message)


def not_found(message: str) -> Refusal:
    """Return a NOT_FOUND refusal."""
    return Refusal(Code.NOT_FOUND, message)
