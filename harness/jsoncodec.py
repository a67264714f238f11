"""Rebuild frozen dataclasses from JSON, and refuse what does not have their types: the reading half of the run record.

Pure: text in, values out.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


def parse_object(text: str) -> dict[str, Any]:
    """Parse a JSON object. Raises ValueError or TypeError for any other text."""
    try:
        data = _decoder.decode(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
    return checked(data, dict)


def rebuild(value: Any, hint: Any) -> Any:
    """Return a JSON value as the type `hint`: a dataclass, tuple, mapping or plain type, or a class with a `from_json`.

    Raises ValueError, KeyError or TypeError when the value is no such thing.
    """
    return _reader(hint)(value)


@cache
def _reader(hint: Any) -> Callable[[Any], Any]:
    """Return what reads values of a type: looked up once, as records have many lines of few types."""
    if hasattr(hint, "from_json"):
        reader: Callable[[Any], Any] = hint.from_json
        return reader
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        readers = {key: _reader(item) for key, item in typing.get_type_hints(hint).items()}
        return lambda value: hint(**{key: readers[key](item) for key, item in checked(value, dict).items()})
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        reader = _reader(arguments[0])
        return lambda value: tuple(map(reader, checked(value, list)))
    if origin is Mapping:
        reader = _reader(arguments[1])
        return lambda value: {key: reader(item) for key, item in checked(value, dict).items()}
    if hint is float:
        return lambda value: float(value) if type(value) is int else checked(value, float)
    return (lambda value: value) if hint is Any else lambda value: value if type(value) is hint else checked(value, hint)


def checked(value: Any, kind: type[T]) -> T:
    """Return a value of exactly this type (so that true is no number). Raises TypeError."""
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_constant=_refuse_constant)
