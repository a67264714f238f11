"""The kill matrix: which wrong servers the suites catch, and whether that proves anything.

Trials come in as values, findings go out. The rules are here and nowhere else, so that the command, its page and the tests
agree on what counts as a kill. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from harness.errors import ExitCode, worst
from harness.gates import plural

FATES = ("survived", "elsewhere", "unreached", "unjudged", "untried", "killed")
"""What can become of a mutant, see `Fate.fate`."""

CELLS = ("own", "also", "open", "held", "partly", "not_run")
"""What a requirement can look like on a mutant, see `Fate.cell`."""

_CODES: Mapping[str, ExitCode] = {
    "interrupted": ExitCode.INTERRUPTED,
    "control": ExitCode.NOT_VALID,
    "unjudged": ExitCode.NOT_VALID,
}


@dataclass(frozen=True)
class Line:
    """A requirement as the matrix needs it; `excuse` says why no check, or no mutant, can be had for it."""

    id: str
    level: str
    statement: str
    excuse: str = ""

    @property
    def chapter(self) -> str:
        """The chapter of the catalogue."""
        return self.id.partition("-")[0]


@dataclass(frozen=True)
class Subject:
    """A server to try the suites on: a mutant of `requirement`, or (without one) a variant that is odd but right.

    `changes` names what differs from the sound server: each has to run before anything can be said.
    """

    name: str
    summary: str
    requirement: str = ""
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """What one check said in one trial; `violated` names requirements, `shown` is its reason in words."""

    name: str
    covers: tuple[str, ...]
    verdict: str
    violated: tuple[str, ...] = ()
    shown: str = ""
    crashed: bool = False


@dataclass(frozen=True)
class Trial:
    """One run of the suites. `scope` are the chapters that ran, none for all; `broken` says why it did not come to its end.

    `reached` are the changes that ran in the server.
    """

    subject: str
    scope: tuple[str, ...]
    seed: int
    seconds: float
    checks: tuple[Check, ...]
    reached: tuple[str, ...] = ()
    broken: str = ""

    def ran(self, requirement: str) -> bool:
        """Whether every check that covers a requirement had its turn."""
        return not self.broken and (not self.scope or requirement.partition("-")[0] in self.scope)


@dataclass(frozen=True)
class Kill:
    """A check that found a requirement violated; `covering` if that requirement is among those that it is there for."""

    requirement: str
    check: str
    shown: str
    covering: bool


@dataclass(frozen=True)
class Finding:
    """Why the self-test fails; `kind` is a fate other than killed, control, crashed, uncovered, false_alarm or interrupted."""

    kind: str
    subject: str
    text: str


@dataclass(frozen=True)
class Fate:
    """A mutant and what became of it in its trials."""

    subject: Subject
    trials: tuple[Trial, ...]

    @cached_property
    def kills(self) -> tuple[Kill, ...]:
        """Every violation that was found, no two the same."""
        found = {(kill.requirement, kill.check, kill.covering): kill for trial in self.trials for kill in kills_of(trial)}
        return tuple(found.values())

    @cached_property
    def own(self) -> tuple[Kill, ...]:
        """Those of the mutant's requirement by checks that are there for it: the only ones that prove anything."""
        return tuple(kill for kill in self.kills if kill.covering and kill.requirement == self.subject.requirement)

    @cached_property
    def others(self) -> tuple[Kill, ...]:
        """All other kills."""
        return tuple(kill for kill in self.kills if kill not in self.own)

    @cached_property
    def missed(self) -> tuple[str, ...]:
        """Changes that ran in no trial."""
        reached = {name for trial in self.trials for name in trial.reached}
        return tuple(name for name in self.subject.changes if name not in reached)

    @property
    def at_first_try(self) -> bool:
        """Whether the first trial killed it; a kill that only a repetition brought is a matter of luck."""
        return any(kill in self.own for kill in kills_of(self.trials[0])) if self.trials else False

    @cached_property
    def fate(self) -> str:
        """One of `FATES`.

        A kill counts only when something of what the mutant changes ran. A mutant that was not caught counts as unreached
        unless all that it changes ran, as unjudged when the last trial broke off.
        """
        nothing_ran = len(self.missed) == len(self.subject.changes)
        if not self.trials:
            return "untried"
        if self.own and not nothing_ran:
            return "killed"
        if self.trials[-1].broken:
            return "unjudged"
        if nothing_ran or (self.missed and not self.others):
            return "unreached"
        return "elsewhere" if self.others else "survived"

    def cell(self, requirement: str) -> str:
        """Return one of `CELLS`: what the trials say of a requirement on this mutant."""
        if any(kill.requirement == requirement for kill in self.own):
            return "own"
        if any(kill.requirement == requirement for kill in self.kills):
            return "also"
        covering = [check for trial in self.trials for check in trial.checks if requirement in check.covers]
        if not covering:
            return "not_run"
        if not any(trial.ran(requirement) for trial in self.trials):
            return "partly"
        return "held" if all(check.verdict in {"pass", "not_applicable"} for check in covering) else "open"


@dataclass(frozen=True)
class Steadiness:
    """A variant and what the suites said of it, run by run."""

    subject: Subject
    trials: tuple[Trial, ...]
    levels: Mapping[str, str] = field(default_factory=dict)

    @property
    def false_alarms(self) -> tuple[tuple[Trial, Kill], ...]:
        """Every MUST that was reported violated, with the trial to repeat."""
        return self._of_level("MUST")

    @property
    def warnings(self) -> tuple[tuple[Trial, Kill], ...]:
        """Every SHOULD that was reported violated."""
        return self._of_level("SHOULD")

    @property
    def undecided(self) -> tuple[tuple[Trial, Check], ...]:
        """Checks that reached no verdict."""
        return tuple((trial, check) for trial in self.trials for check in trial.checks if check.verdict == "inconclusive")

    @property
    def passes(self) -> int:
        """How many runs came to their end without a violated MUST or a broken check."""
        bad = {id(trial) for trial, _ in self.false_alarms}
        return sum(
            not trial.broken and id(trial) not in bad and not any(c.crashed for c in trial.checks) for trial in self.trials
        )

    def _of_level(self, level: str) -> tuple[tuple[Trial, Kill], ...]:
        return tuple(
            (trial, kill)
            for trial in self.trials
            for kill in kills_of(trial)
            if self.levels.get(kill.requirement, "MUST") == level
        )


@dataclass(frozen=True)
class Matrix:
    """Everything that one self-test found out. `selected` if only some of the mutants were asked for."""

    lines: tuple[Line, ...]
    control: Trial | None
    fates: tuple[Fate, ...]
    variants: tuple[Steadiness, ...] = ()
    selected: bool = False
    interrupted: bool = False

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that makes the self-test fail; none when it holds."""
        return (*self._unfinished(), *_control(self.control), *self._mutants(), *self._gaps(), *self._variants())

    @property
    def exit_code(self) -> ExitCode:
        """0 when it holds; 4 when it says nothing (the sound server fails, a trial broke off), 1 when the suites fell short."""
        return worst(_CODES.get(finding.kind, ExitCode.BELOW_THRESHOLD) for finding in self.findings)

    def count(self, fate: str) -> int:
        """Return how many mutants met this fate."""
        return sum(item.fate == fate for item in self.fates)

    def fates_of(self, requirement: str) -> tuple[Fate, ...]:
        """Return the mutants that break a requirement."""
        return tuple(item for item in self.fates if item.subject.requirement == requirement)

    def is_proven(self, requirement: str) -> bool:
        """Whether the checks of a requirement, and nothing else, killed a mutant of it."""
        return any(item.fate == "killed" for item in self.fates_of(requirement))

    def _unfinished(self) -> tuple[Finding, ...]:
        return (Finding("interrupted", "", "interrupted: not everything was tried"),) if self.interrupted else ()

    def _mutants(self) -> tuple[Finding, ...]:
        found = [Finding(item.fate, item.subject.name, _told(item)) for item in self.fates if item.fate in _TOLD]
        return (*found, *_crashes(trial for item in self.fates for trial in item.trials))

    def _gaps(self) -> tuple[Finding, ...]:
        """Name requirements that nothing proves; of a selection, or of a run that was cut short, nothing can be asked."""
        if self.selected or self.interrupted or not self.fates:
            return ()
        return tuple(
            Finding("uncovered", line.id, f"{line.level}: no mutant is killed by its own checks")
            for line in self.lines
            if line.level != "INFO" and not line.excuse and not self.is_proven(line.id)
        )

    def _variants(self) -> tuple[Finding, ...]:
        alarms = [
            Finding("false_alarm", item.subject.name, f"{kill.requirement} by {kill.check} (seed {trial.seed}): {kill.shown}")
            for item in self.variants
            for trial, kill in item.false_alarms
        ]
        trials = [trial for item in self.variants for trial in item.trials]
        broken = [Finding("unjudged", t.subject, f"seed {t.seed}: {t.broken}") for t in trials if t.broken]
        return (*alarms, *broken, *_crashes(trials))


def kills_of(trial: Trial) -> tuple[Kill, ...]:
    """Return every violation that a trial's checks found."""
    return tuple(
        Kill(requirement, check.name, check.shown, requirement in check.covers)
        for check in trial.checks
        for requirement in dict.fromkeys(check.violated)
    )


def needs_more(subject: Subject, trial: Trial) -> bool:
    """Whether a trial of some chapters leaves open what becomes of a mutant, so that the whole suite has to tell."""
    return bool(trial.scope) and Fate(subject, (trial,)).fate != "killed"


_TOLD = ("survived", "elsewhere", "unreached", "unjudged")


def _told(item: Fate) -> str:
    requirement = item.subject.requirement
    match item.fate:
        case "survived":
            return f"no check noticed that {requirement} is broken"
        case "elsewhere":
            by = ", ".join(dict.fromkeys(f"{kill.requirement} by {kill.check}" for kill in item.others[:3]))
            more = f" and {len(item.others) - 3} more" if len(item.others) > 3 else ""
            return f"caught, but not by a check of {requirement}: {by}{more}"
        case "unreached":
            never = f"never ran: {', '.join(item.missed)}"
            return f"{never}; what the checks found has another cause" if item.kills else never
        case _:
            return item.trials[-1].broken


def _control(control: Trial | None) -> tuple[Finding, ...]:
    """Hold the sound server to every check: unless it passes them all, a kill means nothing."""
    if control is None:
        return ()
    found = [
        Finding("control", check.name, f"the sound server gets {check.verdict.replace('_', ' ')}: {check.shown}")
        for check in control.checks
        if check.verdict != "pass"
    ]
    if control.broken or not control.checks:
        found.append(Finding("control", "", control.broken or "no check ran against the sound server"))
    return tuple(found)


def _crashes(trials: Iterable[Trial]) -> list[Finding]:
    """Name checks that broke, each once, with the servers that broke it."""
    broke: dict[str, list[tuple[str, str]]] = {}
    for trial in trials:
        for check in trial.checks:
            if check.crashed:
                broke.setdefault(check.name, []).append((trial.subject, check.shown))
    return [Finding("crashed", name, _crash_text(servers)) for name, servers in broke.items()]


def _crash_text(servers: Sequence[tuple[str, str]]) -> str:
    names = list(dict.fromkeys(name for name, _ in servers))
    return f"broke on {plural(len(names), 'server')} ({', '.join(names[:5])}): {servers[0][1]}"
