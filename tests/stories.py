"""Short histories, told operation by operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.checker import judge
from harness.history import Failed, Ok, Operation, Outcome, Rpc, Unknown
from tests.simulated_controller import Json, operation


class Story:
    """Operations one after the other, or at stated times, by short names."""

    def __init__(self, before: Sequence[Operation] = ()) -> None:
        self.operations = list(before)
        self.now = max((item.ended_ns for item in before), default=0) + 10

    def add(
        self, rpc: Rpc, request: Mapping[str, Any], outcome: Outcome, at: tuple[int, int] | None = None, identity: str = "main"
    ) -> int:
        span = at or (self.now, self.now + 5)
        self.now = max(self.now, span[1]) + 10
        number = 1 + max((item.number for item in self.operations), default=0)
        self.operations.append(operation(number, rpc, request, outcome, span, identity))
        return number

    def submit(self, *ids: str, count: int | None = None, key: int | None = None, timeout: bool = False, **more: Any) -> int:
        request: Json = {"execution_configurations": [{}] * (len(ids) if count is None else count)}
        request |= {} if key is None else {"idempotency_key": {"high": str(key), "low": "5"}}
        request |= {"options": {"timeout": "1s"}} if timeout else {}
        outcome = more.pop("outcome", Ok({"job_execution_ids": list(ids)}))
        return self.add(Rpc.EXECUTE, request, outcome, **more)

    def batch(self, *members: tuple[int, list[str]], key: int | None = None, **more: Any) -> int:
        request: Json = {"requests": [{"execution_configurations": [{}] * count} for count, _ in members]}
        request |= {} if key is None else {"idempotency_key": {"high": str(key), "low": "5"}}
        return self.add(Rpc.BATCH, request, Ok({"responses": [{"job_execution_ids": ids} for _, ids in members]}), **more)

    def read(self, job: str, status: str | None, **more: Any) -> int:
        return self.add(Rpc.STATUS, {"job_id": job}, Ok({"status": status} if status else {}), **more)

    def fetch(self, job: str, result: str | Outcome | None, **more: Any) -> int:
        answer = Ok({"result": {"status": result} if result else {}}) if not isinstance(result, Failed | Unknown | Ok) else result
        return self.add(Rpc.RESULTS, {"job_execution_id": job}, answer, **more)

    def cancel(self, *jobs: str, outcome: Outcome | None = None, **more: Any) -> int:
        return self.add(Rpc.CANCEL, {"job_ids": list(jobs)}, outcome or Ok({}), **more)

    def broken(self) -> list[tuple[str, tuple[int, ...]]]:
        """Return what the judge complains of."""
        return [(item.requirement, item.operations) for item in judge(self.operations).violations]


NOT_FOUND = Failed("NOT_FOUND", "gone")


LOST = Unknown("DEADLINE_EXCEEDED", "late")
