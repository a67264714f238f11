"""Runs one check and turns what it finds into a verdict: attempts, reasons and evidence are decided here.

A check only says what it expects. Knows nothing of pytest, so that a check can run on any thread.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from conformance.kit import Case, DisturbedError, NotApplicableError, UnobservableError
from conformance.kit.case import ATTEMPTS
from conformance.run import Run
from harness.budget import BudgetExceededError
from harness.call import RpcError
from harness.evidence import save_history, save_plan, save_requests
from harness.history import Operation
from harness.record import CheckLine

_EVIDENCE_CALLS = 24
_LOST = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"}


@dataclass(frozen=True)
class Check:
    """A check as the suites have it: a function of a case and of `arguments`."""

    name: str
    title: str
    requirements: tuple[str, ...]
    function: Callable[..., object]
    arguments: Mapping[str, Any]
    alone: bool
    ahead: bool
    long: bool


class Judging:
    """A check under way: `run` (or `open`, `judge` and `close`) leaves its verdict in `line`."""

    def __init__(self, check: Check, run: Run, make_case: Callable[[Check, int], Case], *, company: bool) -> None:
        self.check = check
        self.line: CheckLine | None = None
        self._run = run
        self._make_case = make_case
        self._company = company and not check.alone
        self._lock = threading.Lock()
        self._case: Case | None = None
        self._given_up = False

    @property
    def alone(self) -> bool:
        """Whether the check needs the whole endpoint for itself."""
        return self.check.alone

    @property
    def ahead(self) -> bool:
        """Whether all that the check needs is known before its turn."""
        return self.check.ahead

    @property
    def long(self) -> bool:
        """Whether the check is better begun before the others."""
        return self.check.long

    def run(self, lane: int) -> None:
        """Judge the check on a lane; without a verdict when it was given up for another reason than a dead endpoint."""
        case = self.open(lane)
        try:
            self.judge(case, self.check.arguments)
        finally:
            self.close()

    def open(self, lane: int) -> Case:
        """Return the check's access to the endpoint."""
        case = self._make_case(self.check, lane)
        with self._lock:
            self._case = case
            given_up = self._given_up
        if given_up:
            case.stop()
        return case

    def judge(self, case: Case, arguments: Mapping[str, Any]) -> None:
        """Run the check and set its verdict; what it leaves queued is cleaned up."""
        begun = time.monotonic()
        try:
            found = self._within_budget() or _judge(self.check.function, {**arguments, "case": case}, case)
            found = self._considered(case, found)
            seconds = time.monotonic() - begun
            if not self._run.gone and found.verdict != "skipped":
                case.clean_up()
        except Exception:
            if not self._given_up:
                raise
            # Its connections were closed under it: whatever it stumbled over says nothing.
            found, seconds = _Finding("inconclusive", "given up", "disturbed"), time.monotonic() - begun
        if self._given_up and not (found.verdict == "fail" and _is_proven(case)):
            if not self._run.gone:
                return
            found = _Finding("inconclusive", self._run.gone, "disturbed")
        folder = self._run.folder
        line = _line(self.check, case, found, seconds, folder)
        self.line = line if folder is None else replace(line, commands=_keep(folder, self.check, case))

    def _within_budget(self) -> _Finding | None:
        """Set aside what the check is going to cost; a check that there is no budget for does not start."""
        try:
            self._run.reserve(self.check.name)
        except BudgetExceededError as error:
            return _finding_of(error)
        return None

    def close(self) -> None:
        """Close the check's connections."""
        self._run.settle(self.check.name)
        if self._case is not None:
            self._case.close()
        if not self._given_up:
            self._case = None  # with all its calls

    def give_up(self) -> None:
        """Have the check end soon: its connections are closed under it."""
        with self._lock:
            self._given_up = True
            case = self._case
        if case is not None:
            case.stop()

    def withdraw(self, patience: float) -> None:
        """Cancel what a check that was given up has left queued."""
        if self._case is not None and not self._run.gone:
            self._case.withdraw(patience)

    def _considered(self, case: Case, found: _Finding) -> _Finding:
        """Look whether the endpoint is gone when calls were lost: then a check that others ran beside can blame nobody for it."""
        failed, proven = found.verdict == "fail", _is_proven(case)
        lost = any(call.code in _LOST for call in case.calls)
        if not (lost or (failed and not proven)) or self._run.check_alive():
            return found
        if failed and (proven or not self._company):
            return found
        return _Finding("inconclusive", self._run.gone, "disturbed")


class _Finding(NamedTuple):
    verdict: str
    reason: str = ""
    kind: str = ""
    trace: str = ""
    again: bool = False


def _is_proven(case: Case) -> bool:
    """Whether a discrepancy rests on answers alone, so that it holds whatever became of the connections."""
    answered = {call.number for call in case.calls if call.code not in _LOST}
    return any(item.calls and answered.issuperset(item.calls) for item in case.discrepancies)


def _judge(function: Callable[..., object], arguments: Mapping[str, Any], case: Case) -> _Finding:
    """Run the check until it says something, a few times at most."""
    for _ in range(ATTEMPTS - 1):
        found = _attempt(function, arguments)
        if not found.again:
            break
        case.forget()
    else:
        found = _attempt(function, arguments)
    if case.discrepancies and not found.again:
        return _Finding("fail", _first(case))
    return found


def _attempt(function: Callable[..., object], arguments: Mapping[str, Any]) -> _Finding:
    try:
        function(**arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # SystemExit, too, and what ends a test elsewhere: a check says what it has to say with the kit's own exceptions.
        return _finding_of(error)
    return _Finding("pass")


def _finding_of(error: BaseException) -> _Finding:
    match error:
        case DisturbedError():
            found = _Finding("inconclusive", f"{error} ({ATTEMPTS} attempts)", "disturbed", again=True)
        case UnobservableError():
            found = _Finding("inconclusive", str(error), "unobservable")
        case NotApplicableError():
            found = _Finding("not_applicable", str(error))
        case BudgetExceededError():
            found = _Finding("skipped", str(error))
        case RpcError():
            found = _Finding("inconclusive", f"the endpoint refused what the check needs: {error}", "disturbed")
        case _:
            trace = "".join(traceback.format_exception(error))
            found = _Finding("inconclusive", f"the check broke: {type(error).__name__}: {error}", "crashed", trace)
    return found


def _first(case: Case) -> str:
    first = case.discrepancies[0]
    more = len(case.discrepancies) - 1
    return f"expected {first.expected}, observed {first.observed}" + (f" (and {more} more)" if more else "")


def _keep(folder: Path, check: Check, case: Case) -> tuple[str, ...]:
    """Store plans and history beside the record, and return the commands that run and judge them again."""
    commands = [save_plan(folder, name, text, case.profile_name) for name, text in case.plans.items()]
    return (*commands, *((save_history(folder, check.name, case.history),) if case.history else ()))


def _line(check: Check, case: Case, found: _Finding, seconds: float, folder: Path | None) -> CheckLine:
    return CheckLine(
        check=check.name,
        title=check.title,
        requirements=check.requirements,
        verdict=found.verdict,
        reason=found.reason,
        reason_kind=found.kind,
        seconds=round(seconds, 3),
        calls_made=len(case.calls),
        oracles=tuple(dict.fromkeys(case.oracles)),
        discrepancies=tuple(case.discrepancies) if found.verdict == "fail" else (),
        observations=tuple(case.observations),
        calls=_evidence(case, folder) if found.verdict in {"fail", "inconclusive"} else (),
        traceback=found.trace,
        interleavings=case.interleavings,
        effort=dict(case.effort),
    )


def _evidence(case: Case, folder: Path | None) -> tuple[Operation, ...]:
    wanted = {number for item in case.discrepancies[:20] for number in item.calls}
    named = [call for call in case.calls if call.number in wanted][:_EVIDENCE_CALLS]
    calls = named or case.calls[-8:]
    if folder is not None:
        save_requests(folder, calls)
    return tuple(call.to_operation() for call in calls)
