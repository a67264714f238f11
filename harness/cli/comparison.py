"""`compare` and `history`: what changed between runs, and the trend over many of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from harness.cli.output import say
from harness.cli.places import record_files
from harness.errors import ConfigError, ExitCode, NotValidError
from harness.recorder import load_record, make_folder, write_atomically
from reports.comparison import Comparison, Settings
from reports.comparison import compare as compared
from reports.comparison.render import comparison_files, history_files
from reports.comparison.summaries import RunSummary, summarized
from reports.comparison.text import comparison_text, history_text
from reports.comparison.trend import history_of
from reports.comparison.values import DIFFERENCES, FLOOR

AGAINST = "--"
_AGAINST = "\0against\0"
"""Stands for it among the arguments; no file can be called that."""


_FLOOR = click.option(
    "--floor",
    type=click.FloatRange(0, 1000),
    default=FLOOR,
    show_default=True,
    metavar="PERCENT",
    help="Noise floor: smaller effects do not count.",
)
_SEED = click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed of the resampling.")


class _TwoSided(click.Command):
    """Takes two lists of files with `--` in between; options may stand anywhere."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line, and keep the place of `--`, which click takes for the end of the options."""
        if AGAINST in args:
            place = args.index(AGAINST)
            args = [*args[:place], _AGAINST, *args[place + 1 :]]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return how the command is used."""
        return [*super().collect_usage_pieces(ctx)[:1], "BASE...", AGAINST, "NEW..."]


@click.command(cls=_TwoSided)
@click.argument("records", nargs=-1)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for comparison.json, comparison.md and comparison.html.")
@_FLOOR
@_SEED
@click.option(
    "--allow-different",
    "allowed",
    multiple=True,
    type=click.Choice(DIFFERENCES),
    help="Compare although this differs (repeatable).",
)
def compare(records: tuple[str, ...], out: Path | None, floor: float, seed: int, allowed: tuple[str, ...]) -> int:
    """Say what changed from the BASE to the NEW run records: verdicts, latency, throughput, errors.

    A folder stands for the record.jsonl in it. With several runs on each side, the runs are the unit. Exit code 1 on a
    regression: a requirement that passed fails, or a measure is worse by more than the noise floor and than chance explains.
    """
    base, new = ([load_record(path) for path in side] for side in _sides(records))
    comparison = compared(base, new, Settings(floor, seed, allowed))
    _check(comparison)
    _write(out, comparison_files(comparison) if out is not None else {})
    say(comparison_text(comparison))
    return ExitCode.BELOW_THRESHOLD if comparison.regressed else ExitCode.OK


def _sides(records: tuple[str, ...]) -> tuple[list[Path], list[Path]]:
    """Return the record files of both sides. Raises click.UsageError unless there is `--` with a record before and after it."""
    if _AGAINST not in records:
        raise click.UsageError("`--` is missing between the records of the base and the new ones")
    place = records.index(_AGAINST)
    base, new = (record_files(map(Path, names)) for names in (records[:place], records[place + 1 :]))
    if not (base and new):
        raise click.UsageError(f"no record {'after' if base else 'before'} `--`")
    return base, new


def _check(comparison: Comparison) -> None:
    """Raise NotValidError or ConfigError if there was nothing to compare."""
    if not comparison.refusals:
        return
    text = "; ".join(refusal.text for refusal in comparison.refusals)
    kinds = dict.fromkeys(refusal.kind for refusal in comparison.refusals)
    if "invalid" in kinds:
        raise NotValidError(f"not a run that can be compared: {text}".rstrip("."))
    allowing = " ".join(f"--allow-different {kind}" for kind in kinds if kind in DIFFERENCES)
    raise ConfigError(text, hint=f"{allowing} compares them all the same" if allowing else "compare runs of the same kind")


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder for history.html and history.json [default: DIR].")
@_FLOOR
@_SEED
def history(folder: Path, out: Path | None, floor: float, seed: int) -> int:
    """Draw the trend of all run records below DIR, and say where it changed."""
    if not folder.is_dir():
        raise ConfigError(
            "is no folder" if folder.exists() else "does not exist", source=str(folder), hint="name one with records"
        )
    runs, skipped = _found(folder)
    if not runs:
        raise ConfigError("no run record below it", source=str(folder), hint="runs leave a record.jsonl each")
    found = history_of(runs, skipped, Settings(floor, seed))
    _write(out if out is not None else folder, history_files(found))
    say(history_text(found))
    return ExitCode.OK


def _found(folder: Path) -> tuple[list[RunSummary], Mapping[str, str]]:
    """Return the runs recorded below a folder, and why other files of that kind are no records, by name."""
    runs, skipped = [], {}
    for path in sorted(folder.rglob("*.jsonl")):
        try:
            runs.append(summarized(load_record(path)))
        except ConfigError as error:
            skipped[str(path)] = str(error)
    return runs, skipped


def _write(folder: Path | None, files: Mapping[str, bytes]) -> None:
    if folder is None:
        return
    make_folder(folder)
    for name, data in files.items():
        write_atomically(folder / name, data)
        say(str(folder / name))
