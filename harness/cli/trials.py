"""Trials of the suites: each a child process against a server of its own, several at a time, none of which outlives us.

A child closes the server that it started; a server whose parent is gone ends by itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import yaml

from harness.cli.children import ENVIRONMENT, GRACE, last_line
from harness.cli.serve import REACHED
from harness.cli.suites import suite_command
from harness.errors import ConfigError, ExitCode
from harness.killmatrix import Check, Trial
from harness.record import CheckLine, SectionEnd
from harness.recorder import load_record, make_folder, unwritable

LIMIT = 900.0
"""Seconds after which a trial is stopped: several times what the whole suite takes on a busy machine."""
ENOUGH = 60.0
"""Seconds after which a trial whose mutant was killed is cut short: some broken servers make every check wait for nothing."""
_ENDED = {ExitCode.OK, ExitCode.BELOW_THRESHOLD, ExitCode.VIOLATION, ExitCode.NOT_VALID}


@dataclass(frozen=True)
class Plan:
    """A trial to be made: of which server, with which chapters (none: all), with which profile, in which folder.

    Once `enough` (a requirement) was found violated by its own checks, the rest may be left out.
    """

    subject: str
    scope: tuple[str, ...]
    profile: Mapping[str, Any]
    seed: int
    folder: Path
    enough: str = ""

    @property
    def arguments(self) -> list[str]:
        """What chooses the checks."""
        return [word for chapter in self.scope for word in ("--chapter", chapter)]


class Trials:
    """Makes trials, `jobs` at a time. Use it as a context manager: at its end no child is left."""

    def __init__(self, jobs: int, limit: float = LIMIT) -> None:
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="trial")
        self._limit = limit
        self._lock = threading.Lock()
        self._stopping = False
        self._children: set[subprocess.Popen[bytes]] = set()

    def __enter__(self) -> Trials:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._pool.shutdown(cancel_futures=True)

    def each(self, tasks: Sequence[Callable[[], Any]]) -> Iterator[Any]:
        """Carry out tasks, which may call `make`, and give what they return as they end."""
        futures: list[Future[Any]] = [self._pool.submit(task) for task in tasks]
        for future in as_completed(futures):
            yield future.result()

    def stop(self) -> None:
        """Interrupt every child; those that do not end in time are killed by the threads that wait for them."""
        with self._lock:
            self._stopping = True
            for child in self._children:
                child.send_signal(signal.SIGINT)

    def make(self, plan: Plan) -> Trial:
        """Make one trial and read what it left. Raises HarnessError when its files cannot be written."""
        begun = time.monotonic()
        profile, record, reached = (plan.folder / name for name in ("profile.yaml", "record.jsonl", "reached.txt"))
        _prepare(plan, profile, (record, reached))
        command = suite_command(str(profile), record, plan.seed, plan.arguments)
        with tempfile.TemporaryFile() as errors:
            why, code = self._run(command, reached, errors, partial(_is_killed, record, plan.enough))
            errors.seek(0)
            complaint = last_line(errors.read(200_000).decode(errors="replace"))
        checks, problem = _read(record, code, complaint)
        problem = why or problem
        found = reached.read_text(encoding="utf-8").split() if reached.exists() else []
        return Trial(
            subject=plan.subject,
            scope=plan.scope,
            seed=plan.seed,
            seconds=round(time.monotonic() - begun, 1),
            checks=checks,
            reached=tuple(dict.fromkeys(found)),
            broken=problem,
        )

    def _run(
        self, command: Sequence[str], reached: Path, errors: IO[bytes], is_enough: Callable[[], bool]
    ) -> tuple[str, int | None]:
        """Run a child to its end; why that had to be forced, and its exit code (None when it never started)."""
        with self._lock:
            if self._stopping:
                return "", None
            environment = {**os.environ, **ENVIRONMENT, REACHED: str(reached.absolute())}
            child = subprocess.Popen(  # noqa: S603 - our own program
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=environment,
                start_new_session=True,
            )
            self._children.add(child)
        try:
            return self._wait(child, is_enough), child.returncode
        finally:
            with self._lock:
                self._children.discard(child)

    def _wait(self, child: subprocess.Popen[bytes], is_enough: Callable[[], bool]) -> str:
        begun = time.monotonic()
        why = ""
        while not self._stopping and not why:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(0.5)
                return ""
            passed = time.monotonic() - begun
            if passed > self._limit:
                why = f"stopped: it did not end within {self._limit:g} s"
            elif passed > ENOUGH and is_enough():
                why = f"cut short after {ENOUGH:g} s: it was killed by then"
        with contextlib.suppress(subprocess.TimeoutExpired):
            # `stop` has sent it already; a second one would keep the child from stopping what it has started.
            if not self._stopping:
                child.send_signal(signal.SIGINT)
            child.wait(GRACE)
            return why
        child.kill()
        child.wait()
        return why


def _is_killed(record: Path, requirement: str) -> bool:
    """Whether a record under way has a check that found the requirement violated that it is there for."""
    if not requirement or not record.exists():
        return False
    found = (line for line in load_record(record).lines if isinstance(line, CheckLine) and requirement in line.requirements)
    return any(item.requirement == requirement for line in found for item in line.discrepancies)


def _prepare(plan: Plan, profile: Path, stale: Sequence[Path]) -> None:
    make_folder(plan.folder)
    try:
        for path in stale:
            path.unlink(missing_ok=True)
        profile.write_text(yaml.safe_dump(dict(plan.profile), sort_keys=False), encoding="utf-8")
    except OSError as error:
        raise unwritable(plan.folder, error) from None


def _read(record: Path, code: int | None, complaint: str) -> tuple[tuple[Check, ...], str]:
    """Return what the checks of a trial said, and why it did not come to its end."""
    if code is None:
        return (), "interrupted"
    if not record.exists():
        return (), complaint or f"the suites ended with code {code} and left nothing"
    try:
        lines = load_record(record).lines
    except ConfigError as error:
        return (), str(error)
    ends = [line for line in lines if isinstance(line, SectionEnd)]
    checks = tuple(_check(line) for line in lines if isinstance(line, CheckLine))
    if not ends:
        return checks, complaint or f"the suites ended with code {code} and said no more"
    if ends[-1].outcome != "completed" or code not in _ENDED:
        return checks, ends[-1].reason
    return checks, ""


def _check(line: CheckLine) -> Check:
    return Check(
        name=line.check,
        covers=line.requirements,
        verdict=line.verdict,
        violated=tuple(dict.fromkeys(item.requirement for item in line.discrepancies)),
        shown=line.reason,
        crashed=line.reason_kind == "crashed",
    )
