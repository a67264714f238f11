"""`judge`: judge a stored history again, without the endpoint that made it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from harness.checker import ILLEGAL, LEGAL, UNKNOWN, Judgement
from harness.checker import judge as judged
from harness.cli.output import say, visible
from harness.errors import ConfigError, ExitCode
from harness.history_file import History, read_history

_EXIT_CODES = {LEGAL: ExitCode.OK, ILLEGAL: ExitCode.VIOLATION, UNKNOWN: ExitCode.NOT_VALID}


@click.command()
@click.argument("history", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def judge(history: Path, *, as_json: bool) -> int:
    """Judge HISTORY, a file of operations: whether a Controller that keeps its promises could have answered like this."""
    found = _load(history)
    # What is missing may explain what looks wrong: a fetch, a cancel.
    judgement = Judgement(UNKNOWN, (), len(found.operations), found.incomplete) if found.incomplete else judged(found.operations)
    if as_json:
        data = {"source": found.source, "about": found.about, **dataclasses.asdict(judgement)}
        data["violations"] = [{**dataclasses.asdict(item), "level": item.level} for item in judgement.violations]
        say(json.dumps(data, indent=2))
    else:
        _print(found, judgement)
    return _EXIT_CODES[judgement.verdict]


def _print(found: History, judgement: Judgement) -> None:
    for item in judgement.violations:
        numbers = ", ".join(str(number) for number in item.operations)
        text = f"{item.requirement} ({item.level}) operations {numbers}: expected {item.expected}; observed {item.observed}"
        say(visible(text))
    reason = f": {judgement.reason}" if judgement.reason else ""
    say(visible(f"{found.source}: {judgement.verdict}, {judgement.operations} operations{reason}"))


def _load(path: Path) -> History:
    try:
        with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
            return read_history(file, str(path))
    except OSError as error:
        raise ConfigError(f"cannot be read: {(error.strerror or str(error)).lower()}", source=str(path)) from None
