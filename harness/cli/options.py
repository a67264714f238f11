"""Options that several commands share, so that they mean and read the same everywhere."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click
from _pytest.mark.expression import Expression  # pytest offers no public way to check one before it starts

from harness.endpoint import BUILTIN
from harness.errors import ConfigError
from harness.requirements import CHAPTERS, builtin_catalogue

F = TypeVar("F", bound=Callable[..., Any])


def run_options(function: F) -> F:
    """Add the options of every command that makes a run: `--profile` and `--out`."""
    text = f"Profile of the endpoint: a YAML file, or {BUILTIN!r} for the embedded reference Controller."
    profile = click.option("--profile", "profile_name", default=BUILTIN, show_default=True, metavar="FILE", help=text)
    out = click.option("--out", type=click.Path(path_type=Path), help="Folder for record and report [default: runs/TIME-KIND].")
    decorated: F = profile(out(function))
    return decorated


def check_options(function: F) -> F:
    """Add the options of every command that runs checks: `--seed`, `--chapter`, `--requirement` and `-k`."""
    options = (
        click.option("--seed", type=click.IntRange(0, (1 << 63) - 1), help="Seed of the checks [default: drawn, and shown]."),
        click.option("--chapter", "chapters", multiple=True, metavar="NAME", help="Only checks of this chapter (repeatable)."),
        click.option("--requirement", "requirements", multiple=True, metavar="ID", help="Only checks of this one (repeatable)."),
        click.option("-k", "keyword", metavar="EXPRESSION", help="Only checks whose name matches, as in pytest."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def selection_arguments(chapters: tuple[str, ...], requirements: tuple[str, ...], keyword: str | None) -> list[str]:
    """Return the chosen checks as arguments for pytest. Raises ConfigError for names that the catalogue does not have."""
    words = [word for name in known_chapters(chapters) for word in ("--chapter", name)]
    ids = _known(requirements, [item.id for item in builtin_catalogue()], "requirement")
    words += [word for name in ids for word in ("--requirement", name)]
    if keyword:
        try:
            Expression.compile(keyword)
        except Exception as error:  # SyntaxError since pytest 9, one of its own before
            hint = "names, joined by and, or, not and brackets"
            raise ConfigError(f"not an expression: {getattr(error, 'msg', error)}", key=f"-k {keyword!r}", hint=hint) from None
    return [*words, *(["-k", keyword] if keyword else [])]


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
