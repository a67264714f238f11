"""The course of a load run, read back from what its record holds of the scenario."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.scenario import load_scenario
from reports.planned import offered, parts_of

STAGES = "[{duration: 5s, rate: 20, measured: false}, {name: up, duration: 10s, rate: 60}]"
SCENARIOS = {
    "constant": "executor: constant-arrival-rate\nrate: 600\ntime_unit: 60s\nduration: 7s\npreallocated_users: 5",
    "ramping": f"executor: ramping-arrival-rate\nstart_rate: 10\nstages: {STAGES}\npreallocated_users: 5",
    "spike": "executor: spike\nrate: 10\npeak_rate: 90\nduration: 9s\npreallocated_users: 5",
    "soak": "executor: soak\nrate: 10\nduration: 9s\nwarm_up: 3s\npreallocated_users: 5",
    "soak at once": "executor: soak\nrate: 10\nduration: 9s\npreallocated_users: 5",
    "users": "executor: ramping-users\nstages: [{duration: 5s, users: 20}, {duration: 1s, users: 0}]",
}
SEARCH = "executor: slo-search\nrate: 10\nmax_rate: 90\nduration: 9s\npreallocated_users: 5"


def detail_of(text: str) -> dict[str, Any]:
    """Return a scenario as a record holds it."""
    detail: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(load_scenario(f"name: x\n{text}", "test"))))
    return detail


@pytest.mark.parametrize("name", SCENARIOS)
def test_parts_are_those_of_the_scenario(name: str) -> None:
    text = SCENARIOS[name]
    assert parts_of(detail_of(text)) == load_scenario(f"name: x\n{text}", "test").parts


@pytest.mark.parametrize(
    ("name", "corners"),
    [
        ("constant", ((0, 10), (7, 10))),
        ("ramping", ((0, 10), (5, 20), (15, 60))),
        ("spike", ((0, 10), (3, 10), (3, 90), (6, 90), (6, 10), (9, 10))),
        ("soak", ((0, 0), (3, 10), (12, 10))),
        ("users", ()),
    ],
)
def test_rate_that_was_offered(name: str, corners: tuple[tuple[float, float], ...]) -> None:
    detail = detail_of(SCENARIOS[name])
    assert offered(detail, parts_of(detail)) == corners


def test_a_search_has_no_plan() -> None:
    assert parts_of(detail_of(SEARCH)) == ()


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["duration", "rate", "name", "measured"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(["executor", "rate", "duration", "stages", "time_unit", "peak_rate", "warm_up", "start_rate"]),
        VALUES | st.sampled_from(["spike", "soak", "constant-arrival-rate"]),
    )
)
def test_whatever_a_record_says_is_no_error(detail: dict[str, Any]) -> None:
    corners = offered(detail, parts_of(detail))
    assert all(math.isfinite(second) and math.isfinite(rate) and min(second, rate) >= 0 for second, rate in corners)
    assert [second for second, _ in corners] == sorted(second for second, _ in corners)
