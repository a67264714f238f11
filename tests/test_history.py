"""Operations: how outcomes are sorted, and that JSON loses nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.history import UNDECIDED_CODES, Failed, Ok, Operation, Rpc, Unknown, outcome_of_error

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.text(), JSON_VALUES, max_size=3)
TIMES = st.integers(0, 1 << 62)
OUTCOMES = (
    st.builds(Ok, OBJECTS)
    | st.builds(Failed, code=st.text(), message=st.text())
    | st.builds(Unknown, code=st.text(), message=st.text())
)
OPERATIONS = st.builds(
    Operation,
    number=st.integers(0),
    rpc=st.sampled_from(Rpc),
    client=st.text(),
    identity=st.text(),
    request_id=st.text(),
    started_ns=TIMES,
    ended_ns=TIMES,
    request=OBJECTS,
    outcome=OUTCOMES,
    command=st.text(),
)
STATUS_CODES = [
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED"),
    *("RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE"),
    *("DATA_LOSS", "UNAUTHENTICATED"),
]


def an_operation(**changes: Any) -> dict[str, Any]:
    outcome = {"kind": "failed", "code": "NOT_FOUND", "message": "no such job"}
    texts = {"client": "c", "identity": "main", "request_id": "r", "command": "grpcurl"}
    return {
        **texts,
        "number": 1,
        "rpc": "GetControllerJobStatus",
        "started_ns": 5_000_000,
        "ended_ns": 7_500_000,
        "request": {"job_id": "j"},
        "outcome": outcome,
        **changes,
    }


@given(OPERATIONS)
def test_json_round_trips(operation: Operation) -> None:
    assert Operation.from_json(json.loads(json.dumps(operation.to_json()))) == operation


def test_an_operation_tells_its_latency_and_code() -> None:
    operation = Operation.from_json(an_operation())
    assert operation.latency_ms == 2.5
    assert operation.code == "NOT_FOUND"
    assert Operation.from_json(an_operation(outcome={"kind": "ok", "response": {}})).code == "OK"


@pytest.mark.parametrize("code", STATUS_CODES)
def test_only_an_answer_decides(code: str) -> None:
    outcome = outcome_of_error(code, "m")
    undecided = code in {"DEADLINE_EXCEEDED", "UNAVAILABLE", "CANCELLED"}
    assert isinstance(outcome, Unknown if undecided else Failed)
    assert (outcome.code, outcome.message) == (code, "m")
    assert (code in UNDECIDED_CODES) == undecided


@pytest.mark.parametrize("key", list(an_operation()))
def test_every_part_is_needed(key: str) -> None:
    data = an_operation()
    del data[key]
    with pytest.raises(KeyError, match=key):
        Operation.from_json(data)


@pytest.mark.parametrize(
    "change",
    [
        {"number": "1"},
        {"number": True},
        {"rpc": "NoSuchCall"},
        {"rpc": []},
        {"client": 1},
        {"identity": None},
        {"request_id": []},
        {"started_ns": 1.5},
        {"ended_ns": None},
        {"request": []},
        {"request": "x"},
        {"outcome": "ok"},
        {"outcome": {"kind": "ok", "response": []}},
        {"outcome": {"kind": "lost", "code": "", "message": ""}},
        {"outcome": {"kind": [], "code": "", "message": ""}},
        {"outcome": {"kind": "failed", "code": 5, "message": ""}},
        {"outcome": {"kind": "unknown", "code": "", "message": None}},
        {"command": 0},
    ],
)
def test_what_is_no_operation_is_refused(change: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Operation.from_json(an_operation(**change))
