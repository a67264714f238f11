"""What proves each check: the file that the suites come with, and how it is kept up to date."""

from __future__ import annotations

from conformance.proofs import builtin_proofs, updated
from conformance.trace import checks_by_requirement
from harness.server.mutants import MUTANTS

HINT = "bring conformance/proofs.json up to date: python -m conformance.proofs MATRIX (of a self-test)"


def test_every_mutant_proves_a_check_of_its_requirement() -> None:
    proofs = builtin_proofs()
    proven = {name for mutants in proofs.values() for name in mutants}
    assert proven == set(MUTANTS), HINT
    covering = checks_by_requirement()
    for check, mutants in proofs.items():
        for name in mutants:
            assert check.partition("[")[0] in covering[MUTANTS[name].requirement], HINT


def test_a_self_test_changes_what_is_said_of_its_mutants_only() -> None:
    known = {"a": ("one", "two"), "b": ("two",)}
    kills = [{"check": "c", "requirement": "X-01"}, {"check": "a[1]", "requirement": "X-01"}]
    matrix = {"mutants": [{"name": "two", "kills": kills}, {"name": "three", "kills": []}]}
    assert updated(known, [matrix]) == {"a": ("one",), "a[1]": ("two",), "c": ("two",)}
    assert updated({}, []) == {}
