"""Rebuild frozen dataclasses from JSON, and refuse what does not have their types: the reading half of the run record.

Pure: text in, values out.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")

_hints_of = cache(typing.get_type_hints)


def parse_object(text: str) -> dict[str, Any]:
    """Parse a JSON object. Raises ValueError or TypeError for any other text."""
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deep") from None
    return checked(data, dict)


def rebuild(value: Any, hint: Any) -> Any:
    """Return a JSON value as the type `hint`: a dataclass, tuple, mapping or plain type, or a class with a `from_json`.

    Raises ValueError, KeyError or TypeError when the value is no such thing.
    """
    if hasattr(hint, "from_json"):
        return hint.from_json(value)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        hints = _hints_of(hint)
        return hint(**{key: rebuild(item, hints[key]) for key, item in checked(value, dict).items()})
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return tuple(rebuild(item, arguments[0]) for item in checked(value, list))
    if origin is Mapping:
        return {key: rebuild(item, arguments[1]) for key, item in checked(value, dict).items()}
    if hint is float and type(value) is int:
        return float(value)
    return value if hint is Any else checked(value, hint)


def checked(value: Any, kind: type[T]) -> T:
    """Return a value of exactly this type (so that true is no number). Raises TypeError."""
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
