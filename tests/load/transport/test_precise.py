"""A timer that rings when it should: never early, once, and not after it was closed."""

from __future__ import annotations

import time

import gevent
import pytest
from gevent.event import Event

from loadtests.transport import precise
from loadtests.transport.precise import PreciseTimer

LONGEST = 10.0


@pytest.fixture(params=["kernel", "loop"])
def rung(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When the timer of a test rang; once with the kernel's timer, once where there is none."""
    if request.param == "loop":
        monkeypatch.setattr(precise, "_open_timer", lambda: None)
    elif precise._open_timer() is None:
        pytest.skip("this system has no timerfd")
    return []


def test_it_rings_once_and_never_early(rung: list[float]) -> None:
    bell = Event()

    def ring() -> None:
        rung.append(time.monotonic())
        bell.set()

    timer = PreciseTimer(ring)
    for wait in (0.0, 0.0004, 0.003, -1.0):
        bell.clear()
        due = time.monotonic() + wait
        timer.at(due)
        assert bell.wait(LONGEST)
        assert rung[-1] >= due
    gevent.sleep(0.005)
    assert len(rung) == 4
    timer.close()


def test_a_new_time_takes_the_place_of_the_last(rung: list[float]) -> None:
    bell = Event()

    def ring() -> None:
        rung.append(time.monotonic())
        bell.set()

    timer = PreciseTimer(ring)
    timer.at(time.monotonic() + 3600)
    timer.at(due := time.monotonic() + 0.002)
    timer.at(time.monotonic() + 0.004)
    assert bell.wait(LONGEST)
    assert rung[0] >= due + 0.001
    gevent.sleep(0.005)
    assert len(rung) == 1
    timer.close()


def test_a_closed_timer_does_not_ring(rung: list[float]) -> None:
    timer = PreciseTimer(lambda: rung.append(time.monotonic()))
    timer.at(time.monotonic() + 0.001)
    timer.close()
    timer.at(time.monotonic())
    gevent.sleep(0.01)
    assert rung == []
    timer.close()
