"""Conformance verdicts that changed from one side to the other, and what may have changed them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.gates import RequirementVerdict, requirement_verdicts
from harness.record import CheckLine, Line, Record, RequirementLine, SectionStart
from reports.comparison.fingerprint import key_of, profile_of
from reports.comparison.values import Change

_CHOICE = ("tier", "strict")
_NAMED_AT_MOST = 3


def judged(records: Sequence[Record]) -> bool:
    """Whether any check ran."""
    return any(isinstance(line, CheckLine) for record in records for line in record.lines)


def changed_verdicts(base: Sequence[Record], new: Sequence[Record]) -> tuple[Change, ...]:
    """Return the requirements whose verdict is not the same on both sides, regressions first.

    The verdict of several runs is that of all their checks together: what fails in one of them fails.
    """
    sides = [tuple(line for record in records for line in record.lines) for records in (base, new)]
    before, after = (requirement_verdicts(lines) for lines in sides)
    catalogues = [{line.id: line for line in lines if isinstance(line, RequirementLine)} for lines in sides]
    causes_for_all = _causes_for_all(base, new)
    changes = []
    for identifier in dict.fromkeys((*after, *before)):
        one, two = before.get(identifier), after.get(identifier)
        was, now = _verdict(one), _verdict(two)
        if was != now:
            entries = [catalogue.get(identifier) for catalogue in catalogues]
            suite = _suite_details(one, two, entries[0], entries[1])
            details = [*causes_for_all, *(("suite", text) for text in suite)]
            changes.append(_change(identifier, one, two, entries[1] or entries[0], details))
    return tuple(sorted(changes, key=lambda change: ("regression", "found", "lost", "fixed", "other").index(change.kind)))


def _change(
    identifier: str,
    one: RequirementVerdict | None,
    two: RequirementVerdict | None,
    entry: RequirementLine | None,
    details: Sequence[tuple[str, str]],
) -> Change:
    known = two or one
    reason = two.reason if two is not None else ""
    return Change(
        requirement=identifier,
        level=known.level if known else "MUST",
        statement=entry.statement if entry else "",
        before=_verdict(one),
        after=_verdict(two),
        kind=_kind(_verdict(one), _verdict(two)),
        causes=tuple(dict.fromkeys(cause for cause, _ in details)) or ("endpoint",),
        detail="; ".join(dict.fromkeys(text for text in (*(text for _, text in details), reason) if text)),
    )


def _kind(before: str, after: str) -> str:
    if after == "fail":
        return "regression" if before == "pass" else "found"
    if before == "pass":
        return "lost"
    return "fixed" if before == "fail" and after == "pass" else "other"


def _verdict(found: RequirementVerdict | None) -> str:
    return "not_checked" if found is None else found.verdict


def _causes_for_all(base: Sequence[Record], new: Sequence[Record]) -> list[tuple[str, str]]:
    """Return what may have changed any verdict, as (cause, what is different)."""
    found = []
    profiles = [{key_of(profile_of(record)) for record in records} for records in (base, new)]
    if profiles[0] != profiles[1]:
        found.append(("profile", "the profiles differ"))
    versions = [sorted({record.header.tool_version for record in records}) for records in (base, new)]
    if versions[0] != versions[1]:
        found.append(("suite", f"tool version {', '.join(versions[0])} against {', '.join(versions[1])}"))
    choices = [_choices(records) for records in (base, new)]
    if choices[0] != choices[1]:
        found.append(("suite", "checks were run at another tier, or another strictness"))
    return found


def _choices(records: Sequence[Record]) -> set[str]:
    starts = [line for record in records for line in record.lines if isinstance(line, SectionStart)]
    return {
        key_of({"choice": {name: line.detail[name] for name in _CHOICE if name in line.detail}})
        for line in starts
        if line.section == "conformance"
    }


def _suite_details(
    one: RequirementVerdict | None,
    two: RequirementVerdict | None,
    before: RequirementLine | None,
    after: RequirementLine | None,
) -> list[str]:
    """Return in what the suite is different for one requirement: its text, or the checks that cover it."""
    found = []
    if before is None or after is None:
        found += [f"only in the catalogue of the {'base' if before else 'new'} side"] if before or after else []
    elif replace(before, mutants=()) != replace(after, mutants=()):
        found.append("the requirement was written anew")
    checks = [set(item.checks) if item is not None else set() for item in (one, two)]
    for label, names in (("no longer run", checks[0] - checks[1]), ("run only now", checks[1] - checks[0])):
        if names:
            found.append(f"checks {label}: {_some(sorted(names))}")
    return found


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED_AT_MOST
    return ", ".join(names[:_NAMED_AT_MOST]) + (f" and {rest:,} more" if rest > 0 else "")


def requirement_counts(lines: Sequence[Line]) -> Mapping[str, int]:
    """Return how many requirements have each verdict."""
    counts: dict[str, int] = {}
    for item in requirement_verdicts(lines).values():
        counts[item.verdict] = counts.get(item.verdict, 0) + 1
    return counts
