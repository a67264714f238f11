"""Servers that are right but odd, legal by the spec and unlike the reference: they prove that the suites raise no false alarm."""

from __future__ import annotations

from harness.server.variants import (
    cancel,
    codes,
    estimates,
    idempotency,
    ids,
    limits,
    options,
    order,
    results,
    status,
    surroundings,
    wire,
)
from harness.server.variants.registry import VARIANTS, Variant, find

# Importing a module registers its variants.
MODULES = (ids, codes, order, limits, idempotency, options, results, cancel, status, estimates, wire, surroundings)

__all__ = ["MODULES", "VARIANTS", "Variant", "find"]
