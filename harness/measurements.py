"""Compare limits (`harness.thresholds`) with what a load run measured.

A limit on something of which the run has no sample has not held. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace

from harness.histogram import Histogram
from harness.record import Arrivals, Latency, Ledger, ThresholdLine
from harness.thresholds import BROKEN_FOR_GOOD, OPERATORS, TIME_UNITS, Threshold, plain

ENOUGH = 20
"""Samples of which a share or a mean says something while a run goes on; a percentile needs one beyond it as well."""


@dataclass(frozen=True)
class Measurements:
    """What a load run measured so far; `seconds` is how long calls were made, `stages` how long each stage has lasted.

    What was not measured (a warm-up) is passed over, except by the ledger: a promise may not be broken at any time. `counted` is
    how long the ledger was kept, if not for `seconds`.
    """

    seconds: float
    latencies: tuple[Latency, ...]
    ledger: Ledger
    arrivals: tuple[Arrivals, ...] = ()
    stages: Mapping[str, float] = field(default_factory=dict)
    counted: float | None = None

    def lines(self, kind: str, stage: str | None) -> list[Latency]:
        """Return the measured lines of a kind, of one stage or (None) of all."""
        return [line for line in self.latencies if line.kind == kind and line.measured and stage in {None, line.stage}]

    def starts(self, stage: str | None) -> list[Arrivals]:
        """Return the measured starts of one stage or (None) of all."""
        return [line for line in self.arrivals if line.measured and stage in {None, line.stage}]


@dataclass(frozen=True)
class Excerpt:
    """The part of a run that stands for it: `seconds` of one stage, and what the ledger has beyond `before`.

    `counted` is for how long that was entered in the ledger.
    """

    stage: str
    seconds: float
    counted: float
    before: Ledger

    def of(self, latencies: Iterable[Latency], arrivals: Iterable[Arrivals], ledger: Ledger) -> Measurements:
        """Return what was measured in this part: of the figures of the whole run, the stage's alone count as measured."""
        times = tuple(replace(line, measured=line.stage == self.stage) for line in latencies)
        starts = tuple(replace(line, measured=line.stage == self.stage) for line in arrivals)
        books = _since(ledger, self.before)
        return Measurements(self.seconds, times, books, starts, {self.stage: self.seconds}, self.counted)


def _since(ledger: Ledger, before: Ledger) -> Ledger:
    """Return what has been entered in a ledger since then; what is listed is listed as it is."""
    pairs = {item.name: (getattr(ledger, item.name), getattr(before, item.name)) for item in fields(Ledger)}
    return replace(ledger, **{name: now - then for name, (now, then) in pairs.items() if type(now) is int})


_TIMES_OF = {
    "rpc_duration": "rpc",
    "service_duration": "service",
    "job_duration": "lifecycle",
    "scheduling_delay": "scheduling",
}
"""The kind of samples that a limit on times looks at."""


def evaluate(threshold: Threshold, measured: Measurements) -> ThresholdLine:
    """Compare a limit with a run."""
    value, reason = _observe(threshold, measured)
    if value is None:
        return ThresholdLine(threshold.expression, "no samples", False, reason)
    held = OPERATORS[threshold.op](value, threshold.number)
    shown = _show(value, threshold)
    limit = f"{threshold.op} {plain(threshold.number)}{threshold.unit}"
    return ThresholdLine(threshold.expression, shown, held, "" if held else f"measured {shown}, the limit is {limit}")


def evaluate_all(thresholds: Iterable[Threshold], measured: Measurements) -> tuple[ThresholdLine, ...]:
    """Compare all limits of a scenario with a run, in order."""
    return tuple(evaluate(threshold, measured) for threshold in thresholds)


def broken(thresholds: Iterable[Threshold], measured: Measurements, elapsed: float) -> ThresholdLine | None:
    """Return the first limit that is to end the run now, `elapsed` seconds after the start of its load; None: it may go on.

    A limit on something of which there are no samples yet, or too few to say, ends nothing.
    """
    for threshold in thresholds:
        if threshold.abort_after is None or elapsed < threshold.abort_after:
            continue
        value, _ = _observe(threshold, measured)
        if value is not None and _is_broken(threshold, value, measured):
            return evaluate(threshold, measured)
    return None


def _is_broken(threshold: Threshold, value: float, measured: Measurements) -> bool:
    if threshold.aggregate == "count":
        return BROKEN_FOR_GOOD[threshold.op](value, threshold.number)
    if threshold.metric in _TIMES_OF:
        samples = _samples(threshold, measured).count
    else:
        _, samples, _ = _counted(threshold, measured)
    beyond = 100 - threshold.percent if threshold.percent is not None else 100.0
    needed = ENOUGH if beyond == 0 else max(ENOUGH, round(100 / beyond))
    return samples >= needed and not OPERATORS[threshold.op](value, threshold.number)


def _observe(threshold: Threshold, measured: Measurements) -> tuple[float | None, str]:
    """Return the measured value in the limit's unit, or None and why there is none."""
    stage = threshold.selected("stage")
    everything = sum(line.histogram.count for line in measured.lines("rpc", stage))
    if threshold.metric in _TIMES_OF:
        samples = _samples(threshold, measured)
        return _of_histogram(threshold, samples, everything)
    count, base, nothing = _counted(threshold, measured)
    if threshold.aggregate == "count":
        enough = everything if threshold.number == 0 else base
        return (float(count), "") if enough else (None, nothing)
    if not base:
        return None, nothing
    if threshold.unit == "%":
        return 100 * count / base, ""
    seconds = measured.seconds if stage is None else measured.stages[stage]
    if threshold.metric.startswith("jobs_") and measured.counted is not None:
        seconds = measured.counted
    if threshold.metric == "iterations":
        # Calls go on after the last start, and must not thin the rate of starts out.
        seconds = sum(measured.stages.get(line.stage, line.seconds) for line in measured.starts(stage))
    return (count / seconds, "") if seconds > 0 else (None, "the run took no time")


def _samples(threshold: Threshold, measured: Measurements) -> Histogram:
    merged = Histogram()
    name, code = threshold.selected("phase") or threshold.selected("rpc"), threshold.selected("code")
    kind, stage = _TIMES_OF[threshold.metric], threshold.selected("stage")
    # Closed loops send every call when it is meant to start, so they record its time once.
    lines = measured.lines(kind, stage) or (measured.lines("rpc", stage) if kind == "service" else [])
    for line in lines:
        if name in {None, line.name} and code in {None, line.code}:
            merged.merge(line.histogram)
    return merged


def _of_histogram(threshold: Threshold, samples: Histogram, everything: int) -> tuple[float | None, str]:
    if threshold.aggregate == "count" and threshold.number == 0 and everything:
        return float(samples.count), ""
    if not samples.count:
        return None, "no samples: nothing of this was measured"
    readers: Mapping[str, Callable[[], float]] = {
        "count": lambda: samples.count,
        "avg": lambda: samples.mean,
        "min": lambda: samples.smallest,
        "max": lambda: samples.largest,
        "med": lambda: samples.percentile(50),
        "p": lambda: samples.percentile(threshold.percent or 0),
    }
    return readers[threshold.aggregate]() / TIME_UNITS.get(threshold.unit, 1.0), ""


def _counted(threshold: Threshold, measured: Measurements) -> tuple[int, int, str]:
    """Return the count, the number of things among which it was counted, and what to say when there are none."""
    ledger, stage = measured.ledger, threshold.selected("stage")
    if threshold.metric in {"iterations", "dropped", "late"}:
        starts = measured.starts(stage)
        count = sum({"iterations": line.started, "dropped": line.dropped, "late": line.late}[threshold.metric] for line in starts)
        return count, sum(line.scheduled for line in starts), "no samples: no start was scheduled"
    if threshold.metric in {"rpcs", "errors"}:
        rpc, code = threshold.selected("rpc"), threshold.selected("code")
        lines = [line for line in measured.lines("rpc", stage) if rpc in {None, line.name}]
        wanted = [line for line in lines if code in {None, line.code} and (threshold.metric == "rpcs" or line.code != "OK")]
        base = sum(line.histogram.count for line in lines)
        return sum(line.histogram.count for line in wanted), base, "no samples: no such call was made"
    if threshold.metric in {"unknown_submissions", "replays", "ledger_violations"}:
        count = {
            "unknown_submissions": ledger.unknown_submissions,
            "replays": ledger.replays,
            "ledger_violations": ledger.violation_count,
        }[threshold.metric]
        return count, ledger.submissions, "no samples: nothing was submitted"
    status = threshold.selected("status")
    jobs = {
        "jobs_submitted": ledger.acknowledged_jobs,
        "jobs_unfinished": ledger.unfinished,
        "jobs_lost": ledger.lost,
        "jobs_duplicated": ledger.duplicated,
        "jobs_unexpected": ledger.unexpected,
        "jobs_finished": _finished(ledger, status),
    }
    return jobs[threshold.metric], ledger.acknowledged_jobs, "no samples: no job was acknowledged"


def _finished(ledger: Ledger, status: str | None) -> int:
    succeeded = ledger.finished - ledger.canceled - ledger.failed
    by_status = {None: ledger.finished, "SUCCEEDED": succeeded, "CANCELED": ledger.canceled, "FAILED": ledger.failed}
    return by_status[status]


def _show(value: float, threshold: Threshold) -> str:
    if threshold.aggregate == "count":
        return f"{value:.0f}"
    if threshold.unit not in TIME_UNITS:
        return f"{value:.4g}{threshold.unit}"
    micros = value * TIME_UNITS[threshold.unit]
    unit = "us" if micros < 1e3 else "ms" if micros < 1e6 else "s"
    return f"{micros / TIME_UNITS[unit]:.4g}{unit}"
