"""Parcels of figures: nothing changes on the way, and those of several collectors add up exactly."""

from __future__ import annotations

import dataclasses
import functools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.histogram import Histogram
from harness.record import Arrivals, Discrepancy, Latency, Ledger, encode
from loadtests.parcels import Parcel, pack, series_of, together, unpack
from loadtests.recording import SecondOfCalls
from loadtests.violations import SHOWN_IN_FULL

RPCS = ["ExecuteControllerJob", "GetControllerJobStatus"]
COUNTS = st.integers(0, 1 << 40)
CODES = st.sampled_from(["OK", "UNAVAILABLE", "RESOURCE_EXHAUSTED"])


@st.composite
def histograms(draw: st.DrawFn) -> Histogram:
    histogram = Histogram()
    for value, times in draw(st.lists(st.tuples(st.integers(0, 1 << 40), st.integers(1, 1000)), max_size=8)):
        histogram.add(value, times)
    return histogram


SECONDS = st.builds(
    SecondOfCalls,
    second=st.integers(0, 5),
    rpc=st.sampled_from(RPCS),
    latencies=histograms(),
    errors=st.dictionaries(CODES, st.integers(1, 99)),
)
LATENCIES = st.builds(
    Latency,
    kind=st.sampled_from(["rpc", "service", "lifecycle"]),
    name=st.sampled_from([*RPCS, "queued", "to_result"]),
    code=CODES,
    histogram=histograms(),
    stage=st.sampled_from(["warm-up", "steady"]),
)
ARRIVALS = st.builds(
    Arrivals,
    stage=st.sampled_from(["warm-up", "steady"]),
    measured=st.just(True),
    seconds=st.just(2.0),
    late_after=st.just(0.02),
    behind_limit=st.just(0.01),
    **dict.fromkeys(("scheduled", "started", "waited", "late", "dropped", "dropped_behind"), COUNTS),
)
LEDGERS = st.builds(Ledger, violations=st.just((Discrepancy("EXEC-03", "one", "two"),)))
PARCELS = st.builds(
    Parcel,
    closed=st.integers(0, 9),
    seconds=st.lists(SECONDS, max_size=6, unique_by=lambda item: (item.second, item.rpc)).map(tuple),
    latencies=st.lists(LATENCIES, max_size=6, unique_by=series_of).map(tuple),
    arrivals=st.lists(ARRIVALS, max_size=2, unique_by=lambda line: line.stage).map(tuple),
    ledger=LEDGERS,
    span=st.floats(0, 1e6),
    ids=st.just(b""),
    **dict.fromkeys(("users", "in_flight", "calls", "errors"), COUNTS),
)


def plain(parcel: Parcel) -> object:
    """Return a parcel as plain values, in an order of their own, to compare."""
    seconds = {(item.second, item.rpc): (item.latencies.to_json(), item.errors) for item in parcel.seconds}
    lines = {series_of(line): encode(line) for line in parcel.latencies}
    arrivals = {line.stage: line for line in parcel.arrivals}
    rest = dataclasses.replace(parcel, seconds=(), latencies=(), arrivals=())
    return seconds, lines, arrivals, rest


@given(PARCELS, st.binary(max_size=16))
def test_a_parcel_arrives_as_it_was_sent(parcel: Parcel, ids: bytes) -> None:
    parcel = dataclasses.replace(parcel, ids=ids)
    arrived = unpack(pack(parcel))
    assert plain(arrived) == plain(parcel)
    assert [series_of(line) for line in arrived.latencies] == [series_of(line) for line in parcel.latencies]


@given(PARCELS, st.data())
def test_octets_that_are_no_parcel_are_refused(parcel: Parcel, data: st.DataObject) -> None:
    octets = pack(parcel)
    cut = octets[: data.draw(st.integers(0, len(octets) - 1))]
    with pytest.raises(ValueError, match=r"."):
        unpack(cut)
    assume(octets != b"")
    with pytest.raises(ValueError, match=r"."):
        unpack(octets + b"\x00")


@given(st.binary(max_size=60))
def test_any_octets_are_a_parcel_or_a_value_error(octets: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpack(octets)


@given(st.lists(PARCELS, min_size=1, max_size=4))
def test_parcels_add_up_exactly_in_any_grouping(parcels: list[Parcel]) -> None:
    whole = together(parcels)
    assert plain(whole) == plain(functools.reduce(lambda one, other: together([one, other]), parcels))
    for name in ("users", "in_flight", "calls", "errors"):
        assert getattr(whole, name) == sum(getattr(parcel, name) for parcel in parcels)
    samples = sum(line.histogram.count for parcel in parcels for line in parcel.latencies)
    assert sum(line.histogram.count for line in whole.latencies) == samples
    calls = sum(item.latencies.count for parcel in parcels for item in parcel.seconds)
    assert sum(item.latencies.count for item in whole.seconds) == calls
    assert sum(line.started for line in whole.arrivals) == sum(line.started for parcel in parcels for line in parcel.arrivals)
    assert whole.ledger.acknowledged_jobs == sum(parcel.ledger.acknowledged_jobs for parcel in parcels)
    assert len(whole.ledger.violations) == min(len(parcels), SHOWN_IN_FULL)


@given(st.lists(PARCELS, min_size=1, max_size=4))
def test_the_order_of_collectors_does_not_matter(parcels: list[Parcel]) -> None:
    assert plain(together(parcels)) == plain(together(parcels[::-1]))


@given(PARCELS, PARCELS)
def test_what_was_told_already_need_not_be_told_again(earlier: Parcel, later: Parcel) -> None:
    known = {series_of(line): line.histogram.count for line in earlier.latencies}
    same = {series_of(line): line for line in earlier.latencies}
    # Counts only ever grow, so that a series with the same count is the same.
    later = dataclasses.replace(
        later,
        latencies=tuple(
            same[series_of(line)] if known.get(series_of(line)) == line.histogram.count else line for line in later.latencies
        ),
    )
    full = dataclasses.replace(later, latencies=tuple({**same, **{series_of(line): line for line in later.latencies}}.values()))
    assert plain(full.news(known).after(earlier)) == plain(full)
    assert full.news({series_of(line): line.histogram.count for line in full.latencies}).latencies == ()
