"""Samples by RPC and code, by second, and by phase of a job's life."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from harness.schedule import Segment
from harness.thresholds import PHASES
from loadtests.lifecycle import Phase
from loadtests.recording import Fold, Recording, intervals, recent_of

SECOND = 1_000_000_000
samples = st.lists(
    st.tuples(
        st.sampled_from(["ExecuteControllerJob", "GetControllerJobStatus"]),
        st.sampled_from(["OK", "UNAVAILABLE", "RESOURCE_EXHAUSTED"]),
        st.integers(0, 5 * SECOND),
        st.integers(0, 3 * SECOND),
    ),
    max_size=60,
)


@given(samples, st.lists(st.integers(0, 9), max_size=5))
def test_no_call_is_lost_or_counted_twice_whenever_seconds_are_closed(
    calls: list[tuple[str, str, int, int]], closings: list[int]
) -> None:
    recording, lines = Recording(), []
    for index, (rpc, code, started, took) in enumerate(sorted(calls, key=lambda call: call[2] + call[3])):
        recording.add_call(rpc, code, started, started + took)
        if index < len(closings):
            lines += intervals(recording.take_seconds(closings[index]), users=3)
    lines += intervals(recording.take_seconds(20), users=3)
    assert recording.calls == sum(line.count for line in lines) == len(calls)
    assert recording.errors == sum(sum(line.errors.values()) for line in lines)
    totals = {(line.name, line.code): line.histogram.count for line in recording.latencies()}
    assert totals == Counter((rpc, code) for rpc, code, _, _ in calls)
    assert len({(line.second, line.rpc) for line in lines}) == len(lines)


@given(samples)
def test_a_call_belongs_to_the_second_in_which_it_ended(calls: list[tuple[str, str, int, int]]) -> None:
    recording = Recording()
    for rpc, code, started, took in calls:
        recording.add_call(rpc, code, started, started + took)
    by_second: Counter[int] = Counter()
    for line in intervals(recording.take_seconds(10), users=1):
        by_second[line.second] += line.count
        assert line.p50 <= line.p95 <= line.p99 <= line.largest
    assert +by_second == Counter((started + took) // SECOND for _, _, started, took in calls)


def test_a_second_without_calls_shows_and_the_last_one_is_told() -> None:
    recording = Recording()
    recording.add_call("GetControllerJobStatus", "OK", 0, 2_000_000)
    recording.add_call("GetControllerJobStatus", "UNAVAILABLE", 0, 4_000_000)
    taken = recording.take_seconds(2)
    first, second = intervals(taken, users=5)
    assert (first.second, first.count, dict(first.errors), first.largest, first.users) == (0, 2, {"UNAVAILABLE": 1}, 4000, 5)
    assert (second.second, second.count, second.p99) == (1, 0, 0)
    assert recent_of(taken).count == 0
    assert recent_of(taken[:1]).p99 == 4000


def test_phases_are_listed_in_their_natural_order() -> None:
    recording = Recording()
    for phase in reversed(list(PHASES)):
        recording.add_phase(Phase(phase, 5, 1), 0)
    found = [(line.kind, line.name) for line in recording.latencies()]
    assert found == [(kind, phase) for phase in PHASES for kind in ("lifecycle", "lifecycle_error")]


def test_a_phase_is_kept_beside_its_error_bar() -> None:
    recording = Recording()
    for micros, error in ((2_000, 100), (4_000, 300)):
        recording.add_phase(Phase("running", micros, error), 0)
    lengths, errors = recording.latencies()
    assert (lengths.kind, lengths.histogram.smallest, lengths.histogram.largest) == ("lifecycle", 2_000, 4_000)
    assert (errors.kind, errors.histogram.smallest, errors.histogram.largest) == ("lifecycle_error", 100, 300)


def test_stages_may_follow_while_a_run_goes_on() -> None:
    recording = Recording((), is_open=True)
    recording.enter(Segment("settle", 1.0, measured=False), 2 * SECOND)
    recording.enter(Segment("probe", 1.0, measured=False), 3 * SECOND)
    recording.add_call("A", "OK", 3 * SECOND, 3 * SECOND + 1000, due_ns=3 * SECOND - 1)
    recording.add_call("A", "OK", 3 * SECOND, 3 * SECOND + 1000, due_ns=3 * SECOND)
    recording.enter(Segment("next", 1.0, measured=False), 9 * SECOND)
    recording.add_call("A", "OK", 8 * SECOND, 9 * SECOND)
    recording.add_call("A", "OK", 9 * SECOND, 9 * SECOND)
    counts = {line.stage: line.histogram.count for line in recording.latencies() if line.kind == "rpc"}
    assert counts == {"settle": 1, "probe": 2, "next": 1}


def test_a_recording_tells_of_all_calls_in_folds() -> None:
    folds: list[Fold] = []
    recording = Recording(on_fold=folds.append)
    for index in range(10):
        recording.add_call("GetControllerJobStatus", "OK" if index % 3 else "UNAVAILABLE", 0, index * 400_000_000, octets=index)
    recording.take_seconds(5)
    assert sum(sum(fold.counts.values()) for fold in folds) == 10
    assert sum(fold.octets for fold in folds) == sum(range(10))
    assert sum(sum(fold.counts.values()) for fold in folds if fold.code != "OK") == 4
