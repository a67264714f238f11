"""What a report shows, as frozen values: every renderer reads these and nothing else.

All text was made safe to show by `reports.text.cleaned`; latencies are in milliseconds, times of the run in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import ExitCode
from harness.gates import plural
from harness.record import Discrepancy, KnownLine
from reports.loadvalues import Load

if TYPE_CHECKING:
    # Comparing needs these values as well.
    from reports.comparison.values import Comparison


@dataclass(frozen=True)
class Overall:
    """The verdict on everything; `kind` is one of `reports.view.LABELS`, `reason` one sentence per outcome of that rank."""

    kind: str
    label: str
    reason: str
    exit_code: ExitCode


@dataclass(frozen=True)
class Figure:
    """One number of the line below the verdict."""

    value: str
    label: str


@dataclass(frozen=True)
class Section:
    """A part of a run; `outcome` is as in the record, or `not ended`."""

    name: str
    outcome: str
    reason: str
    exit_code: int | None
    seconds: float | None


@dataclass(frozen=True)
class Run:
    """Where one record comes from, and how to make it again."""

    source: str
    run_id: str
    started: str
    ended: str
    seconds: float | None
    command: str
    tool_version: str
    python: str
    packages: Mapping[str, str]
    machine: Mapping[str, Any]
    endpoint: str
    profile: Mapping[str, Any]
    seed: int
    incomplete: str
    exit_code: int | None
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class CallView:
    """One call of a check as evidence; `at` counts from the start of the run, messages are JSON text or the error."""

    number: int
    at: float
    rpc: str
    client: str
    identity: str
    request_id: str
    code: str
    undecided: bool
    milliseconds: float
    request: str
    response: str
    command: str


@dataclass(frozen=True)
class CheckView:
    """One check, with at most `reports.judged.MOST_CALLS` of its calls; `calls_left_out` counts the others on record."""

    key: str
    name: str
    title: str
    requirements: tuple[str, ...]
    verdict: str
    reason: str
    reason_kind: str
    seconds: float
    calls_made: int
    oracles: tuple[str, ...]
    discrepancies: tuple[Discrepancy, ...]
    calls: tuple[CallView, ...]
    calls_left_out: int
    traceback: str
    jobs: int
    interleavings: int
    seed: int
    repeat: str
    commands: tuple[str, ...]
    mutants: tuple[str, ...]

    @property
    def strength(self) -> str:
        """What the verdict rests on, in a few words."""
        parts = [plural(self.calls_made, "call"), plural(self.jobs, "job")]
        parts += [plural(self.interleavings, "interleaving")] if self.interleavings else []
        parts += [f"seen through {', '.join(self.oracles)}"] if self.oracles else []
        return ", ".join([*parts, f"seed {self.seed}"])


@dataclass(frozen=True)
class Finding:
    """One discrepancy together with the check that found it and the calls that show it."""

    check: CheckView
    expected: str
    observed: str
    calls: tuple[CallView, ...]
    numbers: tuple[int, ...]
    known: str


@dataclass(frozen=True)
class RequirementView:
    """One line of the matrix: the requirement, its verdict, the keys of the checks that cover it, and what proves those."""

    id: str
    level: str
    chapter: str
    statement: str
    passages: tuple[str, ...]
    implied: bool
    verdict: str
    reason: str
    checks: tuple[str, ...]
    mutants: tuple[str, ...]


@dataclass(frozen=True)
class Chapter:
    """The requirements of one chapter."""

    name: str
    title: str
    requirements: tuple[RequirementView, ...]

    def count(self, verdict: str) -> int:
        """Return how many requirements of the chapter have this verdict."""
        return sum(requirement.verdict == verdict for requirement in self.requirements)


@dataclass(frozen=True)
class Failure:
    """A requirement that does not hold (or is known not to), with everything that shows it."""

    requirement: RequirementView
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Observed:
    """What the endpoint does in one respect."""

    requirement: str
    check: str
    text: str


@dataclass(frozen=True)
class Conformance:
    """All that checks found out; `plan` is the tier with what it was going to take, `strict` has a failed SHOULD count."""

    chapters: tuple[Chapter, ...]
    failures: tuple[Failure, ...]
    known_failures: tuple[Failure, ...]
    inconclusive: tuple[CheckView, ...]
    observations: tuple[Observed, ...]
    checks: tuple[CheckView, ...]
    known: tuple[KnownLine, ...]
    strict: bool
    plan: str

    @property
    def requirements(self) -> tuple[RequirementView, ...]:
        """All requirements in the order of the catalogue."""
        return tuple(requirement for chapter in self.chapters for requirement in chapter.requirements)

    def count(self, verdict: str, level: str = "") -> int:
        """Return how many requirements have this verdict, of one level or of all."""
        return sum(item.verdict == verdict and level in {"", item.level} for item in self.requirements)


@dataclass(frozen=True)
class View:
    """Everything that a report shows. `notices` are the outcomes that the verdict itself does not name.

    `baseline` is what changed since earlier runs, if the report was asked to say so.
    """

    title: str
    verdict: Overall
    notices: tuple[str, ...]
    figures: tuple[Figure, ...]
    conformance: Conformance | None
    loads: tuple[Load, ...]
    runs: tuple[Run, ...]
    baseline: Comparison | None = None
