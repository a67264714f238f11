"""Where evidence is shown: every call once, as long as there is room."""

from __future__ import annotations

from harness.record import Line
from reports import build_view
from reports.exhibits import Exhibition, proofs, strength
from reports.values import Conformance
from tests.reports import records as make


def conformance_of(*lines: Line) -> Conformance:
    view = build_view([make.record(*make.conformance(*lines))])
    assert view.conformance is not None
    return view.conformance


def test_calls_are_shown_with_the_first_requirement_that_they_break() -> None:
    found = conformance_of(make.requirement("EXEC-01"), make.requirement("EXEC-02"), make.failed("a", "EXEC-01", "EXEC-02"))
    exhibition = Exhibition()
    (first,), (second,) = (exhibition.of(failure) for failure in found.failures)
    assert [call.number for call in first.calls] == [1, 2, 3]
    assert (first.elsewhere, first.crowded) == ("", False)
    assert (second.calls, second.elsewhere, second.crowded) == ((), "EXEC-01", False)
    assert exhibition.is_shown(found.checks[0])
    assert exhibition.calls_of(found.checks[0]) == ()


def test_findings_of_a_check_stay_together() -> None:
    a = make.failed("a", "EXEC-01", breaks=("EXEC-01", "EXEC-01"))
    found = conformance_of(make.requirement("EXEC-01"), a, make.failed("b", "EXEC-01"))
    exhibits = Exhibition().of(found.failures[0])
    assert [(exhibit.check.name, len(exhibit.findings)) for exhibit in exhibits] == [("a", 2), ("b", 1)]


def test_what_there_is_no_room_for_is_left_to_the_record() -> None:
    found = conformance_of(make.requirement("EXEC-01"), make.failed("a", "EXEC-01"), make.failed("b", "EXEC-01"))
    first, second = Exhibition(room=5000).of(found.failures[0])
    assert (len(first.calls), first.crowded) == (3, False)
    assert (second.calls, second.elsewhere, second.crowded) == ((), "", True)


def test_a_check_without_calls_is_not_crowded_out() -> None:
    found = conformance_of(make.requirement("EXEC-01"), make.check("a", "EXEC-01", verdict="fail", reason="it passed"))
    (exhibit,) = Exhibition(room=0).of(found.failures[0])
    assert (exhibit.calls, exhibit.crowded) == ((), False)


def test_calls_of_checks_that_no_failure_shows() -> None:
    open_one = make.check("a", "EXEC-01", verdict="inconclusive", reason_kind="disturbed", calls=(make.operation(7),))
    found = conformance_of(make.requirement("EXEC-01"), open_one)
    exhibition = Exhibition()
    assert not exhibition.is_shown(found.checks[0])
    assert [call.number for call in exhibition.calls_of(found.checks[0])] == [7]


def test_variants_of_a_check_are_told_together() -> None:
    variants = [
        make.check(
            f"a[{size}]",
            "EXEC-01",
            title="A",
            calls_made=size,
            jobs=1,
            oracles=("observer",),
            interleavings=2,
            mutants=("exec-01-broken", "x"),
        )
        for size in (3, 4)
    ]
    found = conformance_of(make.requirement("EXEC-01"), *variants, make.failed("b", "EXEC-01"))
    one, other = proofs(found.requirements[0], {check.key: check for check in found.checks})
    assert (one.title, one.count, one.key, one.verdicts) == ("A", 2, found.checks[0].key, ("pass",))
    assert one.strength == "7 calls, 2 jobs, 4 interleavings, seen through observer"
    assert (one.mutants, other.mutants) == (("exec-01-broken",), ())
    assert (other.count, other.verdicts, other.strength) == (1, ("fail",), "3 calls, 0 jobs")
    assert strength(()) == "0 calls, 0 jobs"
