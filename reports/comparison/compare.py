"""Compare the runs of two sides: what changed in the verdicts, and which measures became worse or better.

Few measures gate: the latency of all calls (the geometric mean of the p50 of all RPCs), of each RPC p50 and p95, of all calls the
rate and the share that failed; of searches the highest rate. Their intervals hold together with `CONFIDENCE`: the first one has
half of the chance to miss, the others share the other half (Bonferroni), so that equal sides raise a false alarm in one of twenty
cases at most, however many RPCs there are. Everything else is shown for information. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.gates import plural
from harness.record import Record
from reports.comparison.fingerprint import different, differing_keys, fingerprints, invalid
from reports.comparison.measures import measures_of
from reports.comparison.samples import LoadRun, load_runs
from reports.comparison.values import CONFIDENCE, DIFFERENCES, Comparison, Refusal, Settings, Side
from reports.comparison.verdicts import changed_verdicts, judged
from reports.text import cleaned, parsed_time

SINGLE = (
    "One load run on each side: what differs from run to run does not show in it and is only assumed. "
    "Take turns with both builds, five runs each, for intervals that know."
)
"""What to do about too few runs."""


ONE_AFTER_THE_OTHER = (
    "All load runs of one side came before those of the other: a machine that became slower meanwhile looks like a slower build. "
    "Take turns with both builds."
)
"""What to do about runs that did not take turns."""


def compare(base: Sequence[Record], new: Sequence[Record], settings: Settings | None = None) -> Comparison:
    """Compare two sides; records that cannot be compared give a comparison that holds nothing but refusals.

    Raises ValueError without a record on each side.
    """
    if not base or not new:
        raise ValueError("a comparison needs at least one record on each side")
    one, two = _side(base), _side(new)
    settings = settings or Settings()
    return cleaned(_comparison(one, two, settings, _refusals(one, two, settings)))


@dataclass(frozen=True)
class _Side:
    """The records of one side, each run once, and the load runs in them; `repeated` counts records of a run that is there."""

    records: tuple[Record, ...]
    runs: tuple[LoadRun, ...]
    repeated: int

    @property
    def parts(self) -> tuple[str, ...]:
        """What can be compared."""
        return (*(("checks",) if judged(self.records) else ()), *(("load",) if self.runs else ()))


def _side(records: Sequence[Record]) -> _Side:
    unique = tuple({record.header.run_id: record for record in reversed(records)}.values())[::-1]
    return _Side(unique, load_runs(unique), len(records) - len(unique))


def _refusals(base: _Side, new: _Side, settings: Settings) -> tuple[Refusal, ...]:
    records = (*base.records, *new.records)
    found = tuple(refusal for record in records if (refusal := invalid(record)) is not None)
    found = found or different(records, settings.allowed)
    if found or set(base.parts) & set(new.parts):
        return found
    one, two = (" and ".join(side.parts) or "nothing" for side in (base, new))
    return (Refusal("nothing", f"the sides have nothing in common: the base has {one}, the new side has {two}"),)


def _comparison(base: _Side, new: _Side, settings: Settings, refusals: tuple[Refusal, ...]) -> Comparison:
    shared = set() if refusals else set(base.parts) & set(new.parts)
    by_second = len(base.runs) == len(new.runs) == 1 and not base.runs[0].load.search
    return Comparison(
        base=_origin(base.records),
        new=_origin(new.records),
        floor=settings.floor,
        seed=settings.seed,
        confidence=CONFIDENCE,
        unit="" if "load" not in shared else "seconds" if by_second else "runs",
        refusals=refusals,
        notices=() if refusals else _notices(base, new, settings),
        changes=changed_verdicts(base.records, new.records) if "checks" in shared else (),
        measures=measures_of(base.runs, new.runs, settings) if "load" in shared else (),
    )


def _origin(records: Sequence[Record]) -> Side:
    headers = [record.header for record in records]
    return Side(
        sources=tuple(record.source for record in records),
        run_ids=tuple(header.run_id for header in headers),
        started=tuple(header.started for header in headers),
        endpoints=tuple(dict.fromkeys(header.endpoint for header in headers)),
        tool_versions=tuple(dict.fromkeys(header.tool_version for header in headers)),
    )


def _notices(base: _Side, new: _Side, settings: Settings) -> tuple[str, ...]:
    found = []
    for kind in DIFFERENCES:
        if kind in settings.allowed:
            keys = differing_keys(fingerprints(base.records[0])[kind], fingerprints(new.records[0])[kind])
            found += [f"The {kind}s differ, as allowed, in {', '.join(keys)}."] if keys else []
    for part, label in (("checks", "Checks were made"), ("load", "Load was put")):
        if (part in base.parts) != (part in new.parts):
            found.append(f"{label} on the {'base' if part in base.parts else 'new side'} only: nothing to compare there.")
    if len(base.runs) == len(new.runs) == 1:
        found.append(SINGLE)
    elif base.runs and new.runs and _one_after_the_other(base, new):
        found.append(ONE_AFTER_THE_OTHER)
    if base.repeated or new.repeated:
        found.append(f"{plural(base.repeated + new.repeated, 'record')} of runs that were there already: each run counts once.")
    shared = {record.header.run_id for record in base.records} & {record.header.run_id for record in new.records}
    return (*found, *((f"{plural(len(shared), 'run')} on both sides.",) if shared else ()))


def _one_after_the_other(base: _Side, new: _Side) -> bool:
    """Whether no run of one side began before the last one of the other."""
    one, two = _starts(base), _starts(new)
    return bool(one and two) and (max(one) < min(two) or max(two) < min(one))


def _starts(side: _Side) -> list[float]:
    times = (parsed_time(record.header.started) for record in side.records)
    return [time.timestamp() for time in times if time is not None and time.tzinfo is not None]
