"""Programs, by a function that waits and by callbacks: the same work either way."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator

import gevent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.budget import BudgetExceededError
from harness.errors import HarnessError, NotValidError
from harness.history import Rpc
from loadtests.engine import TICK, Engine, Timers
from loadtests.program import Answer, Ask, Program, run_waiting

wishes = st.lists(st.sampled_from(["call", "refused", 0.0, 0.001]), max_size=8)


def answer_to(ask: Ask) -> Answer:
    return Answer(ask.rpc, "OK", None, None, 0, len(ask.octets), b"id")


def call(ask: Ask) -> Answer:
    if ask.octets == b"refused":
        raise BudgetExceededError("spent")
    return answer_to(ask)


def programme(wanted: list[str | float], log: list[str]) -> Program[None]:
    """Ask for everything in order and note what comes of it; a refusal is swallowed."""
    for wish in wanted:
        if isinstance(wish, float):
            result = yield wish
            log.append(f"rested {wish} {result}")
            continue
        try:
            answer = yield Ask(Rpc.STATUS, wish.encode())
            log.append(f"answered {answer.ended_ns}")
        except BudgetExceededError:
            log.append("refused")


@pytest.fixture
def timers() -> Iterator[Timers]:
    made = Timers()
    yield made
    made.close()


def engine_of(timers: Timers, errors: list[HarnessError]) -> Engine:
    loop = gevent.get_hub().loop

    def start(ask: Ask, done: Callable[[Answer], object]) -> None:
        answer = call(ask)
        loop.run_callback(done, answer)

    return Engine(start, errors.append, timers)


@settings(deadline=None, max_examples=30)
@given(st.lists(wishes, min_size=1, max_size=4))
def test_callbacks_do_what_waiting_does(plans: list[list[str | float]]) -> None:
    waited: list[list[str]] = [[] for _ in plans]
    for plan, log in zip(plans, waited, strict=True):
        run_waiting(programme(plan, log), call, lambda _: None)
    timers, errors, over = Timers(), list[HarnessError](), list[int]()
    engine = engine_of(timers, errors)
    called: list[list[str]] = [[] for _ in plans]
    for plan, log in zip(plans, called, strict=True):
        engine.run(programme(plan, log), lambda: over.append(1))
    assert engine.idle.wait(10)
    timers.close()
    assert called == waited
    assert (engine.running, len(over), errors) == (0, len(plans), [])


def test_an_error_that_a_program_does_not_handle_ends_it_and_is_told(timers: Timers) -> None:
    errors: list[HarnessError] = []
    engine = engine_of(timers, errors)

    def unready() -> Program[None]:
        yield Ask(Rpc.STATUS, b"refused")

    def broken() -> Program[None]:
        yield 0.001
        raise KeyError("x")

    over: list[str] = []
    engine.run(unready(), lambda: over.append("unready"))
    engine.run(broken(), lambda: over.append("broken"))
    assert engine.idle.wait(10)
    assert over == ["unready", "broken"]
    assert isinstance(errors[0], BudgetExceededError)
    assert isinstance(errors[1], NotValidError)
    assert "KeyError" in str(errors[1])
    with pytest.raises(BudgetExceededError):
        run_waiting(unready(), call, lambda _: None)


def test_a_program_that_is_left_in_the_middle_is_closed() -> None:
    closed: list[str] = []

    def careful() -> Program[None]:
        try:
            yield Ask(Rpc.STATUS, b"call")
        finally:
            closed.append("closed")

    def killed(_: Ask) -> Answer:
        raise gevent.GreenletExit

    with pytest.raises(gevent.GreenletExit):
        run_waiting(careful(), killed, lambda _: None)
    assert closed == ["closed"]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.floats(0, 0.01), min_size=1, max_size=30))
def test_rests_end_at_the_next_tick_in_order_and_never_early(rests: list[float]) -> None:
    clock, woken = Clock(), list[tuple[float, int]]()
    timers = Timers(clock)

    def note(number: int) -> None:
        woken.append((clock.now, number))

    for number, rest in enumerate(rests):
        timers.after(rest, functools.partial(note, number))
    for step in itertools.count():
        clock.now = 100.0 + step * TICK / 2
        timers._ring()
        if len(woken) == len(rests) or step > 100:
            break
    timers.close()
    assert sorted(number for _, number in woken) == list(range(len(rests)))
    for now, number in woken:
        late = now - 100.0 - rests[number]
        assert -1e-9 <= late <= 1.6 * TICK


def test_whoever_is_woken_may_rest_again(timers: Timers) -> None:
    rung: list[int] = []
    enough = gevent.event.Event()

    def again() -> None:
        rung.append(len(rung))
        if len(rung) == 5:
            enough.set()
        else:
            timers.after(0.0, again)

    timers.after(0.001, again)
    assert enough.wait(10)
