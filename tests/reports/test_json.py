"""The report as JSON: its structure, which is published as a schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness.record import Record
from reports import build_view, render
from reports.json_report import VERSION
from tests.reports import records as make

RECORDS = make.everything()
STRUCTURE = json.loads((resources.files("reports") / "schemas" / "report.schema.json").read_text("utf-8"))


def as_json(*records: Record) -> Any:
    return json.loads(render(build_view(records), ["json"])["report.json"])


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every part of a schema that describes an object by its keys."""
    if isinstance(schema, dict):
        if "properties" in schema and isinstance(schema["properties"], dict):
            yield schema
        for item in schema.values():
            yield from objects(item)
    elif isinstance(schema, list):
        for item in schema:
            yield from objects(item)


def test_the_schema_is_a_strict_one() -> None:
    Draft202012Validator.check_schema(STRUCTURE)
    found = list(objects(STRUCTURE))
    assert len(found) > 20
    for part in found:
        assert part["type"] == "object"
        assert part["additionalProperties"] is False
        assert set(part["required"]) == set(part["properties"])
    assert STRUCTURE["$id"] == f"urn:controller-harness:report:{VERSION}"
    assert STRUCTURE["properties"]["version"] == {"const": VERSION}


@pytest.mark.parametrize("name", RECORDS)
def test_json_keeps_to_its_schema(name: str) -> None:
    Draft202012Validator(STRUCTURE).validate(as_json(RECORDS[name]))


def test_json_holds_the_verdicts() -> None:
    data = as_json(make.failing())
    assert data["version"] == 1
    assert data["verdict"]["kind"] == "violated"
    assert data["verdict"]["exit_code"] == 3
    verdicts = {item["id"]: item["verdict"] for item in data["conformance"]["requirements"]}
    assert verdicts["EXEC-01"] == "fail"
    assert verdicts["EXEC-02"] == "inconclusive"
    assert data["conformance"]["failures"][0]["findings"][0]["calls"] == [2, 3]
    assert data["runs"][0]["seed"] == 7


def test_json_holds_the_load() -> None:
    (load,) = as_json(make.loaded())["loads"]
    assert load["rpcs"][0]["errors"][0]["code"] == "RESOURCE_EXHAUSTED"
    assert load["total"]["count"] == sum(row["count"] for row in load["rpcs"])
    assert load["thresholds"][0]["held"] is True
    assert load["ledger"]["submissions"] == 1200
