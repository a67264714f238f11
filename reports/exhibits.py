"""Which evidence the page shows, and where: each call once, with the first failure that it shows, as long as there is room.

A run in which everything fails has more evidence than a page can hold; the record has it all. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.gates import plural
from reports.values import CallView, CheckView, Failure, Finding, RequirementView

MOST_EVIDENCE = 600_000
"""How many characters of calls a page holds."""

_MARKUP = 1200
"""About how many characters it takes to set out one call."""


@dataclass(frozen=True)
class Exhibit:
    """What one check found out about one requirement.

    `calls` are those shown here; without any, they are shown with the requirement `elsewhere` (""), or not at all for want of
    room (`crowded`).
    """

    check: CheckView
    findings: tuple[Finding, ...]
    calls: tuple[CallView, ...]
    elsewhere: str
    crowded: bool


@dataclass(frozen=True)
class Proof:
    """Checks that cover one requirement and have one title: the key of the first, how many, their verdicts, how strong.

    `mutants` are those of the requirement that any of them has caught.
    """

    title: str
    key: str
    count: int
    verdicts: tuple[str, ...]
    strength: str
    mutants: tuple[str, ...]


class Exhibition:
    """Hands out the evidence of all failures, in the order in which the page asks for it."""

    def __init__(self, room: int = MOST_EVIDENCE) -> None:
        self._room = room
        self._homes: dict[str, str] = {}
        self._shown: set[str] = set()

    def of(self, failure: Failure) -> tuple[Exhibit, ...]:
        """Return the evidence of a failure, check by check."""
        by_check: dict[str, list[Finding]] = {}
        for finding in failure.findings:
            by_check.setdefault(finding.check.key, []).append(finding)
        return tuple(self._exhibit(failure.requirement.id, findings) for findings in by_check.values())

    def calls_of(self, check: CheckView) -> tuple[CallView, ...]:
        """Return the calls of a check that no failure shows; none if they are shown already, or there is no room for them."""
        return self._take("", check)

    def is_shown(self, check: CheckView) -> bool:
        """Whether the calls of a check have been handed out."""
        return check.key in self._shown

    def _exhibit(self, requirement: str, findings: Sequence[Finding]) -> Exhibit:
        check = findings[0].check
        home = self._homes.get(check.key, "")
        calls = self._take(requirement, check)
        return Exhibit(check, tuple(findings), calls, home, bool(check.calls) and not calls and not home)

    def _take(self, home: str, check: CheckView) -> tuple[CallView, ...]:
        if check.key in self._shown or not check.calls:
            return ()
        size = sum(len(call.request) + len(call.response) + len(call.command) + _MARKUP for call in check.calls)
        if size > self._room:
            return ()
        self._room -= size
        self._shown.add(check.key)
        self._homes[check.key] = home
        return check.calls


def proofs(requirement: RequirementView, checks: Mapping[str, CheckView]) -> tuple[Proof, ...]:
    """Return the checks that a verdict rests on; those of one title, which differ in their parameters only, together."""
    by_title: dict[str, list[CheckView]] = {}
    for key in requirement.checks:
        by_title.setdefault(checks[key].title, []).append(checks[key])
    return tuple(
        Proof(
            title,
            found[0].key,
            len(found),
            tuple(dict.fromkeys(check.verdict for check in found)),
            strength(found),
            tuple(name for name in requirement.mutants if any(name in check.mutants for check in found)),
        )
        for title, found in by_title.items()
    )


def strength(checks: Iterable[CheckView]) -> str:
    """Return what the verdicts of some checks rest on together, in a few words."""
    found = list(checks)
    parts = [plural(sum(check.calls_made for check in found), "call"), plural(sum(check.jobs for check in found), "job")]
    interleavings = sum(check.interleavings for check in found)
    parts += [plural(interleavings, "interleaving")] if interleavings else []
    oracles = list(dict.fromkeys(name for check in found for name in check.oracles))
    parts += [f"seen through {', '.join(oracles)}"] if oracles else []
    return ", ".join(parts)
