"""What changed between runs, and the trend over many: records in, values and texts out. Pure; the caller reads and writes."""

from reports.comparison.compare import compare
from reports.comparison.values import Change, Comparison, Measure, Refusal, Settings, Side

__all__ = ["Change", "Comparison", "Measure", "Refusal", "Settings", "Side", "compare"]
