"""What a comparison of runs shows, as frozen values: every renderer reads these and nothing else.

Latencies are milliseconds, rates are per second, shares and effects are per cent. An effect is what the new side has more than
the base, relative to the base; of shares it is the difference in percentage points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FLOOR = 5.0
"""Noise floor in per cent: smaller effects are not worth an alarm."""
SHARE_FLOOR = 0.5
"""Noise floor of shares of calls, in percentage points."""
CONFIDENCE = 95.0
"""Confidence in per cent, of all intervals that gate together."""

DIFFERENCES = ("scenario", "profile", "machine")
"""What has to be the same on both sides."""
CAUSES: Mapping[str, str] = {
    "endpoint": "the endpoint: profile and suite are the same",
    "suite": "the suite: another version, requirement or choice of checks",
    "profile": "the profile",
}
"""What may have made a verdict change."""
CHANGE_KINDS = ("regression", "found", "lost", "fixed", "other")
"""A change of verdict: passed and now fails; failed to be judged and now fails; passed and is now open; failed and now passes."""
MEASURE_VERDICTS: Mapping[str, str] = {
    "regression": "worse: the interval excludes zero and the effect is beyond the floor",
    "improvement": "better: the interval excludes zero and the effect is beyond the floor",
    "unchanged": "the effect is within the floor, and the interval shows that",
    "inconclusive": "the data does not say: an effect beyond the floor can be neither shown nor ruled out",
    "informative": "shown, but no gate",
}
"""What can be said of a measure."""


@dataclass(frozen=True)
class Settings:
    """How to compare. `allowed` names the `DIFFERENCES` that are no reason to refuse; the same seed gives the same intervals."""

    floor: float = FLOOR
    seed: int = 1
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Side:
    """Where one side comes from: a source, a run id, and the start (ISO 8601) of each record."""

    sources: tuple[str, ...]
    run_ids: tuple[str, ...]
    started: tuple[str, ...]
    endpoints: tuple[str, ...]
    tool_versions: tuple[str, ...]


@dataclass(frozen=True)
class Refusal:
    """Why records cannot be compared: `invalid` (a run that says nothing), one of `DIFFERENCES`, or `nothing` in common."""

    kind: str
    text: str


@dataclass(frozen=True)
class Change:
    """A requirement whose verdict changed; `kind` is one of `CHANGE_KINDS`, `causes` are keys of `CAUSES`."""

    requirement: str
    level: str
    statement: str
    before: str
    after: str
    kind: str
    causes: tuple[str, ...]
    detail: str


@dataclass(frozen=True)
class Measure:
    """A figure on both sides, and what is known of its effect; `low` and `high` bound the confidence interval.

    `subject` is an RPC, `all calls`, `jobs:` with a phase, or `search`; `statistic` is latency (the geometric mean of the p50 of
    all RPCs), p50, p95, p99, mean, rate, errors or highest rate; `unit` is that of `base` and `new`, `effect_unit` is `%` or
    `points`. `worse` is the sign of effects that are bad: +1 for latencies, -1 for rates. Without an interval, `reason` says why.
    """

    name: str
    subject: str
    statistic: str
    unit: str
    base: float | None
    new: float | None
    effect: float | None
    effect_unit: str
    low: float | None
    high: float | None
    floor: float
    worse: int
    gates: bool
    verdict: str
    reason: str


@dataclass(frozen=True)
class Comparison:
    """All that is known of the difference between two sides.

    `unit` says what was resampled: `runs`, `seconds` (blocks of them, when there is one run on each side) or "" (no load).
    With `refusals` there is nothing else.
    """

    base: Side
    new: Side
    floor: float
    seed: int
    confidence: float
    unit: str
    refusals: tuple[Refusal, ...]
    notices: tuple[str, ...]
    changes: tuple[Change, ...]
    measures: tuple[Measure, ...]

    @property
    def regressed(self) -> bool:
        """Whether anything became worse: a requirement that passed fails, or a measure that gates is worse."""
        return any(change.kind == "regression" for change in self.changes) or any(
            measure.verdict == "regression" for measure in self.measures
        )

    @property
    def regressions(self) -> tuple[str, ...]:
        """The names of what became worse: requirements, then measures."""
        return (
            *(change.requirement for change in self.changes if change.kind == "regression"),
            *(measure.name for measure in self.measures if measure.verdict == "regression"),
        )
