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
        self.sleeps: list[float] = []
        self.dispatch = Dispatch(parts, rules, lambda: self.now, lambda: self.behind)

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += round(seconds * 1e9)

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
    world.dispatch.run([(0, 0.5)], 0, world.sleep)
    assert (seat.due_ns, world.now) == (500 * MS, 500 * MS)
    assert world.counts() == (1, 1, 0, 0, 0, 0)
    assert world.dispatch.short == 0


def test_without_a_free_user_a_start_is_dropped_at_once() -> None:
    world = World()
    world.dispatch.run([(0, 0.5), (1, 0.6)], 0, world.sleep)
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
    world.dispatch.run([(0, 0.0), (1, 0.1)], 0, world.sleep)
    assert world.counts() == (0, 0, 0, 0, 0, 0)


def test_what_was_due_and_not_offered_when_the_run_ended_is_dropped_by_the_generator() -> None:
    world = World()

    def held_up(_: float) -> None:
        world.now = 2_000 * MS
        world.dispatch.close()

    world.dispatch.run([(0, 1.0), (1, 1.5), (2, 2.5)], 0, held_up)
    assert world.counts() == (2, 0, 0, 0, 2, 2)


def test_users_have_a_turn_while_many_starts_are_due() -> None:
    world = World()
    world.now = 10_000 * MS
    world.dispatch.run([(number, 0.0) for number in range(3 * BURST + 1)], 0, world.sleep)
    assert world.sleeps == [0, 0, 0]


def test_stages_are_counted_apart_by_when_starts_were_due() -> None:
    world = World(parts=PARTS)
    world.dispatch.run([(0, 0.9), (1, 1.1), (2, 1.2)], 0, world.sleep)
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
