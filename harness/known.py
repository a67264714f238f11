"""Known failures: what a profile says will not hold, and whether it still does not.

An entry names a requirement or a check, and why. It excuses the discrepancies that it names until it expires; one that no
longer matches anything, although everything that it names held, is stale, and an error. Pure: today's date comes in.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from harness.config import option
from harness.errors import ConfigError
from harness.record import CheckLine, Discrepancy, KnownLine

MOST_DISCREPANCIES = 20
"""How many discrepancies of one check go on record."""
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DECIDED = {"pass", "not_applicable"}


@dataclass(frozen=True, kw_only=True)
class KnownFailure:
    """One entry of `known_failures`: a requirement or a check that does not hold, why, and until when that is accepted."""

    requirement: str | None = option(
        "requirement whose discrepancies are known, in whatever check", default=None, example="UUID-08", excludes=("check",)
    )
    check: str | None = option(
        "check whose discrepancies are known: its name in reports, without parameters for all of them, or a pattern with * and ?",
        default=None,
        example="test_uuid.py::test_the_refusal_is_helpful",
        excludes=("requirement",),
    )
    reason: str = option("why it is accepted, for reports", example="ticket 12")
    expires: str | None = option("last day on which it is accepted, YYYY-MM-DD", default=None, example="2030-12-31")

    def __post_init__(self) -> None:
        if (self.requirement is None) == (self.check is None):
            raise ValueError("give requirement or check, one of the two")
        if not self.name.strip():
            raise ValueError(f"{'check' if self.requirement is None else 'requirement'}: names nothing")
        if not self.reason.strip():
            raise ValueError("reason: say why the failure is accepted")
        if self.expires is not None and not _is_day(self.expires):
            raise ValueError(f"expires: {self.expires!r} is not a day; write for example 2030-12-31")

    @property
    def name(self) -> str:
        """What it names."""
        return self.check if self.requirement is None else self.requirement  # type: ignore[return-value]

    def matches(self, check: str, requirement: str) -> bool:
        """Whether it speaks of a discrepancy of `requirement` that `check` found."""
        return requirement == self.requirement if self.requirement is not None else is_named(self.name, check)

    def concerns(self, check: str, requirements: Iterable[str]) -> bool:
        """Whether a check that covers these requirements could show what it speaks of."""
        return any(self.matches(check, requirement) for requirement in requirements)

    def has_expired(self, today: date) -> bool:
        """Whether the day until which it is accepted has passed."""
        return self.expires is not None and today > date.fromisoformat(self.expires)


def is_named(pattern: str, check: str) -> bool:
    """Whether a pattern names a check: its name, its name without parameters, or a pattern with * and ?.

    Brackets stand for themselves: they are part of the names of checks.
    """
    if pattern in {check, check.partition("[")[0]}:
        return True
    parts = (".*" if part == "*" else "." if part == "?" else re.escape(part) for part in re.split(r"([*?])", pattern))
    return re.fullmatch("".join(parts), check, re.DOTALL) is not None


def verify(entries: Sequence[KnownFailure], requirements: Iterable[str], checks: Iterable[str], *, unique: bool = True) -> None:
    """Refuse entries that name nothing, or (`unique`) the same thing twice. Raises ConfigError naming the entry."""
    ids, names, seen = list(requirements), list(checks), set[str]()
    for place, entry in enumerate(entries):
        kind = "check" if entry.requirement is None else "requirement"
        key = f"known_failures[{place}].{kind}"
        found = entry.name in ids if entry.requirement is not None else any(is_named(entry.name, name) for name in names)
        if not found:
            near = difflib.get_close_matches(entry.name, ids if kind == "requirement" else [*names, *map(_bare, names)], 1)
            hint = f"did you mean {near[0]}?" if near else "see `controller-harness requirements`"
            raise ConfigError(f"no such {kind}: {entry.name}", key=key, hint=hint)
        if unique and entry.name in seen:
            raise ConfigError(f"{entry.name} is named twice", key=key, hint="keep one of the entries")
        seen.add(entry.name)


def judged(line: CheckLine, entries: Sequence[KnownFailure], today: date) -> CheckLine:
    """Return a verdict with what is known taken into account; at most MOST_DISCREPANCIES are kept, unexcused ones first.

    A failed check whose discrepancies are all excused is a known failure. Of others the reason speaks of what is not excused,
    and says when an entry would have excused it but has expired.
    """
    if line.verdict != "fail":
        return line
    marked = [dataclasses.replace(item, known=_excuse(line.check, item, entries, today)) for item in line.discrepancies]
    open_ones = [item for item in marked if not item.known]
    kept = tuple([*open_ones, *(item for item in marked if item.known)][:MOST_DISCREPANCIES])
    if marked and not open_ones:
        reasons = "; ".join(dict.fromkeys(item.known for item in marked))
        return dataclasses.replace(line, verdict="known_failure", reason=reasons, discrepancies=kept)
    return dataclasses.replace(line, reason=_reason(line, open_ones, entries, today), discrepancies=kept)


def known_lines(
    entries: Sequence[KnownFailure],
    lines: Sequence[CheckLine],
    checks: Mapping[str, tuple[str, ...]],
    today: date,
) -> tuple[KnownLine, ...]:
    """Return what became of each entry; `checks` are all checks there are, whether they ran or not, with their requirements."""
    return tuple(_known_line(entry, lines, checks, today) for entry in entries)


def _known_line(entry: KnownFailure, lines: Sequence[CheckLine], checks: Mapping[str, tuple[str, ...]], today: date) -> KnownLine:
    matched = [line for line in lines if any(entry.matches(line.check, item.requirement) for item in line.discrepancies)]
    ran = {line.check: line for line in lines if entry.concerns(line.check, line.requirements)}
    passed = [name for name, line in ran.items() if line.verdict == "pass"]
    missing = [name for name, covered in checks.items() if name not in ran and entry.concerns(name, covered)]
    undecided = [line.check for line in ran.values() if not _is_decided(line)]
    if matched:
        state, names = "expired" if entry.has_expired(today) else "excused", [line.check for line in matched]
    elif passed and not missing and not undecided:
        state, names = "stale", passed
    else:
        state, names = "undecided", [*undecided, *missing]
    return KnownLine(entry.requirement or "", entry.check or "", entry.reason, entry.expires or "", state, tuple(names))


def _is_decided(line: CheckLine) -> bool:
    """Whether a check says all that it will ever say with this profile."""
    return line.verdict in _DECIDED or (line.verdict == "inconclusive" and line.reason_kind == "unobservable")


def _excuse(check: str, item: Discrepancy, entries: Iterable[KnownFailure], today: date) -> str:
    for entry in entries:
        if entry.matches(check, item.requirement) and not entry.has_expired(today):
            return f"{entry.reason} (until {entry.expires})" if entry.expires else entry.reason
    return ""


def _reason(line: CheckLine, open_ones: Sequence[Discrepancy], entries: Iterable[KnownFailure], today: date) -> str:
    if not open_ones:
        return line.reason
    first, more = open_ones[0], len(open_ones) - 1
    text = f"expected {first.expected}, observed {first.observed}" + (f" (and {more} more)" if more else "")
    for entry in entries:
        if entry.has_expired(today) and any(entry.matches(line.check, item.requirement) for item in open_ones):
            text += f"; the known failure of {entry.name} ({entry.reason}) expired on {entry.expires}"
    return text


def _bare(name: str) -> str:
    return name.partition("[")[0]


def _is_day(text: str) -> bool:
    try:
        return _DAY.fullmatch(text) is not None and bool(date.fromisoformat(text))
    except ValueError:
        return False
