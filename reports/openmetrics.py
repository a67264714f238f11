"""The report as OpenMetrics text, for GitLab's metrics report and for Prometheus. Pure.

After OpenMetrics 1.0: families with TYPE, UNIT and HELP, base units, `# EOF` at the end. Series are told apart by what stays the
same from run to run (level, scenario, RPC, limit), never by ids or times, so that tools can compare two reports line by line.
An empty `rpc` stands for all RPCs together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from harness.gates import REQUIREMENT_VERDICTS
from harness.record import VERDICTS, Ledger
from reports.loadruns import COUNTS, LoadRun, distinct, flaw, load_runs
from reports.loadvalues import Spread
from reports.text import parsed_time
from reports.values import Conformance, Run, View
from reports.view import LABELS

PREFIX = "controller_harness"
"""What all names begin with."""
LEVELS = ("MUST", "SHOULD", "INFO")

_QUANTILES = (("0.5", "p50"), ("0.9", "p90"), ("0.95", "p95"), ("0.99", "p99"), ("0.999", "p999"), ("1.0", "largest"))
# GitLab takes all that follows a number sign for a comment, even in a label.
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "#": "\N{FULLWIDTH NUMBER SIGN}"})
_LEDGER_STATES = {
    "attempted_jobs": "attempted",
    "acknowledged_jobs": "acknowledged",
    "finished": "finished",
    "canceled": "canceled",
    "failed": "failed",
    "unfinished": "unfinished",
    "not_followed": "not_followed",
    "unknown_jobs": "unknown",
    **{name: name for name in COUNTS},
}
_STARTS = ("scheduled", "started", "waited", "late", "dropped")

Labels = Mapping[str, object]


@dataclass(frozen=True)
class Family:
    """One metric: its name without prefix and unit, its type, its unit and what it says; `samples` are finished lines."""

    name: str
    kind: str
    help: str
    unit: str = ""
    samples: list[str] = field(default_factory=list)

    @property
    def full_name(self) -> str:
        """The name as it is written."""
        return "_".join(part for part in (PREFIX, self.name, self.unit) if part)

    def add(self, value: float, labels: Labels | None = None, suffix: str = "") -> None:
        """Add a sample."""
        self.samples.append(f"{self.full_name}{suffix}{_labels(labels or {})} {_number(value)}")

    def add_spread(self, spread: Spread | None, labels: Labels) -> None:
        """Add the quantiles of a spread, in seconds, with sum and count."""
        if spread is not None:
            for quantile, name in _QUANTILES:
                self.add(_seconds(getattr(spread, name)), {**labels, "quantile": quantile})
            self.add(_seconds(spread.mean * spread.count), labels, "_sum")
            self.add(spread.count, labels, "_count")

    def lines(self) -> Iterator[str]:
        """Yield what describes the family, and its samples; nothing without any."""
        if self.samples:
            yield f"# TYPE {self.full_name} {self.kind}"
            if self.unit:
                yield f"# UNIT {self.full_name} {self.unit}"
            yield f"# HELP {self.full_name} {self.help}"
            yield from self.samples


def render_openmetrics(view: View) -> bytes:
    """Return the report as UTF-8 OpenMetrics text; the same view gives the same bytes."""
    families = [*_verdict(view), *_runs(view.runs)]
    families += _conformance(view.conformance) if view.conformance is not None else []
    found = load_runs(view)
    families += [*_rates(found), *_latencies(found), *_limits(found), *_jobs(found)]
    return "\n".join([*(line for family in families for line in family.lines()), "# EOF", ""]).encode()


def _verdict(view: View) -> Iterator[Family]:
    verdict = Family("verdict", "stateset", "The verdict of the report.")
    for kind in LABELS:
        verdict.add(kind == view.verdict.kind, {verdict.full_name: kind})
    yield verdict
    code = Family("exit_code", "gauge", "The exit code of a gate on the report; 0: all held.")
    code.add(int(view.verdict.exit_code))
    yield code
    worse = Family("regressions", "gauge", "Verdicts and measures that became worse since the baseline.")
    if view.baseline is not None and not view.baseline.refusals:
        worse.add(len(view.baseline.regressions))
    yield worse


def _runs(runs: Iterable[Run]) -> Iterator[Family]:
    about = Family("run", "info", "What made each run, and against what.")
    packages = Family("package", "info", "The packages that each run was made with.")
    complete = Family("run_complete", "gauge", "Whether the record of a run is whole (1), or incomplete (0).")
    started = Family("run_start_time", "gauge", "When a run started, in seconds since 1970.", "seconds")
    took = Family("run_duration", "gauge", "How long a run took.", "seconds")
    for number, run in enumerate(runs, start=1):
        name = run.profile.get("name") or ""
        versions = {"version": run.tool_version, "python": run.python}
        about.add(1, {"run": number, **versions, "endpoint": run.endpoint, "profile": name}, "_info")
        for package in sorted(run.packages):
            packages.add(1, {"run": number, "package": package, "version": run.packages[package]}, "_info")
        complete.add(not run.incomplete, {"run": number})
        moment = parsed_time(run.started)
        if moment is not None and moment.tzinfo is not None:
            started.add(moment.timestamp(), {"run": number})
        if run.seconds is not None:
            took.add(run.seconds, {"run": number})
    yield from (about, packages, complete, started, took)


def _conformance(conformance: Conformance) -> Iterator[Family]:
    requirements = Family("requirements", "gauge", "Requirements by level and verdict.")
    for level in LEVELS:
        for verdict in REQUIREMENT_VERDICTS:
            requirements.add(conformance.count(verdict, level), {"level": level, "verdict": verdict})
    checks = Family("checks", "gauge", "Checks by verdict.")
    for verdict in VERDICTS:
        checks.add(sum(check.verdict == verdict for check in conformance.checks), {"verdict": verdict})
    calls = Family("check_calls", "gauge", "Calls that checks made.")
    calls.add(sum(check.calls_made for check in conformance.checks))
    jobs = Family("check_jobs", "gauge", "Jobs that checks submitted.")
    jobs.add(sum(check.jobs for check in conformance.checks))
    took = Family("checks_duration", "gauge", "How long all checks took together.", "seconds")
    took.add(round(sum(check.seconds for check in conformance.checks), 6))
    yield from (requirements, checks, calls, jobs, took)


def _rates(found: Iterable[LoadRun]) -> Iterator[Family]:
    valid = Family("load_valid", "gauge", "Whether the figures of a load run count (1).")
    took = Family("load_duration", "gauge", "How long a load was put on.", "seconds")
    calls = Family("load_calls", "counter", "Measured calls under load by RPC and gRPC status code.")
    rate = Family("load_calls_per_second", "gauge", "Measured calls per second, in all and by RPC.")
    errors = Family("load_errors", "gauge", "The share of measured calls that did not end with OK.", "ratio")
    for item in found:
        load = {"load": item.name}
        valid.add(not flaw(item), load)
        took.add(item.load.seconds, load)
        for row, name in ((item.load.total, {}), *((row, {"rpc": row.rpc}) for row in item.load.rpcs)):
            rate.add(round(row.rate, 6), {**load, "rpc": "", **name})
            errors.add(round(row.error_count / row.count, 9) if row.count else 0, {**load, "rpc": "", **name})
        for row in item.load.rpcs:
            calls.add(row.count - row.error_count, {**load, "rpc": row.rpc, "code": "OK"}, "_total")
            for error in row.errors:
                calls.add(error.count, {**load, "rpc": row.rpc, "code": error.code}, "_total")
    yield from (valid, took, calls, rate, errors)


def _latencies(found: Iterable[LoadRun]) -> Iterator[Family]:
    by_rpc = Family("load_latency", "summary", "Times of calls that ended with OK; quantile 1 is the largest.", "seconds")
    service = Family("load_service_latency", "summary", "Of an open load: the times from when calls were sent.", "seconds")
    delays = Family("load_start_delay", "summary", "How much later than due the generator of an open load was.", "seconds")
    stages = Family("load_stage_latency", "summary", "The same by the stage in which a call began.", "seconds")
    phases = Family("load_job_phase", "summary", "How long jobs spent in each phase, as seen by polling.", "seconds")
    for item in found:
        load = {"load": item.name}
        by_rpc.add_spread(item.load.total.spread, {**load, "rpc": ""})
        for row in item.load.rpcs:
            by_rpc.add_spread(row.spread, {**load, "rpc": row.rpc})
        for stage in item.load.stages:
            labels = {**load, "stage": stage.name, "measured": str(stage.measured).lower()}
            stages.add_spread(stage.total.spread, {**labels, "rpc": ""})
            for row in stage.rpcs:
                stages.add_spread(row.spread, {**labels, "rpc": row.rpc})
        service.add_spread(item.load.service, load)
        delays.add_spread(item.load.delays, load)
        for phase in item.load.phases:
            phases.add_spread(phase.spread, {**load, "phase": phase.name})
    yield from (by_rpc, stages, service, delays, phases)


def _limits(found: Iterable[LoadRun]) -> Iterator[Family]:
    thresholds = Family("threshold_held", "gauge", "Whether a limit of the scenario was kept (1).")
    starts = Family("load_starts", "gauge", "What became of the starts of an open load, by stage.")
    rate = Family("load_highest_rate", "gauge", "The highest rate of starts per second that a search confirmed; 0: none.")
    for item in found:
        load = {"load": item.name}
        for line, name in zip(item.load.thresholds, distinct(line.expression for line in item.load.thresholds), strict=True):
            thresholds.add(line.held, {**load, "threshold": name})
        for stage, name in zip(item.load.arrivals, distinct(line.stage for line in item.load.arrivals), strict=True):
            for state in _STARTS:
                starts.add(getattr(stage, state), {**load, "stage": name, "state": state})
        if item.load.search is not None:
            rate.add(item.load.search.found, load)
    yield from (thresholds, starts, rate)


def _jobs(found: Iterable[LoadRun]) -> Iterator[Family]:
    jobs = Family("ledger_jobs", "gauge", "Jobs of a load run by what became of them.")
    violations = Family("ledger_violations", "gauge", "Promises that were broken, job by job.")
    for item in found:
        ledger: Ledger | None = item.load.ledger
        if ledger is not None:
            for name, state in _LEDGER_STATES.items():
                jobs.add(getattr(ledger, name), {"load": item.name, "state": state})
            violations.add(ledger.violation_count, {"load": item.name})
    yield from (jobs, violations)


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    # Nothing is cut or folded here: two series must not become one.
    return "{" + ",".join(f'{name}="{str(value).translate(_ESCAPES)}"' for name, value in labels.items()) + "}"


def _seconds(milliseconds: float) -> float:
    return round(milliseconds / 1000, 9)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
