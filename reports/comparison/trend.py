"""The trend over many runs: those that can be compared, in their order, with the points where a measure changed level. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from reports.comparison.changepoints import change_points
from reports.comparison.measures import ALL, SEARCH
from reports.comparison.summaries import Entry, Figure, RunSummary
from reports.comparison.values import SHARE_FLOOR, Change, Settings
from reports.comparison.verdicts import changed_verdicts
from reports.text import cleaned


@dataclass(frozen=True)
class ChangePoint:
    """A new level from the run at `place` on: medians before and after, the effect as in `Measure`, and whether it is worse."""

    place: int
    before: float
    after: float
    effect: float
    worse: bool


@dataclass(frozen=True)
class Trend:
    """A measure over the runs of a group; `points` are (place of the run, value), other fields are as in `Measure`."""

    name: str
    subject: str
    statistic: str
    unit: str
    effect_unit: str
    points: tuple[tuple[int, float], ...]
    changes: tuple[ChangePoint, ...]


@dataclass(frozen=True)
class VerdictChange:
    """What changed in the verdicts from one run with checks to the next, that at `place`."""

    place: int
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Group:
    """Runs of one profile, one scenario and one machine, in the order of their starts."""

    title: str
    machine: str
    entries: tuple[Entry, ...]
    trends: tuple[Trend, ...]
    verdicts: tuple[VerdictChange, ...]


@dataclass(frozen=True)
class Skipped:
    """A file that could not be used, and why."""

    source: str
    reason: str


@dataclass(frozen=True)
class History:
    """All that a folder of records shows."""

    groups: tuple[Group, ...]
    skipped: tuple[Skipped, ...]
    floor: float
    seed: int


def history_of(runs: Iterable[RunSummary], skipped: Mapping[str, str], settings: Settings) -> History:
    """Return the trend of these runs; `skipped` says of other files why they are none. Runs that are not valid are skipped."""
    groups: dict[str, list[RunSummary]] = {}
    unused = [Skipped(source, reason) for source, reason in skipped.items()]
    first: dict[str, str] = {}
    for run in sorted(runs, key=lambda run: run.order):
        source, twin = run.entry.source, first.get(run.entry.run_id)
        if run.refusal:
            unused.append(Skipped(source, run.refusal))
        elif twin is not None:
            unused.append(Skipped(source, f"{source}: the same run as {twin}"))
        else:
            first[run.entry.run_id] = source
            groups.setdefault(run.key, []).append(run)
    found = [_group(group, settings) for group in groups.values()]
    return cleaned(History(tuple(_told_apart(found)), tuple(unused), settings.floor, settings.seed))


def _told_apart(groups: Iterable[Group]) -> Iterable[Group]:
    """Return the groups, numbered where their titles say too little to tell them apart."""
    seen: dict[str, int] = {}
    for group in groups:
        seen[group.title] = seen.get(group.title, 0) + 1
        yield group if seen[group.title] == 1 else replace(group, title=f"{group.title} ({seen[group.title]})")


def _group(runs: Sequence[RunSummary], settings: Settings) -> Group:
    return Group(
        title=runs[0].title,
        machine=runs[0].machine,
        entries=tuple(run.entry for run in runs),
        trends=_trends(runs, settings),
        verdicts=_verdict_changes(runs),
    )


def _trends(runs: Sequence[RunSummary], settings: Settings) -> tuple[Trend, ...]:
    """Return the measures by run, those of all calls first."""
    found: dict[tuple[str, str], list[tuple[int, Figure]]] = {}
    for place, run in enumerate(runs):
        for figure in run.figures:
            found.setdefault((figure.subject, figure.statistic), []).append((place, figure))
    ordered = sorted(found.values(), key=lambda points: (points[0][1].subject not in {ALL, SEARCH}, points[0][1].subject))
    return tuple(_trend(points, settings) for points in ordered)


def _trend(figures: Sequence[tuple[int, Figure]], settings: Settings) -> Trend:
    first, points = figures[0][1], tuple((place, figure.value) for place, figure in figures)
    share = first.unit == "%"
    return Trend(
        name=first.statistic if first.subject == SEARCH else f"{first.statistic} of {first.subject}",
        subject=first.subject,
        statistic=first.statistic,
        unit=first.unit,
        effect_unit="points" if share else "%",
        points=points,
        changes=_changes(points, first.worse, share, settings),
    )


def _changes(points: Sequence[tuple[int, float]], worse: int, share: bool, settings: Settings) -> tuple[ChangePoint, ...]:
    """Return the change points with an effect beyond the floor; stretches that differ by less are one."""
    values = [value for _, value in points]
    places = list(change_points(values, settings.seed))
    floor = SHARE_FLOOR if share else settings.floor
    while True:
        edges = [0, *places, len(values)]
        levels = [median(values[start:end]) for start, end in pairwise(edges) if end > start]
        effects = [_effect(before, after, share) for before, after in pairwise(levels)]
        small = [abs(effect) <= floor for effect in effects]
        if not any(small):
            break
        del places[min(range(len(effects)), key=lambda place: abs(effects[place]))]
    return tuple(
        ChangePoint(points[place][0], levels[number], levels[number + 1], effects[number], effects[number] * worse > 0)
        for number, place in enumerate(places)
    )


def _effect(before: float, after: float, share: bool) -> float:
    if share:
        return after - before
    return 100 * (after / before - 1) if before else 0.0


def _verdict_changes(runs: Sequence[RunSummary]) -> tuple[VerdictChange, ...]:
    checked = [(place, run.verdicts) for place, run in enumerate(runs) if run.verdicts is not None]
    found = (VerdictChange(place, changed_verdicts([before], [after])) for (_, before), (place, after) in pairwise(checked))
    return tuple(item for item in found if item.changes)
