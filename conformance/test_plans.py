"""Generated sequences: plans that Hypothesis draws are run over several connections and judged by the model."""

from __future__ import annotations

from conformance.kit import Case, covers
from conformance.kit.generated import generate
from conformance.kit.hunt import Hunt

JUDGED = (
    *("EXEC-01", "EXEC-02", "EXEC-03", "EXEC-05", "BATCH-01", "BATCH-05", "IDEM-01", "IDEM-07", "IDEM-10"),
    *("RES-01", "RES-02", "RES-03", "CAN-02", "CAN-05", "STA-01", "STA-02", "STA-05"),
)
"""The requirements that a plan can be seen to break."""


@covers(*JUDGED, exclusive=True, long=True)
def test_generated_plans_leave_legal_histories(case: Case) -> None:
    """Generated sequences of submissions, replays, cancels and reads over several connections: every answer could be right."""
    hunt = Hunt(case)
    hunt.through(generate(case.rng.getrandbits(64), case.examples))
    hunt.tell()
