"""The published schema of the record describes exactly the lines that the code writes."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping
from importlib import resources
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator

from harness.errors import ExitCode
from harness.histogram import Histogram
from harness.history import Failed, Ok, Operation, Rpc, Unknown
from harness.record import (
    KNOWN_STATES,
    OUTCOMES,
    SEARCH_ENDINGS,
    VERDICTS,
    VERSION,
    Arrivals,
    CheckLine,
    Discrepancy,
    Footer,
    Header,
    Interval,
    KnownLine,
    Latency,
    Ledger,
    Line,
    Observation,
    Probe,
    RequirementLine,
    SearchLine,
    SectionEnd,
    SectionStart,
    ThresholdLine,
    encode,
)
from harness.requirements import LEVELS
from harness.slosearch import Ending, Outcome

SCHEMA = json.loads((resources.files("harness") / "schemas" / "record.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
DEFINITIONS = SCHEMA["$defs"]
TIME = "2025-01-01T00:00:00.123Z"

HISTOGRAM = Histogram()
HISTOGRAM.add(5)
HISTOGRAM.add(1 << 30)


def operation(outcome: Ok | Failed | Unknown) -> Operation:
    return Operation(3, Rpc.EXECUTE, "c", "main", "id", 5, 9, {"options": {}}, outcome, "grpcurl ...")


DISCREPANCY = Discrepancy("EXEC-01", "2 ids", "1 id", (3,))
OPERATIONS = (
    operation(Ok({"job_execution_ids": ["a"]})),
    operation(Failed("INTERNAL", "m")),
    operation(Unknown("UNAVAILABLE", "m")),
)
LINES: dict[str, Line] = {
    "header": Header("r", TIME, ("x", "y"), "0.1", "3.11", {"grpcio": "1"}, {"cpus": 2}, "h:1", {"name": "x"}, 7),
    "section_start": SectionStart("conformance", TIME, 80, {"suite": "all"}),
    "requirement": RequirementLine(
        "EXEC-01",
        "MUST",
        "EXEC",
        "It does.",
        ("ExecuteControllerJobRequest#2.2",),
        implied=False,
        unobservable="",
        mutants=("ids-reversed",),
    ),
    "check": CheckLine(
        check="exec::ids",
        title="ids",
        requirements=("EXEC-01",),
        verdict="fail",
        reason="r",
        reason_kind="",
        seconds=0.5,
        calls_made=3,
        oracles=("observer",),
        discrepancies=(DISCREPANCY,),
        observations=(Observation("BATCH-07", "an error"),),
        calls=OPERATIONS,
        traceback="",
    ),
    "known_failure": KnownLine("UUID-08", "", "ticket 12", "2030-12-31", "excused", ("exec::ids",)),
    "interval": Interval(0, "ExecuteControllerJob", 5, {"UNAVAILABLE": 1}, 1, 2, 3, 4, 8),
    "latency": Latency("rpc", "ExecuteControllerJob", "OK", HISTOGRAM, "steady"),
    "arrivals": Arrivals("steady", True, 10.0, 100, 97, 5, 2, 3, 1, 0.02, 0.01),
    "ledger": Ledger(1, 2, 3, 4, 5, 6, 7, 8, 1, (DISCREPANCY,)),
    "threshold": ThresholdLine("p95 < 20ms", "12ms", held=True, reason=""),
    "search": SearchLine(
        400.0, at_least=True, ending="generator", reason="r", probes=(Probe("p", 800.0, False, "behind", "", "", 1, 1, 0),)
    ),
    "section_end": SectionEnd("load", TIME, "completed", "", 0),
    "footer": Footer(TIME, 3, 12),
}
PARTS = {"discrepancy": Discrepancy, "observation": Observation, "probe": Probe}


def written(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(encode(LINES[name]))
    return data


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["$id"].endswith(f":{VERSION}")


def test_the_schema_has_every_line_and_no_other() -> None:
    assert {type(line) for line in LINES.values()} == set(get_args(Line))
    assert [entry["$ref"] for entry in SCHEMA["oneOf"]] == [f"#/$defs/{name}" for name in LINES]
    assert all(written(name)["type"] == name == DEFINITIONS[name]["properties"]["type"]["const"] for name in LINES)


@pytest.mark.parametrize("name", LINES)
def test_what_is_written_validates(name: str) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(written(name))] == []


@pytest.mark.parametrize("name", [*LINES, *PARTS])
def test_the_schema_and_the_class_have_the_same_fields_and_types(name: str) -> None:
    cls = PARTS.get(name) or type(LINES[name])
    hints = typing.get_type_hints(cls)
    definition = DEFINITIONS[name]
    properties = {key: part for key, part in definition["properties"].items() if key != "type" or name in PARTS}
    assert list(properties) == [item.name for item in dataclasses.fields(cls)]
    assert set(definition["required"]) == set(definition["properties"])
    assert definition["additionalProperties"] is False
    assert {key: json_type(part) for key, part in properties.items()} == {key: type_of(hint) for key, hint in hints.items()}


def json_type(part: dict[str, Any]) -> str:
    """Return the JSON type that a part of the schema allows."""
    if "$ref" in part:
        return json_type(DEFINITIONS[part["$ref"].removeprefix("#/$defs/")])
    if "const" in part or "enum" in part:
        (kind,) = {type_of(type(value)) for value in part.get("enum", [part.get("const")])}
        return kind
    if part["type"] == "array":
        return f"array of {json_type(part['items'])}"
    return str(part["type"])


def type_of(hint: Any) -> str:
    """Return the JSON type that a type hint is written as."""
    if typing.get_origin(hint) is tuple:
        return f"array of {type_of(get_args(hint)[0])}"
    if typing.get_origin(hint) is Mapping or dataclasses.is_dataclass(hint) or hint is Histogram:
        return "object"
    return {str: "string", int: "integer", bool: "boolean", float: "number"}[hint]


def test_operations_and_histograms_have_the_same_fields_as_their_json() -> None:
    assert set(DEFINITIONS["operation"]["properties"]) == set(OPERATIONS[0].to_json())
    assert set(DEFINITIONS["ok"]["properties"]) == set(OPERATIONS[0].to_json()["outcome"])
    assert set(DEFINITIONS["error"]["properties"]) == set(OPERATIONS[1].to_json()["outcome"])
    assert set(DEFINITIONS["histogram"]["properties"]) == set(HISTOGRAM.to_json())


def test_closed_lists_are_those_of_the_code() -> None:
    assert DEFINITIONS["check"]["properties"]["verdict"]["enum"] == list(VERDICTS)
    assert DEFINITIONS["known_failure"]["properties"]["state"]["enum"] == list(KNOWN_STATES)
    assert DEFINITIONS["search"]["properties"]["ending"]["enum"] == list(SEARCH_ENDINGS) == [*Ending, "unfinished"]
    assert DEFINITIONS["probe"]["properties"]["outcome"]["enum"] == list(OUTCOMES) == [*Outcome]
    assert DEFINITIONS["requirement"]["properties"]["level"]["enum"] == list(LEVELS)
    assert DEFINITIONS["footer"]["properties"]["exit_code"]["enum"] == [code.value for code in ExitCode]
    assert DEFINITIONS["section_end"]["properties"]["exit_code"] == DEFINITIONS["footer"]["properties"]["exit_code"]
    assert DEFINITIONS["operation"]["properties"]["rpc"]["enum"] == [rpc.value for rpc in Rpc]
    assert DEFINITIONS["header"]["properties"]["version"]["const"] == VERSION


@pytest.mark.parametrize(("name", "key"), [(name, key) for name in LINES for key in DEFINITIONS[name]["properties"]])
def test_every_field_is_needed_and_has_its_type(name: str, key: str) -> None:
    data = written(name)
    assert not VALIDATOR.is_valid({**data, key: {"wrong": []} if not isinstance(data[key], dict) else 5})
    del data[key]
    assert not VALIDATOR.is_valid(data)


@pytest.mark.parametrize("name", LINES)
def test_no_field_may_be_added(name: str) -> None:
    assert not VALIDATOR.is_valid({**written(name), "extra": 1})


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("header", {"version": 2}),
        ("header", {"started": "yesterday"}),
        ("header", {"packages": {"grpcio": 1}}),
        ("section_start", {"section": "warm-up"}),
        ("section_start", {"planned": -1}),
        ("requirement", {"id": "EXEC-1"}),
        ("requirement", {"level": "MAY"}),
        ("check", {"verdict": "passed"}),
        ("check", {"reason_kind": "unknown"}),
        ("check", {"discrepancies": [{"requirement": "EXEC-01"}]}),
        ("check", {"calls": [3]}),
        ("check", {"jobs": -1}),
        ("check", {"effort": {"reads": "many"}}),
        ("known_failure", {"state": "forgotten"}),
        ("interval", {"errors": {"INTERNAL": "1"}}),
        ("interval", {"p50": 1.5}),
        ("latency", {"histogram": {"count": 1}}),
        ("latency", {"kind": "wall"}),
        ("arrivals", {"dropped": -1}),
        ("arrivals", {"behind_limit": 1.5}),
        ("ledger", {"replays": -1}),
        ("search", {"ending": "done"}),
        ("search", {"probes": [{"stage": "p"}]}),
        ("section_end", {"outcome": "done"}),
        ("footer", {"exit_code": 7}),
        ("footer", {"type": "header"}),
    ],
)
def test_a_broken_line_does_not_validate(name: str, change: dict[str, object]) -> None:
    assert not VALIDATOR.is_valid({**written(name), **change})


@pytest.mark.parametrize(
    "outcome",
    [
        {"kind": "ok"},
        {"kind": "ok", "response": {}, "code": "OK"},
        {"kind": "lost", "code": "", "message": ""},
        {"kind": "failed", "code": "INTERNAL"},
    ],
)
def test_an_operation_has_one_outcome_of_the_known_kinds(outcome: dict[str, object]) -> None:
    data = written("check")
    data["calls"][0]["outcome"] = outcome
    assert not VALIDATOR.is_valid(data)


@pytest.mark.parametrize("buckets", [[[1]], [[1, 2, 3]], [[1, -2]], [["1", 2]], [1]])
def test_buckets_are_pairs(buckets: list[object]) -> None:
    data = written("latency")
    data["histogram"]["buckets"] = buckets
    assert not VALIDATOR.is_valid(data)
