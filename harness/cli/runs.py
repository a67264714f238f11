"""A run as the command line conducts it: a folder, a record, the parts one after the other, the report, the last lines."""

from __future__ import annotations

import dataclasses
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.cli.board import Board
from harness.cli.children import ChildResult, run_child
from harness.cli.output import complain
from harness.cli.places import RECORD, RUNS
from harness.cli.progress import Display
from harness.cli.screen import Screen, plain
from harness.cli.signals import nothing, on_signals
from harness.cli.suites import suite_command
from harness.embedded import endpoint_for
from harness.endpoint import Endpoint, read_profile
from harness.errors import ExitCode, HarnessError, worst
from harness.gates import record_exit
from harness.probe import probe
from harness.record import FOOTER_MISSING, Record, SectionEnd, SectionStart
from harness.recorder import RecordWriter, alone_in, load_record, make_folder, make_header, now_text, write_atomically
from harness.scenario import Scenario
from harness.template import masked
from loadtests.runner import command as load_command
from loadtests.runner import processes as worker_processes
from reports import build_view, render


@dataclass
class Run:
    """A run under way: where it writes, what it tests, and what its parts have said so far."""

    folder: Path
    profile_name: str
    endpoint: Endpoint
    seed: int
    screen: Screen
    codes: list[ExitCode] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def record(self) -> Path:
        """The run record."""
        return self.folder / RECORD

    def conformance(self, arguments: Sequence[str]) -> None:
        """Run the suites; `arguments` are further ones for pytest."""
        command = suite_command(self.profile_name, self.record, self.seed, arguments)
        with Display(self.screen, "conformance") as display:
            result = run_child(command, self.endpoint.handover, display.check_event, on_interrupt=display.stopping)
        self._judge("conformance", result)

    def load(self, path: Path, scenario: Scenario, processes: int | None = None) -> None:
        """Run the load scenario in the file `path`; it may take twice its length, and then some, to end by itself.

        Given a number, so many worker `processes` of this machine make the load.
        """
        extra = [] if processes is None else worker_processes(processes)
        command = load_command(self.profile_name, path, self.record, extra)
        limit = 2 * scenario.seconds + scenario.follow.deadline + 60
        with Display(self.screen, "load", scenario.seconds, may_end_sooner=scenario.is_search) as display:
            hear, stop = display.load_event, display.stopping
            result = run_child(command, self.endpoint.handover, hear, limit=limit, on_interrupt=stop)
        if result.overdue:
            self.complaints.append(f"the load had to be stopped: it did not end within {limit:.0f} s")
        self._judge("load", result)

    @property
    def may_go_on(self) -> bool:
        """Whether another part of the run makes sense: the endpoint was there until now, and the configuration held."""
        return not {ExitCode.UNREACHABLE, ExitCode.USAGE} & set(self.codes)

    def _judge(self, section: str, result: ChildResult) -> None:
        known = result.code in set(ExitCode)
        code = ExitCode(result.code) if known else ExitCode.NOT_VALID
        _, ended = _sections(load_record(self.record))
        if section not in ended and code in {ExitCode.OK, ExitCode.BELOW_THRESHOLD, ExitCode.VIOLATION}:
            # Python's own exit codes: without an end of the section they do not mean ours.
            code = ExitCode.NOT_VALID
        self.codes.append(code)
        if result.complaint and code is not ExitCode.OK:
            self.complaints.append(result.complaint)
        if not known or section not in ended:
            reason = result.complaint or f"the {section} process ended with code {result.code}"
            with RecordWriter.append_to(self.record) as writer:
                writer.write(SectionEnd(section, now_text(), "crashed", reason, int(code)))

    def withdraw(self) -> None:
        """Take back the record of a run of which no part has begun. Raises HarnessError for what kept it from beginning."""
        if not self.complaints or _sections(load_record(self.record))[0]:
            return
        self.record.unlink()
        if not any(self.folder.iterdir()):
            self.folder.rmdir()
        error = HarnessError(self.complaints[0])
        error.exit_code = worst(self.codes)
        raise error


def _sections(record: Record) -> tuple[set[str], set[str]]:
    """Return which sections of a record have begun, and which have ended."""
    begun = {line.section for line in record.lines if isinstance(line, SectionStart)}
    return begun, {line.section for line in record.lines if isinstance(line, SectionEnd)}


def conduct(
    *,
    profile_name: str,
    out: Path | None,
    seed: int | None,
    kind: str,
    parts: Callable[[Run], None],
) -> int:
    """Conduct a run from its first to its last line and return the exit code.

    Whatever ends it once a part has begun, the record gets its footer and the report is written. Raises HarnessError, and
    leaves nothing behind, when nothing could begin.
    """
    begun = time.monotonic()
    profile, base = read_profile(profile_name)
    with endpoint_for(profile, base) as endpoint:
        probe(endpoint)
        seed = random.SystemRandom().getrandbits(32) if seed is None else seed
        run = Run(_folder(out, kind), profile_name, endpoint, seed, Screen())
        with alone_in(run.folder):
            _carry_out(run, parts)
            with on_signals(nothing):
                run.withdraw()
                return _conclude(run, begun)


def _carry_out(run: Run, parts: Callable[[Run], None]) -> None:
    name, address = run.endpoint.profile.name, run.endpoint.address
    header = make_header(command=_repeat(run.seed), endpoint=address, profile=masked(run.endpoint.profile), seed=run.seed)
    RecordWriter.create(run.record, header).close()
    try:
        run.screen.say(plain(f"{name} at {address}, seed {run.seed}, results in {run.folder}"))
        parts(run)
    except KeyboardInterrupt:
        run.codes.append(ExitCode.INTERRUPTED)
    except HarnessError as error:
        run.codes.append(error.exit_code)
        run.complaints.append(str(error))


def _conclude(run: Run, begun: float) -> int:
    record = load_record(run.record)
    if record.incomplete == FOOTER_MISSING:
        # The footer is about to be written; without it nothing else is amiss.
        record = dataclasses.replace(record, incomplete="")
    code = worst([record_exit(record)[0], *run.codes])
    RecordWriter.append_to(run.record).finish(int(code))
    with Board(run.screen, "report", None):
        view = build_view([load_record(run.record)])
        for name, data in render(view).items():
            write_atomically(run.folder / name, data)
    for line in dict.fromkeys(run.complaints):
        complain(line)
    style = {"pass": "bold green", "violated": "bold red"}.get(view.verdict.kind, "bold yellow")
    run.screen.say(f"[{style}]{plain(view.verdict.label)}[/]: {plain(view.verdict.reason)}")
    figures = ", ".join(f"{figure.value} {figure.label}" for figure in view.figures)
    run.screen.say(plain(f"{figures}; {time.monotonic() - begun:.0f} s in all"))
    run.screen.say(plain(f"report: {run.folder / 'report.html'}"))
    return int(code)


def _folder(out: Path | None, kind: str) -> Path:
    folder = out if out is not None else RUNS / f"{time.strftime('%Y%m%d-%H%M%S')}-{kind}"
    number = 2
    while out is None and folder.exists():
        folder = RUNS / f"{time.strftime('%Y%m%d-%H%M%S')}-{kind}-{number}"
        number += 1
    make_folder(folder)
    return folder


def _repeat(seed: int) -> list[str]:
    arguments = sys.argv[1:]
    given = any(word == "--seed" or word.startswith("--seed=") for word in arguments)
    return ["controller-harness", *arguments, *([] if given else ["--seed", str(seed)])]
