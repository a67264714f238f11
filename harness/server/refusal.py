"""The one exception by which the server says no, in the words of gRPC but without gRPC.

Pure; any transport maps `Refusal.code` to its own status.
"""

from __future__ import annotations

from harness.grpcstatus import Code

__all__ = ["Code", "Refusal", "invalid", "not_found"]


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
