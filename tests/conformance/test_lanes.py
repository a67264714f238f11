"""Lanes: work on several targets at once, never two on one, in order for whoever waits, and stopped in bounded time."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from conformance import lanes as module
from conformance.lanes import Lanes

PATIENCE = 20.0


class Log:
    """Who ran where, and who ran at the same time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running: dict[int, Step] = {}
        self.order: list[str] = []
        self.companions: dict[str, set[str]] = {}

    def enter(self, lane: int, step: Step) -> None:
        with self.lock:
            assert lane not in self.running, "two on one target"
            for other in self.running.values():
                self.companions.setdefault(step.name, set()).add(other.name)
                self.companions.setdefault(other.name, set()).add(step.name)
            self.running[lane] = step
            self.order.append(step.name)

    def leave(self, lane: int) -> None:
        with self.lock:
            del self.running[lane]


@dataclass
class Step:
    name: str
    log: Log
    alone: bool = False
    ahead: bool = True
    long: bool = False
    work: Callable[[Step], object] = lambda _: None
    given_up: threading.Event = field(default_factory=threading.Event)
    withdrawn: bool = False

    def run(self, lane: int) -> None:
        self.log.enter(lane, self)
        try:
            self.work(self)
        finally:
            self.log.leave(lane)

    def give_up(self) -> None:
        self.given_up.set()

    def withdraw(self, patience: float) -> None:
        assert patience > 0
        self.withdrawn = True


def test_lanes_run_side_by_side_and_one_does_not_share_its_target() -> None:
    log, meeting = Log(), threading.Barrier(3)
    steps = [Step(str(number), log, work=lambda _: meeting.wait(PATIENCE)) for number in range(9)]
    lanes = Lanes(steps, 3)
    for place in range(len(steps)):
        lanes.reach(place)
        assert lanes.wait(place)
    lanes.close()
    assert sorted(log.order) == [str(number) for number in range(9)]
    assert not any(step.withdrawn for step in steps)


def test_what_is_alone_shares_nothing() -> None:
    log = Log()
    steps = [Step(str(number), log, alone=number % 3 == 1) for number in range(60)]
    lanes = Lanes(steps, 4)
    for place in range(len(steps)):
        lanes.reach(place)
        assert lanes.wait(place)
    lanes.close()
    assert not [name for name in log.companions if int(name) % 3 == 1]


def test_one_lane_does_not_run_ahead() -> None:
    log = Log()
    steps = [Step(str(number), log) for number in range(3)]
    lanes = Lanes(steps, 1)
    for place in range(len(steps)):
        lanes.reach(place)
        assert lanes.wait(place)
        assert log.order == [str(number) for number in range(place + 1)]
    lanes.close()


@pytest.mark.parametrize(("count", "first"), [(2, "3"), (1, "0")])
def test_lanes_begin_with_what_is_long_but_one_lane_keeps_the_order(count: int, first: str) -> None:
    log, three = Log(), threading.Event()

    def after_three(step: Step) -> None:
        assert count == 1 or step.name == "3" or three.wait(PATIENCE)
        if step.name == "3":
            three.set()

    steps = [Step(str(number), log, long=number == 3, alone=number == 2, work=after_three) for number in range(4)]
    lanes = Lanes(steps, count)
    for place in range(len(steps)):
        lanes.reach(place)
        assert lanes.wait(place)
    lanes.close()
    assert log.order[0] == first
    assert sorted(log.order) == ["0", "1", "2", "3"]
    assert "2" not in log.companions


def test_work_that_is_not_to_be_run_ahead_is_left_to_whoever_waits() -> None:
    log = Log()
    steps = [Step("0", log), Step("1", log, ahead=False), Step("2", log)]
    lanes = Lanes(steps, 2)
    lanes.reach(0)
    assert lanes.wait(0)
    lanes.reach(1)
    lanes.wait_idle()
    assert log.order == ["0"]
    lanes.reach(2)
    assert lanes.wait(2)
    lanes.close()
    assert log.order == ["0", "2"]


def test_what_breaks_is_raised_where_it_is_waited_for() -> None:
    log = Log()

    def fail(_: Step) -> None:
        raise SystemExit("broken")

    lanes = Lanes([Step("0", log, work=fail), Step("1", log)], 2)
    lanes.reach(0)
    with pytest.raises(SystemExit, match="broken"):
        lanes.wait(0)
    lanes.reach(1)
    assert lanes.wait(1)
    lanes.close()


def test_a_stop_starts_nothing_more_and_ends_what_runs() -> None:
    log, begun = Log(), threading.Semaphore(0)

    def until_given_up(step: Step) -> None:
        begun.release()
        assert step.given_up.wait(PATIENCE)

    steps = [Step(str(number), log, work=until_given_up) for number in range(5)]
    lanes = Lanes(steps, 2)
    lanes.reach(0)
    assert begun.acquire(timeout=PATIENCE)
    assert begun.acquire(timeout=PATIENCE)
    lanes.close()
    assert sorted(log.order) == ["0", "1"]
    assert [step.withdrawn for step in steps] == [True, True, False, False, False]
    assert lanes.wait(0)
    assert not lanes.wait(4)


def test_what_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE", 0.05)
    log, begun, release = Log(), threading.Event(), threading.Event()

    def hang(_: Step) -> None:
        begun.set()
        release.wait(PATIENCE)

    step = Step("0", log, work=hang)
    lanes = Lanes([step], 1)
    lanes.reach(0)
    assert begun.wait(PATIENCE)
    lanes.close()
    assert step.withdrawn
    assert not lanes.wait(0)
    release.set()


def test_nothing_starts_before_the_first_is_due() -> None:
    log = Log()
    lanes = Lanes([Step("0", log)], 2)
    lanes.close()
    assert log.order == []


@pytest.mark.parametrize("wait", [lambda lanes: lanes.wait(0), lambda lanes: lanes.wait_idle()], ids=["verdict", "idle"])
def test_a_signal_that_does_not_wake_whoever_waits_is_attended_to_all_the_same(wait: Callable[[Lanes], object]) -> None:
    """It comes just before the wait, or to another thread, as here."""

    def work(step: Step) -> None:
        while not is_waiting():
            step.given_up.wait(0.001)
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        step.given_up.wait(PATIENCE)

    def is_waiting() -> bool:
        """Whether the main thread is in one of the lanes' own waits, not in one of `Thread.start`."""
        frame = sys._current_frames()[main]
        caller = frame.f_back
        waits = {Lanes.wait.__code__, Lanes.wait_idle.__code__}
        return frame.f_code.co_name == "wait" and caller is not None and caller.f_code in waits

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    main = threading.get_ident()
    step = Step("hangs", Log(), work=work)
    lanes = Lanes([step], 1)
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        lanes.reach(0)
        with pytest.raises(KeyboardInterrupt):
            wait(lanes)
        assert 0 in step.log.running, "it was attended to only once the work had ended"
    finally:
        signal.signal(signal.SIGUSR1, before)
        lanes.close()
