"""Files that go with a record so that its `grpcurl` lines work: the descriptor set, and requests too long for a command line."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

from harness.call import Call
from harness.history import Operation
from harness.history_file import history_lines
from harness.recorder import make_folder, write_atomically


def save_requests(folder: Path, calls: Iterable[Call]) -> None:
    """Write the long requests among `calls` to `requests/` in `folder`, and the descriptor set beside it. Raises HarnessError."""
    protoset = folder / "controller.protoset"
    if not protoset.exists():
        write_atomically(protoset, (resources.files("harness.stubs") / "controller.protoset").read_bytes())
    for call in calls:
        if call.has_request_file:
            make_folder(folder / "requests")
            write_atomically(folder / "requests" / f"{call.request_id}.json", call.request_text().encode())


def save_history(folder: Path, check: str, operations: Sequence[Operation]) -> str:
    """Write a whole history to `histories/` in `folder`, and return the command that judges it there. Raises HarnessError."""
    make_folder(folder / "histories")
    name = f"histories/{check.replace('.py::', '-')}.jsonl"
    write_atomically(folder / name, "".join(history_lines(operations, about=check)).encode())
    return shlex.join(["controller-harness", "judge", name])


def save_plan(folder: Path, name: str, text: str, profile: str) -> str:
    """Write a plan to `plans/` in `folder`, and return the command that runs it there. Raises HarnessError."""
    make_folder(folder / "plans")
    write_atomically(folder / "plans" / name, text.encode())
    return shlex.join(["controller-harness", "replay", f"plans/{name}", "--profile", profile])
