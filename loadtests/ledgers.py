"""The books of several processes as those of one. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from harness.record import Discrepancy, Ledger
from loadtests.idbook import repeated
from loadtests.violations import SHOWN_IN_FULL


def merge(ledgers: Sequence[Ledger], digests: Sequence[bytes] = ()) -> Ledger:
    """Return the books of several processes as those of one; `digests` are theirs (`LoadLedger.digests`, with one key)."""
    counts = [item.name for item in dataclasses.fields(Ledger) if item.name != "violations"]
    whole = {name: sum(getattr(ledger, name) for ledger in ledgers) for name in counts}
    shown = [violation for ledger in ledgers for violation in ledger.violations]
    twice = repeated(digests)
    if twice:
        whole["duplicated"] += twice
        whole["violation_count"] += twice
        told = f"{twice} of them at two processes, for a job of each"
        shown.insert(0, Discrepancy("EXEC-03", "ids that no other job of the run has", told))
    return Ledger(**whole, violations=tuple(shown[:SHOWN_IN_FULL]))
