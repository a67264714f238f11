"""The conformance part of the view: requirements with their verdicts, and the evidence of those that did not hold. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard

from harness.gates import RequirementVerdict, requirement_verdicts
from harness.history import Ok, Operation, Unknown
from harness.record import CheckLine, Discrepancy, KnownLine, Line, RequirementLine, SectionStart, is_strict
from harness.requirements import CHAPTERS
from reports.text import shortened
from reports.values import CallView, Chapter, CheckView, Conformance, Failure, Finding, Observed, RequirementView

MOST_CALLS = 24
"""How many calls of one check a report shows; the record holds them all."""
LONGEST_MESSAGE = 3000
LONGEST_NAME = 120
"""How many characters of a message, and of a code or an id, a report shows."""

_LEVELS = ("MUST", "SHOULD", "INFO")
_COMPACT = 100


def conformance_view(lines: Iterable[Line], *, strict: bool = False) -> Conformance | None:
    """Return what the checks in these lines found out, or None if no conformance section began and no check ran."""
    found = tuple(lines)
    began = any(
        isinstance(line, CheckLine) or (isinstance(line, SectionStart) and line.section == "conformance") for line in found
    )
    if not began:
        return None
    sources = [line for line in found if isinstance(line, CheckLine)]
    checks = tuple(_check_view(f"check-{place}", line) for place, line in enumerate(sources, start=1))
    catalogue = {line.id: line for line in found if isinstance(line, RequirementLine)}
    requirements = [
        _requirement_view(verdict, catalogue.get(verdict.id), checks) for verdict in requirement_verdicts(found).values()
    ]
    by_rank = sorted(requirements, key=lambda item: _rank(item.level))
    return Conformance(
        chapters=_chapters(requirements),
        failures=tuple(_failure(item, checks, known=False) for item in by_rank if item.verdict == "fail"),
        known_failures=tuple(_failure(item, checks, known=True) for item in by_rank if item.verdict == "known_failure"),
        inconclusive=tuple(check for check in checks if check.verdict == "inconclusive"),
        observations=tuple(Observed(item.requirement, line.check, item.text) for line in sources for item in line.observations),
        checks=checks,
        known=tuple(line for line in found if isinstance(line, KnownLine)),
        strict=strict or is_strict(found),
        plan="; ".join(dict.fromkeys(_plan_text(line.detail) for line in found if _has_plan(line))),
    )


def _has_plan(line: Line) -> TypeGuard[SectionStart]:
    return isinstance(line, SectionStart) and line.section == "conformance" and "plan" in line.detail


def _plan_text(detail: Mapping[str, Any]) -> str:
    lanes = detail.get("lanes", 1)
    return str(detail["plan"]) + (f", on {lanes} targets at once" if lanes != 1 else "")


def call_view(operation: Operation) -> CallView:
    """Return a call as evidence, its messages cut to what a page can hold."""
    outcome = operation.outcome
    if isinstance(outcome, Ok):
        response = _json(outcome.response)
    else:
        response = shortened(outcome.message or "(no message)", LONGEST_MESSAGE)
    return CallView(
        number=operation.number,
        at=operation.started_ns / 1e9,
        rpc=operation.rpc.value,
        client=shortened(operation.client, LONGEST_NAME),
        identity=shortened(operation.identity, LONGEST_NAME),
        request_id=shortened(operation.request_id, LONGEST_NAME),
        code=shortened(operation.code, LONGEST_NAME),
        undecided=isinstance(outcome, Unknown),
        milliseconds=operation.latency_ms,
        request=_json(operation.request),
        response=response,
        command=operation.command,
    )


def _json(message: Mapping[str, Any]) -> str:
    """Return a message as JSON: on one line if it is short, else one line per field."""
    text = json.dumps(message, ensure_ascii=False)
    if len(text) > _COMPACT:
        fields = (
            f"  {json.dumps(key, ensure_ascii=False)}: {json.dumps(value, ensure_ascii=False)}" for key, value in message.items()
        )
        text = "{\n" + ",\n".join(fields) + "\n}"
    return shortened(text, LONGEST_MESSAGE)


def _check_view(key: str, line: CheckLine) -> CheckView:
    shown = _choose(line)
    return CheckView(
        key=key,
        name=line.check,
        title=line.title or line.check,
        requirements=line.requirements,
        verdict=line.verdict,
        reason=line.reason,
        reason_kind=line.reason_kind,
        seconds=line.seconds,
        calls_made=line.calls_made,
        oracles=line.oracles,
        discrepancies=line.discrepancies,
        calls=tuple(call_view(call) for call in shown),
        calls_left_out=len(line.calls) - len(shown),
        traceback=line.traceback,
        jobs=line.jobs,
        interleavings=line.interleavings,
        seed=line.seed,
        repeat=line.repeat,
        commands=line.commands,
        mutants=line.mutants,
    )


def _choose(line: CheckLine) -> Sequence[Operation]:
    """Return the calls to show, in their order: those that a discrepancy names come before the others."""
    named = {number for item in line.discrepancies for number in item.calls}
    ranked = sorted(line.calls, key=lambda call: (call.number not in named, call.number))
    return sorted(ranked[:MOST_CALLS], key=lambda call: call.number)


def _requirement_view(verdict: RequirementVerdict, line: RequirementLine | None, checks: Sequence[CheckView]) -> RequirementView:
    return RequirementView(
        id=verdict.id,
        level=verdict.level,
        chapter=line.chapter if line else "",
        statement=line.statement if line else "Named by a check, but not in the catalogue of this run.",
        passages=line.passages if line else (),
        implied=line.implied if line else False,
        verdict=verdict.verdict,
        reason=verdict.reason,
        checks=tuple(check.key for check in checks if check.name in verdict.checks),
        mutants=line.mutants if line else (),
    )


def _rank(level: str) -> int:
    return _LEVELS.index(level) if level in _LEVELS else 0


def _chapters(requirements: Iterable[RequirementView]) -> tuple[Chapter, ...]:
    by_name: dict[str, list[RequirementView]] = {}
    for requirement in requirements:
        by_name.setdefault(requirement.chapter, []).append(requirement)
    return tuple(
        Chapter(name or "Other", CHAPTERS.get(name, "Not in the catalogue" if not name else ""), tuple(members))
        for name, members in by_name.items()
    )


def _failure(requirement: RequirementView, checks: Sequence[CheckView], *, known: bool) -> Failure:
    findings: list[Finding] = []
    for check in checks:
        if check.key not in requirement.checks:
            continue
        findings += [
            Finding(
                check,
                item.expected,
                item.observed,
                tuple(call for call in check.calls if call.number in item.calls),
                item.calls,
                item.known,
            )
            for item in check.discrepancies
            if item.requirement == requirement.id and _is_known(check, item) is known
        ]
        if check.verdict == ("known_failure" if known else "fail") and not check.discrepancies:
            findings.append(Finding(check, requirement.statement, check.reason or "the check failed", check.calls, (), ""))
    return Failure(requirement, tuple(findings))


def _is_known(check: CheckView, item: Discrepancy) -> bool:
    return bool(item.known) or check.verdict == "known_failure"
