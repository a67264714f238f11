"""`report` and `schema`: what is made from records, and how the files of it that programs read are built.

Knows neither gRPC nor pytest: a report is made on machines, and in a time, that have no room for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import click

from harness.cli.output import say
from harness.cli.places import record_files
from harness.errors import ConfigError, ExitCode, worst
from harness.recorder import load_record, make_folder, write_atomically
from reports import FORMATS, build_view, render
from reports.comparison import words

SCHEMAS: Mapping[str, tuple[str, str]] = {
    "report": ("reports", "report.schema.json"),
    "record": ("harness", "record.schema.json"),
    "comparison": ("reports", "comparison.schema.json"),
    "history": ("reports", "history.schema.json"),
    "matrix": ("reports", "killmatrix.schema.json"),
}
"""The package and the file of each schema, by name."""


@click.command()
@click.argument("records", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for the report [default: that of the record; several need one]."
)
@click.option("--format", "formats", multiple=True, type=click.Choice(list(FORMATS)), help="Only this form (repeatable).")
@click.option("--strict", is_flag=True, help="Fail for a SHOULD as for a MUST.")
@click.option(
    "--baseline",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="RECORD",
    help="Say what changed since this earlier run, with code 1 if anything became worse (repeatable).",
)
def report(
    records: tuple[Path, ...], out: Path | None, formats: tuple[str, ...], baseline: tuple[Path, ...], *, strict: bool
) -> int:
    """Make the report of run RECORDS again; a folder stands for the record.jsonl in it."""
    paths, before = record_files(records), record_files(baseline)
    folder = out if out is not None else paths[0].parent
    if out is None and len(paths) > 1:
        raise ConfigError("a report of several records belongs to none of their folders", hint="give one with --out")
    view = build_view([load_record(path) for path in paths], strict=strict, baseline=[load_record(path) for path in before])
    make_folder(folder)
    for form in dict.fromkeys(formats or FORMATS):
        # One at a time: those of a large run need not fit into memory together.
        for name, data in render(view, [form]).items():
            write_atomically(folder / name, data)
            say(str(folder / name))
    say(f"{view.verdict.label}: {view.verdict.reason}")
    if view.baseline is None:
        return int(view.verdict.exit_code)
    say(f"Since the baseline: {words.label(view.baseline)}. {words.reason(view.baseline)}")
    return int(worst([view.verdict.exit_code, ExitCode.BELOW_THRESHOLD if view.baseline.regressed else ExitCode.OK]))


@click.command()
@click.argument("name", type=click.Choice(list(SCHEMAS)))
def schema(name: str) -> None:
    """Print the JSON Schema of a file: NAME.json, or of each line of a record.jsonl.

    Its $id ends in the version that is in the file; within a version, keys are added but never renamed or removed.
    """
    package, file = SCHEMAS[name]
    say((resources.files(package) / "schemas" / file).read_text(encoding="utf-8").rstrip("\n"))
