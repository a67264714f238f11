"""The page of results, from what was measured and nothing else. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.bars import H2LOAD, LOCUST, TITLES, Bar, Cost, Grown, Results, ratio

WORDS: Mapping[bool | None, str] = {True: "held", False: "**not held**", None: "not measured"}
CALLS: Mapping[str, str] = {
    "status": "`GetControllerJobStatus`, 64 in flight",
    "batch": "A batch of 10 requests x 10 configurations x 16 reals, 64 in flight",
}


@dataclass(frozen=True)
class About:
    """Under what the figures came about: date, machine, versions, how much was measured; nothing that names a host or a path."""

    date: str
    machine: Mapping[str, object]
    versions: Mapping[str, str]
    pinned: bool
    sizes: Mapping[str, object]
    seconds: float
    complete: bool


def page(about: About, results: Results, bars: Sequence[Bar]) -> str:
    """Return the page as Markdown."""
    parts = [_head(about), _bars(bars)]
    parts += [_compared(what, costs) for what, costs in results.compared.items()]
    parts += [_open(results), _paced(results), _growth(results), _edges(results), _missing(results), _about(about)]
    return "\n\n".join(part for part in parts if part) + "\n"


def number(value: float) -> str:
    """Return a figure with three significant digits, or all of its digits before the point."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; all columns but the first are aligned to the right."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _head(about: About) -> str:
    partial = "" if about.complete else "\n\nOnly a part of the measurements was made, or small ones: no more than a first look."
    return f"""# Benchmarks

Written by `make bench` on {about.date}; no figure here was written by hand. Ratios come first, because they carry over to other
machines. Contestants took turns within each round, each ratio is the median over rounds of ratios within a round.{partial}"""


def _bars(bars: Sequence[Bar]) -> str:
    rows = []
    for bar in bars:
        limit = f"{'at least' if bar.least else 'at most'} {number(bar.limit)} {bar.unit}"
        measured = "-" if bar.measured is None else f"{number(bar.measured)} {bar.unit}"
        rows.append((bar.name, limit, measured, WORDS[bar.held]))
    return "## Bars\n\n" + table(("what", "limit", "measured", "verdict"), rows)


def _compared(what: str, costs: Mapping[str, Sequence[Cost]]) -> str:
    if not costs:
        return ""
    rows = []
    for name, found in sorted(costs.items(), key=lambda item: _median(item[1], "client")):
        ratios = [ratio(costs, LOCUST, name), ratio(costs, name, H2LOAD)]
        shown = ["-" if one is None else number(one) for one in ratios]
        figures = [number(_median(found, key)) for key in ("client", "rate", "sink")]
        rows.append((TITLES[name], *shown, *figures))
    head = ("client", "times cheaper than Locust with grpcio", "times h2load's CPU", "CPU us per call", "calls/s", "sink: CPU us")
    text = "CPU is that of the client process per call while it is at full work. Calls/s is the best second by the clock;"
    text += " it is the sink's limit for clients that are cheaper than the sink."
    ours = "The harness runs as its users run it: users, protobuf, recording, ledger and record, all on."
    note = (
        " A batch makes 100 jobs, each of which is entered in the ledger; no other client keeps books." if what == "batch" else ""
    )
    return f"## {CALLS.get(what, what)}\n\n{table(head, rows)}\n\n{text} {ours}{note}"


def _open(results: Results) -> str:
    rows = []
    for name, runs in results.open.items():
        for run in runs:
            figures = (run.starts_per_second, run.calls_per_second, run.p50, run.p99, run.client)
            rows.append((name, *map(number, figures), f"{run.late:,}", f"{run.dropped:,}"))
    if not rows:
        return ""
    head = ("each start", "starts/s wanted", "calls/s", "delay p50, us", "delay p99, us", "CPU us per call", "late", "dropped")
    text = "The delay is how much later than due the generator began a start, by the record's own `scheduling` latencies."
    return f"## Open load in engine mode, one core\n\n{table(head, rows)}\n\n{text}"


def _paced(results: Results) -> str:
    rows = []
    for name, runs in results.paced.items():
        rows += [(TITLES.get(name, name), number(run.p50), number(run.service), number(run.p99)) for run in runs]
    if not rows:
        return ""
    head = ("client", "p50, us", "p50 from the actual send, us", "p99, us")
    text = "Ours counts from when a call was due, the other from when it was sent; h2load makes one call at a time."
    return f"## 200 calls/s against a responder of 5 ms\n\n{table(head, rows)}\n\n{text}"


def _growth(results: Results) -> str:
    tables = [_grown("calls in flight", results.in_flight), _grown("calls made", results.lengths)]
    return "\n\n".join(["## Growth, engine mode", *filter(None, tables)]) if any(tables) else ""


def _grown(title: str, found: Mapping[int, Sequence[Grown]]) -> str:
    found = {size: runs for size, runs in found.items() if runs}
    if not found:
        return ""
    least = min(_median(runs, "client") for runs in found.values())
    rows = [
        (f"{size:,}", number(_median(runs, "client") / least), number(_median(runs, "client")), number(_median(runs, "calls")))
        for size, runs in found.items()
        if least > 0
    ]
    return table((title, "times the cheapest", "CPU us per call", "calls of a run"), rows)


def _edges(results: Results) -> str:
    rows = [
        (f"{jobs:,}", *map(number, (edge.rate, edge.server, edge.client)))
        for jobs, edges in results.edges.items()
        for edge in edges
    ]
    if not rows:
        return ""
    head = ("live jobs in memory", "status calls/s", "server: CPU us per call", "its client: CPU us per call")
    return "## The reference server, wire edge, real engine, one core\n\n" + table(head, rows)


def _missing(results: Results) -> str:
    if not results.missing:
        return ""
    lines = [f"- {name}: {reason}" for name, reason in results.missing.items()]
    return "\n".join(["## What is missing", "", *lines])


def _about(about: About) -> str:
    rows = [(name, str(value)) for name, value in (*about.machine.items(), *about.versions.items())]
    pinned = "client and server pinned to a core each" if about.pinned else "processes not pinned"
    sizes = ", ".join(f"{name} {value}" for name, value in about.sizes.items())
    told = f"{about.date}; {about.seconds:.0f} s in all; {pinned}; {sizes}."
    return "## Machine and versions\n\n" + table(("what", "value"), rows) + f"\n\n{told}"


def _median(runs: Sequence[Cost] | Sequence[Grown], key: str) -> float:
    return float(statistics.median(getattr(run, key) for run in runs))
