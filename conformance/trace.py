"""Which checks cover which requirement, read from the suites themselves without running anything."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Mapping

import conformance
from harness.known import verify
from harness.profile import Profile
from harness.requirements import builtin_catalogue


def checks_by_requirement() -> Mapping[str, tuple[str, ...]]:
    """Return the checks (`test_exec.py::test_name`) of each requirement id, in the order of the suites."""
    found: dict[str, list[str]] = {}
    for item in pkgutil.iter_modules(conformance.__path__):
        if not item.name.startswith("test_"):
            continue
        module = importlib.import_module(f"conformance.{item.name}")
        for name, function in vars(module).items():
            marks = [mark for mark in getattr(function, "pytestmark", []) if mark.name == "covers"]
            for requirement in marks[0].args if marks else ():
                found.setdefault(requirement, []).append(f"{item.name}.py::{name}")
    return {requirement: tuple(names) for requirement, names in found.items()}


def check_names() -> tuple[str, ...]:
    """Return the names of all checks, without their parameters."""
    return tuple(dict.fromkeys(name for names in checks_by_requirement().values() for name in names))


def verify_known_failures(profile: Profile) -> None:
    """Refuse known failures of requirements or checks that do not exist. Raises ConfigError.

    Parameters are not looked at; they are known once pytest has collected the checks, which is when it looks again.
    """
    bare = [dataclasses.replace(item, check=item.check and item.check.partition("[")[0]) for item in profile.known_failures]
    verify(bare, (item.id for item in builtin_catalogue()), check_names(), unique=False)
