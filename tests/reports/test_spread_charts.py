"""Charts of spreads: percentiles with ever more nines, and the lives of jobs."""

from __future__ import annotations

import dataclasses
import itertools
import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.histogram import Histogram
from harness.record import Line
from reports import build_view
from reports.loadvalues import Load
from reports.measured import NINES, spectrum_of
from reports.spread_charts import life_chart, log_ticks, spectrum_charts
from tests.reports import records as make

STAGED = make.staged_load()


def load_of(*lines: Line) -> Load:
    return build_view([make.record(*lines)]).loads[0]


def test_each_rpc_has_its_line_up_to_its_last_call() -> None:
    (chart,) = spectrum_charts(load_of(*make.load(make.latency("A", count=1000), make.latency("B", count=10))))
    assert [line.name for line in chart.series] == ["A", "B"]
    assert [round(line.points[-1][0], 3) for line in chart.series] == [3, 1]
    assert chart.series[0].points[-1][1] == make.latency("A", count=1000).histogram.largest / 1000
    assert "A: 50 % 253, 90 % 813, 99 % 983, 99.9 % 1,002, longest 1,002" in chart.description
    assert "B: 50 % 4.02, 90 % 4.08, longest 4.08" in chart.description


def test_open_loads_show_times_from_both_beginnings() -> None:
    by_rpc, both = spectrum_charts(load_of(*STAGED))
    assert len(by_rpc.series) == 3
    assert [line.name for line in both.series] == ["from when they were meant to start", "from when they were sent"]
    assert set(both.series[1].points) >= {(1.0, 2.5)}


def test_no_call_is_no_spectrum() -> None:
    assert spectrum_charts(load_of(*make.load(make.latency("A", "INTERNAL")))) == ()
    assert life_chart(()) is None


@pytest.mark.parametrize("micros", [[0], [0, 0, 5], [7] * 2000, [1, 10**9]])
def test_any_times_can_be_drawn(micros: list[int]) -> None:
    line = dataclasses.replace(make.latency("A"), histogram=make.histogram(micros))
    (chart,) = spectrum_charts(load_of(*make.load(line)))
    assert "NaN" not in chart.svg
    assert ElementTree.fromstring(chart.svg).tag == "svg"  # noqa: S314 - our own output


def test_axis_of_a_spectrum_counts_nines() -> None:
    (chart,) = spectrum_charts(load_of(*make.load(make.latency("A", count=20_000))))
    texts = [element.text for element in ElementTree.fromstring(chart.svg).iter("text")]  # noqa: S314 - our own output
    assert texts[:5] == ["50 %", "90 %", "99 %", "99.9 %", "99.99 %"]


def test_names_of_things_never_get_into_a_drawing() -> None:
    lines = (make.latency("<b>A"), make.latency("it's", kind="lifecycle"), make.latency("queued", kind="lifecycle"))
    load = load_of(*make.load(*lines))
    life = life_chart(load.phases)
    assert life is not None
    assert "it's" in life.description
    texts = {element.text for element in ElementTree.fromstring(life.svg).iter("text")}  # noqa: S314 - our own output
    assert {"phase 1", "queued"} <= texts
    assert not [chart for chart in spectrum_charts(load) if "<b>" in chart.svg or "&lt;b" in chart.svg]


def test_life_of_a_job_has_its_error_bars() -> None:
    life = life_chart(load_of(*STAGED).phases)
    assert life is not None
    assert [line.name for line in life.series] == ["p50", "p95", "p99"]
    assert "queued: p50 22.4 ± 4.4" in life.description
    assert "running: p50 22.4, p95" in life.description
    for figure in ("q50", "q95", "q99"):
        assert life.svg.count(f"stroke-{figure}") >= 3
    assert "post-processing" in life.svg


@given(st.lists(st.integers(0, 10**8), min_size=1, max_size=3000))
def test_a_spectrum_tells_what_its_histogram_tells(values: list[int]) -> None:
    histogram = make.histogram(values)
    spectrum = spectrum_of("A", "rpc", histogram)
    percents, times = zip(*spectrum.points, strict=True)
    assert list(percents) == sorted(set(percents))
    assert list(times) == sorted(times)
    assert times[-1] == histogram.largest / 1000
    assert all(time == histogram.percentile(percent) / 1000 for percent, time in spectrum.points)
    assert all(spectrum.at(nine) is not None for nine in NINES if nine < 100 and (100 - nine) * len(values) >= 100.0001)


def test_a_spectrum_of_millions_stays_short() -> None:
    histogram = Histogram()
    histogram.add_all(dict.fromkeys(range(10_000), 1000))
    points = spectrum_of("A", "rpc", histogram).points
    assert 50 < len(points) < 70
    assert {50, 90, 99, 99.9, 99.99, 99.999, 100} <= {percent for percent, _ in points}


@given(st.floats(1e-4, 1e7), st.floats(1, 1e6))
def test_ticks_enclose_what_is_drawn(low: float, factor: float) -> None:
    ticks = log_ticks(low, low * factor)
    assert 2 <= len(ticks) <= 8
    assert ticks[0] <= low * (1 + 1e-9)
    assert ticks == sorted(set(ticks))
    assert all(str(f"{tick:.0e}")[0] in "125" for tick in ticks)
    gaps = {round(math.log10(after / before), 6) for before, after in itertools.pairwise(ticks)}
    assert max(gaps) < 3.1
