"""Where runs and their records are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

RUNS = Path("runs")
"""Where runs are kept unless `--out` says otherwise."""
RECORD = "record.jsonl"
"""Name of the run record in a run's folder."""


def record_files(given: Iterable[Path]) -> list[Path]:
    """Return the records that are meant: a folder stands for the record in it."""
    return [path / RECORD if path.is_dir() else path for path in given]
