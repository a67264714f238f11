"""Every error that the harness raises on purpose, each with the exit code it ends a command with.

Library exceptions are translated into these once, at the edge that meets them. Pure: no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended; the same meaning for every command."""

    OK = 0
    BELOW_THRESHOLD = 1
    USAGE = 2
    VIOLATION = 3
    NOT_VALID = 4
    UNREACHABLE = 5
    INTERRUPTED = 130


_PRECEDENCE = (
    ExitCode.INTERRUPTED,
    ExitCode.USAGE,
    ExitCode.UNREACHABLE,
    ExitCode.VIOLATION,
    ExitCode.NOT_VALID,
    ExitCode.BELOW_THRESHOLD,
)


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """Return the one exit code that a command with several outcomes ends with (OK when there are none)."""
    seen = set(codes)
    return next((code for code in _PRECEDENCE if code in seen), ExitCode.OK)


class HarnessError(Exception):
    """Base of all deliberate errors: one line for people, and an exit code.

    `hint` says what to do about it; it is printed after the message.
    """

    exit_code = ExitCode.USAGE

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


_LONGEST_KEY = 200


class ConfigError(HarnessError):
    """A profile, scenario, catalogue or flag that cannot be used; names file, line and key where known."""

    def __init__(self, message: str, *, source: str = "", line: int | None = None, key: str = "", hint: str = "") -> None:
        place = ":".join(str(part) for part in (source, line) if part)
        shown = key if key.isprintable() and len(key) <= _LONGEST_KEY else f"{key[:_LONGEST_KEY]!a}..."
        text = ": ".join(part for part in (place, shown, message) if part)
        super().__init__(text, hint=hint)
        self.source = source
        self.line = line
        self.key = key


class UnreachableError(HarnessError):
    """The endpoint does not answer, or refuses the credentials."""

    exit_code = ExitCode.UNREACHABLE


class NotValidError(HarnessError):
    """The run says nothing about the endpoint: nothing measured, record incomplete, generator saturated."""

    exit_code = ExitCode.NOT_VALID
