"""Known failures: what an entry names, what it excuses, and when it has become stale."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ConfigError, ExitCode
from harness.gates import conformance_exit, outcomes_of, record_exit, requirement_verdicts, stale_exit
from harness.known import MOST_DISCREPANCIES, KnownFailure, is_named, judged, known_lines, verify
from harness.profile import load_profile
from harness.record import CheckLine, Discrepancy
from tests.reports import records as make

TODAY = date(2026, 3, 1)
CHECK = "test_uuid.py::test_refuses[zero-single]"
NAMES = st.text("abc_[]*?-:.", min_size=1, max_size=12)


def entry(requirement: str | None = None, check: str | None = None, expires: str | None = None) -> KnownFailure:
    return KnownFailure(requirement=requirement, check=check, reason="ticket 12", expires=expires)


def failing(*requirements: str, check: str = CHECK) -> CheckLine:
    return make.failed(check, *requirements)


# Entries


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ("{reason: x}", "give requirement or check, one of the two"),
        ("{requirement: UUID-02, check: test_uuid.py::test_x, reason: x}", "give requirement or check, one of the two"),
        ("{requirement: UUID-02, reason: ' '}", "reason: say why the failure is accepted"),
        ("{requirement: UUID-02}", "missing; why it is accepted"),
        ("{requirement: '', reason: x}", "requirement: names nothing"),
        ("{requirement: UUID-02, reason: x, expires: 2026-02-30}", "expires: '2026-02-30' is not a day"),
        ("{requirement: UUID-02, reason: x, expires: soon}", "expires: 'soon' is not a day"),
        ("{requirement: UUID-02, reason: x, until: 2026-02-03}", "unknown key"),
    ],
)
def test_an_entry_that_cannot_be_meant_is_refused_when_it_is_read(lines: str, text: str) -> None:
    profile = f"name: x\naddress: 127.0.0.1:1\njobs: {{quick: {{text: a}}}}\nknown_failures:\n  - {lines}\n"
    with pytest.raises(ConfigError, match=r"p\.yaml:5: known_failures\[0\]") as caught:
        load_profile(profile, "p.yaml")
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ([entry("UUID-2")], r"known_failures\[0\]\.requirement: no such requirement: UUID-2; did you mean UUID-02\?"),
        ([entry("UUID-02"), entry(check="test_uuid.py::test_refuse")], r"known_failures\[1\]\.check: .*did you mean"),
        ([entry("UUID-02"), entry("UUID-02")], r"known_failures\[1\]\.requirement: UUID-02 is named twice"),
    ],
)
def test_names_that_mean_nothing_or_the_same_are_refused(entries: list[KnownFailure], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        verify(entries, ["UUID-02", "EXEC-01"], [CHECK])


def test_names_that_exist_are_not() -> None:
    verify(
        [entry("UUID-02"), entry(check=CHECK), entry(check="test_uuid.py::test_refuses"), entry(check="*zero*")],
        ["UUID-02"],
        [CHECK],
    )


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        (CHECK, True),
        ("test_uuid.py::test_refuses", True),
        ("test_uuid.py::*", True),
        ("*[zero-singl?]", True),
        ("*[zero-single", False),
        ("test_refuses", False),
        ("test_uuid.py::test_refuse", False),
        ("test_uuid.py::test_refuses[zero]", False),
    ],
)
def test_what_a_pattern_names(pattern: str, named: bool) -> None:
    assert is_named(pattern, CHECK) is named


@given(NAMES)
def test_every_name_names_itself_and_a_star_names_everything(name: str) -> None:
    assert is_named(name, name)
    assert is_named("*", name)
    assert is_named("?" * len(name), name)


@given(st.text("abc[]-", min_size=1, max_size=8), st.text("abc-", min_size=1, max_size=8))
def test_without_a_star_a_pattern_names_one_check_or_all_its_parameters(pattern: str, name: str) -> None:
    assert is_named(pattern, f"{name}[x]") == (pattern in {name, f"{name}[x]"})


# Excuses


def test_what_is_excused_in_full_is_a_known_failure() -> None:
    found = judged(failing("UUID-02"), [entry("UUID-02")], TODAY)
    assert (found.verdict, found.reason) == ("known_failure", "ticket 12")
    assert [item.known for item in found.discrepancies] == ["ticket 12"]
    assert requirement_verdicts([make.requirement("UUID-02"), found])["UUID-02"].verdict == "known_failure"
    assert conformance_exit([make.requirement("UUID-02"), found])[0] is ExitCode.OK


def test_what_is_not_excused_fails_and_is_what_the_reason_speaks_of() -> None:
    found = judged(failing("UUID-02", "UUID-06"), [entry("UUID-02")], TODAY)
    assert (found.verdict, found.reason) == ("fail", "expected expected of UUID-06, observed observed for UUID-06")
    assert [(item.requirement, item.known) for item in found.discrepancies] == [("UUID-06", ""), ("UUID-02", "ticket 12")]
    verdicts = requirement_verdicts([make.requirement("UUID-02"), make.requirement("UUID-06"), found])
    assert {name: item.verdict for name, item in verdicts.items()} == {"UUID-02": "known_failure", "UUID-06": "fail"}
    assert verdicts["UUID-02"].reason == "ticket 12"


def test_an_entry_of_a_check_excuses_all_that_it_finds_and_nothing_else() -> None:
    entries = [entry(check="test_uuid.py::test_refuses")]
    assert judged(failing("UUID-02", "UUID-06"), entries, TODAY).verdict == "known_failure"
    assert judged(failing("UUID-02", check="test_uuid.py::test_other"), entries, TODAY).verdict == "fail"


@given(st.integers(-400, 400))
def test_an_entry_excuses_until_its_last_day(days: int) -> None:
    last = TODAY + timedelta(days=days)
    found = judged(failing("UUID-02"), [entry("UUID-02", expires=last.isoformat())], TODAY)
    assert found.verdict == ("known_failure" if days >= 0 else "fail")
    assert (f"expired on {last}" in found.reason) is (days < 0)
    assert (f"until {last}" in found.reason) is (days >= 0)


@given(
    st.lists(st.sampled_from(["UUID-02", "UUID-06", "EXEC-01"]), max_size=60),
    st.sets(st.sampled_from(["UUID-02", "UUID-06", "EXEC-01"])),
)
def test_a_failure_is_never_lost(broken: list[str], known: set[str]) -> None:
    line = dataclasses.replace(failing("UUID-02"), discrepancies=tuple(Discrepancy(name, "a", "b") for name in broken))
    found = judged(line, [entry(name) for name in sorted(known)], TODAY)
    assert (found.verdict == "known_failure") is (bool(broken) and set(broken) <= known)
    assert len(found.discrepancies) == min(len(broken), MOST_DISCREPANCIES)
    if set(broken) - known:
        assert found.discrepancies[0].known == ""


@pytest.mark.parametrize("verdict", ["pass", "inconclusive", "skipped", "not_applicable"])
def test_other_verdicts_stay(verdict: str) -> None:
    line = make.check(CHECK, "UUID-02", verdict=verdict)
    assert judged(line, [entry("UUID-02")], TODAY) is line


# What becomes of entries

ALL: Mapping[str, tuple[str, ...]] = {"a": ("UUID-02",), "b": ("UUID-02", "EXEC-01"), "c": ("EXEC-01",)}


def state(item: KnownFailure, *lines: CheckLine) -> tuple[str, tuple[str, ...]]:
    judged_lines = [judged(line, [item], TODAY) for line in lines]
    (found,) = known_lines([item], judged_lines, ALL, TODAY)
    return found.state, found.checks


def check(name: str, verdict: str = "pass", kind: str = "") -> CheckLine:
    return make.check(name, *ALL[name], verdict=verdict, reason_kind=kind)


def test_an_entry_that_matches_is_not_stale() -> None:
    assert state(entry("UUID-02"), check("a"), failing("UUID-02", check="b")) == ("excused", ("b",))
    assert state(entry("UUID-02", expires="2026-02-28"), failing("UUID-02", check="b")) == ("expired", ("b",))


def test_an_entry_of_which_everything_passes_is_stale() -> None:
    assert state(entry("UUID-02"), check("a"), check("b")) == ("stale", ("a", "b"))
    assert state(entry(check="a"), check("a")) == ("stale", ("a",))
    assert state(entry("UUID-02", expires="2026-02-28"), check("a"), check("b"))[0] == "stale"
    assert state(entry("UUID-02"), check("a"), check("b", "not_applicable")) == ("stale", ("a",))
    assert state(entry("UUID-02"), check("a"), check("b", "inconclusive", "unobservable"))[0] == "stale"


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (check("a"),),
        (check("a"), check("b", "skipped")),
        (check("a"), check("b", "inconclusive", "disturbed")),
        (check("a", "not_applicable"), check("b", "not_applicable")),
        (check("a"), make.failed("b", *ALL["b"], breaks=("EXEC-01",))),
    ],
)
def test_an_entry_that_nobody_could_judge_is_not_stale(lines: tuple[CheckLine, ...]) -> None:
    assert state(entry("UUID-02"), *lines)[0] == "undecided"


def test_a_stale_entry_makes_the_same_exit_code_whenever_the_record_is_judged() -> None:
    lines = [check("a"), check("b")]
    stale = known_lines([entry("UUID-02")], lines, ALL, TODAY)
    code, reason = stale_exit(stale)
    assert (code, reason) == (
        ExitCode.USAGE,
        "1 known failure no longer fails: UUID-02 (passed: a, b); remove it from the profile.",
    )
    record = make.record(*make.conformance(make.requirement("UUID-02"), *lines, *stale, reason=reason, exit_code=2), exit_code=2)
    assert record_exit(record) == (code, reason)
    assert len([item for item, _ in outcomes_of(record) if item is ExitCode.USAGE]) == 1
    several = known_lines([entry("UUID-02"), entry(check="a")], lines, ALL, TODAY)
    assert stale_exit(several)[1].startswith("2 known failures no longer fail: UUID-02 (passed: a, b); a (passed: a)")
    assert stale_exit(lines) == (ExitCode.OK, "")
