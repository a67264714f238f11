"""Traceability: every requirement is checked or says why not, and every check and mutant names requirements that exist."""

from __future__ import annotations

from conformance.trace import checks_by_requirement
from harness.requirements import builtin_catalogue
from harness.server.mutants import MUTANTS

CLIENT_SIDE = {"WIRE-06"}
"""A SHOULD that the caller's own timer keeps, whatever the endpoint does: no mutant can break it for a gRPC client."""


def test_every_requirement_is_checked_or_says_why_not() -> None:
    checked = set(checks_by_requirement())
    assert {item.id for item in builtin_catalogue() if item.id not in checked and not item.unobservable} == set()
    assert {item.id for item in builtin_catalogue() if item.id in checked and item.unobservable} == set()


def test_every_check_names_requirements_of_the_catalogue() -> None:
    assert set(checks_by_requirement()) <= {item.id for item in builtin_catalogue()}


def test_every_must_and_should_has_a_mutant() -> None:
    broken = {item.requirement for item in MUTANTS.values()}
    judged = {item.id for item in builtin_catalogue() if item.level != "INFO"}
    assert judged - broken == CLIENT_SIDE
    assert broken <= judged
