"""The registry of mutants: what each is called, what it breaks, which classes it runs with, and whether its code ever ran.

A mutant is a small subclass of Engine or Service that overrides a joint or two.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

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

    @property
    def changes(self) -> tuple[str, ...]:
        """Names of the methods that differ from the sound server's or that it does not have; `settings` where those differ."""
        methods = [*_own_methods(self.engine, Engine), *_own_methods(self.service, Service)]
        return tuple(sorted(methods)) or ("settings",)

    def watched(self, note: Callable[[str], None]) -> Mutant:
        """Return the same mutant; `note` hears of each of its changes when it runs for the first time."""
        if self.changes == ("settings",):
            note("settings")
        return replace(self, engine=_watched(self.engine, Engine, note), service=_watched(self.service, Service, note))


MUTANTS: dict[str, Mutant] = {}
"""Every mutant that the suites have to catch, by its name."""

LOAD_MUTANTS: dict[str, Mutant] = {}
"""Mutants that only a load run can show: they go wrong too seldom for the suites, which therefore do not have to catch them."""

UNBREAKABLE: Mapping[str, str] = {
    "WIRE-06": "a client counts its deadline itself and never learns whether the server did",
}
"""Requirements without a mutant, and why there can be none."""


def mutant(name: str, requirement: str, summary: str) -> Callable[[ClassT], ClassT]:
    """Register a subclass of Engine or Service as a mutant; the name must be new."""
    return _registering(Mutant(name, requirement, summary), MUTANTS)


def load_mutant(name: str, requirement: str, summary: str) -> Callable[[ClassT], ClassT]:
    """Register a subclass of Engine or Service as a mutant that only a load run can show; the name must be new."""
    return _registering(Mutant(name, requirement, summary), LOAD_MUTANTS)


def _registering(entry: Mutant, kept: dict[str, Mutant]) -> Callable[[ClassT], ClassT]:
    def register(cls: ClassT) -> ClassT:
        add(replace(entry, engine=cls) if issubclass(cls, Engine) else replace(entry, service=cls), kept)
        cls.__doc__ = entry.summary
        return cls

    return register


def add(entry: Mutant, kept: dict[str, Mutant] = MUTANTS) -> None:
    """Register a mutant; ValueError if the name is taken."""
    if entry.name in MUTANTS or entry.name in LOAD_MUTANTS:
        raise ValueError(f"mutant {entry.name} exists already")
    kept[entry.name] = entry


def find(name: str) -> Mutant:
    """Return a mutant by name; ConfigError naming the nearest ones."""
    known = {**MUTANTS, **LOAD_MUTANTS}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, 3)
    hint = f"did you mean {' or '.join(near)}?" if near else "see the list of mutants"
    raise ConfigError(f"unknown mutant {name!r}", key="mutant", hint=hint)


def _own_methods(cls: type, sound: type) -> list[str]:
    """Return the methods that a mutant's class, or a base that it shares with other mutants, adds to those of a sound one."""
    own = cls.__mro__[: cls.__mro__.index(sound)]
    return sorted({name for each in own for name, value in vars(each).items() if inspect.isfunction(value) and name[:2] != "__"})


def _watched(cls: ClassT, sound: type, note: Callable[[str], None]) -> ClassT:
    pending = set(_own_methods(cls, sound))

    def spied(name: str) -> Callable[..., Any]:
        method = getattr(cls, name)

        @functools.wraps(method)
        def run(*args: Any, **kwargs: Any) -> Any:
            if name in pending:
                pending.remove(name)
                note(name)
            return method(*args, **kwargs)

        return run

    return type(cls.__name__, (cls,), {name: spied(name) for name in pending}) if pending else cls  # type: ignore[return-value]
