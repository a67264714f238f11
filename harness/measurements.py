"""Compare limits (`harness.thresholds`) with what a load run measured.

A limit on something of which the run has no sample has not held. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from harness.histogram import Histogram
from harness.record import Latency, Ledger, ThresholdLine
from harness.thresholds import OPERATORS, TIME_UNITS, Threshold, plain


@dataclass(frozen=True)
class Measurements:
    """What a load run measured; `seconds` is how long calls were made."""

    seconds: float
    latencies: tuple[Latency, ...]
    ledger: Ledger


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


def _observe(threshold: Threshold, measured: Measurements) -> tuple[float | None, str]:
    """Return the measured value in the limit's unit, or None and why there is none."""
    everything = sum(line.histogram.count for line in measured.latencies if line.kind == "rpc")
    if threshold.metric in {"rpc_duration", "job_duration"}:
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
    return (count / measured.seconds, "") if measured.seconds > 0 else (None, "the run took no time")


def _samples(threshold: Threshold, measured: Measurements) -> Histogram:
    merged = Histogram()
    if threshold.metric == "job_duration":
        wanted: tuple[str, str | None, str | None] = ("lifecycle", threshold.selected("phase"), None)
    else:
        wanted = ("rpc", threshold.selected("rpc"), threshold.selected("code"))
    kind, name, code = wanted
    for line in measured.latencies:
        if line.kind == kind and name in {None, line.name} and code in {None, line.code}:
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
    ledger = measured.ledger
    if threshold.metric in {"rpcs", "errors"}:
        rpc, code = threshold.selected("rpc"), threshold.selected("code")
        lines = [line for line in measured.latencies if line.kind == "rpc" and rpc in {None, line.name}]
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
