"""Promises that an endpoint was seen to break: each counted, the first ones kept, and how they are worded. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from harness.history import Rpc
from harness.record import Discrepancy
from loadtests.receipts import Ids
from loadtests.workload import Submission

SHOWN_IN_FULL = 50
"""How many violations the record shows; all are counted."""


class Violations:
    """The broken promises of a run: `count` of them, and those that are `shown`."""

    def __init__(self) -> None:
        self.count = 0
        self.shown: list[Discrepancy] = []

    def add(self, requirement: str, expected: str, observed: str, call: str) -> None:
        """Note that a requirement is broken, as the call with this request id shows."""
        self.count += 1
        if len(self.shown) < SHOWN_IN_FULL:
            self.shown.append(Discrepancy(requirement, expected, f"{observed} (request id {call})"))

    def add_replay(self, submission: Submission, original: Ids | None, observed: str, call: str) -> None:
        """Note that the answer to a submission was not what it was at first."""
        expected = "the ids of the first answer" + ("" if original is None else f", {some(original)}")
        self.add("BATCH-05" if submission.rpc is Rpc.BATCH else "IDEM-01", expected, observed, call)

    def add_counts(self, submission: Submission, got: Sequence[int], call: str) -> None:
        """Note that the numbers of ids in an answer are not those of configurations."""
        asked = submission.sizes
        if len(got) != len(asked):
            self.add("BATCH-01", f"{len(asked)} responses", f"{len(got)}", call)
        else:
            requirement = "BATCH-01" if submission.rpc is Rpc.BATCH else "EXEC-01"
            self.add(requirement, f"one id per configuration, {_numbers(asked)}", _numbers(got), call)


def some(ids: Ids) -> str:
    """Return a few ids of an answer, and how many more there are."""
    flat = ids.flat
    shown = ", ".join(job_id.decode(errors="replace") for job_id in flat[:4])
    return (shown or "no ids") + (f" and {len(flat) - 4} more" if len(flat) > 4 else "")


def _numbers(values: Sequence[int]) -> str:
    return ", ".join(str(value) for value in values[:8]) + (", ..." if len(values) > 8 else "")
