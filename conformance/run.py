"""One conformance run: the endpoint, the record, the progress, and what each verdict means for the exit code."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shlex
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from conformance.costs import LIGHT_JOBS, builtin_costs, plan
from conformance.proofs import builtin_proofs
from conformance.trace import check_names
from harness.budget import Account, Cost, Spending
from harness.embedded import endpoint_for, mutants_by_requirement
from harness.endpoint import Endpoint, read_profile
from harness.errors import ConfigError, ExitCode, UnreachableError, worst
from harness.gates import conformance_exit, plural, stale_exit
from harness.known import judged, known_lines, verify
from harness.probe import probe
from harness.record import CheckLine, Line, RequirementLine, SectionEnd, SectionStart
from harness.recorder import RecordWriter, make_header, now_text
from harness.requirements import Catalogue, builtin_catalogue
from harness.template import masked

PROGRESS = "CONTROLLER_HARNESS_PROGRESS"
"""Environment variable; `json` asks for one line of JSON per check on standard output."""


class Run:
    """Everything that the checks of one pytest session share."""

    def __init__(
        self,
        profile_name: str,
        record: Path | None,
        seed: int,
        command: Sequence[str],
        *,
        checks: Mapping[str, tuple[str, ...]],
        tier: str,
        strict: bool,
        lanes: int | None,
    ) -> None:
        self.seed = seed
        self.tier = tier
        self.strict = strict
        self.plan: Mapping[str, Any] = {}
        self._profile_name = profile_name
        self._checks = checks
        self._accounts: dict[str, Account] = {}
        self._today = datetime.now(UTC).date()
        self.catalogue: Catalogue = builtin_catalogue()
        self.gone = ""
        self._alive = threading.Lock()
        self.verdicts: list[CheckLine] = []
        self.planned = 0
        self.origin_ns = time.monotonic_ns()
        self._command = tuple(command)
        self._record = record
        self._owns_record = False
        self._writer: RecordWriter | None = None
        self._stack = contextlib.ExitStack()
        self._json = os.environ.get(PROGRESS) == "json"
        if lanes is not None and lanes < 1:
            raise ConfigError(f"expected at least 1, got {lanes}", key="--lanes")
        profile, base = read_profile(profile_name)
        if profile.known_failures:
            verify(profile.known_failures, (item.id for item in self.catalogue), [*checks, *check_names()])
        self.endpoint: Endpoint = self._stack.enter_context(endpoint_for(profile, base))
        self.spending = Spending(profile.budget)
        profile = self.endpoint.profile
        self.lanes = tuple(
            dataclasses.replace(self.endpoint, profile=profile.aimed(target)) for target in profile.targets[:lanes]
        )
        """The endpoint as each lane sees it: with a target of its own."""

    @property
    def folder(self) -> Path | None:
        """Where files that go with the record are put; None without a record."""
        return self._record.parent if self._record is not None else None

    def start(self, checks: Sequence[str]) -> None:
        """Check that the endpoint is there, and begin the record's section. Raises UnreachableError."""
        probe(self.endpoint)
        self.planned = planned = len(checks)
        self.plan = plan(checks, self.endpoint.profile, self.tier)
        self._tell(dict(self.plan))
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
            SectionStart(
                "conformance",
                now_text(),
                planned,
                {
                    "seed": self.seed,
                    "catalogue": self.catalogue.fingerprint,
                    "strict": self.strict,
                    "tier": self.tier,
                    "plan": self.plan["text"],
                    "lanes": len(self.lanes),
                },
            )
        )
        mutants = mutants_by_requirement()
        for r in self.catalogue:
            passages, proof = tuple(map(str, r.passages)), mutants.get(r.id, ())
            self._writer.write(RequirementLine(r.id, r.level, r.chapter, r.statement, passages, r.implied, r.unobservable, proof))

    def level(self, requirement: str) -> str:
        """Return MUST, SHOULD or INFO."""
        return self.catalogue[requirement].level

    def begin(self, check: str, title: str) -> None:
        """Say which check runs now."""
        self._tell({"event": "begin", "check": check, "title": title, "done": len(self.verdicts), "planned": self.planned})

    def account(self, check: str) -> Account:
        """Open the account of a check: it spends from the run's budget, and no more than the tier allows."""
        most = LIGHT_JOBS if self.tier == "light" else None
        self._accounts[check] = self.spending.account(reads_only=self.tier == "read-only", most_jobs=most)
        return self._accounts[check]

    def reserve(self, check: str) -> None:
        """Set aside what a check is going to cost. Raises BudgetExceededError when that is more than there is."""
        cost = builtin_costs().of(check, self.endpoint.profile)
        if cost is not None and check in self._accounts:
            self._accounts[check].reserve(cost)

    def settle(self, check: str) -> None:
        """Give back what was set aside for a check and not spent."""
        if check in self._accounts:
            self._accounts[check].close()

    def fails(self, line: CheckLine) -> bool:
        """Whether a verdict fails the run: an unexcused MUST, or SHOULD if those count, does not hold."""
        levels = {"MUST", "SHOULD"} if self.strict else {"MUST"}
        return line.verdict == "fail" and any(self.level(i.requirement) in levels for i in line.discrepancies if not i.known)

    def add(self, line: CheckLine) -> CheckLine:
        """Put a verdict on record, with what is known and what it took, and return it so."""
        spent = self._accounts[line.check].spent if line.check in self._accounts else Cost()
        line = judged(line, self.endpoint.profile.known_failures, self._today)
        line = dataclasses.replace(
            line,
            calls_made=spent.calls,
            jobs=spent.jobs,
            seed=self.seed,
            repeat=self._repetition(line.check),
            mutants=builtin_proofs().get(line.check, ()),
        )
        self.verdicts.append(line)
        if self._writer is not None:
            self._writer.write(line)
        self._tell(
            {
                "event": "end",
                "check": line.check,
                "title": line.title,
                "verdict": line.verdict,
                "failed_must": self.fails(line),
                "requirements": sorted({item.requirement for item in line.discrepancies}) or list(line.requirements),
                "done": len(self.verdicts),
                "planned": self.planned,
            }
        )
        return line

    def _repetition(self, check: str) -> str:
        words = ("controller-harness", "conformance", "--profile", self._profile_name, "--seed", str(self.seed))
        return shlex.join([*words, "--check", check])

    def check_alive(self) -> bool:
        """Whether the endpoint still answers; if not, the run is over."""
        with self._alive:
            if not self.gone:
                try:
                    probe(self.endpoint, 5.0)
                except UnreachableError as error:
                    self.gone = str(error)
            return not self.gone

    def finish(self, *, interrupted: bool, unjudged: int = 0) -> ExitCode:
        """End the section (and the record, if it is ours), stop what was started, and return the exit code.

        `unjudged` checks broke without a verdict, and make the run not valid.
        """
        lines: list[Line] = list(self._requirement_lines())
        known = known_lines(self.endpoint.profile.known_failures, self.verdicts, self._checks, self._today)
        outcomes = [stale_exit(known), conformance_exit([*lines, *self.verdicts], self.strict)]
        if unjudged:
            outcomes.append((ExitCode.NOT_VALID, f"{plural(unjudged, 'check')} broke without a verdict"))
        code = worst(item for item, _ in outcomes)
        reason = next(text for item, text in outcomes if item is code and text)
        if code is ExitCode.USAGE:
            sys.stderr.write(f"{reason}\n")
        outcome = "completed"
        if interrupted:
            code, reason, outcome = ExitCode.INTERRUPTED, "interrupted", "interrupted"
        elif self.gone:
            code, reason, outcome = ExitCode.UNREACHABLE, self.gone, "crashed"
        if self._writer is not None:
            for entry in known:
                self._writer.write(entry)
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
