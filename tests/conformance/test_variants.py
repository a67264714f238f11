"""The suite raises no false alarm: servers that are right, but odd, pass the checks of what they are odd in.

`controller-harness selftest --variants` runs all of them through the whole suite, and often; here each is seen once.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from harness.requirements import builtin_catalogue
from harness.server.variants import VARIANTS
from tests.conformance.runs import REFERENCE, run_suites

ODD_IN = {
    "cancel-half": ("CAN-01", "CAN-03", "IDEM-11"),
    "cancel-acts-late": ("CAN-01", "CAN-03"),
    "codes-not-found": ("EXEC-04", "UUID-07", "RES-03"),
    "estimates-partial": ("EST-01", "EST-02"),
    "executors-4-unknown": ("CAN-05",),
    "keys-other-request-refused": ("IDEM-01", "IDEM-13"),
    "order-lifo": ("EXEC-02", "CAN-05"),
    "queue-tiny-unavailable": ("EXEC-02", "BATCH-01", "IDEM-08"),
    "responses-extended": ("CAN-04", "RES-05"),
    "results-once-when-ready": ("RES-01", "BATCH-05", "IDEM-06"),
    "status-cached": ("RES-03",),
    "known-by-its-quick-job": ("EXEC-01", "RES-01", "CAN-01"),
}
"""Requirements that some variants have trodden on."""


@pytest.mark.parametrize("name", ODD_IN)
def test_a_variant_passes(name: str, tmp_path: Path) -> None:
    profile = tmp_path / "profile.yaml"
    tree = yaml.safe_load(REFERENCE.read_text(encoding="utf-8"))
    profile.write_text(yaml.safe_dump(VARIANTS[name].profile_tree(tree), sort_keys=False), encoding="utf-8")
    arguments = [word for requirement in ODD_IN[name] for word in ("--requirement", requirement)]
    outcome = run_suites(tmp_path, profile, arguments)
    must = {item.id for item in builtin_catalogue() if item.level == "MUST"}
    assert must.isdisjoint(outcome.violated), outcome.output
    assert [line.check for line in outcome.checks if line.reason_kind == "crashed"] == []
    assert outcome.code == 0, outcome.output
    assert [line for line in outcome.checks if line.verdict == "pass"]
