"""Deliberately wrong servers, each breaking exactly one requirement: they prove that the suites notice."""

from __future__ import annotations

from harness.server.mutants import (
    batch,
    cancel,
    delivery,
    execute,
    idempotency,
    load,
    options,
    results,
    status,
    uuid_keys,
    wire,
)
from harness.server.mutants.registry import LOAD_MUTANTS, MUTANTS, UNBREAKABLE, Mutant, find

# Importing a chapter registers its mutants.
CHAPTERS = (uuid_keys, execute, batch, idempotency, delivery, options, results, cancel, status, wire, load)

__all__ = ["CHAPTERS", "LOAD_MUTANTS", "MUTANTS", "UNBREAKABLE", "Mutant", "find"]
