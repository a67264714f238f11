from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ExitCode
from harness.killmatrix import CELLS, FATES, Check, Fate, Kill, Matrix, Steadiness, Subject, Trial, kills_of, needs_more
from tests.matrices import IDS, JUDGED, LINES, REQUIREMENTS, checks, fates, holding, killed, mutant, trial


def kinds(matrix: Matrix) -> set[str]:
    return {finding.kind for finding in matrix.findings}


def test_when_every_mutant_is_killed_by_its_own_checks_all_is_well() -> None:
    assert holding().findings == ()
    assert holding().exit_code is ExitCode.OK
    assert holding().count("killed") == len(JUDGED)


def survivor(requirement: str) -> Fate:
    subject = mutant(requirement, "survivor")
    return Fate(subject, (trial(subject),))


def elsewhere(requirement: str) -> Fate:
    subject = mutant(requirement, "elsewhere")
    return Fate(subject, (trial(subject, *(name for name in JUDGED if name != requirement)),))


def unreached(requirement: str) -> Fate:
    subject = mutant(requirement, "unreached")
    return Fate(subject, (trial(subject, reached=False),))


def killed_by_accident(requirement: str) -> Fate:
    subject = mutant(requirement, "accident")
    return Fate(subject, (trial(subject, requirement, reached=False),))


def broken_off(requirement: str) -> Fate:
    subject = mutant(requirement, "broken")
    return Fate(subject, (trial(subject, broken="the endpoint is gone"),))


BAD = [
    (survivor, "survived", ExitCode.BELOW_THRESHOLD),
    (elsewhere, "elsewhere", ExitCode.BELOW_THRESHOLD),
    (unreached, "unreached", ExitCode.BELOW_THRESHOLD),
    (killed_by_accident, "unreached", ExitCode.BELOW_THRESHOLD),
    (broken_off, "unjudged", ExitCode.NOT_VALID),
]


@pytest.mark.parametrize(("bad", "kind", "code"), BAD, ids=[bad.__name__ for bad, _, _ in BAD])
@given(data=st.data(), requirement=REQUIREMENTS)
def test_one_bad_mutant_fails_any_matrix(
    bad: Callable[[str], Fate], kind: str, code: ExitCode, data: st.DataObject, requirement: str
) -> None:
    matrix = holding()
    found = list(matrix.fates)
    found.insert(data.draw(st.integers(0, 3)), bad(requirement))
    matrix = replace(matrix, fates=tuple(found), selected=data.draw(st.booleans()))
    assert kinds(matrix) == {kind}
    assert [finding.subject for finding in matrix.findings] == [bad(requirement).subject.name]
    assert matrix.exit_code is code


@given(st.lists(fates(), max_size=5), st.booleans())
def test_a_matrix_holds_exactly_if_each_mutant_is_killed_and_no_check_broke(found: list[Fate], selected: bool) -> None:
    matrix = replace(holding(), fates=tuple(found), selected=selected)
    tried = [item for item in found if item.trials]
    crashed = any(check.crashed for item in tried for one in item.trials for check in one.checks)
    gaps = not selected and bool(found) and not all(matrix.is_proven(name) for name in JUDGED)
    assert (not matrix.findings) == (all(item.fate == "killed" for item in tried) and not crashed and not gaps)
    assert {item.fate for item in found} <= set(FATES)
    assert {item.cell(name) for item in found for name in IDS} <= set(CELLS)


@given(fates())
def test_a_kill_needs_a_check_that_covers_the_requirement_and_code_that_ran(item: Fate) -> None:
    covering = any(
        item.subject.requirement in check.covers and item.subject.requirement in check.violated
        for one in item.trials
        for check in one.checks
    )
    assert bool(item.own) == covering
    assert (item.cell(item.subject.requirement) == "own") == covering
    if item.fate == "killed":
        assert covering
        assert any(one.reached for one in item.trials)
    assert {*item.own, *item.others} == set(item.kills)


def test_a_violation_found_by_a_check_of_something_else_is_no_kill_of_ones_own() -> None:
    subject = mutant("STA-01")
    stray = Check("test_can.py::x", ("CAN-01",), "fail", ("STA-01",), "went back")
    item = Fate(subject, (replace(trial(subject), checks=(stray,)),))
    assert item.fate == "elsewhere"
    assert item.others == (Kill("STA-01", "test_can.py::x", "went back", covering=False),)


def test_half_reached_counts_for_a_kill_but_not_for_a_survivor() -> None:
    subject = mutant("CAN-01")
    half = replace(trial(subject, "CAN-01"), reached=("cancel",))
    assert Fate(subject, (half,)).fate == "killed"
    item = Fate(subject, (replace(half, checks=checks()),))
    assert (item.fate, item.missed) == ("unreached", ("_move",))
    assert "never ran: _move" in Matrix(LINES, None, (item,), selected=True).findings[0].text
    assert Fate(subject, (replace(half, checks=checks("STA-01")),)).fate == "elsewhere"


@pytest.mark.parametrize("verdict", ["fail", "inconclusive", "not_applicable", "skipped"])
def test_the_sound_server_has_to_pass_every_check(verdict: str) -> None:
    control = replace(trial(Subject("", "")), checks=(*checks(), Check("test_y.py::y", ("CAN-01",), verdict, (), "why")))
    matrix = replace(holding(), control=control)
    assert kinds(matrix) == {"control"}
    assert matrix.exit_code is ExitCode.NOT_VALID


@pytest.mark.parametrize("control", [trial(Subject("", ""), broken="gone"), replace(trial(Subject("", "")), checks=())])
def test_a_sound_server_of_which_nothing_is_known_proves_nothing(control: Trial) -> None:
    assert kinds(replace(holding(), control=control)) == {"control"}


def test_a_check_that_breaks_is_told_once() -> None:
    bad = Check("test_y.py::y", ("CAN-01",), "inconclusive", (), "KeyError: 1", crashed=True)
    matrix = replace(
        holding(),
        fates=tuple(
            replace(f, trials=(replace(f.trials[0], checks=(*checks(f.subject.requirement), bad)),)) for f in holding().fates
        ),
    )
    (finding,) = matrix.findings
    assert (finding.kind, finding.subject) == ("crashed", "test_y.py::y")
    assert finding.text == "broke on 3 servers (can-01-broken, can-06-broken, sta-01-broken): KeyError: 1"


@given(REQUIREMENTS)
def test_every_requirement_needs_a_mutant_of_its_own(requirement: str) -> None:
    rest = tuple(item for item in holding().fates if item.subject.requirement != requirement)
    matrix = replace(holding(), fates=rest)
    assert [(finding.kind, finding.subject) for finding in matrix.findings] == [("uncovered", requirement)]
    assert replace(matrix, selected=True).findings == ()


def test_what_was_interrupted_says_so_and_asks_nothing_more() -> None:
    matrix = replace(holding(), fates=(killed("CAN-01"), Fate(mutant("STA-01"), ())), interrupted=True)
    assert kinds(matrix) == {"interrupted"}
    assert matrix.exit_code is ExitCode.INTERRUPTED
    assert matrix.fates[1].fate == "untried"


def test_variants_must_not_violate_a_must() -> None:
    (steady,) = holding().variants
    assert (steady.passes, len(steady.warnings)) == (2, 1)
    bad = replace(steady, trials=(*steady.trials, trial(steady.subject, "STA-01"), trial(steady.subject, broken="gone")))
    matrix = replace(holding(), variants=(bad,))
    assert [finding.kind for finding in matrix.findings] == ["false_alarm", "unjudged"]
    assert "STA-01" in matrix.findings[0].text
    assert "(seed 7)" in matrix.findings[0].text
    assert matrix.exit_code is ExitCode.NOT_VALID
    assert bad.passes == 2


def test_undecided_checks_of_variants_are_noted_and_broken_ones_are_findings() -> None:
    odd = Subject("odd", "is odd")
    unsure = Check("test_y.py::y", ("CAN-01",), "inconclusive", (), "could not be seen")
    steady = Steadiness(odd, (replace(trial(odd), checks=(unsure,)),))
    assert [check.name for _, check in steady.undecided] == ["test_y.py::y"]
    assert replace(holding(), variants=(steady,)).findings == ()
    broke = replace(steady, trials=(replace(trial(odd), checks=(replace(unsure, crashed=True),)),))
    assert kinds(replace(holding(), variants=(broke,))) == {"crashed"}
    assert broke.passes == 0


def test_a_part_of_the_checks_that_does_not_kill_asks_for_all_of_them() -> None:
    subject = mutant("CAN-01")
    assert not needs_more(subject, trial(subject, "CAN-01", scope=("CAN",)))
    assert needs_more(subject, trial(subject, scope=("CAN",)))
    assert needs_more(subject, trial(subject, "STA-01", scope=("CAN",)))
    assert not needs_more(subject, trial(subject, "STA-01"))


def test_cells_say_what_was_run() -> None:
    subject = mutant("CAN-01")
    part = trial(subject, "CAN-01", "CAN-06", scope=("CAN",))
    part = replace(part, checks=tuple(check for check in part.checks if check.covers[0] != "WIRE-06"))
    item = Fate(subject, (part,))
    assert [item.cell(name) for name in IDS] == ["own", "also", "partly", "not_run", "partly"]
    unsure = Check("u", ("IDEM-13",), "inconclusive")
    whole = Fate(subject, (replace(trial(subject), checks=(*checks()[:4], unsure)),))
    assert [whole.cell(name) for name in IDS] == ["held", "held", "held", "held", "open"]
    assert Fate(subject, ()).cell("CAN-01") == "not_run"


def test_luck_is_told() -> None:
    subject = mutant("CAN-01")
    item = Fate(subject, (trial(subject, scope=("CAN",)), trial(subject, "CAN-01")))
    assert (item.fate, item.at_first_try) == ("killed", False)
    assert killed("CAN-01").at_first_try


def test_kills_name_each_requirement_once() -> None:
    check = Check("c", ("CAN-01",), "fail", ("CAN-01", "CAN-01", "STA-01"), "x")
    found = kills_of(Trial("m", (), 1, 0.0, (check,)))
    assert [(kill.requirement, kill.covering) for kill in found] == [("CAN-01", True), ("STA-01", False)]
