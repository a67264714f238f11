"""What a load run tells of its course while it goes on."""

from __future__ import annotations

import dataclasses

import pytest

from harness.record import Arrivals
from harness.scenario import Scenario, load_scenario
from loadtests.conclude import Conclusion
from loadtests.parcels import Parcel, together
from loadtests.runner import Progress
from loadtests.sink import Sink

COMMON = "preallocated_users: 4\nworkload: {job: quick}\n"
STAGES = "stages:\n  - {name: calm, duration: 10s, rate: 5}\n  - {name: peak, duration: 20s, rate: 9}\n"
RAMP = f"name: r\nexecutor: ramping-arrival-rate\n{STAGES}{COMMON}"
SEARCH = f"name: s\nexecutor: slo-search\nrate: 1\nmax_rate: 9\nduration: 9s\n{COMMON}thresholds: ['errors: rate < 1%']\n"
USERS = "name: u\nexecutor: constant-users\nusers: 2\nduration: 30s\nworkload: {job: quick}\n"


def starts(stage: str, scheduled: int, dropped: int = 0, late: int = 0) -> Arrivals:
    return Arrivals(stage, True, 10.0, scheduled, scheduled - dropped, 0, late, dropped, 0, 0.02, 0.05)


class Told:
    """A conclusion, and what it told."""

    def __init__(self, text: str) -> None:
        self.scenario: Scenario = load_scenario(text, "scenario.yaml")
        self._heard: list[Progress] = []
        self._conclusion = Conclusion(self.scenario, Sink(None, None), self._heard.append)

    def at(self, elapsed: float, *arrivals: Arrivals) -> Progress:
        parcel: Parcel = dataclasses.replace(together(()), arrivals=arrivals, span=elapsed)
        self._conclusion.take(parcel)
        self._conclusion.tell(elapsed)
        return self._heard[-1]


def test_an_open_load_tells_its_stage_and_its_starts() -> None:
    told = Told(RAMP)
    first = told.at(9.0, starts("calm", 40, dropped=1), starts("peak", 0))
    assert (first.stage, first.offered, first.dropped, first.late, first.total) == ("calm", 40, 1, 0, 30.0)
    second = told.at(10.0, starts("calm", 45, dropped=2), starts("peak", 3, dropped=1, late=2))
    assert (second.stage, second.offered, second.dropped, second.late) == ("peak", 8, 3, 2)
    assert told.at(99.0, starts("calm", 45), starts("peak", 3)).stage == "peak"


def test_a_search_tells_the_trial_that_it_is_at() -> None:
    told = Told(SEARCH)
    assert told.at(1.0).stage == ""
    now = told.at(2.0, starts("probe-1 (1/s)", 5), starts("probe-2 (2/s)", 2))
    assert (now.stage, now.offered) == ("probe-2 (2/s)", 7)


@pytest.mark.parametrize("elapsed", [0.0, 31.0])
def test_users_that_start_by_themselves_have_no_rate(elapsed: float) -> None:
    now = Told(USERS).at(elapsed)
    assert (now.stage, now.offered, now.dropped) == ("", None, 0)
