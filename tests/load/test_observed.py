"""An endpoint's own count of jobs, held against the books of a run."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.endpoint import Endpoint, resolve
from harness.facts import Observer
from harness.profile import load_profile
from harness.record import Discrepancy, Ledger
from loadtests.ledger import LoadLedger
from loadtests.observed import Watch, held_against
from loadtests.violations import SHOWN_IN_FULL

numbers = st.integers(0, 1000)


def books(**changes: int) -> Ledger:
    return dataclasses.replace(LoadLedger().summary(), **changes)  # type: ignore[arg-type]


def watched(counter: Path, exclusive: bool = True) -> Endpoint:
    """Return an endpoint whose count is what a file says."""
    profile = load_profile("name: t\naddress: 127.0.0.1:1\njobs: {quick: {text: x}}\n", "test")
    program = f"print(open({str(counter)!r}).read())"
    observer = Observer(command=(sys.executable, "-c", program))
    changed = dataclasses.replace(profile, facts=dataclasses.replace(profile.facts, observer=observer, exclusive=exclusive))
    return resolve(changed, Path())


@given(numbers, numbers, numbers, st.integers(-1000, 3000))
def test_jobs_beyond_all_that_are_known_are_doubled(acknowledged: int, doubled: int, unknown: int, made: int) -> None:
    before = books(acknowledged_jobs=acknowledged, duplicated=doubled, unknown_jobs=unknown)
    after, surplus = held_against(before, float(made)), made - acknowledged - doubled - unknown
    if surplus <= 0:
        assert after == before
        return
    assert after.duplicated == doubled + surplus
    assert after.violation_count == 1
    (found,) = after.violations
    assert found.requirement == "EXEC-01"
    assert f"{surplus} that no id shows" in found.observed


def test_a_surplus_after_replays_is_laid_to_them_and_the_record_shows_it_first() -> None:
    full = (Discrepancy("STA-01", "a", "b"),) * SHOWN_IN_FULL
    before = dataclasses.replace(books(replays=1, violation_count=60), violations=full)
    after = held_against(before, 1.0)
    assert (after.violation_count, len(after.violations)) == (61, SHOWN_IN_FULL)
    assert [item.requirement for item in after.violations[:2]] == ["IDEM-02", "STA-01"]


def test_half_a_job_is_no_count_of_jobs() -> None:
    assert held_against(books(), 1.5) == books()


@pytest.mark.parametrize(("later", "found"), [("9", 0), ("10", 1), ("8", 0), ("nonsense", 0)])
def test_what_came_between_two_readings_counts(later: str, found: int, tmp_path: Path) -> None:
    counter = tmp_path / "count"
    counter.write_text("7")
    watch = Watch(watched(counter))
    counter.write_text(later)
    assert watch.judged(books(acknowledged_jobs=2)).duplicated == found


@pytest.mark.parametrize("first", ["nonsense", None])
def test_a_count_that_could_not_be_read_at_first_says_nothing(first: str | None, tmp_path: Path) -> None:
    counter = tmp_path / "count"
    if first is not None:
        counter.write_text(first)
    watch = Watch(watched(counter))
    counter.write_text("5")
    assert watch.judged(books()) == books()


def test_nothing_is_said_of_a_target_that_others_use_too(tmp_path: Path) -> None:
    counter = tmp_path / "count"
    counter.write_text("7")
    watch = Watch(watched(counter, exclusive=False))
    counter.write_text("9")
    assert watch.judged(books()) == books()


def test_a_count_that_does_not_come_to_rest_says_nothing(tmp_path: Path) -> None:
    counter, growing = tmp_path / "count", tmp_path / "growing"
    growing.write_text("")
    endpoint = watched(counter)
    program = f"f = open({str(growing)!r}, 'r+'); n = len(f.read()); f.write('x'); print(n)"
    facts = dataclasses.replace(endpoint.profile.facts, observer=Observer(command=(sys.executable, "-c", program)))
    moved = dataclasses.replace(endpoint, profile=dataclasses.replace(endpoint.profile, facts=facts))
    watch = Watch(moved)
    assert watch.judged(books()) == books()
