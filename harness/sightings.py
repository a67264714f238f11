"""What an operation says about jobs, in the words of the judge: submissions, sightings of a status, results, cancels.

This is where the JSON of a history is read, so that the rules need not know its shape. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeVar

from harness.history import Failed, Json, Ok, Operation, Rpc
from harness.jsoncodec import checked
from harness.model import ResultStatus, Status

_CUT_LIST = re.compile(r"\.\.\. \d+ more", re.ASCII)
_CUT_TEXT = re.compile(r".{400}\.\.\. \d+ more characters", re.ASCII | re.DOTALL)
_NOT_FOUND = "NOT_FOUND"

E = TypeVar("E", Status, ResultStatus)


class CutError(ValueError):
    """An operation that was shortened for people to read, so that it cannot be judged."""


@dataclass(frozen=True, slots=True)
class Call:
    """The number of an operation and its span in nanoseconds."""

    number: int
    started_ns: int
    ended_ns: int

    def precedes(self, other: Call) -> bool:
        """Whether this call was over before the other one began; calls that touch overlap."""
        return self.ended_ns < other.started_ns


@dataclass(frozen=True, slots=True)
class Member:
    """One request for jobs, alone or in a batch: how many, for which target, and whether it sets a timeout."""

    configurations: int
    target: str
    timeout: bool


@dataclass(frozen=True, slots=True)
class Submission(Call):
    """A request for jobs. `form` is all of the request and its caller; `ids` per member, None unless the call was answered."""

    rpc: Rpc
    identity: str
    key: str | None
    form: str
    members: tuple[Member, ...]
    ids: tuple[tuple[str, ...], ...] | None
    refused: bool

    @property
    def owner(self) -> str:
        """What makes two submissions one: their key, and without one nothing."""
        return f"operation {self.number}" if self.key is None else f"key {self.key}"

    def all_ids(self) -> tuple[str, ...]:
        """Return the ids of all members in order."""
        return tuple(job for ids in self.ids or () for job in ids)


@dataclass(frozen=True, slots=True)
class StatusRead(Call):
    """A status call. `status` is UNKNOWN also for NOT_FOUND, and None when the answer says nothing about the job."""

    identity: str
    target: str
    job: str
    status: Status | None


class Fetch(Enum):
    """What came of a results call."""

    RESULT = auto()
    NOT_FOUND = auto()
    REFUSED = auto()
    UNDECIDED = auto()


@dataclass(frozen=True, slots=True)
class ResultsRead(Call):
    """A results call; `status` is None unless there is a result whose status is one of the enumeration."""

    identity: str
    target: str
    job: str
    fetch: Fetch
    status: ResultStatus | None


@dataclass(frozen=True, slots=True)
class Cancel(Call):
    """A cancel call; whatever came of it, it may have cancelled each of `jobs` (CAN-03)."""

    jobs: tuple[str, ...]


Sighting = Submission | StatusRead | ResultsRead | Cancel


def sighting(operation: Operation) -> Sighting:
    """Read one operation. Raises ValueError or TypeError when it is none of this service, CutError when it was shortened."""
    try:
        return _sighting(operation)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _sighting(operation: Operation) -> Sighting:
    answer = operation.outcome.response if isinstance(operation.outcome, Ok) else {}
    if _is_cut(operation.request) or _is_cut(answer):
        raise CutError("lists or texts were shortened")
    if operation.ended_ns < operation.started_ns:
        raise ValueError("it ends before it starts")
    span = (operation.number, operation.started_ns, operation.ended_ns)
    request = operation.request
    if operation.rpc in {Rpc.EXECUTE, Rpc.BATCH}:
        return _submission(span, operation)
    if operation.rpc is Rpc.CANCEL:
        return Cancel(*span, jobs=_texts(request, "job_ids"))
    who = (operation.identity, _target(request))
    if operation.rpc is Rpc.STATUS:
        return StatusRead(*span, *who, job=_text(request, "job_id"), status=_status(operation, answer))
    fetch = _fetch(operation)
    status = _enumerated(_object(answer, "result"), ResultStatus) if fetch is Fetch.RESULT else None
    return ResultsRead(*span, *who, job=_text(request, "job_execution_id"), fetch=fetch, status=status)


def _submission(span: tuple[int, int, int], operation: Operation) -> Submission:
    request = operation.request
    single = operation.rpc is Rpc.EXECUTE
    outcome = operation.outcome
    ids = None
    if isinstance(outcome, Ok):
        answers = [outcome.response] if single else _objects(outcome.response, "responses")
        ids = tuple(_texts(answer, "job_execution_ids") for answer in answers)
    key = _object(request, "idempotency_key") if "idempotency_key" in request else None
    return Submission(
        *span,
        rpc=operation.rpc,
        identity=operation.identity,
        key=None if key is None else f"{_half(key, 'high')}{_half(key, 'low')}",
        form=json.dumps([operation.rpc.value, operation.identity, request], sort_keys=True),
        members=tuple(_member(item) for item in ([request] if single else _objects(request, "requests"))),
        ids=ids,
        refused=isinstance(outcome, Failed),
    )


def _half(key: Json, name: str) -> str:
    value = key.get(name, 0)
    return f"{value if type(value) is int else int(checked(value, str)):016x}"


def _member(request: Json) -> Member:
    count = len(_objects(request, "execution_configurations"))
    return Member(configurations=count, target=_target(request), timeout="timeout" in _object(request, "options"))


def _status(operation: Operation, answer: Json) -> Status | None:
    if not isinstance(operation.outcome, Ok):
        return Status.UNKNOWN if _is_not_found(operation) else None
    return _enumerated(answer, Status)


def _enumerated(data: Json, kind: type[E]) -> E | None:
    status = data.get("status", "UNKNOWN")
    # A number is how protobuf writes a value that the enumeration lacks: news, but none that can be judged.
    return None if type(status) is int else kind(status)


def _fetch(operation: Operation) -> Fetch:
    if isinstance(operation.outcome, Ok):
        return Fetch.RESULT
    if not isinstance(operation.outcome, Failed):
        return Fetch.UNDECIDED
    return Fetch.NOT_FOUND if _is_not_found(operation) else Fetch.REFUSED


def _is_not_found(operation: Operation) -> bool:
    return isinstance(operation.outcome, Failed) and operation.outcome.code == _NOT_FOUND


def _target(request: Json) -> str:
    return next((f"{name} {_text(request, name)}" for name in ("quantum_processor_id", "endpoint_id") if name in request), "")


def _text(data: Json, name: str) -> str:
    return checked(data.get(name, ""), str)


def _texts(data: Json, name: str) -> tuple[str, ...]:
    return tuple(checked(item, str) for item in checked(data.get(name, []), list))


def _object(data: Json, name: str) -> dict[str, Any]:
    return checked(data.get(name, {}), dict)


def _objects(data: Json, name: str) -> Sequence[dict[str, Any]]:
    return [checked(item, dict) for item in checked(data.get(name, []), list)]


def _is_cut(value: Any) -> bool:
    return any(_cut_marks(value))


def _cut_marks(value: Any) -> Iterator[bool]:
    """Look for the marks that evidence for people has where something was left out."""
    if isinstance(value, dict):
        for item in value.values():
            yield from _cut_marks(item)
    elif isinstance(value, list):
        if value and isinstance(value[-1], str) and _CUT_LIST.fullmatch(value[-1]):
            yield True
        for item in value:
            yield from _cut_marks(item)
    elif isinstance(value, str) and len(value) > 400:
        yield _CUT_TEXT.fullmatch(value) is not None
