"""Samples by RPC and code, by second, and by phase of a job's life."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from harness.model import Status
from harness.thresholds import PHASES
from loadtests.lifecycle import JobLife
from loadtests.recording import Recording

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
            lines += recording.close_seconds(closings[index], users=3)
    lines += recording.close_seconds(20, users=3)
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
    for line in recording.close_seconds(10, users=1):
        by_second[line.second] += line.count
        assert line.p50 <= line.p95 <= line.p99 <= line.largest
    assert +by_second == Counter((started + took) // SECOND for _, _, started, took in calls)


def test_a_second_without_calls_shows_and_the_last_one_is_told() -> None:
    recording = Recording()
    recording.add_call("GetControllerJobStatus", "OK", 0, 2_000_000)
    recording.add_call("GetControllerJobStatus", "UNAVAILABLE", 0, 4_000_000)
    first, second = recording.close_seconds(2, users=5)
    assert (first.second, first.count, dict(first.errors), first.largest, first.users) == (0, 2, {"UNAVAILABLE": 1}, 4000, 5)
    assert (second.second, second.count, second.p99) == (1, 0, 0)
    assert recording.recent.count == 0


def test_phases_are_listed_in_their_natural_order() -> None:
    recording = Recording()
    for phase in reversed(list(PHASES)):
        recording.add_phase(phase, 5, 0)
    assert [line.name for line in recording.latencies() if line.kind == "lifecycle"] == list(PHASES)


def phases_of(*seen: tuple[Status, int]) -> list[tuple[str, int]]:
    life = JobLife(acknowledged_ns=0)
    return [phase for status, at_ms in seen for phase in life.saw(status, at_ms * 1_000_000)]


def test_a_job_closes_each_phase_when_a_later_status_shows() -> None:
    seen = (Status.QUEUED, 2), (Status.RUNNING, 5), (Status.RUNNING, 7), (Status.POST_PROCESSING, 9), (Status.SUCCEEDED, 10)
    assert phases_of(*seen) == [("queued", 5000), ("running", 4000), ("post_processing", 1000)]


def test_steps_that_were_missed_close_only_the_phase_that_was_seen() -> None:
    assert phases_of((Status.SUCCEEDED, 3)) == [("queued", 3000)]
    assert phases_of((Status.RUNNING, 1), (Status.FAILED, 3)) == [("queued", 1000), ("running", 2000)]


def test_a_cancelled_job_closes_nothing_and_nothing_follows_the_end() -> None:
    assert phases_of((Status.CANCELED, 3)) == []
    assert phases_of((Status.SUCCEEDED, 3), (Status.RUNNING, 4), (Status.SUCCEEDED, 5)) == [("queued", 3000)]


@given(st.lists(st.sampled_from(Status), max_size=12))
def test_phases_close_once_at_most_and_add_up_to_the_time_that_passed(seen: list[Status]) -> None:
    closed = phases_of(*((status, at) for at, status in enumerate(seen, start=1)))
    assert len({phase for phase, _ in closed}) == len(closed)
    assert sum(micros for _, micros in closed) <= 1000 * len(seen)
