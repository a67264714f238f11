"""`controller-harness selftest`: the suites on trial, against servers that are wrong in one way each, or odd but right."""

from __future__ import annotations

import difflib
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import click
import yaml

from harness import __version__
from harness.cli.options import known_chapters
from harness.cli.screen import Screen, plain
from harness.cli.signals import nothing, on_signals
from harness.cli.tally import Tally
from harness.cli.trials import Plan, Trials
from harness.endpoint import BUILTIN
from harness.errors import ConfigError
from harness.killmatrix import Fate, Finding, Line, Matrix, Steadiness, Subject, Trial, needs_more
from harness.recorder import alone_in, make_folder, now_text, write_atomically
from harness.requirements import builtin_catalogue
from harness.server.mutants import LOAD_MUTANTS, MUTANTS, UNBREAKABLE
from harness.server.variants import VARIANTS
from reports.killmatrix import KIND_NAMES, About, render_matrix

STATE_DEADLINE = "5s"
"""How long a job may take to reach a state: shorter than in the built-in profile, as broken servers never get there."""

MOST_NAMES = 20
"""How many names of one kind of finding are told at the end; the matrix has them all."""


@dataclass
class Course:
    """A self-test under way: what it tries, and what came of it so far."""

    folder: Path
    seed: int
    mutants: tuple[Subject, ...]
    variants: tuple[Subject, ...]
    runs: int
    whole: bool
    selected: bool
    control: Trial | None = None
    fates: dict[str, Fate] = field(default_factory=dict)
    steady: dict[str, Steadiness] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def scope(self) -> tuple[str, ...]:
        """The chapters that the sound server has to pass: all, unless only some mutants are tried with a part of the checks."""
        if self.whole or not self.selected or not self.mutants:
            return ()
        return tuple(dict.fromkeys(chapter_of(subject) for subject in self.mutants))

    def matrix(self) -> Matrix:
        """Return what is known by now."""
        return Matrix(
            lines=lines(),
            control=self.control,
            fates=tuple(self.fates.get(item.name, Fate(item, ())) for item in self.mutants),
            variants=tuple(self.steady[item.name] for item in self.variants if item.name in self.steady),
            selected=self.selected or not self.mutants,
            interrupted=self.interrupted,
        )


def chapter_of(subject: Subject) -> str:
    """Return the chapter of the requirement that a mutant breaks."""
    return subject.requirement.partition("-")[0]


def lines() -> tuple[Line, ...]:
    """Return the catalogue as the matrix needs it."""
    return tuple(
        Line(item.id, item.level, item.statement, item.unobservable or UNBREAKABLE.get(item.id, ""))
        for item in builtin_catalogue()
    )


@click.command()
@click.option("--mutant", "mutants", multiple=True, metavar="NAME", help="Only this mutant (repeatable).")
@click.option("--chapter", "chapters", multiple=True, metavar="NAME", help="Only mutants of this chapter (repeatable).")
@click.option("--whole", is_flag=True, help="Run the whole suite against each mutant, not only the checks of its chapter first.")
@click.option("--variants", is_flag=True, help="Try the servers that are odd but right, instead of the mutants.")
@click.option("--variant", "names", multiple=True, metavar="NAME", help="Only this variant (repeatable).")
@click.option("--runs", default=20, show_default=True, type=click.IntRange(1), help="Runs of the whole suite per variant.")
@click.option("--jobs", type=click.IntRange(1, 64), help="Trials at a time [default: two per core].")
@click.option("--seed", type=click.IntRange(0, (1 << 63) - 1), help="Seed of the checks [default: drawn, and shown].")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for matrix and records [default: runs/TIME-selftest].")
def selftest(
    *,
    mutants: tuple[str, ...],
    chapters: tuple[str, ...],
    whole: bool,
    variants: bool,
    names: tuple[str, ...],
    runs: int,
    jobs: int | None,
    seed: int | None,
    out: Path | None,
) -> int:
    """Try the suites on servers that are known to be wrong, and write the kill matrix.

    Each mutant breaks one requirement, and a check of that requirement has to notice. The sound server has to pass under the
    same conditions. Exit code 0: all of that holds. 1: a mutant survived, was never reached, was caught only by checks of
    another requirement, a check broke, or a variant caused a false alarm. 4: the sound server does not pass, or a trial
    broke off.
    """
    if (variants or names) and (mutants or chapters or whole):
        raise click.UsageError("variants and mutants are tried apart: leave out --mutant, --chapter and --whole")
    odd = chosen_variants(names) if variants or names else ()
    wrong = () if odd else chosen_mutants(mutants, chapters)
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    folder = out if out is not None else Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-selftest"
    make_folder(folder)
    course = Course(folder, seed, wrong, odd, runs, whole, selected=bool(mutants or chapters or names))
    with alone_in(folder):
        return _conduct(course, jobs or 2 * len(os.sched_getaffinity(0)))


def chosen_mutants(names: Sequence[str], chapters: Iterable[str]) -> tuple[Subject, ...]:
    """Return the mutants of some names and chapters (neither: all), in the catalogue's order. Raises ConfigError."""
    seldom = next((name for name in names if name in LOAD_MUTANTS), None)
    if seldom is not None:
        hint = f"run `controller-harness load` against `controller-harness serve --mutant {seldom}`"
        raise ConfigError(f"the mutant {seldom} shows under load only", hint=hint)
    wanted, parts = set(_known(names, MUTANTS, "mutant")), set(known_chapters(chapters))
    place = {item.id: number for number, item in enumerate(builtin_catalogue())}
    ordered = sorted(MUTANTS.values(), key=lambda item: place[item.requirement])
    found = [Subject(item.name, item.summary, item.requirement, item.changes) for item in ordered]
    every = not wanted and not parts
    return tuple(item for item in found if every or item.name in wanted or chapter_of(item) in parts)


def chosen_variants(names: Iterable[str]) -> tuple[Subject, ...]:
    """Return the variants of some names, all if none is given. Raises ConfigError for an unknown one."""
    wanted = _known(names, VARIANTS, "variant") or list(VARIANTS)
    return tuple(Subject(item.name, item.summary) for item in VARIANTS.values() if item.name in wanted)


def _known(names: Iterable[str], known: Iterable[str], what: str) -> list[str]:
    allowed = list(known)
    wanted = list(names)
    for name in wanted:
        if name not in allowed:
            near = difflib.get_close_matches(name, allowed, 1)
            hint = f"did you mean {near[0]}?" if near else f"see `controller-harness serve --list-{what}s`"
            raise ConfigError(f"no such {what}: {name}", hint=hint)
    return wanted


def _conduct(course: Course, jobs: int) -> int:
    begun, started = time.monotonic(), now_text()
    screen = Screen()
    tasks = list(_tasks(course))
    screen.say(plain(f"{len(tasks)} trials, {jobs} at a time, seed {course.seed}, results in {course.folder}"))
    try:
        with Trials(jobs) as trials, Tally(screen, "self-test", len(tasks)) as tally:
            for found in trials.each([partial(task, trials) for task in tasks]):
                text, bad = _noted(course, found)
                tally.done(text, bad=bad)
                if course.control is found and bad:
                    break  # whatever else comes out means nothing
    except KeyboardInterrupt:
        course.interrupted = True
    with on_signals(nothing):
        about = About(__version__, started, time.monotonic() - begun, jobs, course.seed, str(course.folder))
        return _conclude(course, about, screen)


Found = Fate | Steadiness | Trial
Task = Callable[[Trials], Found]


def _tasks(course: Course) -> Iterator[Task]:
    """Give every trial to be made, the sound server first: beside the others, so that it meets the same conditions."""
    yield partial(_try_sound, course)
    for subject in course.mutants:
        yield partial(_try_mutant, course, subject)
    for number in range(course.runs if course.variants else 0):
        for subject in course.variants:
            yield partial(_try_variant, course, subject, number)


def _try_sound(course: Course, trials: Trials) -> Trial:
    return trials.make(Plan("", course.scope, reference_profile(), course.seed, course.folder / "trials" / "sound"))


def _try_mutant(course: Course, subject: Subject, trials: Trials) -> Fate:
    profile = reference_profile(mutant=subject.name)
    folder = course.folder / "trials" / subject.name
    scope = () if course.whole else (chapter_of(subject),)
    enough = "" if course.whole else subject.requirement
    first = trials.make(Plan(subject.name, scope, profile, course.seed, folder, enough))
    if not needs_more(subject, first):
        return Fate(subject, (first,))
    again = trials.make(Plan(subject.name, (), profile, course.seed, folder / "whole"))
    return Fate(subject, (first, again))


def _try_variant(course: Course, subject: Subject, number: int, trials: Trials) -> Steadiness:
    profile = VARIANTS[subject.name].profile_tree(builtin_tree())
    folder = course.folder / "trials" / subject.name / str(number + 1)
    trial = trials.make(Plan(subject.name, (), profile, course.seed + number, folder))
    return Steadiness(subject, (trial,), {item.id: item.level for item in builtin_catalogue()})


def builtin_tree() -> dict[str, Any]:
    """Return the built-in profile as plain data."""
    text = (resources.files("harness") / "profiles" / f"{BUILTIN}.yaml").read_text(encoding="utf-8")
    tree: dict[str, Any] = yaml.safe_load(text)
    return tree


def reference_profile(**embedded: str) -> Mapping[str, Any]:
    """Return the built-in profile with a shorter deadline for states, and a server that is started in another way."""
    tree = builtin_tree()
    tree["deadlines"] = {**tree["deadlines"], "state": STATE_DEADLINE}
    tree["embedded"] = {**tree["embedded"], **embedded}
    return tree


def _noted(course: Course, found: Found) -> tuple[str, bool]:
    """Keep what came of a trial; return a line for people, and whether it is bad news."""
    match found:
        case Trial():
            course.control = found
            good = f"the sound server passes {len(found.checks)} checks"
            alone = Matrix((), found, (), selected=True)
        case Steadiness():
            name = found.subject.name
            before = course.steady.get(name)
            course.steady[name] = Steadiness(found.subject, (*(before.trials if before else ()), *found.trials), found.levels)
            good = f"{name}: no false alarm (seed {found.trials[0].seed})"
            alone = Matrix((), None, (), (found,), selected=True)
        case Fate():
            course.fates[found.subject.name] = found
            good = f"{found.subject.name}: killed by {', '.join(dict.fromkeys(kill.check for kill in found.own))}"
            alone = Matrix((), None, (found,), selected=True)
    return "; ".join(map(_line, alone.findings)) or good, bool(alone.findings)


def _line(finding: Finding) -> str:
    names = f"{finding.subject}: " if finding.subject else ""
    return f"{KIND_NAMES[finding.kind]}: {names}{finding.text}"


def _conclude(course: Course, about: About, screen: Screen) -> int:
    matrix = course.matrix()
    for name, data in render_matrix(matrix, about).items():
        write_atomically(course.folder / name, data)
    for kind in dict.fromkeys(finding.kind for finding in matrix.findings):
        names = dict.fromkeys(finding.subject or finding.text for finding in matrix.findings if finding.kind == kind)
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        screen.say(f"[red]{KIND_NAMES[kind]}[/]: {plain(', '.join(list(names)[:MOST_NAMES]))}{more}")
    if course.mutants:
        screen.say(plain(f"{matrix.count('killed')} of {len(matrix.fates)} mutants killed by the checks of their requirement"))
    if course.mutants and not course.selected:
        screen.say(plain(f"not tried, as they show under load only: {', '.join(LOAD_MUTANTS)}"))
    for item in matrix.variants:
        screen.say(plain(f"{item.subject.name}: {item.passes} of {len(item.trials)} runs without a false alarm"))
    code = matrix.exit_code
    verdict = "[bold green]The suites hold[/]" if not matrix.findings else f"[bold red]{len(matrix.findings)} findings[/]"
    screen.say(f"{verdict}; {about.seconds:.0f} s in all")
    screen.say(plain(f"matrix: {course.folder / 'matrix.html'}, {course.folder / 'matrix.json'}"))
    return int(code)
