"""Limits on what a load run measured, as one-line expressions in the manner of k6: `errors{rpc:...}: rate < 0.1%`.

`parse_threshold` turns text into a frozen value and refuses everything that could never be measured;
`harness.measurements` compares it with a run. Pure.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.config import option
from harness.errors import ConfigError
from harness.history import Rpc
from harness.model import TERMINAL

PHASES: Mapping[str, str] = {
    "queued": "from the acknowledgement to the first sight of a later status than QUEUED",
    "running": "from the first sight of RUNNING to the first of a later status",
    "post_processing": "from the first sight of POST_PROCESSING to the first of a later status",
    "to_result": "from the submission's start to the answer with the result",
}
"""Phases of a job's life that are measured; all but the last are as exact as the polling interval."""

CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""Names of the gRPC status codes."""

TIME_UNITS: Mapping[str, float] = {"us": 1.0, "ms": 1e3, "s": 1e6, "min": 6e7}
"""Units of time, in microseconds."""
_PERCENTILE = "p(N)"
_TIMES = (_PERCENTILE, "avg", "min", "med", "max", "count")
_RPCS = tuple(rpc.value for rpc in Rpc)

SHORT_NAMES: Mapping[str, str] = {
    "GetStatus": Rpc.STATUS.value,
    "GetResults": Rpc.RESULTS.value,
    "Execute": Rpc.EXECUTE.value,
    "BatchExecute": Rpc.BATCH.value,
    "Cancel": Rpc.CANCEL.value,
}
"""Names that the selector `rpc` takes beside the full ones."""


@dataclass(frozen=True)
class Limit:
    """An entry of a scenario's `thresholds` that says more than its expression."""

    limit: str = option("the limit, in quotes", example='"errors: rate < 5%"')
    abort_on_fail: bool = option(
        "end the run, in order, as soon as the limit has not held: it is compared once a second with what was measured so far",
        default=False,
    )
    delay: float = option("how long after the start of the load that begins", kind="duration", default=0.0, minimum=0)


@dataclass(frozen=True)
class Metric:
    """Something that can be limited: which selectors narrow it, which aggregates it has, and the unit of its `rate`.

    What is `staged` can be narrowed to a stage of the scenario as well.
    """

    doc: str
    aggregates: tuple[str, ...] = ("count",)
    selectors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    rate_unit: str = ""
    staged: bool = False


METRICS: Mapping[str, Metric] = {
    "rpc_duration": Metric(
        "time of calls, failed ones among them; the first call of an iteration counts from when it was meant to start",
        _TIMES,
        {"rpc": _RPCS, "code": CODES},
        staged=True,
    ),
    "service_duration": Metric(
        "time of calls from when they were really sent; differs from rpc_duration in open loads only",
        _TIMES,
        {"rpc": _RPCS, "code": CODES},
        staged=True,
    ),
    "rpcs": Metric("calls", ("count", "rate"), {"rpc": _RPCS, "code": CODES}, rate_unit="/s", staged=True),
    "errors": Metric(
        "calls that were not answered OK", ("count", "rate"), {"rpc": _RPCS, "code": CODES[1:]}, rate_unit="%", staged=True
    ),
    "job_duration": Metric("time of jobs in one phase", _TIMES, {"phase": tuple(PHASES)}, required=("phase",), staged=True),
    "iterations": Metric("iterations that were started (open loads)", ("count", "rate"), rate_unit="/s", staged=True),
    "dropped": Metric("starts that found no free user (open loads)", ("count", "rate"), rate_unit="%", staged=True),
    "late": Metric("starts that the generator made too late (open loads)", ("count", "rate"), rate_unit="%", staged=True),
    "scheduling_delay": Metric("how much later than due the generator made starts (open loads)", _TIMES, staged=True),
    "jobs_submitted": Metric("jobs that the endpoint acknowledged", ("count", "rate"), rate_unit="/s"),
    "jobs_finished": Metric(
        "jobs seen in a terminal status",
        ("count", "rate"),
        {"status": tuple(sorted(status.value for status in TERMINAL))},
        rate_unit="/s",
    ),
    "jobs_unfinished": Metric("jobs never seen in a terminal status"),
    "jobs_lost": Metric("acknowledged jobs that the endpoint denied when they were asked for at the end"),
    "jobs_duplicated": Metric("ids that were given twice, and jobs that a replay made"),
    "jobs_unexpected": Metric("ids that no configuration asked for"),
    "unknown_submissions": Metric("submissions of which nobody knows whether they were accepted"),
    "replays": Metric("submissions repeated with their key"),
    "ledger_violations": Metric("broken invariants"),
}
"""All metrics by name."""

OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}

BROKEN_FOR_GOOD: Mapping[str, Callable[[float, float], bool]] = {"<": operator.ge, "<=": operator.gt, "==": operator.gt}
"""When a count, which only grows, has broken a limit whatever comes."""
_KNOWN_AT_THE_END = frozenset({"jobs_unfinished", "unknown_submissions"})

_EXPRESSION = re.compile(
    r"\s*(?P<metric>[A-Za-z_]\w*)\s*(?:\{(?P<selectors>[^{}]*)\})?\s*:"
    r"\s*(?P<aggregate>[A-Za-z_]\w*)\s*(?:\(\s*(?P<percent>\d+(?:\.\d+)?)\s*\))?"
    r"\s*(?P<op><=|>=|==|!=|<|>)\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[A-Za-z%/]*)\s*"
)


@dataclass(frozen=True)
class Threshold:
    """A parsed limit. `number` is in `unit`; `percent` is set for the aggregate `p` only.

    A run is ended early once the limit has not held `abort_after` seconds or later after the start of its load; None: never.
    """

    expression: str
    metric: str
    selectors: tuple[tuple[str, str], ...]
    aggregate: str
    percent: float | None
    op: str
    number: float
    unit: str
    abort_after: float | None = None

    def selected(self, name: str) -> str | None:
        """Return the value of a selector, or None when it does not narrow."""
        return dict(self.selectors).get(name)

    @property
    def canonical(self) -> str:
        """The expression in its standard spelling; it parses to the same limit."""
        chosen = ",".join(f"{name}:{value}" for name, value in self.selectors)
        aggregate = f"p({self.percent:g})" if self.percent is not None else self.aggregate
        return f"{self.metric}{'{' + chosen + '}' if chosen else ''}: {aggregate} {self.op} {plain(self.number)}{self.unit}"


def parse_threshold(
    entry: str | Limit, source: str = "", line: int | None = None, key: str = "", stages: Sequence[str] = ()
) -> Threshold:
    """Parse an expression; `source`, `line` and `key` say in errors where it stands. Raises ConfigError.

    `stages` are the names of the stages that can be selected.
    """
    limit = entry if isinstance(entry, Limit) else Limit(entry)
    try:
        threshold = _parse(limit.limit, stages)
        if not limit.abort_on_fail:
            return threshold
        _check_abortable(threshold)
        return replace(threshold, abort_after=limit.delay)
    except ValueError as error:
        raise ConfigError(f"threshold {limit.limit!r}: {error}", source=source, line=line, key=key) from None


def _check_abortable(threshold: Threshold) -> None:
    """Refuse to end a run early for a limit that may still come to hold. Raises ValueError."""
    if threshold.metric in _KNOWN_AT_THE_END:
        raise ValueError(f"abort_on_fail does not go with {threshold.metric}: work in progress counts among them until the end")
    if threshold.aggregate == "count" and threshold.op not in BROKEN_FOR_GOOD:
        raise ValueError(f"abort_on_fail does not go with count {threshold.op}: a count that is too small may still grow")


def _parse(text: str, stages: Sequence[str]) -> Threshold:
    match = _EXPRESSION.fullmatch(text)
    if match is None:
        raise ValueError("not of the form `metric{selector:value}: aggregate op number unit`, such as `errors: rate < 1%`")
    metric = METRICS[_known("metric", match["metric"], METRICS)]
    selectors = _selectors(match["metric"], metric, match["selectors"], stages)
    aggregate = _aggregate(match["metric"], metric, match["aggregate"], match["percent"])
    percent = float(match["percent"]) if match["percent"] else None
    if percent is not None and not 0 < percent <= 100:
        raise ValueError(f"p({match['percent']}) is no percentile; write a number above 0, up to 100")
    units = _units(metric, aggregate)
    if match["unit"] not in units:
        wanted = " or ".join(units) if units != ("",) else "no unit"
        given = f"the unit {match['unit']!r}" if match["unit"] else "a number without a unit"
        raise ValueError(f"{given} does not go with {match['metric']}: {aggregate}; expected {wanted}")
    return Threshold(
        text.strip(), match["metric"], selectors, aggregate, percent, match["op"], float(match["number"]), match["unit"]
    )


def _selectors(name: str, metric: Metric, text: str | None, stages: Sequence[str]) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    known: Mapping[str, Sequence[str]] = {**metric.selectors, **({"stage": stages} if metric.staged else {})}
    for part in text.split(",") if text is not None else ():
        key, colon, value = (piece.strip() for piece in part.partition(":"))
        if not colon:
            raise ValueError(f"{part.strip()!r} is no selector; write {{selector:value}}")
        if not known:
            raise ValueError(f"{name} has no selectors")
        _known(f"selector of {name}", key, known)
        if not known[key]:
            raise ValueError("the scenario has no stages to select from")
        if key in found:
            raise ValueError(f"the selector {key!r} is given twice")
        short = SHORT_NAMES if key == "rpc" else {}
        found[key] = short.get(value) or _known(f"value of {key}", value, (*known[key], *short))
    missing = next((key for key in metric.required if key not in found), None)
    if missing is not None:
        raise ValueError(f"{name} needs the selector {missing!r}: one of {', '.join(metric.selectors[missing])}")
    return tuple(sorted(found.items()))


def _aggregate(name: str, metric: Metric, aggregate: str, percent: str | None) -> str:
    written = _PERCENTILE if percent is not None and aggregate == "p" else aggregate
    if written == "p":
        raise ValueError("p needs a percentile, such as p(99)")
    if written != _PERCENTILE and percent is not None:
        raise ValueError(f"{aggregate} takes no number in parentheses; percentiles are written p(99)")
    _known(f"aggregate of {name}", written, metric.aggregates)
    return aggregate


def _units(metric: Metric, aggregate: str) -> tuple[str, ...]:
    if aggregate == "count":
        return ("",)
    return (metric.rate_unit,) if aggregate == "rate" else tuple(TIME_UNITS)


def _known(what: str, name: str, names: Iterable[str]) -> str:
    known = list(names)
    if name not in known:
        near = difflib.get_close_matches(name, known, 1, cutoff=0.5)
        folded = next((each for each in known if each.lower() == name.lower()), None)
        hint = folded or (near[0] if near else None)
        raise ValueError(f"unknown {what} {name!r}; " + (f"did you mean {hint!r}?" if hint else f"one of {', '.join(known)}"))
    return name


def plain(number: float) -> str:
    """Return a number as it is written in an expression."""
    return f"{number:f}".rstrip("0").rstrip(".") if number != int(number) else f"{int(number)}"
