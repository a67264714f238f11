"""Histories in files: golden ones with known verdicts, what is refused, and the command that judges them."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from harness.checker import judge as judged
from harness.cli.judge import judge
from harness.errors import ConfigError
from harness.history import Ok, Rpc
from harness.history_file import history_lines, read_history
from tests.simulated_controller import legal_history, operation

FOLDER = Path(__file__).parent / "data" / "histories"
GOLDEN = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
EXIT_CODES = {"legal": 0, "illegal": 3, "unknown": 4}
CALL = operation(1, Rpc.STATUS, {"job_id": "a"}, Ok({"status": "QUEUED"}), (0, 5))
WHOLE = list(history_lines([CALL], "one read"))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(judge, arguments, standalone_mode=False)


def write(folder: Path, lines: list[str]) -> str:
    path = folder / "history.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    return str(path)


def test_every_golden_history_has_a_verdict() -> None:
    assert set(GOLDEN) == {path.name for path in FOLDER.glob("*.jsonl")}
    assert set(EXIT_CODES) == {item["verdict"] for item in GOLDEN.values()}


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_a_golden_history(name: str) -> None:
    history = read_history((FOLDER / name).read_text(encoding="utf-8").splitlines(keepends=True), name)
    assert history.incomplete == ""
    judgement = judged(history.operations)
    found = [[item.requirement, list(item.operations)] for item in judgement.violations]
    assert {"verdict": judgement.verdict, "violations": found} == GOLDEN[name]


@given(st.integers(0, 1 << 32).map(Random), st.integers(0, 20), st.text())
def test_a_history_is_read_as_it_was_written(rng: Random, calls: int, about: str) -> None:
    operations = legal_history(rng, calls)
    lines = list(history_lines(operations, about))
    assert all(line.endswith("\n") and len(line.splitlines()) == 1 for line in lines)
    history = read_history(lines, "h")
    assert (history.operations, history.about, history.incomplete) == (tuple(operations), about, "")


@pytest.mark.parametrize(
    ("lines", "count", "reason"),
    [
        (WHOLE[:2], 1, "the last line, which counts the operations, is missing"),
        ([*WHOLE[:1], WHOLE[1][:40]], 0, "line 2 is cut off or damaged"),
        ([WHOLE[0], WHOLE[2]], 0, "the last line counts 1 operations, but there are 0"),
    ],
)
def test_a_history_without_its_end_is_incomplete(lines: list[str], count: int, reason: str, tmp_path: Path) -> None:
    assert read_history(lines, "h").incomplete == reason
    path = write(tmp_path, lines)
    done = run(path)
    assert (done.return_value, done.output) == (
        4,
        f"{path}: unknown, {count} operations: {reason}\n",
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "h:1: not a history: the first line is no header"),
        (["{}\n"], "h:1: not a history: the first line is no header"),
        (['{"type":"header","version":1}\n'], "h:1: not a history: the first line is no header"),
        (["[" * 100_000], "h:1: not a history: the first line is no header"),
        (['{"type":"history","version":2}\n'], "h:1: history version 2 is not supported"),
        (['{"type":"history","version":true}\n'], "h:1: history version True is not supported"),
        ([WHOLE[0], "x\n", WHOLE[2]], "h:2: not a line of a history"),
        ([WHOLE[0], "{}\n", WHOLE[2]], "h:2: not an operation"),
        ([WHOLE[0], WHOLE[2], WHOLE[2]], "h:2: not an operation"),
        ([WHOLE[0], '{"type":"operation"}\n', WHOLE[2]], "h:2: not an operation: number is missing"),
        ([WHOLE[0], WHOLE[1].replace('"a"', "1"), WHOLE[2]], "h:2: not an operation that can be judged: expected str"),
        ([WHOLE[0], WHOLE[1], WHOLE[1], WHOLE[2]], "h:3: operation 1 occurs twice"),
        (
            list(history_lines([operation(1, Rpc.CANCEL, {"job_ids": ["a", "... 30 more"]}, Ok({}), (0, 1))])),
            "h:2: not an operation that can be judged: lists or texts were shortened; judge whole histories",
        ),
    ],
)
def test_what_is_no_history_is_refused(lines: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_history(lines, "h")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_the_command_says_what_is_wrong(name: str) -> None:
    expected = GOLDEN[name]
    done = run(str(FOLDER / name))
    *complaints, last = done.output.splitlines()
    assert done.return_value == EXIT_CODES[expected["verdict"]]
    assert f"{name}: {expected['verdict']}, " in last
    assert len(complaints) == len(expected["violations"])
    for line, (requirement, numbers) in zip(complaints, expected["violations"], strict=True):
        shown = f"operations {', '.join(map(str, numbers))}: expected "
        assert line.startswith(f"{requirement} (")
        assert shown in line


def test_the_command_tells_it_as_json() -> None:
    done = run(str(FOLDER / "bad-second-set.jsonl"), "--json")
    data = json.loads(done.output)
    assert done.return_value == 3
    assert (data["verdict"], data["operations"], data["about"]) == ("illegal", 2, "a retry made new jobs")
    [violation] = data["violations"]
    assert violation.pop("expected") == "the ids of the same key and request: a, b"
    assert violation == {"requirement": "IDEM-01", "level": "MUST", "observed": "other ids: c, d", "operations": [1, 2]}


def test_text_of_the_endpoint_forges_no_line(tmp_path: Path) -> None:
    call = operation(1, Rpc.EXECUTE, {"execution_configurations": [{}, {}]}, Ok({"job_execution_ids": ["a\nb\x1b"] * 2}), (0, 1))
    done = run(write(tmp_path, list(history_lines([call]))))
    assert len(done.output.splitlines()) == 2
    assert "\x1b" not in done.output


@pytest.mark.parametrize("name", ["no-such-file", "."])
def test_a_file_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    done = run(str(tmp_path / name))
    assert isinstance(done.exception, ConfigError)
    assert "cannot be read: " in str(done.exception)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "h"
    path.write_bytes(bytes(range(256)))
    done = run(str(path))
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception).startswith(f"{path}:1: not a history")
