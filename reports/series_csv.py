"""The seconds of load runs as CSV (RFC 4180), for spreadsheets and notebooks: a row for each second and RPC, none left out. Pure.

A second in which no call of an RPC ended has no row. Text cells cannot act as formulas in a spreadsheet.
"""

from __future__ import annotations

import csv
import io

from harness.record import Interval
from reports.loadruns import load_runs
from reports.text import one_line, shortened
from reports.values import View

HEADER = ("load", "second", "rpc", "calls", "errors", "p50_ms", "p95_ms", "p99_ms", "max_ms", "users", "errors_by_code", "record")
"""The columns: `second` is counted from the start of the load, latencies are milliseconds, `record` is complete or incomplete."""

_LONGEST = 200
_FORMULA = tuple("=+-@\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}")


def render_series(view: View) -> bytes:
    """Return the series of all load runs as UTF-8 CSV with a header and CRLF; the same view gives the same bytes."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(HEADER)
    for found in load_runs(view):
        name, state = text_cell(found.name), "incomplete" if found.run.incomplete else "complete"
        writer.writerows((name, *_row(line), state) for line in found.load.intervals)
    return file.getvalue().encode()


def text_cell(text: str) -> str:
    """Return text as a cell on one line that no spreadsheet takes for a formula: an apostrophe goes before what could be one."""
    safe = shortened(one_line(text), _LONGEST)
    return f"'{safe}" if safe.startswith(_FORMULA) else safe


def _row(line: Interval) -> tuple[str | int, ...]:
    errors = " ".join(f"{one_line(code)}:{count}" for code, count in sorted(line.errors.items()))
    times = (f"{value / 1000:.3f}" for value in (line.p50, line.p95, line.p99, line.largest))
    calls = (line.second, text_cell(line.rpc), line.count, sum(line.errors.values()))
    return (*calls, *times, line.users, text_cell(errors))
