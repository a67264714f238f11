"""The page says what was measured, what was held and what is missing."""

from __future__ import annotations

import dataclasses

import pytest

from benchmarks.bars import ENGINE, H2LOAD, LOCUST, Cost, Edge, Grown, OpenRun, Paced, Results, bars
from benchmarks.page import About, number, page, table

ABOUT = About(
    date="2030-01-02T03:04:05.000Z",
    machine={"processor": "some processor", "cores": 2},
    versions={"locust": "2.99"},
    pinned=True,
    sizes={"rounds": 1},
    seconds=12.0,
    complete=True,
)
RESULTS = Results(
    compared={"status": {LOCUST: [Cost(100, 300.0, 9.0, 4000.0)], ENGINE: [Cost(100, 10.0, 9.0, 90_000.0)]}},
    open={"submissions": [OpenRun("submissions", 40_000.0, 39_990.0, 80_000, 3, 2, 200.0, 1500.0, 12.5)]},
    paced={ENGINE: [Paced(5432.0, 6000.0, 5400.0)], H2LOAD: [Paced(5400.0, 6000.0, 5400.0)]},
    in_flight={10: [Grown(10, 1000, 12.0)], 100: [Grown(100, 1000, 10.0)]},
    edges={100_000: [Edge(31_000.0, 20.0, 9.0)]},
    missing={"ghz": "not installed"},
)


def test_shows_every_section() -> None:
    text = page(ABOUT, RESULTS, bars(RESULTS, H2LOAD))
    assert "| this harness, engine mode | 30.0 | - | 10.0 | 90,000 | 9.00 |" in text
    assert "| submissions | 40,000 | 39,990 | 200 | 1,500 | 12.5 | 3 | 2 |" in text
    assert "| this harness, engine mode | 5,432 | 5,400 | 6,000 |" in text
    assert "| 10 | 1.20 | 12.0 | 1,000 |" in text
    assert "| 100,000 | 31,000 | 20.0 | 9.00 |" in text
    assert "- ghz: not installed" in text
    assert "| processor | some processor |" in text
    assert ABOUT.date in text


def test_says_of_every_bar_whether_it_was_held() -> None:
    rows = [line.strip("| ").split(" | ") for line in page(ABOUT, RESULTS, bars(RESULTS, H2LOAD)).splitlines()]
    verdicts = {row[0]: row[-1] for row in rows if len(row) == 4}
    assert verdicts["status: cheaper than Locust with grpcio, engine mode"] == "held"
    assert verdicts["status: cheaper than Locust with grpcio, users"] == "not measured"
    assert verdicts["p99 scheduling delay at 40,000 calls/s, submissions"] == "**not held**"


def test_bars_come_before_tables() -> None:
    text = page(ABOUT, RESULTS, bars(RESULTS, H2LOAD))
    assert text.index("## Bars") < text.index("`GetControllerJobStatus`") < text.index("## Machine")


def test_a_part_is_no_more_than_a_first_look() -> None:
    assert "first look" in page(dataclasses.replace(ABOUT, complete=False), RESULTS, ())
    assert "first look" not in page(ABOUT, RESULTS, ())


def test_leaves_out_what_was_not_measured() -> None:
    failed = Results(compared={"status": {}}, open={"x": []}, paced={ENGINE: []}, in_flight={1: []}, edges={1: []})
    assert page(ABOUT, failed, ()) == page(ABOUT, Results(), ())
    text = page(ABOUT, Results(), ())
    assert [line for line in text.splitlines() if line.startswith("#")] == ["# Benchmarks", "## Bars", "## Machine and versions"]


@pytest.mark.parametrize(
    ("value", "text"), [(1234567.8, "1,234,568"), (100, "100"), (99.94, "99.9"), (10.0, "10.0"), (3.14159, "3.14"), (0.5, "0.50")]
)
def test_figures_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_a_table_has_as_many_columns_everywhere() -> None:
    assert table(("a", "b"), [("x", "1")]) == "| a | b |\n|---|---:|\n| x | 1 |"
