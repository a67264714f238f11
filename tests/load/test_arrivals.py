"""Starts on a clock of our own: each is begun once or dropped, and what delays it is told apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.executors import Starts
from harness.record import Arrivals
from harness.schedule import Segment
from loadtests.arrivals import BURST, Dispatch, Seat

MS = 1_000_000
RULES = Starts(late_after=0.02)
PARTS = (Segment("warm-up", 1.0, measured=False), Segment("steady", 1.0))


class World:
    """A clock, and whether the generator is behind."""

    def __init__(self, rules: Starts = RULES, parts: tuple[Segment, ...] = (Segment("", 10.0),)) -> None:
        self.now = 0
        self.behind = False
        self.dispatch = Dispatch(parts, rules, lambda: self.now, lambda: self.behind)

    def play(self, *times: float) -> None:
        """Make the starts that are due at some times, in seconds, each when it is due."""
        self.dispatch.follow(enumerate(times), 0)
        while (due_ns := self.dispatch.next_due_ns) is not None:
            self.now = max(self.now, due_ns)
            for start in self.dispatch.take_due(self.now):
                self.dispatch.offer(start)

    def seat(self) -> Seat:
        """Return a user that begins at once whatever it is given, and is free again."""
        seat = Seat(lambda: self.dispatch.begin(seat))
        self.dispatch.free(seat)
        return seat

    def counts(self) -> tuple[int, int, int, int, int, int]:
        """Return what was scheduled, started, waited, late, dropped, and dropped while behind."""
        (line,) = self.dispatch.summary()
        return line.scheduled, line.started, line.waited, line.late, line.dropped, line.dropped_behind


def test_a_free_user_begins_a_start_on_time() -> None:
    world = World()
    seat = world.seat()
    world.play(0.5)
    assert (seat.due_ns, world.now) == (500 * MS, 500 * MS)
    assert world.counts() == (1, 1, 0, 0, 0, 0)
    assert world.dispatch.short == 0


def test_without_a_free_user_a_start_is_dropped_at_once() -> None:
    world = World()
    world.play(0.5, 0.6)
    world.seat()
    assert world.counts() == (2, 0, 0, 0, 2, 0)
    assert world.dispatch.short == 2


def test_a_drop_is_put_down_to_the_generator_if_it_was_behind() -> None:
    world = World()
    world.behind = True
    world.dispatch.offer(0)
    world.behind, world.now = False, 100 * MS
    world.dispatch.offer(90 * MS)
    world.dispatch.offer(70 * MS)  # noticed 30 ms too late
    assert world.counts() == (3, 0, 0, 0, 3, 2)


def test_a_start_may_wait_for_a_user_and_that_is_not_the_generators_delay() -> None:
    world = World(Starts(late_after=0.02, wait=0.1))
    world.dispatch.offer(0)
    world.now = 99 * MS
    seat = world.seat()
    assert seat.due_ns == 0
    assert world.counts() == (1, 1, 1, 0, 0, 0)
    assert world.dispatch.delays()[0].histogram.largest == 0


def test_a_wait_while_the_generator_was_behind_is_its_delay() -> None:
    world = World(Starts(late_after=0.02, wait=0.1))
    world.dispatch.offer(0)
    world.now, world.behind = 99 * MS, True
    world.seat()
    assert world.counts() == (1, 1, 1, 1, 0, 0)


def test_what_waits_too_long_or_until_the_end_is_dropped() -> None:
    world = World(Starts(late_after=0.02, wait=0.1))
    world.dispatch.offer(0)
    world.now = 101 * MS
    world.dispatch.offer(101 * MS)
    world.dispatch.close()
    assert world.counts() == (2, 0, 0, 0, 2, 0)


def test_a_user_that_begins_later_than_it_was_told_to_is_late() -> None:
    world = World()
    seat = Seat(lambda: None)
    world.dispatch.free(seat)
    world.dispatch.offer(0)
    world.now = 21 * MS
    assert world.dispatch.begin(seat) == 0
    assert world.counts() == (1, 1, 0, 1, 0, 0)


def test_a_user_that_left_is_given_nothing() -> None:
    world = World()
    seat = world.seat()
    world.dispatch.leave(seat)
    world.dispatch.offer(0)
    assert (seat.due_ns, world.dispatch.dropped) == (None, 1)


def test_nothing_is_offered_after_the_end() -> None:
    world = World()
    world.seat()
    world.dispatch.close()
    world.play(0.0, 0.1)
    assert world.counts() == (0, 0, 0, 0, 0, 0)


def test_what_was_due_and_not_offered_when_the_run_ended_is_dropped_by_the_generator() -> None:
    world = World()

    world.dispatch.follow([(0, 1.0), (1, 1.5), (2, 2.5)], 0)
    world.now = 2_000 * MS
    world.dispatch.close()
    assert world.dispatch.next_due_ns is None
    assert world.counts() == (2, 0, 0, 0, 2, 2)


def test_starts_that_are_due_are_taken_in_order_and_so_many_at_a_time() -> None:
    world = World()
    world.dispatch.follow([(number, number / 1000) for number in range(BURST + 5)], 7)
    assert world.dispatch.next_due_ns == 7
    assert world.dispatch.take_due(6) == []
    assert world.dispatch.take_due(2 * MS + 7) == [7, MS + 7, 2 * MS + 7]
    assert len(world.dispatch.take_due(10_000 * MS)) == BURST
    assert world.dispatch.take_due(10_000 * MS, most=1) == [(BURST + 3) * MS + 7]
    assert world.dispatch.next_due_ns == (BURST + 4) * MS + 7
    assert world.dispatch.take_due(10_000 * MS) == [(BURST + 4) * MS + 7]
    assert world.dispatch.take_due(10_000 * MS) == []
    world.dispatch.close()
    world.dispatch.follow([(0, 0.0)], 0)
    assert world.dispatch.take_due(10_000 * MS) == []


def test_further_parts_may_follow_and_are_counted_apart() -> None:
    world = World(parts=())
    first, second = Segment("probe 1", 1.0), Segment("probe 2", 1.0)
    world.dispatch.enter([first], [(0, 0.5)], 3_000 * MS)
    assert world.dispatch.take_due(9_000 * MS) == [3_500 * MS]
    world.dispatch.drop(3_500 * MS, 3_500 * MS)
    world.dispatch.enter([Segment("settle 2", 1.0), second], [(0, 0.5), (1, 1.0), (2, 1.9)], 7_000 * MS)
    for due_ns in world.dispatch.take_due(9_000 * MS):
        world.dispatch.begun(due_ns, due_ns + 30 * MS)
    found = [(line.stage, line.started, line.late, line.dropped) for line in world.dispatch.summary()]
    assert found == [("probe 1", 0, 0, 1), ("settle 2", 1, 1, 0), ("probe 2", 2, 2, 0)]
    assert [(line.stage, line.histogram.smallest) for line in world.dispatch.delays()] == [
        ("settle 2", 30_000),
        ("probe 2", 30_000),
    ]


def test_users_at_work_are_counted() -> None:
    world = World()
    seats = [Seat(lambda: None) for _ in range(3)]
    for seat in seats:
        world.dispatch.free(seat)
    world.dispatch.offer(0)
    world.dispatch.offer(0)
    assert world.dispatch.busy == 2
    at_work = [seat for seat in seats if seat.due_ns is not None]
    world.dispatch.free(at_work[0])
    assert world.dispatch.busy == 1
    world.dispatch.leave(at_work[1])
    world.dispatch.leave(at_work[0])
    assert world.dispatch.busy == 0


def test_stages_are_counted_apart_by_when_starts_were_due() -> None:
    world = World(parts=PARTS)
    world.play(0.9, 1.1, 1.2)
    assert [(line.stage, line.measured, line.dropped) for line in world.dispatch.summary()] == [
        ("warm-up", False, 1),
        ("steady", True, 2),
    ]


@given(
    st.lists(st.tuples(st.sampled_from(["offer", "free", "leave"]), st.integers(0, 50), st.booleans()), max_size=60),
    st.sampled_from([0.0, 0.03]),
)
def test_every_start_is_begun_once_or_dropped(steps: list[tuple[str, int, bool]], wait: float) -> None:
    world = World(Starts(late_after=0.02, wait=wait))
    seats: list[Seat] = []
    offered = 0
    for step, pause, behind in steps:
        world.now += pause * MS
        world.behind = behind
        if step == "offer":
            offered += 1
            world.dispatch.offer(world.now)
        elif step == "free":
            seats.append(world.seat())
        elif seats:
            world.dispatch.leave(seats.pop())
    world.dispatch.close()
    (line,) = world.dispatch.summary()
    assert line.scheduled == line.started + line.dropped == offered
    assert isinstance(line, Arrivals)
    assert line.late <= line.started >= line.waited
    assert line.dropped_behind <= line.dropped
