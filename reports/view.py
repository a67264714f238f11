"""From records to one view: what every report says, whatever its format. Pure: the same records give the same view."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import ExitCode, worst
from harness.gates import outcomes_of, plural
from harness.record import Record, SectionEnd, SectionStart
from reports.comparison import Comparison, compare
from reports.judged import conformance_view
from reports.loadvalues import Load
from reports.measured import load_views
from reports.text import cleaned, duration, number, one_line, percent, seconds_between
from reports.values import Conformance, Figure, Overall, Run, Section, View

LABELS: Mapping[str, str] = {
    "pass": "Passed",
    "violated": "Violated",
    "thresholds_missed": "Thresholds missed",
    "not_valid": "Not valid",
    "incomplete": "Incomplete",
    "interrupted": "Interrupted",
    "unreachable": "Unreachable",
    "usage": "Not configured",
}
"""The kinds of verdict, and how they are called."""

_KINDS: Mapping[ExitCode, str] = {
    ExitCode.OK: "pass",
    ExitCode.VIOLATION: "violated",
    ExitCode.BELOW_THRESHOLD: "thresholds_missed",
    ExitCode.NOT_VALID: "not_valid",
    ExitCode.INTERRUPTED: "interrupted",
    ExitCode.UNREACHABLE: "unreachable",
    ExitCode.USAGE: "usage",
}


def build_view(records: Sequence[Record], *, strict: bool = False, baseline: Sequence[Record] = ()) -> View:
    """Join records into what one report shows; checks are judged together, load runs stay apart.

    `strict` makes a failed SHOULD count; with records of a `baseline`, the view says what changed since. What became worse is
    a notice, no verdict: that is on these records alone. Raises ValueError without any record.
    """
    if not records:
        raise ValueError("a report needs at least one record")
    found = [cleaned(record) for record in records]
    lines = [line for record in found for line in record.lines]
    conformance = conformance_view(lines, strict=strict)
    loads = tuple(load for record in found for load in load_views(record.lines))
    runs = tuple(_run(record) for record in found)
    verdict, notices = _overall(found, conformance, strict)
    changed = compare(baseline, records) if baseline else None
    return View(
        title=_title(runs),
        verdict=verdict,
        notices=(*notices, *_changes(changed)),
        figures=_figures(conformance, loads, runs),
        conformance=conformance,
        loads=loads,
        runs=runs,
        baseline=changed,
    )


def _changes(comparison: Comparison | None) -> tuple[str, ...]:
    if comparison is None or not comparison.regressed:
        return ()
    return (f"Worse than the baseline: {', '.join(comparison.regressions)}.",)


def _overall(records: Sequence[Record], conformance: Conformance | None, strict: bool) -> tuple[Overall, tuple[str, ...]]:
    outcomes = [outcome for record in records for outcome in outcomes_of(record, strict)]
    code = worst(item for item, _ in outcomes)
    kind = _KINDS[code]
    if code is ExitCode.NOT_VALID and any(record.incomplete for record in records):
        kind = "incomplete"
    reason = " ".join(dict.fromkeys(text for item, text in outcomes if item is code))
    notices = [text for item, text in outcomes if item not in {code, ExitCode.OK}]
    notices += _known_notices(conformance) if conformance else []
    strict = strict or bool(conformance and conformance.strict)
    warnings = conformance.count("fail", "SHOULD") if conformance else 0
    if warnings and not (strict and code is ExitCode.VIOLATION):
        notices.append(f"{plural(warnings, 'SHOULD requirement')} not met: a warning, no violation (without --strict).")
    endpoints = list(dict.fromkeys(record.header.endpoint for record in records))
    if len(endpoints) > 1:
        notices.append(f"The records concern different endpoints: {', '.join(endpoints)}.")
    label = LABELS[kind]
    if kind != "incomplete" and any(record.incomplete for record in records):
        label += ", incomplete"
    elif kind == "pass" and warnings:
        label += ", with warnings"
    return Overall(kind, label, reason, code), tuple(dict.fromkeys(notices))


def _known_notices(conformance: Conformance) -> list[str]:
    """Return what there is to say of known failures that do not simply fail as known; stale ones are an outcome of their own."""
    expired = [line for line in conformance.known if line.state == "expired"]
    undecided = [line.name for line in conformance.known if line.state == "undecided"]
    notices = [f"The known failure of {line.name} ({line.reason}) expired on {line.expires}." for line in expired]
    if undecided:
        notices.append(f"Known failures that this run says nothing about: {', '.join(undecided)}.")
    return notices


def _title(runs: Sequence[Run]) -> str:
    names = dict.fromkeys(one_line(str(run.profile.get("name") or run.endpoint)) for run in runs)
    return ", ".join(names)


def _figures(conformance: Conformance | None, loads: Sequence[Load], runs: Sequence[Run]) -> tuple[Figure, ...]:
    figures: list[Figure] = []
    if conformance is not None:
        total = len(conformance.requirements)
        figures.append(Figure(f"{conformance.count('pass')} of {total}", "requirements passed"))
        figures += [
            Figure(str(conformance.count(verdict)), label)
            for verdict, label in (("fail", "failed"), ("inconclusive", "inconclusive"), ("known_failure", "known to fail"))
            if verdict == "fail" or conformance.count(verdict)
        ]
        figures.append(Figure(f"{len(conformance.checks):,}", "checks"))
        figures.append(Figure(f"{sum(check.calls_made for check in conformance.checks):,}", "calls by checks"))
    for load in loads:
        figures += _load_figures(load)
    if len(runs) == 1 and runs[0].seconds is not None:
        figures.append(Figure(duration(runs[0].seconds), "in all"))
    return tuple(figures)


def _load_figures(load: Load) -> list[Figure]:
    total = load.total
    figures = [
        Figure(f"{number(total.rate)}/s", f"{total.count:,} calls under load"),
        Figure(percent(total.error_count, total.count), "errors"),
    ]
    if total.spread is not None:
        figures.append(Figure(f"{number(total.spread.p99)} ms", "p99 latency"))
    if load.thresholds:
        figures.append(Figure(f"{sum(line.held for line in load.thresholds)} of {len(load.thresholds)}", "thresholds held"))
    if load.ledger is not None:
        figures.append(Figure(f"{load.ledger.violation_count:,}", "violated in the ledger"))
    return figures


def _run(record: Record) -> Run:
    header, footer = record.header, record.footer
    ended = footer.ended if footer else ""
    return Run(
        source=record.source,
        run_id=header.run_id,
        started=header.started,
        ended=ended,
        seconds=seconds_between(header.started, ended),
        command=shlex.join(header.command),
        tool_version=header.tool_version,
        python=header.python,
        packages=header.packages,
        machine=header.machine,
        endpoint=header.endpoint,
        profile=header.profile,
        seed=header.seed,
        incomplete=record.incomplete,
        exit_code=footer.exit_code if footer else None,
        sections=_sections(record),
    )


def _sections(record: Record) -> tuple[Section, ...]:
    sections: list[Section] = []
    waiting: dict[str, int] = {}
    starts = [line for line in record.lines if isinstance(line, SectionStart)]
    for line in record.lines:
        if isinstance(line, SectionStart):
            waiting[line.section] = len(sections)
            sections.append(_section(line, None))
        elif isinstance(line, SectionEnd) and line.section in waiting:
            place = waiting.pop(line.section)
            sections[place] = _section(starts[place], line)
    return tuple(sections)


def _section(start: SectionStart, end: SectionEnd | None) -> Section:
    if end is None:
        return Section(start.section, "not ended", "", None, None)
    return Section(start.section, end.outcome, end.reason, end.exit_code, seconds_between(start.started, end.ended))


def flattened(value: Mapping[str, Any], prefix: str = "") -> tuple[tuple[str, str], ...]:
    """Return a nested mapping as rows of dotted key and text, in its own order; empty values and nulls are left out.

    Mappings in a list have their place in the key, counted from 1.
    """
    rows: list[tuple[str, str]] = []
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, Mapping):
            rows += flattened(item, f"{name}.")
        elif isinstance(item, list | tuple) and any(isinstance(part, Mapping) for part in item):
            rows += flattened({str(place): part for place, part in enumerate(item, start=1)}, f"{name}.")
        elif isinstance(item, list | tuple):
            rows += [(name, ", ".join(str(part) for part in item))] if item else []
        elif item is not None and item != "":
            rows.append((name, str(item).lower() if isinstance(item, bool) else str(item)))
    return tuple(rows)
