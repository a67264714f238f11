"""The registry of variants: what each is called, how it is odd, which classes it runs with, and what its users know of it.

A variant is a small subclass of Engine or Service that uses the room that the spec leaves. It may not break any requirement.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from harness.errors import ConfigError
from harness.server.engine import Engine
from harness.server.service import Service
from harness.server.settings import ServerSettings

ClassT = TypeVar("ClassT", bound=type[Engine] | type[Service])
Tree = Mapping[str, Any]
"""A YAML document as plain data."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One oddity. `settings` changes the settings it runs with.

    `overrides` is what an honest user of such an endpoint would write in the profile instead of what the built-in profile says:
    a tree to be laid over the profile's, None removes a key. Facts only; none of it is there to switch a check off.
    """

    name: str
    summary: str
    engine: type[Engine] = Engine
    service: type[Service] = Service
    settings: Callable[[ServerSettings], ServerSettings] = lambda settings: settings
    overrides: Tree = field(default_factory=dict)

    def profile_tree(self, tree: Tree) -> dict[str, Any]:
        """Return a profile (of an embedded server, as plain data) as it is for this variant, which it starts.

        Keys keep their order, which matters: the first identity is the one that calls.
        """
        changed = _laid_over(tree, self.overrides)
        changed["embedded"] = {**changed.get("embedded", {}), "variant": self.name}
        return changed


def _laid_over(tree: Tree, overrides: Tree) -> dict[str, Any]:
    merged = dict(tree)
    for key, value in overrides.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            merged[key] = _laid_over(merged.get(key, {}), value)
        else:
            merged[key] = value
    return merged


VARIANTS: dict[str, Variant] = {}
"""Every variant by its name."""


def variant(name: str, summary: str, **overrides: Any) -> Callable[[ClassT], ClassT]:
    """Register a subclass of Engine or Service as a variant; the name must be new."""

    def register(cls: ClassT) -> ClassT:
        entry = Variant(name, summary, overrides=overrides)
        entry = replace(entry, engine=cls) if issubclass(cls, Engine) else replace(entry, service=cls)
        add(entry)
        cls.__doc__ = summary
        return cls

    return register


def add(entry: Variant) -> None:
    """Register a variant; ValueError if the name is taken."""
    if entry.name in VARIANTS:
        raise ValueError(f"variant {entry.name} exists already")
    VARIANTS[entry.name] = entry


def find(name: str) -> Variant:
    """Return a variant by name; ConfigError naming the nearest ones."""
    if name in VARIANTS:
        return VARIANTS[name]
    near = difflib.get_close_matches(name, VARIANTS, 3)
    hint = f"did you mean {' or '.join(near)}?" if near else "see `controller-harness serve --list-variants`"
    raise ConfigError(f"unknown variant {name!r}", key="variant", hint=hint)
