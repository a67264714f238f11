"""How often a process that puts load on looks for garbage in cycles.

The calls of users leave none, and a look takes as long as hundreds of calls, which shows in their latency.
"""

from __future__ import annotations

import gc

MADE = 100_000
"""Objects that are made, beyond those that are gone again, before the youngest are looked at; Python's own number is 700."""
YOUNG, MIDDLE = 20, 20
"""Looks at the youngest before older ones are looked at, and the oldest after that."""


def spare_collections() -> None:
    """Leave everything that exists now out of future looks, and look less often from now on. Once a run."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(MADE, YOUNG, MIDDLE)
