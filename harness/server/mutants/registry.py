"""The registry of mutants: what each is called, what it breaks, and which classes it runs with.

A mutant is a small subclass of Engine or Service that overrides a joint or two.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from harness.errors import ConfigError
from harness.server.engine import Engine
from harness.server.service import Service
from harness.server.settings import ServerSettings

ClassT = TypeVar("ClassT", bound=type[Engine] | type[Service])


@dataclass(frozen=True, slots=True)
class Mutant:
    """One defect; `requirement` is the id in the catalogue that it breaks, `settings` changes the settings it runs with."""

    name: str
    requirement: str
    summary: str
    engine: type[Engine] = Engine
    service: type[Service] = Service
    settings: Callable[[ServerSettings], ServerSettings] = lambda settings: settings


MUTANTS: dict[str, Mutant] = {}
"""Every mutant by its name."""


def mutant(name: str, requirement: str, summary: str) -> Callable[[ClassT], ClassT]:
    """Register a subclass of Engine or Service as a mutant; the name must be new."""

    def register(cls: ClassT) -> ClassT:
        entry = Mutant(name, requirement, summary)
        entry = replace(entry, engine=cls) if issubclass(cls, Engine) else replace(entry, service=cls)
        add(entry)
        cls.__doc__ = summary
        return cls

    return register


def add(entry: Mutant) -> None:
    """Register a mutant; ValueError if the name is taken."""
    if entry.name in MUTANTS:
        raise ValueError(f"mutant {entry.name} exists already")
    MUTANTS[entry.name] = entry


def find(name: str) -> Mutant:
    """Return a mutant by name; ConfigError naming the nearest ones."""
    if name in MUTANTS:
        return MUTANTS[name]
    near = difflib.get_close_matches(name, MUTANTS, 3)
    hint = f"did you mean {' or '.join(near)}?" if near else "see the list of mutants"
    raise ConfigError(f"unknown mutant {name!r}", key="mutant", hint=hint)
