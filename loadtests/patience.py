"""How long users may go on once a run is being stopped. Knows a clock, nothing else."""

from __future__ import annotations

import time


class Patience:
    """Endless until `by` is set: the time of the monotonic clock, in seconds, by which users have to be done."""

    __slots__ = ("by",)

    def __init__(self, by: float | None = None) -> None:
        self.by = by

    def left(self) -> float | None:
        """Return how many seconds are left; None: as many as anybody likes."""
        return None if self.by is None else max(0.0, self.by - time.monotonic())
