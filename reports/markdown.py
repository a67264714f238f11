"""A short summary in Markdown, for job summaries and comments on merge requests: the verdict, then only what needs eyes. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from harness.gates import plural
from harness.record import Ledger
from reports.loadruns import LoadRun, flaw, load_runs
from reports.loadvalues import ERROR_BARS, Load, RpcRow
from reports.markdown_changes import changes
from reports.markup import escape, folded, joined, table
from reports.text import number, percent, with_bar
from reports.values import Conformance, Failure, View

_MARKS = {"pass": "✅", "violated": "❌", "thresholds_missed": "⚠️"}
_FIGURES = ("p50", "p95", "p99", "largest")
_COLUMNS = ("Calls", "Calls/s", "Errors", "p50 ms", "p95 ms", "p99 ms", "max ms")
_MOST_RUNS = 10


def render_markdown(view: View) -> bytes:
    """Return the summary as UTF-8 Markdown (CommonMark with tables); it is short enough for a comment."""
    return joined(_lines(view), _runs(view)).encode()


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
    if view.baseline is not None:
        yield from changes(view.baseline)
    if view.conformance is not None:
        yield from _conformance(view.conformance)
    for found in load_runs(view):
        yield from _load(found)


def _runs(view: View) -> Iterator[str]:
    for run in view.runs[:_MOST_RUNS]:
        yield f"Run {escape(run.run_id)}, started {escape(run.started)}, seed {run.seed}, version {escape(run.tool_version)}."
        yield ""
    if len(view.runs) > _MOST_RUNS:
        yield f"{len(view.runs) - _MOST_RUNS:,} more runs are in the full report."


def _conformance(conformance: Conformance) -> Iterator[str]:
    yield escape(_mode(conformance))
    yield ""
    if conformance.failures:
        yield "### Failed"
        yield from table(
            ("Requirement", "Level", "Expected", "Observed", "Strength"),
            ((item.requirement.id, item.requirement.level, *_first(item), _strength(item)) for item in conformance.failures),
        )
    if conformance.known_failures:
        yield "### Known failures"
        rows = ((item.requirement.id, item.requirement.level, item.requirement.reason) for item in conformance.known_failures)
        yield from table(("Requirement", "Level", "Reason"), rows)
    undecided = [item for item in conformance.requirements if item.verdict == "inconclusive"]
    if undecided:
        yield "### Inconclusive"
        yield from table(("Requirement", "Level", "Reason"), ((item.id, item.level, item.reason) for item in undecided))


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


def _load(found: LoadRun) -> Iterator[str]:
    load, why = found.load, flaw(found)
    yield f"### Load: {escape(found.name)}"
    yield ""
    if why:
        yield f"**Not valid: {escape(why)}**"
        yield ""
    missed = [line for line in load.thresholds if not line.held]
    if missed:
        yield f"{len(load.thresholds) - len(missed)} of {len(load.thresholds)} thresholds held."
        rows = ((line.expression, line.observed, line.reason) for line in missed)
        yield from table(("Missed threshold", "Observed", "Reason"), rows)
    if load.ledger is not None:
        yield _books(load.ledger)
        yield ""
    if load.ledger is not None and load.ledger.violation_count:
        yield f"**The ledger shows {plural(load.ledger.violation_count, 'violated invariant')}:**"
        yield from table(
            ("Invariant", "Expected", "Observed"),
            ((item.requirement, item.expected, item.observed) for item in load.ledger.violations),
        )
    rate, calls = number(load.total.rate), f"{load.total.count:,}"
    yield from folded(f"{calls} calls, {rate} per second: latencies and errors", _figures(load))


def _figures(load: Load) -> Iterator[str]:
    yield from table(("RPC", *_COLUMNS), ((row.rpc, *_row(row)) for row in (*load.rpcs, load.total)), align=">")
    if load.stages:
        rows = [(stage.name + ("" if stage.measured else " (not measured)"), stage.total) for stage in load.stages]
        yield from table(("Stage", *_COLUMNS), ((name, *_row(row)) for name, row in rows), align=">")
    codes = [(row.rpc, error.code, f"{error.count:,}") for row in load.rpcs for error in row.errors]
    if codes:
        yield from table(("RPC", "Error", "Calls"), codes, align=">")
    yield from _search(load)
    yield from _phases(load)
    yield from _starts(load)


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
        yield from table(
            ("Trial", "Starts", "Dropped", "Outcome", "Limit", "Measured"),
            (
                (probe.stage, f"{probe.starts:,}", f"{probe.dropped:,}", probe.outcome, probe.limit, probe.observed)
                for probe in load.search.probes
            ),
        )


def _phases(load: Load) -> Iterator[str]:
    if load.phases:
        yield from table(
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
        yield from table(
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


def _row(row: RpcRow) -> tuple[str, ...]:
    spread = row.spread
    times = ("-",) * 4 if spread is None else tuple(map(number, (spread.p50, spread.p95, spread.p99, spread.largest)))
    return (f"{row.count:,}", number(row.rate), percent(row.error_count, row.count), *times)
