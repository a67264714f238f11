"""Decode a YAML tree into frozen dataclasses: the one place where configuration is checked.

A configuration class is a frozen dataclass whose fields are made by `option()`; the same metadata writes the commented
template (`template`) and the reference documentation, so the three cannot drift apart. Pure: no I/O.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from harness.errors import ConfigError
from harness.yamltree import Node, parse

T = TypeVar("T")

_DURATION = re.compile(r"\s*(\d{1,15}(?:\.\d+)?)\s*(us|ms|s|min|h)\s*", re.ASCII)
_DURATION_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_SIZE = re.compile(r"\s*(\d{1,15})\s*(B|KiB|MiB|GiB)?\s*", re.ASCII)
_EXPECTED = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_SIZE_UNITS = {None: 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


@dataclass(frozen=True, slots=True)
class Rule:
    """How one field is read: its documentation, its unit and its limits."""

    doc: str
    kind: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    example: str = ""
    secret: bool = False
    shown: bool = False
    excludes: tuple[str, ...] = ()
    entries: Mapping[str, str] = field(default_factory=dict)


def option(
    doc: str,
    *,
    default: Any = MISSING,
    kind: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    example: str = "",
    secret: bool = False,
    shown: bool = False,
    excludes: tuple[str, ...] = (),
    entries: Mapping[str, str] | None = None,
) -> Any:
    """Declare a configuration field.

    `kind` is "" (by type), "duration" (text such as `20ms`, seconds as float) or "size" (text such as `250MiB`, octets).
    `minimum` and `maximum` are inclusive and in the decoded unit. `example` is what the template shows when there is no default.
    `secret` values are masked wherever the configuration is shown. `shown` has the template show an optional key as if it were
    required; of keys that cannot be given together (`excludes`, by name; the class checks it) one is. `entries` documents the
    keys that a mapping may have; others are refused.
    """
    rule = Rule(doc, kind, minimum, maximum, choices, example, secret, shown, excludes, entries or {})
    if default is MISSING:
        return field(metadata={"rule": rule})
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata={"rule": rule})
    return field(default=default, metadata={"rule": rule})


def load(text: str, cls: type[T], source: str) -> T:
    """Parse and decode a YAML text; `source` names it in errors. Raises ConfigError."""
    return decode(parse(text, source), cls, source)


def decode(node: Node, cls: type[T], source: str, path: str = "") -> T:
    """Decode a mapping node into the configuration class `cls`. Raises ConfigError naming file, line and key."""
    if not isinstance(node.value, Mapping):
        raise ConfigError(f"expected a mapping, got {_shown(node)}", source=source, line=node.line, key=path)
    known = {item.name: item for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in node.value:
        if key not in known:
            raise _unknown_key(node, key, known, source, path)
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    for key, item in known.items():
        if key in node.value:
            values[item.name] = _value(node.value[key], hints[item.name], item.metadata["rule"], source, _join(path, key))
        elif item.default is MISSING and item.default_factory is MISSING:
            raise ConfigError("missing", source=source, line=node.line, key=_join(path, key), hint=item.metadata["rule"].doc)
    try:
        return cls(**values)
    except ValueError as error:
        raise ConfigError(str(error), source=source, line=node.line, key=path) from None


def fields_of(cls: type) -> Iterator[tuple[str, Any, Rule, Any]]:
    """Yield (key, type, rule, default or MISSING) of a configuration class, in order."""
    hints = typing.get_type_hints(cls)
    for item in dataclasses.fields(cls):
        default = item.default if item.default_factory is MISSING else item.default_factory()
        yield item.name, hints[item.name], item.metadata["rule"], default


def nested_class(hint: Any) -> type | None:
    """Return the configuration class inside a type hint (plain, optional, tuple or mapping of it), if there is one."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return hint
    return next((found for part in typing.get_args(hint) if (found := nested_class(part))), None)


def parse_duration(text: str) -> float:
    """Return the seconds of a text such as `20ms`. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration; write a number and one of us, ms, s, min, h, such as 20ms")
    return float(match[1]) * _DURATION_UNITS[match[2]]


def format_duration(seconds: float) -> str:
    """Return seconds (0 to 1e15) as a short text that `parse_duration` reads back without loss."""
    for unit in ("h", "min", "s", "ms", "us"):
        count = round(seconds / _DURATION_UNITS[unit])
        if 1 <= count < 10**15 and count * _DURATION_UNITS[unit] == seconds:
            return f"{count}{unit}"
    return f"{Decimal(repr(seconds)):f}s" if seconds else "0s"


def parse_size(text: str) -> int:
    """Return the octets of a text such as `250MiB`. Raises ValueError."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a size; write a whole number and one of B, KiB, MiB, GiB, such as 250MiB")
    return int(match[1]) * _SIZE_UNITS[match[2]]


def format_size(octets: int) -> str:
    """Return octets as the shortest text that `parse_size` reads back."""
    unit = next(unit for unit in ("GiB", "MiB", "KiB", "B") if octets % _SIZE_UNITS[unit] == 0 or unit == "B")
    return f"{octets // _SIZE_UNITS[unit]}{unit}" if octets else "0B"


def _value(node: Node, hint: Any, rule: Rule, source: str, path: str) -> Any:
    def wrong(expected: str) -> ConfigError:
        found = "something else (not shown)" if rule.secret else _shown(node)
        return ConfigError(f"expected {expected}, got {found}", source=source, line=node.line, key=path, hint=rule.doc)

    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {types.UnionType, typing.Union}:
        if node.value is None and type(None) in arguments:
            return None
        return _value(node, _member(arguments, node), rule, source, path)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return decode(node, hint, source, path)
    if origin is tuple:
        if not isinstance(node.value, tuple):
            raise wrong("a list")
        return tuple(_value(item, arguments[0], rule, source, f"{path}[{i}]") for i, item in enumerate(node.value))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(node.value, Mapping):
            raise wrong("a mapping")
        _check_entries(node, rule, source, path)
        return {key: _value(item, arguments[1], rule, source, _join(path, key)) for key, item in node.value.items()}
    return _checked(_plain(node, hint, rule, wrong), rule, wrong)


def _member(hints: Iterable[Any], node: Node) -> Any:
    """Return which member of a union a node is: a configuration class if it is a mapping, else the plain one."""
    known = [hint for hint in hints if hint is not type(None)]
    classes = [hint for hint in known if dataclasses.is_dataclass(hint)]
    return classes[0] if classes and isinstance(node.value, Mapping) else known[0]


def _plain(node: Node, hint: Any, rule: Rule, wrong: Callable[[str], ConfigError]) -> Any:
    value = node.value
    if rule.kind:
        return _measured(value, rule.kind, wrong)
    if hint not in _EXPECTED:
        raise TypeError(f"a configuration field of type {hint!r} has no decoder")
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        unquoted = hint is str and isinstance(value, int | float)
        raise wrong(_EXPECTED[hint] + (" (put it in quotes)" if unquoted else ""))
    return value


def _measured(value: Any, kind: str, wrong: Callable[[str], ConfigError]) -> float:
    if kind == "size" and type(value) is int and value >= 0:
        return value
    reader = parse_duration if kind == "duration" else parse_size
    try:
        return reader(value if isinstance(value, str) else "")
    except ValueError:
        raise wrong("a duration such as 20ms, 5s or 2min" if kind == "duration" else "a size such as 64KiB or 250MiB") from None


def _checked(value: Any, rule: Rule, wrong: Callable[[str], ConfigError]) -> Any:
    if rule.choices and value not in rule.choices:
        near = difflib.get_close_matches(str(value), rule.choices, 1)
        raise wrong(f"one of {', '.join(rule.choices)}" + (f" (did you mean {near[0]}?)" if near else ""))
    if isinstance(value, int | float) and type(value) is not bool:
        if not math.isfinite(value):
            raise wrong("a finite number")
        if rule.minimum is not None and value < rule.minimum:
            raise wrong(f"at least {_limit(rule.minimum, rule)}")
        if rule.maximum is not None and value > rule.maximum:
            raise wrong(f"at most {_limit(rule.maximum, rule)}")
    return value


def _limit(value: float, rule: Rule) -> str:
    if rule.kind == "size":
        return format_size(int(value))
    return format_duration(value) if rule.kind == "duration" else f"{value:,}"


def _shown(node: Node) -> str:
    if isinstance(node.value, Mapping):
        return "a mapping"
    if isinstance(node.value, tuple):
        return "a list"
    if node.value is None:
        return "nothing"
    text = str(node.value).lower() if isinstance(node.value, bool) else repr(node.value)
    return text if len(text) <= 60 else text[:57] + "..."


def _check_entries(node: Node, rule: Rule, source: str, path: str) -> None:
    for key in node.key_lines if rule.entries else ():
        if key not in rule.entries:
            raise _unknown_key(node, key, rule.entries, source, path)


def _unknown_key(node: Node, key: str, known: Iterable[str], source: str, path: str) -> ConfigError:
    near = difflib.get_close_matches(key, list(known), 1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
    return ConfigError("unknown key", source=source, line=node.key_lines[key], key=_join(path, key), hint=hint)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
