"""Locust's own statistics, fed with many calls at once, against the same calls told one by one.

`test_tally.py` runs these in a process of their own: Locust patches the one that it is imported in.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from locust.env import Environment
from locust.stats import StatsEntry

from harness.history import Failed, Rpc
from loadtests.program import Answer
from loadtests.recording import Fold
from loadtests.tally import METHOD, CountedError, LocustTally

STATUS = Rpc.STATUS.value
latencies = st.lists(st.integers(0, 20_000_000), min_size=1, max_size=60)


def environment() -> Environment:
    """Return an environment whose runner listens for calls, as in a run."""
    made = Environment(user_classes=[])
    made.create_local_runner()
    return made


def figures(entry: StatsEntry) -> dict[str, Any]:
    return {
        "requests": entry.num_requests,
        "failures": entry.num_failures,
        "times": dict(entry.response_times),
        "total": round(float(entry.total_response_time), 3),
        "least": entry.min_response_time,
        "most": entry.max_response_time,
        "octets": entry.total_content_length,
        "seconds": sum(entry.num_reqs_per_sec.values()),
    }


@given(latencies, st.integers(0, 1000))
def test_sums_say_the_same_as_single_calls(micros: list[int], octets: int) -> None:
    at_once, one_by_one = environment(), environment()
    tally = LocustTally(at_once)
    assert tally.begin() is False
    tally.folded(Fold(STATUS, "OK", Counter(micros), octets * len(micros)))
    stats: Any = one_by_one.stats
    for each in micros:
        stats.log_request(METHOD, STATUS, each / 1000, octets)
    assert figures(at_once.stats.total) == figures(one_by_one.stats.total)
    assert figures(at_once.stats.get(STATUS, METHOD)) == figures(one_by_one.stats.get(STATUS, METHOD))


@given(st.lists(latencies, min_size=2, max_size=3))
def test_sums_add_up(folds: list[list[int]]) -> None:
    found = environment()
    tally = LocustTally(found)
    tally.begin()
    for micros in folds:
        tally.folded(Fold(STATUS, "OK", Counter(micros), 0))
    assert found.stats.total.num_requests == sum(map(len, folds))
    assert found.stats.total.max_response_time == max(map(max, folds)) / 1000
    assert found.stats.total.min_response_time == min(map(min, folds)) / 1000


def failed_answer() -> Answer:
    return Answer(Rpc.STATUS, "NOT_FOUND", None, Failed("NOT_FOUND", "no job 7"), 1_000_000, 3_500_000, b"id-1")


def test_failures_are_told_one_by_one_and_counted_once() -> None:
    found = environment()
    tally = LocustTally(found)
    tally.begin()
    tally.answered(failed_answer(), 0)
    tally.folded(Fold(STATUS, "NOT_FOUND", {2500: 1}, 0))
    assert (found.stats.total.num_requests, found.stats.total.num_failures) == (1, 1)
    assert [repr(error.error) for error in found.stats.errors.values()] == ["NOT_FOUND"]
    assert "no job 7 (request id id-1)" in str(CountedError(failed_answer()))


def test_who_else_listens_hears_of_every_call_and_nothing_is_counted_twice() -> None:
    found, heard = environment(), []
    events: Any = found.events
    events.request.add_listener(lambda **call: heard.append((call["name"], call["response_time"], call["response_length"])))
    tally = LocustTally(found)
    assert tally.begin() is True
    tally.answered(Answer(Rpc.STATUS, "OK", None, None, 0, 1_500_000, b"x"), 7)
    tally.folded(Fold(STATUS, "OK", {1500: 1}, 7))
    assert heard == [(STATUS, 1.5, 7)]
    assert found.stats.total.num_requests == 1
