"""`profile` and `requirements`: what the harness knows of endpoints and of the spec."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from conformance.trace import checks_by_requirement
from harness.cli.options import known_chapters
from harness.cli.output import complain, say
from harness.embedded import mutants_by_requirement
from harness.endpoint import BUILTIN, read_profile, read_text
from harness.errors import ConfigError, ExitCode, NotValidError
from harness.recorder import write_atomically
from harness.requirements import LEVELS, Requirement, builtin_catalogue, uncited_sentences, verify_passages
from harness.template import masked, profile_template

Traces = Mapping[str, Sequence[str]]
"""Names by requirement id."""


@click.group()
def profile() -> None:
    """Write and look at profiles."""


@profile.command()
@click.argument("path", default="profile.yaml", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace an existing file.")
def init(path: Path, *, force: bool) -> None:
    """Write a commented profile to PATH (default: profile.yaml)."""
    if path.exists() and not force:
        raise ConfigError("exists already", source=str(path), hint="use --force to replace it, or name another file")
    write_atomically(path, profile_template().encode())
    say(f"{path}: written; fill it in, then `controller-harness profile show {path}`")


@profile.command()
@click.argument("name", default=BUILTIN)
def show(name: str) -> None:
    """Read the profile NAME (a file, or 'reference') and show it with all defaults, secrets masked."""
    found, _ = read_profile(name)
    say(json.dumps(masked(found), indent=2, ensure_ascii=False))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--chapter", "chapters", multiple=True, metavar="NAME", help="Only this chapter (repeatable).")
@click.option("--level", type=click.Choice(LEVELS, case_sensitive=False), help="Only this level.")
@click.option(
    "--spec",
    type=click.Path(path_type=Path),
    help="Verify the catalogue against a copy of the service's .proto: is it what it was?",
)
def requirements(*, as_json: bool, chapters: tuple[str, ...], level: str | None, spec: Path | None) -> int:
    """List the catalogue with the checks and mutants of each requirement, or verify the passages of the spec that it rests on."""
    if spec is not None:
        return _verify(spec)
    wanted = known_chapters(chapters)
    found = [
        item
        for item in builtin_catalogue()
        if (not wanted or item.chapter in wanted) and (level is None or item.level == level.upper())
    ]
    traces = checks_by_requirement(), mutants_by_requirement()
    if as_json:
        say(json.dumps([_entry(item, *traces) for item in found], indent=2, ensure_ascii=False))
    else:
        say(_listing(found, *traces))
    return ExitCode.OK


def _verify(spec: Path) -> int:
    text = read_text(spec)
    changed = verify_passages(builtin_catalogue(), text, str(spec))
    for mismatch in changed:
        complain(str(mismatch))
    for locator in uncited_sentences(builtin_catalogue(), text, str(spec)):
        say(f"{locator}: no requirement rests on this sentence")
    if changed:
        raise NotValidError(
            f"{len(changed)} passages have changed since the catalogue was made", hint="review their requirements"
        )
    say(f"{spec}: every passage that the catalogue rests on is as it was")
    return ExitCode.OK


def _entry(item: Requirement, checks: Traces, mutants: Traces) -> dict[str, object]:
    return {
        "id": item.id,
        "level": item.level,
        "chapter": item.chapter,
        "statement": item.statement,
        "passages": [{"at": str(passage), "sha256": passage.sha256} for passage in item.passages],
        "implied": item.implied,
        "ruling": item.ruling,
        "unobservable": item.unobservable,
        "checks": list(checks.get(item.id, ())),
        "mutants": list(mutants.get(item.id, ())),
    }


def _listing(found: list[Requirement], checks: Traces, mutants: Traces) -> str:
    lines = []
    for item in found:
        rests = ", ".join(str(passage) for passage in item.passages)
        covering, wrong = checks.get(item.id, ()), mutants.get(item.id, ())
        lines.append(f"{item.id:<9} {item.level:<7} {item.statement}")
        lines.append(f"{'':<17} rests on {rests}" + (" (implied)" if item.implied else ""))
        lines.append(f"{'':<17} " + (f"checked by {', '.join(covering)}" if covering else f"not checked: {item.unobservable}"))
        lines += [f"{'':<17} proven on {len(wrong)} mutants: {', '.join(wrong)}"] if wrong else []
    return "\n".join([*lines, f"{len(found)} requirements"])
