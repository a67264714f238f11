"""A short summary in Markdown, for job summaries and merge requests: the verdict, then only what needs eyes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from harness.gates import plural
from harness.record import Ledger
from reports.text import clean, number, one_line, percent, shortened, with_bar
from reports.values import ERROR_BARS, Conformance, Failure, Load, Spread, View

MOST_ROWS = 30
"""How many rows a table of the summary has at most."""

_ACTIVE = re.compile(r"[\\`*\[\]|~<>$&]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|^(?:[-+#=]|\d+(?=[.)](?: |$)))")
_MENTION = re.compile(r"@(?=\w)")
_BLANKS = re.compile(r"\n{3,}")
_MARKS = {"pass": "✅", "violated": "❌", "thresholds_missed": "⚠️"}
_LONGEST = 300
_FIGURES = ("p50", "p95", "p99", "largest")


def render_markdown(view: View) -> bytes:
    """Return the summary as UTF-8 Markdown (CommonMark with tables)."""
    return _BLANKS.sub("\n\n", "\n".join(_lines(view)).rstrip() + "\n").encode()


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, on one line: no markup, link, HTML or end of a cell; nobody is notified."""
    safe = _ACTIVE.sub(_escaped, one_line(clean(shortened(text, _LONGEST))))
    return _MENTION.sub("@\N{WORD JOINER}", safe)


def _escaped(match: re.Match[str]) -> str:
    text = match[0]
    return f"{text}\N{WORD JOINER}" if text.isdecimal() else f"\\{text}"


def _lines(view: View) -> Iterator[str]:
    mark = _MARKS.get(view.verdict.kind, "⛔")
    yield f"## {mark} {escape(view.verdict.label)}: {escape(view.title)}"
    yield ""
    yield f"**{escape(view.verdict.reason)}**"
    yield ""
    for notice in view.notices:
        yield f"- {escape(notice)}"
    yield ""
    yield " · ".join(f"{escape(figure.value)} {escape(figure.label)}" for figure in view.figures)
    yield ""
    if view.conformance is not None:
        yield from _conformance(view.conformance)
    for load in view.loads:
        yield from _load(load)
    for run in view.runs:
        yield f"Run {escape(run.run_id)}, started {escape(run.started)}, seed {run.seed}, version {escape(run.tool_version)}."
        yield ""


def _conformance(conformance: Conformance) -> Iterator[str]:
    yield escape(_mode(conformance))
    yield ""
    if conformance.failures:
        yield "### Failed"
        yield from _table(
            ("Requirement", "Level", "Expected", "Observed", "Strength"),
            ((item.requirement.id, item.requirement.level, *_first(item), _strength(item)) for item in conformance.failures),
        )
    if conformance.known_failures:
        yield "### Known failures"
        rows = ((item.requirement.id, item.requirement.level, item.requirement.reason) for item in conformance.known_failures)
        yield from _table(("Requirement", "Level", "Reason"), rows)
    undecided = [item for item in conformance.requirements if item.verdict == "inconclusive"]
    if undecided:
        yield "### Inconclusive"
        yield from _table(("Requirement", "Level", "Reason"), ((item.id, item.level, item.reason) for item in undecided))


def _mode(conformance: Conformance) -> str:
    mode = "strict: a failed SHOULD fails the run" if conformance.strict else "a failed SHOULD is a warning"
    return f"{conformance.plan}; {mode}." if conformance.plan else f"{mode[:1].upper()}{mode[1:]}."


def _strength(failure: Failure) -> str:
    return failure.findings[0].check.strength if failure.findings else ""


def _first(failure: Failure) -> tuple[str, str]:
    if not failure.findings:
        return failure.requirement.statement, ""
    first, rest = failure.findings[0], len(failure.findings) - 1
    return first.expected, first.observed + (f" (and {rest} more)" if rest else "")


def _load(load: Load) -> Iterator[str]:
    yield "### Load"
    yield from _table(
        ("RPC", "Calls", "Calls/s", "Errors", "p50 ms", "p95 ms", "p99 ms", "max ms"),
        (
            (row.rpc, f"{row.count:,}", number(row.rate), percent(row.error_count, row.count), *_spread(row.spread))
            for row in (*load.rpcs, load.total)
        ),
        align=">",
    )
    yield from _search(load)
    yield from _phases(load)
    yield from _starts(load)
    missed = [line for line in load.thresholds if not line.held]
    if load.thresholds:
        yield f"{len(load.thresholds) - len(missed)} of {len(load.thresholds)} thresholds held."
        yield ""
    if missed:
        yield from _table(("Missed threshold", "Observed"), ((line.expression, line.observed) for line in missed))
    if load.ledger is not None:
        yield _books(load.ledger)
        yield ""
    if load.ledger is not None and load.ledger.violation_count:
        yield f"**The ledger shows {plural(load.ledger.violation_count, 'violated invariant')}:**"
        yield from _table(
            ("Invariant", "Expected", "Observed"),
            ((item.requirement, item.expected, item.observed) for item in load.ledger.violations),
        )


def _books(ledger: Ledger) -> str:
    counts = {
        "attempted": ledger.attempted_jobs,
        "acknowledged": ledger.acknowledged_jobs,
        "finished": ledger.finished,
        "unfinished": ledger.unfinished,
        "lost": ledger.lost,
        "duplicated": ledger.duplicated,
        "unexpected": ledger.unexpected,
        "unknown": ledger.unknown_jobs,
    }
    return f"Jobs: {', '.join(f'{count:,} {name}' for name, count in counts.items())}."


def _search(load: Load) -> Iterator[str]:
    if load.search is not None:
        yield f"Search: {escape(load.search.reason)}."
        yield from _table(
            ("Trial", "Starts", "Dropped", "Outcome", "Limit", "Measured"),
            (
                (probe.stage, f"{probe.starts:,}", f"{probe.dropped:,}", probe.outcome, probe.limit, probe.observed)
                for probe in load.search.probes
            ),
        )


def _phases(load: Load) -> Iterator[str]:
    if load.phases:
        yield from _table(
            ("Phase of jobs", "Jobs", "p50 ms", "p95 ms", "p99 ms", "max ms"),
            (
                (phase.name, f"{phase.spread.count:,}", *(with_bar(*phase.shown(figure)) for figure in _FIGURES))
                for phase in load.phases
            ),
            align=">",
        )
        if any(phase.error for phase in load.phases):
            yield ERROR_BARS
            yield ""


def _starts(load: Load) -> Iterator[str]:
    if load.arrivals:
        yield "Calls count from when they were meant to start."
        yield from _table(
            ("Stage", "Due", "Made", "Late", "Dropped"),
            (
                (
                    (line.stage or "all") + ("" if line.measured else " (not measured)"),
                    f"{line.scheduled:,}",
                    f"{line.started:,}",
                    percent(line.late, line.scheduled),
                    percent(line.dropped, line.scheduled),
                )
                for line in load.arrivals
            ),
            align=">",
        )


def _spread(spread: Spread | None) -> tuple[str, ...]:
    if spread is None:
        return ("-",) * 4
    return tuple(map(number, (spread.p50, spread.p95, spread.p99, spread.largest)))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], align: str = "") -> Iterator[str]:
    """Yield a table with a blank line around it; with `align` '>' all columns but the first are set to the right."""
    cells = [tuple(map(escape, row)) for row in rows]
    yield ""
    yield f"| {' | '.join(map(escape, head))} |"
    yield "|---|" + ("---:|" if align else "---|") * (len(head) - 1)
    for row in cells[:MOST_ROWS]:
        yield f"| {' | '.join(row)} |"
    yield ""
    if len(cells) > MOST_ROWS:
        yield f"{len(cells) - MOST_ROWS:,} more are in the full report."
        yield ""
