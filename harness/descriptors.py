"""What a service's descriptors say, as plain values, and where two of them differ, in words (WIRE-07).

Only what meets the wire or a caller counts: names, numbers, types, labels, oneofs, reserved numbers and names, and the
methods. Options, comments, file names and the order of declarations do not. Pure: `harness.reflection` makes the values.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

Ranges = tuple[tuple[int, int], ...]
"""Ranges of numbers, each with both ends, in order and merged."""


@dataclass(frozen=True)
class Field:
    """A field. `type` is a scalar's name, `message NAME` or `enum NAME`; `oneof` is "" for a field outside of any.

    `label` is `repeated`, `required`, `optional` (one can tell unset from zero) or `singular` (one cannot), so that a member
    of a oneof and a message are `optional` whatever the source says.
    """

    name: str
    number: int
    type: str
    label: str
    oneof: str = ""


@dataclass(frozen=True)
class Value:
    """A value of an enum."""

    name: str
    number: int


@dataclass(frozen=True)
class Message:
    """A message by its full name; those nested in it stand on their own."""

    name: str
    fields: tuple[Field, ...] = ()
    reserved: Ranges = ()
    reserved_names: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Enum:
    """An enum by its full name."""

    name: str
    values: tuple[Value, ...] = ()
    reserved: Ranges = ()
    reserved_names: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Method:
    """A method; `streaming` is `unary`, `client`, `server` or `both`."""

    name: str
    input: str
    output: str
    streaming: str = "unary"


@dataclass(frozen=True)
class Contract:
    """A service with all messages and enums that its methods need."""

    service: str
    methods: tuple[Method, ...] = ()
    messages: tuple[Message, ...] = ()
    enums: tuple[Enum, ...] = ()


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class _Numbered(_Named, Protocol):
    @property
    def number(self) -> int: ...


NamedT = TypeVar("NamedT", bound=_Named)
NumberedT = TypeVar("NumberedT", bound=_Numbered)


def merged(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Return ranges (both ends included) in order, those that touch as one; empty ones are left out."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(pair for pair in ranges if pair[0] <= pair[1]):
        if found and first <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(last, found[-1][1])
        else:
            found.append((first, last))
    return tuple(found)


def needed(contract: Contract) -> Contract:
    """Return the contract without the messages and enums that no method needs, directly or through fields."""
    messages = {f"message {item.name}": item for item in contract.messages}
    waiting = [f"message {name}" for method in contract.methods for name in (method.input, method.output)]
    seen: set[str] = set()
    while waiting:
        type_ = waiting.pop()
        if type_ not in seen and type_ in messages:
            waiting += [field.type for field in messages[type_].fields]
        seen.add(type_)
    return Contract(
        contract.service,
        contract.methods,
        tuple(item for item in contract.messages if f"message {item.name}" in seen),
        tuple(item for item in contract.enums if f"enum {item.name}" in seen),
    )


def differences(ours: Contract, theirs: Contract) -> Iterator[str]:
    """Yield where another contract differs from ours, one line each; nothing when they agree."""
    if theirs.service != ours.service:
        yield f"service: {theirs.service}, ours {ours.service}"
    for name, method, other in _by_name(ours.methods, theirs.methods):
        yield from _changes(f"method {name}", method, other, ("input", "output", "streaming"))
    for name, message, other_message in _by_name(ours.messages, theirs.messages):
        if message is None or other_message is None:
            yield f"message {name}: {_presence(message)}"
            continue
        for field, other_field in _matched(message.fields, other_message.fields):
            yield from _changes(_title("field", name, field, other_field), field, other_field, _FIELD)
        yield from _reserved(f"message {name}", message, other_message)
    for name, enum, other_enum in _by_name(ours.enums, theirs.enums):
        if enum is None or other_enum is None:
            yield f"enum {name}: {_presence(enum)}"
            continue
        for value, other_value in _matched(enum.values, other_enum.values):
            yield from _changes(_title("value", name, value, other_value), value, other_value, ("name", "number"))
        yield from _reserved(f"enum {name}", enum, other_enum)


_FIELD = ("name", "number", "type", "label", "oneof")


def _presence(ours: object) -> str:
    return "additional" if ours is None else "missing"


def _changes(title: str, ours: object, theirs: object, parts: Iterable[str]) -> Iterator[str]:
    """Yield what is different about one thing, part by part."""
    if ours is None or theirs is None:
        yield f"{title}: {_presence(ours)}"
        return
    for part in parts:
        own, other = getattr(ours, part), getattr(theirs, part)
        if own != other:
            yield f"{title}: {part} {other if other != '' else 'none'}, ours {own if own != '' else 'none'}"


def _title(what: str, owner: str, ours: NumberedT | None, theirs: NumberedT | None) -> str:
    shown = ours or theirs
    assert shown is not None  # noqa: S101 - one of a pair is there
    number = f" = {shown.number}" if ours is None or theirs is None else ""
    return f"{what} {shown.name}{number} of {owner}"


def _reserved(title: str, ours: Message | Enum, theirs: Message | Enum) -> Iterator[str]:
    if ours.reserved != theirs.reserved:
        yield f"{title}: reserved numbers {_ranges(theirs.reserved)}, ours {_ranges(ours.reserved)}"
    if ours.reserved_names != theirs.reserved_names:
        own, other = (", ".join(sorted(item.reserved_names)) or "none" for item in (ours, theirs))
        yield f"{title}: reserved names {other}, ours {own}"


def _ranges(ranges: Ranges) -> str:
    return ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in ranges) or "none"


def _by_name(ours: Iterable[NamedT], theirs: Iterable[NamedT]) -> Iterator[tuple[str, NamedT | None, NamedT | None]]:
    own, other = {item.name: item for item in ours}, {item.name: item for item in theirs}
    for name in dict.fromkeys([*own, *other]):
        yield name, own.get(name), other.get(name)


def _matched(ours: Iterable[NumberedT], theirs: Iterable[NumberedT]) -> Iterator[tuple[NumberedT | None, NumberedT | None]]:
    """Pair things of the same name; of the others, those of the same number: they were renamed."""
    own, other = {item.name: item for item in ours}, {item.name: item for item in theirs}
    spare: dict[int, list[NumberedT]] = defaultdict(list)
    for name, item in other.items():
        if name not in own:
            spare[item.number].append(item)
    for name, item in own.items():
        renamed = spare[item.number] if name not in other else []
        yield item, other.get(name) or (renamed.pop(0) if renamed else None)
    yield from ((None, item) for items in spare.values() for item in items)
