"""Strategies and examples for kill matrices."""

from __future__ import annotations

from hypothesis import strategies as st

from harness.killmatrix import Check, Fate, Line, Matrix, Steadiness, Subject, Trial

LINES = (
    Line("CAN-01", "MUST", "Queued jobs are cancelled."),
    Line("CAN-06", "SHOULD", "A second cancel is answered with OK."),
    Line("STA-01", "MUST", "A status moves forward only."),
    Line("WIRE-06", "SHOULD", "Deadlines are kept.", "nobody can see it"),
    Line("IDEM-13", "INFO", "What happens is noted."),
)
IDS = tuple(line.id for line in LINES)
JUDGED = ("CAN-01", "CAN-06", "STA-01")


def checks(*violated: str) -> tuple[Check, ...]:
    """Return one check per requirement; those of `violated` find theirs violated."""
    return tuple(
        Check(f"test_x.py::{name}", (name,), "fail", (name,), f"expected {name}")
        if name in violated
        else Check(f"test_x.py::{name}", (name,), "pass")
        for name in IDS
    )


def mutant(requirement: str, name: str = "") -> Subject:
    return Subject(name or f"{requirement.lower()}-broken", "breaks it", requirement, ("_move", "cancel"))


def trial(subject: Subject, *violated: str, scope: tuple[str, ...] = (), broken: str = "", reached: bool = True) -> Trial:
    return Trial(subject.name, scope, 7, 1.5, checks(*violated), subject.changes if reached else (), broken)


def killed(requirement: str) -> Fate:
    subject = mutant(requirement)
    return Fate(subject, (trial(subject, requirement),))


def holding() -> Matrix:
    """Return a matrix in which all is well."""
    odd = Subject("order-lifo", "runs the youngest job first")
    steady = Steadiness(odd, (trial(odd), trial(odd, "CAN-06")), {line.id: line.level for line in LINES})
    return Matrix(LINES, trial(Subject("", "")), tuple(killed(name) for name in JUDGED), (steady,))


REQUIREMENTS = st.sampled_from(JUDGED)


@st.composite
def fates(draw: st.DrawFn) -> Fate:
    """Return mutants with anything that may have become of them."""
    subject = mutant(draw(REQUIREMENTS), draw(st.text("abc-", min_size=1, max_size=8)))
    trials = draw(st.lists(trials_of(subject), max_size=2))
    return Fate(subject, tuple(trials))


@st.composite
def trials_of(draw: st.DrawFn, subject: Subject) -> Trial:
    """Return trials of a mutant that found anything."""
    found = draw(
        st.lists(
            st.builds(
                Check,
                st.sampled_from(["test_a.py::a", "test_b.py::b[1]"]),
                st.lists(st.sampled_from(IDS), max_size=2, unique=True).map(tuple),
                st.sampled_from(["pass", "fail", "inconclusive", "not_applicable"]),
                st.lists(st.sampled_from(IDS), max_size=2).map(tuple),
                st.text(max_size=10),
                st.booleans(),
            ),
            max_size=4,
        )
    )
    return Trial(
        subject.name,
        draw(st.sampled_from([(), ("CAN",), ("STA",)])),
        7,
        0.5,
        tuple(found),
        tuple(draw(st.lists(st.sampled_from(subject.changes), unique=True))) if subject.changes else (),
        draw(st.sampled_from(["", "it broke off"])),
    )
