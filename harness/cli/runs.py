"""A run as the command line conducts it: a folder, a record, the parts one after the other, the report, the last lines."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.console import Console

import conformance
from harness.cli.children import ChildResult, run_child
from harness.cli.progress import Display
from harness.embedded import endpoint_for
from harness.endpoint import Endpoint, read_profile
from harness.errors import ExitCode, HarnessError
from harness.gates import record_exit
from harness.probe import probe
from harness.record import FOOTER_MISSING, Record, SectionEnd
from harness.recorder import RecordWriter, load_record, make_header, now_text, write_atomically
from harness.scenario import Scenario
from harness.template import masked
from loadtests.runner import command as load_command
from reports import build_view, render

RECORD = "record.jsonl"
"""Name of the run record in a run's folder."""


@dataclass
class Run:
    """A run under way: where it writes, what it tests, and what its parts have said so far."""

    folder: Path
    profile_name: str
    endpoint: Endpoint
    seed: int
    console: Console
    codes: list[ExitCode] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def record(self) -> Path:
        """The run record."""
        return self.folder / RECORD

    def conformance(self, arguments: Sequence[str]) -> None:
        """Run the suites; `arguments` are further ones for pytest."""
        command = [sys.executable, "-m", "pytest", str(Path(conformance.__file__).parent)]
        command += ["--capture=no", "-p", "no:terminal", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:xdist"]
        command += ["--rootdir", str(Path(conformance.__file__).parent), "-c", os.devnull, "--import-mode=importlib"]
        command += ["--profile", self.profile_name, "--record", str(self.record), "--seed", str(self.seed), *arguments]
        with Display(self.console, "conformance", None) as display:
            self._judge("conformance", run_child(command, self.endpoint.handover, display.check_event))

    def load(self, path: Path, scenario: Scenario) -> None:
        """Run the load scenario in the file `path`; it may take twice its length, and then some, to end by itself."""
        command = load_command(self.profile_name, path, self.record)
        with Display(self.console, "load", round(scenario.seconds)) as display:
            limit = 2 * scenario.seconds + scenario.follow.deadline + 60
            self._judge("load", run_child(command, self.endpoint.handover, display.load_event, limit=limit))

    @property
    def may_go_on(self) -> bool:
        """Whether another part of the run makes sense: the endpoint was there until now."""
        return ExitCode.UNREACHABLE not in self.codes

    def _judge(self, section: str, result: ChildResult) -> None:
        known = result.code in set(ExitCode)
        code = ExitCode(result.code) if known else ExitCode.NOT_VALID
        self.codes.append(code)
        if result.last_line and code is not ExitCode.OK:
            self.complaints.append(result.last_line)
        if not known or not _ended(load_record(self.record), section):
            reason = result.last_line or f"the {section} process ended with code {result.code}"
            with RecordWriter.append_to(self.record) as writer:
                writer.write(SectionEnd(section, now_text(), "crashed", reason, int(code)))


def _ended(record: Record, section: str) -> bool:
    return any(isinstance(line, SectionEnd) and line.section == section for line in record.lines)


def conduct(
    *,
    profile_name: str,
    out: Path | None,
    seed: int | None,
    kind: str,
    parts: Callable[[Run], None],
) -> int:
    """Conduct a run from its first to its last line and return the exit code.

    Whatever ends it, the record gets its footer and the report is written. Raises HarnessError before anything is started.
    """
    console = Console(stderr=False, highlight=False)
    profile, base = read_profile(profile_name)
    folder = _folder(out, kind)
    begun = time.monotonic()
    with endpoint_for(profile, base) as endpoint:
        probe(endpoint)
        seed = random.SystemRandom().getrandbits(32) if seed is None else seed
        run = Run(folder, profile_name, endpoint, seed, console)
        console.print(f"{profile.name} at {endpoint.address}, seed {seed}, results in {folder}", soft_wrap=True)
        writer = RecordWriter.create(
            run.record, make_header(command=_repeat(seed), endpoint=endpoint.address, profile=masked(endpoint.profile), seed=seed)
        )
        writer.close()
        with contextlib.suppress(KeyboardInterrupt):
            try:
                parts(run)
            except KeyboardInterrupt:
                run.codes.append(ExitCode.INTERRUPTED)
                raise
    return _conclude(run, time.monotonic() - begun)


def _conclude(run: Run, seconds: float) -> int:
    record = load_record(run.record)
    if record.incomplete == FOOTER_MISSING:
        # The footer is about to be written; without it nothing else is amiss.
        record = dataclasses.replace(record, incomplete="")
    code, _ = record_exit(record)
    if ExitCode.INTERRUPTED in run.codes:
        code = ExitCode.INTERRUPTED
    RecordWriter.append_to(run.record).finish(int(code))
    view = build_view([load_record(run.record)])
    for name, data in render(view).items():
        write_atomically(run.folder / name, data)
    for line in dict.fromkeys(run.complaints):
        click.echo(f"controller-harness: {line}", err=True)
    style = {"pass": "bold green", "violated": "bold red"}.get(view.verdict.kind, "bold yellow")
    run.console.print(f"[{style}]{view.verdict.label}[/]: {_plain(view.verdict.reason)}", soft_wrap=True)
    figures = ", ".join(f"{figure.value} {figure.label}" for figure in view.figures)
    run.console.print(f"{_plain(figures)}; {seconds:.0f} s in all", soft_wrap=True)
    run.console.print(f"report: {run.folder / 'report.html'}", soft_wrap=True)
    return int(code)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


def _folder(out: Path | None, kind: str) -> Path:
    folder = out if out is not None else Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{kind}"
    number = 2
    while out is None and folder.exists():
        folder = Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{kind}-{number}"
        number += 1
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise HarnessError(f"{folder}: cannot be made: {reason}", hint="name another folder with --out") from None
    return folder


def _repeat(seed: int) -> list[str]:
    arguments = sys.argv[1:]
    return ["controller-harness", *arguments, *([] if "--seed" in arguments else ["--seed", str(seed)])]
