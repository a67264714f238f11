"""Options that several commands share, so that they mean and read the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from harness.endpoint import BUILTIN

F = TypeVar("F", bound=Callable[..., Any])


def profile_option(function: F) -> F:
    """Add `--profile`."""
    text = f"Profile of the endpoint: a YAML file, or {BUILTIN!r} for the embedded reference Controller."
    decorated: F = click.option("--profile", "profile_name", default=BUILTIN, show_default=True, help=text)(function)
    return decorated


def run_options(function: F) -> F:
    """Add the options of every command that makes a run: `--profile`, `--out` and `--seed`."""
    out = click.option("--out", type=click.Path(path_type=Path), help="Folder for record and report [default: runs/TIME-KIND].")
    seed = click.option("--seed", type=click.IntRange(0), help="Seed of all random choices [default: drawn, and shown].")
    decorated: F = profile_option(out(seed(function)))
    return decorated


def selection_options(function: F) -> F:
    """Add the options that choose checks: `--chapter`, `--requirement` and `-k`."""
    chapter = click.option(
        "--chapter", "chapters", multiple=True, metavar="NAME", help="Only checks of this chapter (repeatable)."
    )
    requirement = click.option(
        "--requirement", "requirements", multiple=True, metavar="ID", help="Only checks that cover this requirement (repeatable)."
    )
    keyword = click.option("-k", "keyword", metavar="EXPRESSION", help="Only checks whose name matches, as in pytest.")
    decorated: F = chapter(requirement(keyword(function)))
    return decorated


def selection_arguments(chapters: tuple[str, ...], requirements: tuple[str, ...], keyword: str | None) -> list[str]:
    """Return the chosen checks as arguments for pytest."""
    words = [word for name in chapters for word in ("--chapter", name.upper())]
    words += [word for name in requirements for word in ("--requirement", name.upper())]
    return [*words, *(["-k", keyword] if keyword else [])]
