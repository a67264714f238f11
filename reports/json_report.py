"""The view as JSON, for programs: a stable structure with a version and a published schema. Pure.

The schema is `reports/schemas/report.schema.json`. Keys are never renamed or removed within a version.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from reports.loadvalues import Load, RpcRow
from reports.values import Conformance, Failure, View

VERSION = 1
"""Version of the structure."""


def render_json(view: View) -> bytes:
    """Return the report as indented ASCII JSON."""
    return (json.dumps(as_json(view), indent=1, allow_nan=False) + "\n").encode("ascii")


def as_json(view: View) -> dict[str, Any]:
    """Return the report as JSON values. Latencies are milliseconds, times of the run seconds from its start."""
    return {
        "version": VERSION,
        "title": view.title,
        "verdict": _plain(view.verdict) | {"exit_code": int(view.verdict.exit_code)},
        "notices": list(view.notices),
        "figures": _plain(view.figures),
        "conformance": None if view.conformance is None else _conformance(view.conformance),
        "loads": [_load(load) for load in view.loads],
        "runs": _plain(view.runs),
        "baseline": None if view.baseline is None else _plain(view.baseline) | {"regressed": view.baseline.regressed},
    }


def _conformance(conformance: Conformance) -> dict[str, Any]:
    return {
        "requirements": _plain(conformance.requirements),
        "failures": [_failure(failure) for failure in conformance.failures],
        "known_failures": [_failure(failure) for failure in conformance.known_failures],
        "known": _plain(conformance.known),
        "strict": conformance.strict,
        "plan": conformance.plan,
        "observations": _plain(conformance.observations),
        "checks": _plain(conformance.checks),
    }


def _failure(failure: Failure) -> dict[str, Any]:
    findings = [
        {
            "check": item.check.key,
            "expected": item.expected,
            "observed": item.observed,
            "calls": list(item.numbers),
            "known": item.known,
        }
        for item in failure.findings
    ]
    return {"requirement": failure.requirement.id, "level": failure.requirement.level, "findings": findings}


def _load(load: Load) -> dict[str, Any]:
    data: dict[str, Any] = _plain(dataclasses.replace(load, intervals=()))
    del data["intervals"]
    stages = [_plain(stage) | _rows(stage.rpcs, stage.total) for stage in load.stages]
    return data | _rows(load.rpcs, load.total) | {"stages": stages}


def _rows(rpcs: Sequence[RpcRow], total: RpcRow) -> dict[str, Any]:
    return {"rpcs": [_row(row) for row in rpcs], "total": _row(total)}


def _row(row: RpcRow) -> dict[str, Any]:
    data: dict[str, Any] = _plain(row)
    return data | {"error_count": row.error_count}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value
