"""Ratios are taken within rounds, and a bar is held, missed or not measured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.bars import (
    ENGINE,
    H2LOAD,
    LOCUST,
    OURS,
    Bar,
    Cost,
    Edge,
    Grown,
    OpenRun,
    Paced,
    Results,
    bars,
    growth,
    overhead,
    ratio,
    spread,
)


def costs(*figures: float) -> list[Cost]:
    return [Cost(1000, one, 1.0, 1000.0) for one in figures]


def grown(size: int, *figures: float) -> list[Grown]:
    return [Grown(size, size, one) for one in figures]


def opened(calls: float = 40_000.0, dropped: int = 0, p99: float = 500.0) -> OpenRun:
    return OpenRun("submissions", 40_000.0, calls, 100_000, 0, dropped, 100.0, p99, 10.0)


def test_a_ratio_compares_within_rounds() -> None:
    found = {LOCUST: costs(100, 1000, 200), OURS: costs(10, 100, 10)}
    assert ratio(found, LOCUST, OURS) == 10


def test_a_ratio_with_a_client_that_is_missing_or_free_is_not_measured() -> None:
    assert ratio({LOCUST: costs(100)}, LOCUST, OURS) is None
    assert ratio({LOCUST: costs(100), OURS: []}, LOCUST, OURS) is None
    assert ratio({LOCUST: costs(100), OURS: costs(-1)}, LOCUST, OURS) is None


@given(st.lists(st.floats(0.5, 1000), min_size=1, max_size=9), st.floats(0.5, 100), st.floats(0.01, 100))
def test_a_machine_that_slows_down_between_rounds_changes_no_ratio(pace: list[float], dear: float, cheap: float) -> None:
    found = {LOCUST: costs(*(dear * one for one in pace)), OURS: costs(*(cheap * one for one in pace))}
    assert ratio(found, LOCUST, OURS) == pytest.approx(dear / cheap)


def test_the_spread_is_between_the_dearest_and_the_cheapest_size() -> None:
    assert spread({10: grown(10, 12, 24), 100: grown(100, 10, 20), 1000: grown(1000, 11, 22)}) == pytest.approx(1.2)
    assert spread({10: grown(10, 12)}) is None
    assert spread({10: grown(10, 12), 20: []}) is None


def test_growth_is_from_the_smallest_to_the_largest() -> None:
    assert growth({1000: grown(1000, 11), 10: grown(10, 10)}) == pytest.approx(1.1)
    assert growth({10: grown(10, 12)}) is None


def test_an_overhead_is_above_the_peer() -> None:
    found = {ENGINE: [Paced(5500, 6000, 5400), Paced(5700, 6000, 5400)], H2LOAD: [Paced(5400, 6000, 5400)] * 2}
    assert overhead(found, H2LOAD) == pytest.approx(200)
    assert overhead({}, H2LOAD) is None


@pytest.mark.parametrize(
    ("bar", "held"),
    [
        (Bar("", 15, 15.0, "times", least=True), True),
        (Bar("", 15, 14.9, "times", least=True), False),
        (Bar("", 3, 3.0, "times"), True),
        (Bar("", 3, 3.1, "times"), False),
        (Bar("", 3, 1.0, "times", also=False), False),
        (Bar("", 3, None, "times"), None),
    ],
)
def test_a_bar(bar: Bar, held: bool | None) -> None:
    assert bar.held is held


@pytest.mark.parametrize(
    ("runs", "held"),
    [
        ([opened()], True),
        ([opened(p99=1001.0)], False),
        ([opened(calls=30_000.0)], False),
        ([opened(), opened(dropped=1001)], False),
        ([], None),
    ],
)
def test_an_open_load_has_to_reach_its_rate_as_well(runs: list[OpenRun], held: bool | None) -> None:
    (bar,) = bars(Results(open={"submissions": runs}), H2LOAD)
    assert bar.held is (held if runs else None)


def test_every_section_has_its_bars() -> None:
    results = Results(
        compared={"status": {LOCUST: costs(300), OURS: costs(15), ENGINE: costs(10), H2LOAD: costs(4)}},
        open={"submissions": [opened()]},
        paced={ENGINE: [Paced(5500, 6000, 5400)], H2LOAD: [Paced(5400, 6000, 5400)]},
        in_flight={10: grown(10, 10), 100: grown(100, 10)},
        lengths={10: grown(10, 10), 100: grown(100, 12)},
        edges={1000: [Edge(30_000.0, 20.0, 10.0)]},
    )
    assert [bar.held for bar in bars(results, H2LOAD)] == [True, True, True, True, True, True, False, True]
    assert bars(Results(), H2LOAD) == []


def test_what_failed_is_a_bar_that_was_not_measured() -> None:
    results = Results(
        compared={"status": {}},
        open={"submissions": []},
        paced={ENGINE: [], H2LOAD: []},
        in_flight={10: [], 100: []},
        lengths={10: [], 100: []},
        edges={1000: []},
    )
    assert [bar.held for bar in bars(results, H2LOAD)] == [None] * 8


def test_the_bar_of_long_runs_names_the_calls_that_were_made() -> None:
    lengths = {100: [Grown(100, 87, 10.0)], 1000: [Grown(1000, 1234, 11.0)]}
    (bar,) = bars(Results(lengths=lengths), H2LOAD)
    assert bar.name == "cost of a call, 1,200 against 87 calls"
