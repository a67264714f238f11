"""The phases of a job's life: whatever the polls, the true lengths lie within the error bars."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model import TERMINAL, Status
from harness.thresholds import PHASES
from loadtests.ledger import LoadLedger
from loadtests.lifecycle import Phase, TrackedJob, bar
from loadtests.receipts import ids_in

MS = 1_000_000
QUEUED, RUNNING, POST, SUCCEEDED = Status.QUEUED, Status.RUNNING, Status.POST_PROCESSING, Status.SUCCEEDED
NAMES = {QUEUED: "queued", RUNNING: "running", POST: "post_processing"}
COURSES = (
    (QUEUED, RUNNING, POST, SUCCEEDED),
    (QUEUED, RUNNING, SUCCEEDED),
    (QUEUED, RUNNING, Status.FAILED),
    (QUEUED, RUNNING, POST, Status.FAILED),
    (QUEUED, Status.CANCELED),
    (QUEUED, RUNNING, Status.CANCELED),
    (QUEUED, Status.FAILED),
)


@dataclass(frozen=True)
class TrueLife:
    """What really happens to a job: it comes to each status of its course at a time (ns)."""

    moves: tuple[tuple[Status, int], ...]

    def at(self, time: int) -> Status:
        return [status for status, begun in self.moves if begun <= time][-1]

    @property
    def lengths(self) -> dict[str, int]:
        return {NAMES[status]: end - begin for (status, begin), (_, end) in pairwise(self.moves)}


class Polled:
    """A job and the ledger that it is in: they are told of its statuses as by the user that polls it."""

    def __init__(self, sent_ns: int, acknowledged_ns: int) -> None:
        self.job = TrackedJob(ids_in([["a"]]), 0, sent_ns, bar(sent_ns, acknowledged_ns))
        self.ledger = LoadLedger()

    def saw(self, status: Status, sent_ns: int, ended_ns: int) -> tuple[Phase, ...]:
        phase = self.job.saw(status, sent_ns, ended_ns)
        self.ledger.saw_status(self.job, status, "call")
        return () if phase is None else (phase,)


gaps = st.integers(0, 50 * MS) | st.integers(0, 3)


@st.composite
def lives(draw: st.DrawFn) -> tuple[Polled, TrueLife, int]:
    """Draw a job: what its user knows of it, what really happens to it, and when its submission was answered."""
    sent = draw(gaps)
    accepted = sent + draw(gaps)
    acknowledged = accepted + draw(gaps)
    moves, time = [], accepted
    for status in draw(st.sampled_from(COURSES)):
        moves.append((status, time))
        time += draw(gaps)
    return Polled(sent, acknowledged), TrueLife(tuple(moves)), acknowledged


@given(lives(), st.lists(st.tuples(gaps, gaps, gaps), max_size=20))
def test_the_true_length_of_a_phase_lies_within_its_error_bar(
    drawn: tuple[Polled, TrueLife, int], polls: list[tuple[int, int, int]]
) -> None:
    life, truth, time = drawn
    closed: dict[str, Phase] = {}
    seen = [QUEUED]
    for rest, there, back in polls:
        sent = time + rest
        time = sent + there + back
        status = truth.at(sent + there)
        for phase in life.saw(status, sent, time):
            assert phase.name not in closed
            closed[phase.name] = phase
        assert life.job.since_ns <= next(begun for each, begun in truth.moves if each is status) <= time
        seen.append(status)
    for name, phase in closed.items():
        assert abs(phase.micros - truth.lengths[name] / 1000) <= phase.error_micros
    left = {before for before, after in pairwise(seen) if before is not after and after is not Status.CANCELED}
    assert set(closed) == {NAMES[status] for status in left}


@given(lives(), st.lists(st.tuples(gaps, gaps, gaps), max_size=20), gaps)
def test_the_true_way_to_a_result_lies_within_its_error_bar(
    drawn: tuple[Polled, TrueLife, int], polls: list[tuple[int, int, int]], fetching: int
) -> None:
    life, truth, time = drawn
    sent, (last, end) = life.job.since_ns, truth.moves[-1]
    for rest, there, back in (*polls, (max(0, end - time), 0, 5)):
        asked, time = time + rest, time + rest + there + back
        life.saw(truth.at(asked + there), asked, time)
    assert truth.at(time) is last
    phase = life.job.to_result(sent, time + fetching)
    assert phase.micros == (time + fetching - sent) // 1000
    assert abs(phase.micros - (end - sent) / 1000) <= phase.error_micros


def test_an_error_bar_is_as_wide_as_the_time_between_polls() -> None:
    life = Polled(0, 2 * MS)
    assert life.saw(QUEUED, 4 * MS, 5 * MS) == ()
    # Queued from 0 to 2 ms on, until some time between 4 (when it still was) and 11 ms.
    assert life.saw(RUNNING, 10 * MS, 11 * MS) == (Phase("queued", 6500, 4501),)
    assert life.job.since_ns == 4 * MS
    assert life.saw(RUNNING, 20 * MS, 21 * MS) == ()
    # Running from 4 to 11 ms on, until some time between 20 and 31 ms.
    assert life.saw(SUCCEEDED, 30 * MS, 31 * MS) == (Phase("running", 18_000, 9001),)


def phases_of(*seen: tuple[Status, int]) -> list[str]:
    life = Polled(0, 0)
    return [phase.name for status, at_ms in seen for phase in life.saw(status, at_ms * MS, at_ms * MS + 1)]


@pytest.mark.parametrize(
    ("seen", "closed"),
    [
        ([SUCCEEDED], ["queued"]),
        ([RUNNING, Status.FAILED], ["queued", "running"]),
        ([POST, SUCCEEDED], ["queued", "post_processing"]),
        ([RUNNING, RUNNING, POST, POST, SUCCEEDED], ["queued", "running", "post_processing"]),
        ([Status.CANCELED], []),
        ([RUNNING, Status.CANCELED], ["queued"]),
        ([SUCCEEDED, RUNNING, SUCCEEDED], ["queued"]),
        ([RUNNING, QUEUED, RUNNING, SUCCEEDED], ["queued"]),
        ([Status.UNKNOWN, RUNNING], ["queued"]),
    ],
)
def test_statuses_that_were_skipped_or_cannot_follow_close_nothing(seen: list[Status], closed: list[str]) -> None:
    assert phases_of(*((status, at) for at, status in enumerate(seen, start=1))) == closed


@given(st.lists(st.sampled_from(Status), max_size=12))
def test_phases_close_once_at_most_whatever_is_seen(seen: list[Status]) -> None:
    closed = phases_of(*((status, at) for at, status in enumerate(seen, start=1)))
    assert len(set(closed)) == len(closed)
    assert set(closed) <= set(PHASES)
    if not TERMINAL.isdisjoint(seen):
        assert len(closed) <= 3


def test_a_job_takes_little_memory() -> None:
    job = TrackedJob(ids_in([["a"]]), 0, 10**12, bar(10**12, 10**12 + 1))
    assert not hasattr(job, "__dict__")
    assert sys.getsizeof(job) <= 80
    # Twenty years in nanoseconds, twice.
    assert sys.getsizeof(bar(6 * 10**17, 6 * 10**17 + 1)) <= 48
