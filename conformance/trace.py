"""Which checks cover which requirement, read from the suites themselves without running anything."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping

import conformance


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
