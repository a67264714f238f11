"""One conformance run: the endpoint, the record, the progress, and what each verdict means for the exit code."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from harness.budget import Spending
from harness.embedded import endpoint_for
from harness.endpoint import Endpoint, read_profile
from harness.errors import ExitCode, UnreachableError
from harness.gates import conformance_exit
from harness.probe import probe
from harness.record import CheckLine, Line, RequirementLine, SectionEnd, SectionStart
from harness.recorder import RecordWriter, make_header, now_text
from harness.requirements import Catalogue, builtin_catalogue
from harness.template import masked

PROGRESS = "CONTROLLER_HARNESS_PROGRESS"
"""Environment variable; `json` asks for one line of JSON per check on standard output."""


class Run:
    """Everything that the checks of one pytest session share."""

    def __init__(self, profile_name: str, record: Path | None, seed: int, command: Sequence[str]) -> None:
        self.seed = seed
        self.catalogue: Catalogue = builtin_catalogue()
        self.gone = ""
        self.verdicts: list[CheckLine] = []
        self.planned = 0
        self.origin_ns = time.monotonic_ns()
        self._command = tuple(command)
        self._record = record
        self._owns_record = False
        self._writer: RecordWriter | None = None
        self._stack = contextlib.ExitStack()
        self._json = os.environ.get(PROGRESS) == "json"
        profile, base = read_profile(profile_name)
        self.endpoint: Endpoint = self._stack.enter_context(endpoint_for(profile, base))
        self.spending = Spending(profile.budget)

    @property
    def folder(self) -> Path | None:
        """Where files that go with the record are put; None without a record."""
        return self._record.parent if self._record is not None else None

    def start(self, planned: int) -> None:
        """Check that the endpoint is there, and begin the record's section. Raises UnreachableError."""
        probe(self.endpoint)
        self.planned = planned
        if self._record is None:
            return
        self._owns_record = not self._record.exists()
        if self._owns_record:
            header = make_header(
                command=self._command, endpoint=self.endpoint.address, profile=masked(self.endpoint.profile), seed=self.seed
            )
            self._writer = RecordWriter.create(self._record, header)
        else:
            self._writer = RecordWriter.append_to(self._record)
        self._writer.write(
            SectionStart("conformance", now_text(), planned, {"seed": self.seed, "catalogue": self.catalogue.fingerprint})
        )
        for item in self.catalogue:
            passages = tuple(str(passage) for passage in item.passages)
            self._writer.write(
                RequirementLine(item.id, item.level, item.chapter, item.statement, passages, item.implied, item.unobservable)
            )

    def level(self, requirement: str) -> str:
        """Return MUST, SHOULD or INFO."""
        return self.catalogue[requirement].level

    def begin(self, check: str, title: str) -> None:
        """Say which check runs now."""
        self._tell({"event": "begin", "check": check, "title": title, "done": len(self.verdicts), "planned": self.planned})

    def add(self, line: CheckLine) -> None:
        """Put a verdict on record."""
        self.verdicts.append(line)
        if self._writer is not None:
            self._writer.write(line)
        self._tell(
            {
                "event": "end",
                "check": line.check,
                "title": line.title,
                "verdict": line.verdict,
                "failed_must": any(self.level(item.requirement) == "MUST" for item in line.discrepancies),
                "requirements": sorted({item.requirement for item in line.discrepancies}) or list(line.requirements),
                "done": len(self.verdicts),
                "planned": self.planned,
            }
        )

    def check_alive(self) -> bool:
        """Whether the endpoint still answers; if not, the run is over."""
        try:
            probe(self.endpoint, 5.0)
        except UnreachableError as error:
            self.gone = str(error)
        return not self.gone

    def finish(self, *, interrupted: bool) -> ExitCode:
        """End the section (and the record, if it is ours), stop what was started, and return the exit code."""
        lines: list[Line] = list(self._requirement_lines())
        code, reason = conformance_exit([*lines, *self.verdicts])
        outcome = "completed"
        if interrupted:
            code, reason, outcome = ExitCode.INTERRUPTED, "interrupted", "interrupted"
        elif self.gone:
            code, reason, outcome = ExitCode.UNREACHABLE, self.gone, "crashed"
        if self._writer is not None:
            self._writer.write(SectionEnd("conformance", now_text(), outcome, reason, int(code)))
            if self._owns_record:
                self._writer.finish(int(code))
            self._writer.close()
        self.close()
        return code

    def close(self) -> None:
        """Stop what was started for the run."""
        self._stack.close()

    def _requirement_lines(self) -> list[RequirementLine]:
        return [RequirementLine(r.id, r.level, r.chapter, r.statement, (), r.implied, r.unobservable) for r in self.catalogue]

    def _tell(self, event: dict[str, object]) -> None:
        if self._json:
            sys.stdout.write(json.dumps(event) + "\n")
            sys.stdout.flush()
