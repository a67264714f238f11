"""Options that several commands share, so that they mean and read the same everywhere."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click
from _pytest.mark.expression import Expression  # pytest offers no public way to check one before it starts

from conformance.costs import TIERS
from harness.cli.places import RECORD, RUNS, record_files
from harness.endpoint import BUILTIN
from harness.errors import ConfigError
from harness.profile import Profile
from harness.record import CheckLine
from harness.recorder import load_record
from harness.requirements import CHAPTERS, LEVELS, builtin_catalogue

NEWEST = "\0newest"
"""Stands for the newest earlier run."""

F = TypeVar("F", bound=Callable[..., Any])


def run_options(function: F) -> F:
    """Add the options of every command that makes a run: `--profile` and `--out`."""
    text = f"Profile of the endpoint: a YAML file, or {BUILTIN!r} for the embedded reference Controller."
    profile = click.option("--profile", "profile_name", default=BUILTIN, show_default=True, metavar="FILE", help=text)
    out = click.option("--out", type=click.Path(path_type=Path), help="Folder for record and report [default: runs/TIME-KIND].")
    decorated: F = profile(out(function))
    return decorated


def check_options(function: F) -> F:
    """Add the options of every command that runs checks: the seed, what chooses checks, the tier and `--strict`."""
    tier = "How much the endpoint may be made to do: answer only, a few quick jobs per check, or everything."
    last = "Only checks that failed or stayed open in RECORD [default: the newest run of this profile below runs/]."
    options = (
        click.option("--seed", type=click.IntRange(0, (1 << 63) - 1), help="Seed of the checks [default: drawn, and shown]."),
        click.option("--examples", type=click.IntRange(1, 1_000_000), metavar="N", help="Generated plans to run [default: 25]."),
        click.option("--chapter", "chapters", multiple=True, metavar="NAME", help="Only checks of this chapter (repeatable)."),
        click.option("--requirement", "requirements", multiple=True, metavar="ID", help="Only checks of this one (repeatable)."),
        click.option(
            "--level", "levels", multiple=True, type=click.Choice(LEVELS, case_sensitive=False), help="Only this level."
        ),
        click.option(
            "--check", "checks", multiple=True, metavar="NAME", help="Only this check, or those of a pattern (repeatable)."
        ),
        click.option("--last-failed", is_flag=False, flag_value=NEWEST, metavar="[RECORD]", help=last),
        click.option("--tier", type=click.Choice(TIERS), default="full", show_default=True, help=tier),
        click.option("--lanes", type=click.IntRange(1), metavar="N", help="Run on N of the profile's targets [default: on all]."),
        click.option("--strict", is_flag=True, help="Fail for a SHOULD as for a MUST."),
        click.option("-k", "keyword", metavar="EXPRESSION", help="Only checks whose name matches, as in pytest."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def example_arguments(examples: int | None) -> list[str]:
    """Return the number of generated plans as arguments for pytest."""
    return [] if examples is None else ["--examples", str(examples)]


def selection_arguments(
    *,
    chapters: tuple[str, ...],
    requirements: tuple[str, ...],
    levels: tuple[str, ...],
    checks: tuple[str, ...],
    tier: str,
    strict: bool,
    keyword: str | None,
    lanes: int | None = None,
) -> list[str]:
    """Return the chosen checks as arguments for pytest. Raises ConfigError for names that the catalogue does not have.

    Filters of one kind widen the choice, filters of different kinds narrow it.
    """
    words = [word for name in known_chapters(chapters) for word in ("--chapter", name)]
    ids = _known(requirements, [item.id for item in builtin_catalogue()], "requirement")
    words += [word for name in ids for word in ("--requirement", name)]
    words += [word for name in levels for word in ("--level", name.upper())]
    words += [word for name in checks for word in ("--check", name)]
    words += ["--tier", tier, *(["--strict-should"] if strict else [])]
    words += [] if lanes is None else ["--lanes", str(lanes)]
    if keyword:
        try:
            Expression.compile(keyword)
        except Exception as error:  # SyntaxError since pytest 9, one of its own before
            hint = "names, joined by and, or, not and brackets"
            raise ConfigError(f"not an expression: {getattr(error, 'msg', error)}", key=f"-k {keyword!r}", hint=hint) from None
    return [*words, *(["-k", keyword] if keyword else [])]


def earlier_record(last_failed: str, profile: Profile) -> Path:
    """Return the run record that `--last-failed` means. Raises ConfigError when there is none."""
    if last_failed != NEWEST:
        return record_files([Path(last_failed)])[0]
    found: list[tuple[str, Path]] = []
    for path in RUNS.glob(f"*/{RECORD}"):
        with contextlib.suppress(ConfigError):
            record = load_record(path)
            judged = any(isinstance(line, CheckLine) for line in record.lines)
            found += [(record.header.started, path)] if judged and record.header.profile.get("name") == profile.name else []
    if not found:
        hint = "name the record of an earlier run: --last-failed RECORD"
        raise ConfigError(f"no earlier run of {profile.name!r} below {RUNS}/", key="--last-failed", hint=hint)
    return max(found)[1]


def known_chapters(names: Iterable[str]) -> list[str]:
    """Return chapters as the catalogue writes them. Raises ConfigError for one that it does not have."""
    return _known(names, list(CHAPTERS), "chapter")


def _known(names: Iterable[str], known: list[str], what: str) -> list[str]:
    wanted = [name.upper() for name in names]
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else "see `controller-harness requirements`"
            raise ConfigError(f"no such {what}: {name}", hint=hint)
    return wanted
