"""The kill matrix as one HTML file that needs no network and no script, and as JSON with a published schema. Pure.

The schema is `reports/schemas/killmatrix.schema.json`. Keys are never renamed or removed within a version.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import ExitCode
from harness.gates import plural
from harness.killmatrix import CELLS, Fate, Kill, Line, Matrix, Trial, kills_of
from reports.html import environment
from reports.text import cleaned
from reports.values import Figure

VERSION = 1
"""Version of the JSON structure."""

FATE_NAMES: Mapping[str, str] = {
    "killed": "killed",
    "survived": "survived",
    "elsewhere": "killed by others only",
    "unreached": "never reached",
    "unjudged": "not judged",
    "untried": "not tried",
}
"""How fates are called."""

KIND_NAMES: Mapping[str, str] = {
    **FATE_NAMES,
    "control": "sound server fails",
    "crashed": "check broke",
    "uncovered": "nothing proves it",
    "false_alarm": "false alarm",
    "interrupted": "interrupted",
}
"""How findings are called."""

MARKS: Mapping[str, tuple[str, str]] = {
    "own": ("\u25cf", "killed by a check of the requirement that it breaks"),
    "also": ("\u25cb", "also found violated"),
    "open": ("?", "a check reached no verdict"),
    "held": ("\u00b7", "found to hold"),
    "partly": ("~", "some of its checks ran, and found nothing"),
    "not_run": ("", "not run"),
}
"""What stands in a cell of the matrix, and what it means."""

_KINDS: Mapping[ExitCode, tuple[str, str]] = {
    ExitCode.OK: ("pass", "The suites hold"),
    ExitCode.BELOW_THRESHOLD: ("violated", "The suites fall short"),
    ExitCode.NOT_VALID: ("not_valid", "Not valid"),
    ExitCode.INTERRUPTED: ("interrupted", "Interrupted"),
}


@dataclass(frozen=True)
class About:
    """Where a matrix comes from: by which version, when, in how many seconds, how many trials at a time, seed and folder."""

    tool_version: str
    started: str
    seconds: float
    jobs: int
    seed: int
    folder: str


def render_matrix(matrix: Matrix, about: About) -> dict[str, bytes]:
    """Return the files of a matrix by name; the same values give the same bytes."""
    return {"matrix.html": _html(matrix, about), "matrix.json": _json(matrix, about)}


def _json(matrix: Matrix, about: About) -> bytes:
    return (json.dumps(as_json(matrix, about), indent=1, allow_nan=False) + "\n").encode("ascii")


def as_json(matrix: Matrix, about: About) -> dict[str, Any]:
    """Return the matrix as JSON values; `cells` holds one of `CELLS` per requirement, but for those that were not run."""
    return {
        "version": VERSION,
        "exit_code": int(matrix.exit_code),
        "about": dataclasses.asdict(about),
        "findings": [dataclasses.asdict(finding) for finding in matrix.findings],
        "requirements": [_line(matrix, line) for line in matrix.lines],
        "control": None if matrix.control is None else _trial(matrix.control),
        "mutants": [_fate(matrix, item) for item in matrix.fates],
        "variants": [
            {
                "name": item.subject.name,
                "summary": item.subject.summary,
                "passes": item.passes,
                "trials": [_trial(trial) for trial in item.trials],
                "false_alarms": [{"seed": trial.seed, **_kill(kill)} for trial, kill in item.false_alarms],
                "warnings": [{"seed": trial.seed, **_kill(kill)} for trial, kill in item.warnings],
                "undecided": [{"seed": t.seed, "check": check.name, "reason": check.shown} for t, check in item.undecided],
            }
            for item in matrix.variants
        ],
    }


def _line(matrix: Matrix, line: Line) -> dict[str, Any]:
    proving = [item.subject.name for item in matrix.fates_of(line.id) if item.fate == "killed"]
    return {"id": line.id, "level": line.level, "statement": line.statement, "excuse": line.excuse, "proven_by": proving}


def _fate(matrix: Matrix, item: Fate) -> dict[str, Any]:
    cells = {line.id: item.cell(line.id) for line in matrix.lines}
    return {
        "name": item.subject.name,
        "summary": item.subject.summary,
        "requirement": item.subject.requirement,
        "fate": item.fate,
        "at_first_try": item.at_first_try,
        "never_ran": list(item.missed),
        "kills": [_kill(kill) for kill in item.own],
        "other_kills": [_kill(kill) for kill in item.others],
        "cells": {name: cell for name, cell in cells.items() if cell != "not_run"},
        "trials": [_trial(trial) for trial in item.trials],
    }


def _kill(kill: Kill) -> dict[str, Any]:
    return dataclasses.asdict(kill)


def _trial(trial: Trial) -> dict[str, Any]:
    """Return a trial without the checks that passed."""
    verdicts = [check.verdict for check in trial.checks]
    return {
        "scope": list(trial.scope),
        "seed": trial.seed,
        "seconds": trial.seconds,
        "broken": trial.broken,
        "reached": list(trial.reached),
        "verdicts": {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))},
    }


def _html(matrix: Matrix, about: About) -> bytes:
    shown = cleaned(matrix)
    kind, label = _KINDS.get(shown.exit_code, _KINDS[ExitCode.NOT_VALID])
    text = (
        environment()
        .get_template("killmatrix.html.j2")
        .render(
            matrix=shown,
            about=cleaned(about),
            kind=kind,
            label=label,
            reason=reason(shown),
            figures=figures(shown, about),
            fates=FATE_NAMES,
            kinds=KIND_NAMES,
            marks={name: MARKS[name] for name in CELLS},
            chapters=_groups(shown.lines),
            checks_of=checks_of,
            kills_of=kills_of,
        )
    )
    return text.encode()


def reason(matrix: Matrix) -> str:
    """Return in a sentence what the matrix amounts to."""
    if matrix.findings:
        kinds = [finding.kind for finding in matrix.findings]
        return ", ".join(f"{kinds.count(kind)} \u00d7 {KIND_NAMES[kind]}" for kind in dict.fromkeys(kinds)) + "."
    parts = []
    if matrix.control is not None:
        parts.append(f"the sound server passes all {plural(len(matrix.control.checks), 'check')}")
    if matrix.fates:
        parts.append(f"all {plural(len(matrix.fates), 'mutant')} are killed by checks of the requirement that they break")
    if matrix.variants:
        runs = sum(len(item.trials) for item in matrix.variants)
        parts.append(f"{plural(len(matrix.variants), 'odd but right server')} raised no false alarm in {plural(runs, 'run')}")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."


def figures(matrix: Matrix, about: About) -> tuple[Figure, ...]:
    """Return the line of numbers below the verdict."""
    found = []
    if matrix.fates:
        musts = [line for line in matrix.lines if line.level == "MUST" and not line.excuse]
        proven = sum(matrix.is_proven(line.id) for line in musts)
        found.append(Figure(f"{matrix.count('killed')} / {len(matrix.fates)}", "mutants killed"))
        found.append(Figure(f"{proven} / {len(musts)}", "MUST requirements proven"))
    if matrix.control is not None:
        passed = sum(check.verdict == "pass" for check in matrix.control.checks)
        found.append(Figure(f"{passed} / {len(matrix.control.checks)}", "checks pass on the sound server"))
    if matrix.variants:
        runs = sum(len(item.trials) for item in matrix.variants)
        found.append(Figure(f"{sum(item.passes for item in matrix.variants)} / {runs}", "runs on variants without a false alarm"))
    minutes, seconds = divmod(round(about.seconds), 60)
    return (*found, Figure(f"{minutes}:{seconds:02}", "minutes"))


def checks_of(kills: Iterable[Kill]) -> list[tuple[str, list[Kill]]]:
    """Group kills by check."""
    found: dict[str, list[Kill]] = {}
    for kill in kills:
        found.setdefault(kill.check, []).append(kill)
    return list(found.items())


def _groups(lines: Iterable[Line]) -> list[tuple[str, list[Line]]]:
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(line.chapter, []).append(line)
    return list(found.items())
