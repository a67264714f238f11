"""Text for people: made safe to show, and numbers written the same way in every report. Pure.

Nothing that an endpoint sends may act on the terminal, page or parser that shows it: controls, surrogates and marks that
reverse the direction of text are shown as escapes. Escaping for HTML, XML and Markdown is each renderer's own.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from operator import is_
from typing import Any, TypeVar, cast

from harness.histogram import Histogram

LONGEST = 12_000
"""How many characters of any one text a report shows."""

T = TypeVar("T")

_NUMBERS = ("int", "float", "bool")
_ATOMS = (int, float, type(None), Enum, Histogram)

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]"
)


def clean(text: str) -> str:
    """Return the text with everything that XML 1.0 forbids, and every control but tab and line feed, as an escape."""
    return _UNSAFE.sub(_escape, text.replace("\r\n", "\n"))


def cleaned(value: T) -> T:
    """Return the same value with every string in it cleaned and cut: dataclasses, mappings, lists and tuples alike."""
    return cast("T", _cleaned(value))


def shortened(text: str, limit: int) -> str:
    """Return the text, cut to `limit` characters with a note of what is missing."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]} ... ({len(text) - limit:,} more characters)"


def one_line(text: str) -> str:
    """Return the text with every run of white space folded to one space."""
    return " ".join(text.split())


def number(value: float) -> str:
    """Write a number with three significant digits or as a whole number with separators."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 1 else f"{value:.3f}"


def with_bar(value: float, error: float | None) -> str:
    """Write a number with its error bar, if it is known."""
    return number(value) if error is None else f"{number(value)} ± {number(error)}"


def percent(part: float, whole: float) -> str:
    """Write a share in per cent; never 0 % for something, never 100 % for less than all."""
    if not whole or not part:
        return "0 %"
    share = 100 * part / whole
    if share < 0.01:
        return "< 0.01 %"
    if part != whole and share > 99.99:
        return "> 99.99 %"
    return f"{share:.2f} %" if share < 1 or (share > 99 and part != whole) else f"{share:.3g} %"


def duration(seconds: float | None) -> str:
    """Write a time span in the units that people read."""
    if seconds is None:
        return "not known"
    if seconds < 60:
        return f"{number(round(seconds, 3))} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (rest, "s"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count)


def moment(text: str) -> str:
    """Write an ISO 8601 time without its fractions; text that is none stays as it is."""
    time = parsed_time(text)
    if time is None:
        return text
    return f"{time:%Y-%m-%d %H:%M:%S}" if time.tzinfo is None else f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def seconds_between(started: str, ended: str) -> float | None:
    """Return the seconds from one ISO 8601 time to another; None if either is no such time."""
    first, last = parsed_time(started), parsed_time(ended)
    if first is None or last is None or (first.tzinfo is None) != (last.tzinfo is None):
        return None
    return (last - first).total_seconds()


def parsed_time(text: str) -> datetime | None:
    """Read an ISO 8601 time; None if it is none."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _cleaned(value: Any) -> Any:
    """Return the value itself where there is nothing to change: most of a long record is numbers and harmless names."""
    if isinstance(value, _ATOMS):
        return value
    if isinstance(value, str):
        return value if _is_harmless(value) else shortened(clean(value), LONGEST)
    if isinstance(value, Mapping):
        return {_cleaned(key): _cleaned(item) for key, item in value.items()} if value else value
    if isinstance(value, list | tuple):
        items = type(value)(map(_cleaned, value))
        return value if all(map(is_, items, value)) else items
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        found = ((name, getattr(value, name)) for name in _field_names(type(value)))
        changed = {name: new for name, old in found if (new := _cleaned(old)) is not old}
        return dataclasses.replace(value, **changed) if changed else value
    return value


def _is_harmless(text: str) -> bool:
    return len(text) <= LONGEST and text.isascii() and text.isprintable()


@cache
def _field_names(kind: type[Any]) -> tuple[str, ...]:
    """Return the fields that are not declared to be numbers: those may hold text."""
    return tuple(item.name for item in dataclasses.fields(kind) if item.init and item.type not in _NUMBERS)
