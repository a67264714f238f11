"""The measures of load: a figure on both sides, its effect, the interval, and what follows from them. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from reports.comparison.bootstrap import FEWEST_SECONDS, Estimate, Ratio, Transform, of_blocks, of_runs, trimmed_mean
from reports.comparison.samples import PERCENTILES, LoadRun
from reports.comparison.values import CONFIDENCE, SHARE_FLOOR, Measure, Settings

RUN_TO_RUN = 2.5
"""By how many per cent the same measure of two runs is assumed to differ (standard deviation), where nothing shows it."""
ALL = "all calls"
"""The subject of measures of all RPCs together."""
LATENCY = "latency"
"""The statistic that sums up all: the geometric mean of the p50 of the RPCs with calls enough."""
SEARCH = "search"
"""The subject of what a search found."""
GATING = ("p50", "p95")
"""Percentiles that gate, of RPCs with calls enough."""

_CALLS_IN_A_RUN = 10
"""How many times the calls of a second a whole run needs, so that ten calls lie beyond the percentile."""


@dataclass(frozen=True)
class _Kind:
    """What is measured: fields as in `Measure`. Differences of shares are plain, all others are of logarithms."""

    subject: str
    statistic: str
    unit: str
    worse: int
    gates: bool

    @property
    def share(self) -> bool:
        """Whether it is a share of all calls."""
        return self.unit == "%"


@dataclass(frozen=True)
class _Draft:
    """A measure before its interval: `estimate` returns that for a tail, unless a `reason` says why there can be none."""

    kind: _Kind
    base: float | None
    new: float | None
    estimate: Callable[[float], Estimate | None]
    reason: str


def measures_of(base: Sequence[LoadRun], new: Sequence[LoadRun], settings: Settings) -> tuple[Measure, ...]:
    """Return all measures, those that gate first."""
    drafts = sorted(_drafts(base, new, settings.seed), key=lambda draft: (not draft.kind.gates, draft.kind.statistic != LATENCY))
    gating = [draft.kind for draft in drafts if draft.kind.gates]
    return tuple(_measure(draft, settings.floor, _share(draft.kind, gating)) for draft in drafts)


def _share(kind: _Kind, gating: Sequence[_Kind]) -> int:
    """Return into how many parts the chance of a false alarm is cut for a measure: the latency of all calls has one of two.

    A build that is slower everywhere is the usual case, and should not be missed because there are many RPCs.
    """
    if not kind.gates or len(gating) == 1:
        return 1
    if all(other.statistic != LATENCY for other in gating):
        return len(gating)
    return 2 if kind.statistic == LATENCY else 2 * (len(gating) - 1)


def _drafts(base: Sequence[LoadRun], new: Sequence[LoadRun], seed: int) -> Iterator[_Draft]:
    runs = (*base, *new)
    if any(run.load.search for run in runs):
        found = [[run.load.search.found for run in side if run.load.search] for side in (base, new)]
        yield _of_runs(_Kind(SEARCH, "highest rate", "/s", -1, True), found[0], found[1], seed)
        return
    single = len(base) == len(new) == 1
    rpcs = sorted({rpc for run in runs for rpc in run.rpcs})
    frequent = [rpc for rpc in rpcs if all(_has_enough(run, rpc, "p50", single) for run in runs)]
    overall = _Kind(ALL, LATENCY, "ms", 1, bool(frequent))
    if single:
        yield _of_percentiles(overall, base[0].typical_of_all(frequent), new[0].typical_of_all(frequent), seed)
    else:
        yield _of_runs(overall, [run.latency(frequent) for run in base], [run.latency(frequent) for run in new], seed)
    for rpc in rpcs:
        for statistic in (*PERCENTILES, "mean"):
            enough = statistic in PERCENTILES and all(_has_enough(run, rpc, statistic, single) for run in runs)
            kind = _Kind(rpc, statistic, "ms", 1, enough and statistic in GATING)
            if single and statistic in PERCENTILES:
                yield _of_percentiles(kind, base[0].typical(rpc, statistic), new[0].typical(rpc, statistic), seed)
            else:
                values = [[run.percentile(rpc, statistic) or 0.0 for run in side] for side in (base, new)]
                yield _of_runs(kind, values[0], values[1], seed)
    for phase in sorted({phase.name for run in runs for phase in run.load.phases}):
        for statistic in ("p50", "p95"):
            values = [[run.phase(phase, statistic) or 0.0 for run in side] for side in (base, new)]
            yield _of_runs(_Kind(f"jobs: {phase}", statistic, "ms", 1, False), values[0], values[1], seed)
    rate, errors = _Kind(ALL, "rate", "/s", -1, True), _Kind(ALL, "errors", "%", 1, True)
    if single:
        yield _of_ratios(rate, base[0].rates(), new[0].rates(), seed)
        yield _of_ratios(errors, base[0].failures(), new[0].failures(), seed)
    else:
        yield _of_runs(rate, [run.load.total.rate for run in base], [run.load.total.rate for run in new], seed)
        yield _of_runs(errors, [run.failed for run in base], [run.failed for run in new], seed)


def _has_enough(run: LoadRun, rpc: str, statistic: str, single: bool) -> bool:
    """Whether an RPC has calls enough, in most seconds or in the whole run, for a percentile to mean something."""
    if single:
        return run.calls_per_second(rpc) >= PERCENTILES[statistic]
    row = run.rpcs.get(rpc)
    return row is not None and row.count - row.error_count >= _CALLS_IN_A_RUN * PERCENTILES[statistic]


def _of_percentiles(kind: _Kind, base: Sequence[Ratio], new: Sequence[Ratio], seed: int) -> _Draft:
    """Return a percentile as it was in a typical second: the geometric mean over all of them."""
    shown = [math.exp(fmean(part[0] for part in side)) if side else None for side in (base, new)]
    reason = _too_short(base, new) if base and new else _absence(base, new)

    def estimate(tail: float) -> Estimate | None:
        return of_blocks(base, new, transform=float, tail=tail, seed=seed, between=RUN_TO_RUN / 100)

    return _Draft(kind, shown[0], shown[1], estimate, reason)


def _of_ratios(kind: _Kind, base: Sequence[Ratio], new: Sequence[Ratio], seed: int) -> _Draft:
    """Return a ratio of sums over the seconds of one run on each side: a rate, or (in per cent) a share."""
    ratios = [sum(part[0] for part in side) / sum(part[1] for part in side) if side else None for side in (base, new)]
    transform: Transform = _percent if kind.share else math.log
    between = 0.0 if kind.share else RUN_TO_RUN / 100

    def estimate(tail: float) -> Estimate | None:
        return of_blocks(base, new, transform=transform, tail=tail, seed=seed, between=between)

    shown = [None if value is None else _percent(value) if kind.share else value for value in ratios]
    return _Draft(kind, shown[0], shown[1], estimate, _too_short(base, new))


def _of_runs(kind: _Kind, base: Sequence[float], new: Sequence[float], seed: int) -> _Draft:
    """Return a measure of whole runs: their (trimmed) geometric mean, of shares the mean; 0 is no value unless it is a share."""
    if not kind.share and not all(min(side, default=0.0) > 0 for side in (base, new)):
        return _Draft(replace(kind, gates=False), None, None, lambda _: None, _absence(base, new))
    parts = [side if kind.share else [math.log(value) for value in side] for side in (base, new)]
    shown = [trimmed_mean(side) if kind.share else math.exp(trimmed_mean(side)) for side in parts]
    few = "" if len(base) + len(new) > 2 else "one run on each side: their scatter is not known"

    def estimate(tail: float) -> Estimate | None:
        return of_runs(parts[0], parts[1], tail=tail, seed=seed)

    return _Draft(kind, shown[0], shown[1], estimate, few)


def _absence(base: Sequence[object], new: Sequence[object]) -> str:
    """Say where values are missing, when some are."""
    if any(base) and any(new):
        return "not in every run"
    return f"on the {'base' if any(base) else 'new side'} only" if any(base) or any(new) else "too few calls"


def _too_short(base: Sequence[Ratio], new: Sequence[Ratio]) -> str:
    shortest = min(len(base), len(new))
    return "" if shortest >= FEWEST_SECONDS else f"{shortest} whole seconds measured, and it takes {FEWEST_SECONDS}"


def _percent(value: float) -> float:
    return 100 * value


def _measure(draft: _Draft, floor: float, parts: int) -> Measure:
    """Judge a measure; its interval may miss with a chance of one of so many parts of what all may together."""
    kind, tail = draft.kind, (1 - CONFIDENCE / 100) / 2 / parts
    estimate = None if draft.reason else draft.estimate(tail)
    effect = low = high = None
    if draft.base is not None and draft.new is not None and (draft.base or kind.share):
        effect = draft.new - draft.base if kind.share else 100 * (draft.new / draft.base - 1)
    if estimate is not None:
        low, effect, high = (
            value if kind.share else 100 * math.expm1(value) for value in (estimate.low, estimate.difference, estimate.high)
        )
    floor = SHARE_FLOOR if kind.share else floor
    return Measure(
        name=kind.statistic if kind.subject == SEARCH else f"{kind.statistic} of {kind.subject}",
        subject=kind.subject,
        statistic=kind.statistic,
        unit=kind.unit,
        base=draft.base,
        new=draft.new,
        effect=effect,
        effect_unit="points" if kind.share else "%",
        low=low,
        high=high,
        floor=floor,
        worse=kind.worse,
        gates=kind.gates,
        verdict=_verdict(kind, floor, effect, (low, high)),
        reason=draft.reason or ("" if estimate is not None else "too few calls to resample"),
    )


def _verdict(kind: _Kind, floor: float, effect: float | None, bounds: tuple[float | None, float | None]) -> str:
    """Judge by interval and floor. Of ratios, the floor downwards is that of the inverse, so that swapped sides agree."""
    low, high = bounds
    if not kind.gates:
        return "informative"
    if effect is None or low is None or high is None:
        return "inconclusive"
    lowest = -floor if kind.share else 100 * (1 / (1 + floor / 100) - 1)
    certain = low > 0 or high < 0
    if certain and not lowest <= effect <= floor:
        return "regression" if effect * kind.worse > 0 else "improvement"
    return "unchanged" if certain or (lowest <= low and high <= floor) else "inconclusive"
