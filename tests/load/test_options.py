"""What a load run is to be made against."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.endpoint import resolve
from harness.profile import load_profile
from harness.scenario import load_scenario
from loadtests.options import Plan

PROFILE = """\
name: t
address: 127.0.0.1:1
jobs: {quick: {text: x}}
facts: {observer: {url: "http://127.0.0.1:2/metrics"}}
"""


@pytest.mark.parametrize(("address", "counted"), [(None, True), ("", True), ("127.0.0.1:1", True), ("127.0.0.1:3", False)])
def test_the_observer_of_a_profile_says_nothing_of_another_endpoint(address: str | None, counted: bool) -> None:
    scenario = load_scenario("name: s\nexecutor: constant-users\nusers: 1\nduration: 1s\n", "s.yaml")
    plan = Plan(resolve(load_profile(PROFILE, "p.yaml"), Path()), scenario, None, "")
    moved = plan.endpoint_at(address)
    assert moved.address == (address or "127.0.0.1:1")
    assert (moved.profile.facts.observer is not None) is counted
