"""The trend over many runs: change points where there are some and none where there are none, groups, and what is skipped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.record import Record, SectionStart
from reports.comparison import Settings
from reports.comparison.changepoints import SMALLEST, change_points, ranks
from reports.comparison.summaries import summarized
from reports.comparison.trend import History, Trend
from reports.comparison.trend import history_of as history_of_runs
from tests.reports import records
from tests.reports.comparisons import RPC, run

SERIES = st.lists(st.floats(0.001, 1e6), max_size=24)
FEW = settings(max_examples=20, deadline=None)


def noise(seed: int, count: int, level: float = 1.0, scatter: float = 0.05) -> list[float]:
    random = Random(seed)  # noqa: S311 - nothing secret
    return [level * (1 + random.gauss(0, scatter)) for _ in range(count)]


@given(st.lists(st.integers(-3, 3)))
def test_ranks_share_what_is_equal(values: list[int]) -> None:
    found = ranks(values)
    assert sum(found) == len(values) * (len(values) + 1) / 2
    for one, rank in zip(values, found, strict=True):
        below = sum(other < one for other in values)
        assert rank == below + (values.count(one) + 1) / 2


@FEW
@given(st.integers(0, 10**6), st.integers(8, 20), st.integers(8, 20))
def test_a_new_level_is_found_where_it_begins(seed: int, before: int, after: int) -> None:
    found = change_points([*noise(seed, before, scatter=0.01), *noise(seed + 1, after, 1.2, 0.01)])
    assert before in found


@FEW
@given(SERIES, st.floats(0.01, 100))
def test_units_do_not_matter(values: list[float], factor: float) -> None:
    tied = [round(value, 3) for value in values]
    assert change_points(tied) == change_points([value * 2 for value in tied])
    assert all(SMALLEST <= place <= len(values) - SMALLEST for place in change_points([value * factor for value in tied]))


@FEW
@given(st.integers(0, 10**6))
def test_an_outlier_is_no_new_level(seed: int) -> None:
    quiet = noise(seed, 30)
    loud = [*quiet[:12], 50.0, *quiet[13:]]
    assert len(change_points(loud)) <= len(change_points(quiet)) + 1


def test_an_even_series_has_seldom_a_change_point() -> None:
    assert sum(bool(change_points(noise(seed, 24))) for seed in range(200)) <= 200 * 0.03


@pytest.mark.parametrize("count", range(2 * SMALLEST + 3))
def test_few_runs_have_no_change_point(count: int) -> None:
    assert change_points([*range(count)]) == ()


def test_equal_runs_have_no_change_point() -> None:
    assert change_points([4.0] * 50) == ()


def test_several_levels_are_found() -> None:
    levels = [*noise(1, 15, 1.0, 0.01), *noise(2, 15, 1.5, 0.01), *noise(3, 15, 1.2, 0.01)]
    assert change_points(levels) == (15, 30)


# From records


def history_of(found: Iterable[Record], skipped: Mapping[str, str], how: Settings) -> History:
    return history_of_runs(map(summarized, found), skipped, how)


def started(number: int, record: Record) -> Record:
    """Return a record as one of a run of its own, so many hours after the first."""
    header = replace(record.header, run_id=f"run {number}", started=f"2026-01-{1 + number // 24:02}T{number % 24:02}:00:00.000Z")
    return replace(record, header=header, lines=(header, *record.lines[1:]), source=f"runs/{number}/record.jsonl")


def slower_from(count: int, change: int) -> list[Record]:
    return [started(number, run(number, level=5000 if number < change else 6500)) for number in range(count)]


def trends(history: History) -> dict[str, Trend]:
    (group,) = history.groups
    return {trend.name: trend for trend in group.trends}


def test_a_slower_build_is_marked() -> None:
    history = history_of(slower_from(16, 8)[::-1], {}, Settings())
    found = trends(history)[f"p50 of {RPC}"]
    assert [place for place, _ in found.points] == list(range(16))
    (change,) = found.changes
    assert change.place == 8
    assert change.worse
    assert change.effect == pytest.approx(30, abs=5)
    assert history.groups[0].entries[8].source == "runs/8/record.jsonl"


def test_a_faster_build_is_marked_as_better() -> None:
    runs = [started(number, run(number, level=6500 if number < 8 else 5000)) for number in range(16)]
    (change,) = trends(history_of(runs, {}, Settings()))[f"p50 of {RPC}"].changes
    assert not change.worse
    assert change.effect < 0


def test_changes_within_the_floor_are_not_marked() -> None:
    assert trends(history_of(slower_from(16, 8), {}, Settings(floor=50)))[f"p50 of {RPC}"].changes == ()


def test_the_same_records_give_the_same_history() -> None:
    assert history_of(slower_from(12, 6), {}, Settings()) == history_of(slower_from(12, 6), {}, Settings())


def test_runs_of_other_kinds_are_kept_apart() -> None:
    profile = {"name": "other"}
    usual = [started(number, run(number)) for number in range(3)]
    other = [started(number + 3, run(number, profile=profile)) for number in range(2)]
    lines = (replace(line, detail={"name": "ramp"}) if isinstance(line, SectionStart) else line for line in run(9).lines)
    third = started(7, replace(run(9), lines=tuple(lines)))
    twin = started(8, run(10, machine={"processor": "another"}))
    history = history_of([*usual, *other, third, twin], {}, Settings())
    assert [(group.title, len(group.entries)) for group in history.groups] == [
        ("my-controller: load", 3),
        ("other: load", 2),
        ("my-controller: ramp", 1),
        ("my-controller: load (2)", 1),
    ]


def test_checks_are_followed_too() -> None:
    failing = started(1, records.failing())
    passing = [started(number, records.passing()) for number in (0, 2)]
    (group,) = history_of([*passing, failing], {}, Settings()).groups
    assert [entry.failed for entry in group.entries] == [0, 2, 0]
    assert [item.place for item in group.verdicts] == [1, 2]
    assert group.trends == ()
    assert {change.kind for change in group.verdicts[0].changes} >= {"regression"}


def test_what_is_no_valid_run_is_skipped_and_named() -> None:
    broken = records.incomplete()
    history = history_of([run(1), broken], {"x.jsonl": "x.jsonl:1: not a run record"}, Settings())
    assert [item.source for item in history.skipped] == ["x.jsonl", broken.source]
    assert len(history.groups[0].entries) == 1


def test_a_run_counts_once() -> None:
    one = started(1, run(1))
    history = history_of([one, replace(one, source="copy.jsonl")], {}, Settings())
    assert [item.reason for item in history.skipped] in (
        ["copy.jsonl: the same run as runs/1/record.jsonl"],
        ["runs/1/record.jsonl: the same run as copy.jsonl"],
    )
    assert len(history.groups[0].entries) == 1


def test_searches_are_followed_by_what_they_found() -> None:
    (group,) = history_of([records.record(*records.search())], {}, Settings()).groups
    assert [trend.name for trend in group.trends] == ["highest rate"]
