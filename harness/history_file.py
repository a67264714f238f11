"""Histories as JSON Lines: a header, one operation per line, a footer that counts them; a file without it is incomplete.

Unlike the evidence in a run record nothing is shortened, so that a history can be judged without its endpoint. Pure: text
in, text out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from harness.checker import advice
from harness.errors import ConfigError
from harness.history import Operation
from harness.jsoncodec import checked, parse_object
from harness.sightings import sighting

VERSION = 1
"""Version of the format."""


@dataclass(frozen=True)
class History:
    """A history that was read: what it is about, its operations, and why it is incomplete ("" when it is whole)."""

    source: str
    about: str
    operations: tuple[Operation, ...]
    incomplete: str


def history_lines(operations: Iterable[Operation], about: str = "") -> Iterator[str]:
    """Yield the lines of a history, each with its line break."""
    yield _line({"type": "history", "version": VERSION, "about": about})
    count = 0
    for operation in operations:
        count += 1
        yield _line({"type": "operation", **operation.to_json()})
    yield _line({"type": "end", "operations": count})


def read_history(lines: Iterable[str], source: str) -> History:
    """Read a history; a last line that is damaged or no footer makes it incomplete.

    Raises ConfigError naming file and line for anything that is no history, or that cannot be judged.
    """
    texts = list(lines)
    about = _header(texts[0] if texts else "", source)
    operations: list[Operation] = []
    numbers: set[int] = set()
    for line, text in enumerate(texts[1:], start=2):
        last = line == len(texts)
        try:
            data = parse_object(text)
        except (ValueError, TypeError):
            if last:
                return History(source, about, tuple(operations), f"line {line} is cut off or damaged")
            raise ConfigError("not a line of a history", source=source, line=line, hint="the file is damaged") from None
        if data.get("type") == "end" and last:
            return History(source, about, tuple(operations), _miscount(data, len(operations)))
        operation = _operation(data, source, line)
        if operation.number in numbers:
            raise ConfigError(f"operation {operation.number} occurs twice", source=source, line=line)
        numbers.add(operation.number)
        operations.append(operation)
    return History(source, about, tuple(operations), "the last line, which counts the operations, is missing")


def _line(data: dict[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"), allow_nan=False) + "\n"


def _header(text: str, source: str) -> str:
    try:
        data = parse_object(text)
        kind, version, about = data["type"], data["version"], checked(data.get("about", ""), str)
    except (ValueError, TypeError, KeyError):
        kind, version, about = None, None, ""
    if kind != "history":
        hint = "a history begins with a line like " + _line({"type": "history", "version": VERSION}).strip()
        raise ConfigError("not a history: the first line is no header", source=source, line=1, hint=hint)
    if type(version) is not int or version != VERSION:
        hint = f"this tool reads version {VERSION}"
        raise ConfigError(f"history version {version!r} is not supported", source=source, line=1, hint=hint)
    return about


def _operation(data: dict[str, Any], source: str, line: int) -> Operation:
    if data.get("type") != "operation":
        raise ConfigError("not an operation", source=source, line=line)
    try:
        operation = Operation.from_json(data)
        sighting(operation)
    except KeyError as error:
        raise ConfigError(f"not an operation: {error.args[0]} is missing", source=source, line=line) from None
    except (ValueError, TypeError) as error:
        raise ConfigError(f"not an operation that can be judged: {error}", source=source, line=line, hint=advice(error)) from None
    return operation


def _miscount(data: dict[str, Any], count: int) -> str:
    claimed = data.get("operations")
    return "" if claimed == count else f"the last line counts {claimed} operations, but there are {count}"
