"""Load runs for programs: names that are the same in the next report, whether a run is valid, and what its ledger says. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from harness.gates import fell_behind, plural
from harness.record import Ledger
from reports.loadvalues import Load
from reports.text import one_line, shortened
from reports.values import Run, Section, View

LONGEST_NAME = 200
"""How many characters of a name are kept."""

INVARIANTS: Mapping[str, str] = {
    "EXEC-01": "one id per configuration of a single submission",
    "EXEC-02": "each result shows its own configuration",
    "EXEC-03": "ids that no other job has",
    "EXEC-05": "acknowledged jobs exist to the end",
    "BATCH-01": "one id per configuration of each request of a batch",
    "BATCH-05": "a repeated batch gets its first ids",
    "IDEM-01": "a repeated submission gets its first ids",
    "IDEM-02": "a repeated submission adds no job",
    "RES-01": "results agree with the status of their jobs",
    "RES-03": "results of ended jobs are usable",
    "STA-01": "statuses move as they may",
    "STA-02": "acknowledged jobs have a status",
}
"""What the ledger of a load run holds jobs to, by requirement: each is told apart even when none is broken."""

COUNTS: Mapping[str, str] = {"lost": "no job is lost", "duplicated": "no job is doubled", "unexpected": "no job is unexpected"}
"""Counts of the ledger that must be zero, and what that means."""


@dataclass(frozen=True)
class LoadRun:
    """A load run, the record that it is from (counted from 1), and its section there. `name` is unique in the report."""

    name: str
    load: Load
    number: int
    run: Run
    section: Section


@dataclass(frozen=True)
class Invariant:
    """One promise that the ledger holds jobs to: how it was `broken` ("": it was not), or why that is `unknown`."""

    name: str
    meaning: str
    broken: str = ""
    unknown: str = ""


def load_runs(view: View) -> tuple[LoadRun, ...]:
    """Return the load runs of a view in their order, named after their scenarios."""
    places = [
        (number, run, section)
        for number, run in enumerate(view.runs, start=1)
        for section in run.sections
        if section.name == "load"
    ]
    names = distinct(str(load.detail.get("name") or "load") for load in view.loads)
    return tuple(LoadRun(name, load, *place) for name, load, place in zip(names, view.loads, places, strict=True))


def distinct(names: Iterable[str]) -> Iterator[str]:
    """Yield names on one line, cut to `LONGEST_NAME`, and numbered from the second of a kind on, so that no two are the same."""
    seen: set[str] = set()
    for full in names:
        name = shortened(one_line(full), LONGEST_NAME)
        found, number = name, 1
        while found in seen:
            number += 1
            found = f"{name} ({number})"
        seen.add(found)
        yield found


def flaw(found: LoadRun) -> str:
    """Return why the figures of a load run do not count, "" if they do."""
    section = found.section
    told = section.reason or f"the load run {'was interrupted' if section.outcome == 'interrupted' else section.outcome}"
    if section.outcome in {"interrupted", "crashed"} or section.exit_code == 4:
        return told
    if section.outcome == "not ended":
        return "the load run did not come to its end"
    if not found.load.total.count:
        return "nothing was measured"
    return fell_behind(found.load.arrivals)


def invariants(ledger: Ledger) -> tuple[Invariant, ...]:
    """Return everything that the ledger says of its invariants, in an order that is always the same."""
    named: dict[str, list[str]] = {}
    for item in ledger.violations:
        named.setdefault(item.requirement, []).append(f"expected: {item.expected}\nobserved: {item.observed}")
    unnamed = ledger.violation_count - len(ledger.violations)
    reason = f"{plural(unnamed, 'violation')} more were counted, but not named" if unnamed > 0 else ""
    counts = ((name, meaning, getattr(ledger, name)) for name, meaning in COUNTS.items())
    return (
        *(Invariant(name, meaning, f"{plural(count, 'job')} {name}" if count else "") for name, meaning, count in counts),
        *(
            Invariant(name, INVARIANTS.get(name, ""), "\n\n".join(named.get(name, ())), "" if name in named else reason)
            for name in dict.fromkeys((*INVARIANTS, *named))
        ),
    )
