"""Charts over time: what is drawn, in words and as SVG."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from harness.record import Line
from reports import build_view
from reports.charts import Chart, latency_charts, rate_charts
from tests.reports import records as make


def charts(*lines: Line) -> tuple[Chart, ...]:
    load = build_view([make.record(*make.load(*lines))]).loads[0]
    return (*rate_charts(load), *latency_charts(load))


def titles(*lines: Line) -> list[str]:
    return [chart.title for chart in charts(*lines)]


def test_throughput_and_latency_of_each_rpc() -> None:
    assert titles(make.interval(0, "A"), make.interval(0, "B")) == ["Throughput", "Latency of A", "Latency of B"]


def test_errors_are_drawn_when_there_are_any() -> None:
    found = charts(make.interval(0, errors={"INTERNAL": 4, "ABORTED": 1}), make.interval(1))
    errors = next(chart for chart in found if chart.title == "Errors")
    assert {line.name: line.points for line in errors.series} == {"ABORTED": ((0, 1), (1, 0)), "INTERNAL": ((0, 4), (1, 0))}


def test_users_are_drawn_when_they_change() -> None:
    assert "Users" not in titles(make.interval(0), make.interval(1))
    assert "Users" in titles(make.interval(0), make.interval(1, users=11))


def test_nothing_measured_is_nothing_drawn() -> None:
    assert charts(make.latency("A")) == ()


def test_second_without_calls_counts_as_zero() -> None:
    throughput = charts(make.interval(0, "A", count=5), make.interval(1, "B", count=7), make.interval(2, "A", count=9))[0]
    assert {line.name: [value for _, value in line.points] for line in throughput.series} == {"A": [5, 0, 9], "B": [0, 7, 0]}


def test_description_says_what_is_seen() -> None:
    throughput = charts(make.interval(0, "A", count=10), make.interval(1, "A", count=30))[0]
    assert throughput.description == "Throughput over time, calls per second. A: mean 20, highest 30 at 1 s."


@pytest.mark.parametrize("seconds", [1, 2, 45, 600])
def test_drawing_is_bare_svg_with_a_line_per_series(seconds: int) -> None:
    for chart in charts(*(make.interval(second) for second in range(seconds))):
        root = ElementTree.fromstring(chart.svg)  # noqa: S314 - our own output
        assert root.tag == "svg"
        assert {element.tag for element in root.iter()} <= {"svg", "g", "path", "line", "text"}
        assert not {"id", "href", "style", "font-family", "fill", "stroke"} & {
            name for element in root.iter() if element is not root for name in element.attrib
        }
        drawn = {element.get("class") for element in root.iter("path")}
        assert {f"stroke-{line.colour}" for line in chart.series} <= drawn
        assert [element.text for element in root.iter("text")]


def test_name_of_an_rpc_is_no_markup() -> None:
    for chart in charts(make.interval(0, "<script>alert(1)</script>"), make.interval(1, "#fe0001")):
        assert "script" not in chart.svg


def test_many_series_differ_by_dash_or_colour() -> None:
    throughput = charts(*(make.interval(0, f"rpc {place}") for place in range(20)))[0]
    assert len({(line.colour, line.dash) for line in throughput.series}) == 20


def staged() -> tuple[Chart, ...]:
    return rate_charts(build_view([make.record(*make.staged_load())]).loads[0])


def test_open_loads_show_what_was_offered_against_what_was_achieved() -> None:
    starts = staged()[0]
    offered, achieved = starts.series
    assert starts.title == "Starts"
    assert offered.points == ((0, 10), (10, 20), (20, 20), (30, 60))
    assert set(achieved.points) == {(float(second), 20.0) for second in range(30)}
    assert "offered: starts that the scenario plans: mean 27.5, highest 60 at 30 s" in starts.description


def test_lines_show_where_stages_begin() -> None:
    for chart in staged():
        root = ElementTree.fromstring(chart.svg)  # noqa: S314 - our own output
        assert len([line for line in root.iter("line") if line.get("stroke-dasharray") == "1,3"]) == 2
    alone = rate_charts(build_view([make.record(*make.load(make.interval(0), make.interval(9)))]).loads[0])
    assert "1,3" not in alone[0].svg


def test_percentiles_have_gaps_where_nothing_was_called() -> None:
    idle = make.interval(1, count=0, p50=0, p95=0, p99=0, largest=0)
    (chart,) = (item for item in charts(make.interval(0), idle, make.interval(2)) if item.title.startswith("Latency"))
    assert [value is None for _, value in chart.series[-1].points] == [False, True, False]
    assert all(value is None or value > 0 for line in chart.series for _, value in line.points)


def test_an_rpc_that_was_never_called_has_no_latencies() -> None:
    assert titles(make.interval(0, count=0, p50=0, p95=0, p99=0, largest=0)) == ["Throughput"]
