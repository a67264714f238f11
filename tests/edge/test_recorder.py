"""Records and other files on disk: whole or not there, and one line when the disk says no."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ConfigError, ExitCode, HarnessError, NotValidError
from harness.record import CheckLine, Footer, Header, Observation, SectionEnd, SectionStart
from harness.recorder import RecordWriter, alone_in, load_record, machine, make_folder, make_header, now_text, write_atomically

HEADER = make_header(command=("a", "b"), endpoint="h:1", profile={"name": "n"}, seed=7)
START = SectionStart("load", "2026-01-01T00:00:00.000Z", 5)
END = SectionEnd("load", "2026-01-01T00:00:05.000Z", "completed", "", 0)
FULL = Path("/dev/full")


def complaint_of(action: Callable[[], object], kind: type[HarnessError]) -> str:
    with pytest.raises(HarnessError) as caught:
        action()
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_header_lines_footer(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    RecordWriter.create(path, HEADER).close()
    assert load_record(path).incomplete == "the footer is missing: the run did not come to its end"
    with RecordWriter.append_to(path) as writer:
        writer.write(START)
        assert load_record(path).lines == (HEADER, START)
        writer.write(END)
    RecordWriter.append_to(path).finish(3)
    record = load_record(path)
    assert record.incomplete == ""
    assert record.lines[:3] == (HEADER, START, END)
    assert record.footer is not None
    assert (record.footer.exit_code, record.footer.lines) == (3, 3)


def test_a_new_record_replaces_an_old_one(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    RecordWriter.create(path, HEADER).finish(0)
    RecordWriter.create(path, HEADER).close()
    assert load_record(path).lines == (HEADER,)


texts = st.text(st.characters(exclude_categories=[]), max_size=40)


@given(texts)
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    line = CheckLine("c", text, (), "pass", text, "", 0.5, 1, observations=(Observation("X-01", text),))
    with RecordWriter.create(path, HEADER) as writer:
        writer.write(line)
        writer.finish(0)
    assert load_record(path).lines[1] == line


@pytest.mark.parametrize("tail", [b'{"type":"section_st', b"\xc3", b"x" * 200_000])
def test_half_a_line_of_a_writer_that_was_killed_is_dropped(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "r.jsonl"
    with RecordWriter.create(path, HEADER) as writer:
        writer.write(START)
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    assert load_record(path).incomplete == "line 3 is cut off or damaged"
    with RecordWriter.append_to(path) as writer:
        assert path.read_bytes() == whole
        writer.write(END)
    RecordWriter.append_to(path).finish(4)
    record = load_record(path)
    assert record.incomplete == ""
    assert record.lines[:3] == (HEADER, START, END)


def test_a_file_without_any_line_break_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b"y" * 300_000)
    RecordWriter.append_to(path).close()
    assert path.read_bytes() == b""


def test_a_full_disk() -> None:
    said = complaint_of(lambda: RecordWriter.create(FULL, HEADER), NotValidError)
    assert said == "/dev/full: cannot be written: no space left on device; make room, or choose another place"
    with RecordWriter.append_to(FULL) as writer:
        assert "no space left" in complaint_of(lambda: writer.write(START), NotValidError)
        assert "no space left" in complaint_of(lambda: writer.write(END), NotValidError)


@pytest.mark.parametrize(
    ("place", "complaint"),
    [
        ("gone/r.jsonl", "no such file or directory"),
        ("file/r.jsonl", "not a directory"),
        ("folder", "is a directory"),
        ("x" * 300, "file name too long"),
    ],
)
def test_places_that_are_none(tmp_path: Path, place: str, complaint: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    path = tmp_path / place
    for action in (
        lambda: RecordWriter.create(path, HEADER),
        lambda: RecordWriter.append_to(path),
        lambda: write_atomically(path, b"x"),
    ):
        assert complaint_of(action, ConfigError) == f"{path}: cannot be written: {complaint}; choose another place"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]


def test_folders(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    assert "file exists" in complaint_of(lambda: make_folder(tmp_path / "file"), ConfigError)
    assert "not a directory" in complaint_of(lambda: make_folder(tmp_path / "file" / "x"), ConfigError)
    assert complaint_of(lambda: make_folder(Path("/proc/x")), ConfigError).startswith("/proc/x: cannot be written: ")


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with alone_in(tmp_path):
        said = complaint_of(lambda: alone_in(tmp_path).__enter__(), ConfigError)
    assert said == f"{tmp_path}: another run writes here; choose another place"
    with alone_in(tmp_path):
        pass


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write_atomically(path, b"old")
    with path.open("rb") as reader:
        write_atomically(path, b"new and longer")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new and longer"
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]


def test_a_file_name_of_the_greatest_length(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("n" * 255), b"x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["n" * 255]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", ":1: not a run record: the first line is no header"),
        (b"hello\n", ":1: not a run record: the first line is no header"),
        (b"\x00\xff\xfe\n\n", ":1: not a run record: the first line is no header"),
        (b'{"type":"header","version":99}\n', ":1: record version 99 is not supported"),
    ],
)
def test_files_that_are_no_records(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "r"
    path.write_bytes(content)
    assert complaint_of(lambda: load_record(path), ConfigError).startswith(f"{path}{complaint}")


def test_records_that_are_not_there(tmp_path: Path) -> None:
    assert complaint_of(lambda: load_record(tmp_path / "r"), ConfigError).endswith("cannot be read: no such file or directory")
    assert complaint_of(lambda: load_record(tmp_path), ConfigError).endswith("cannot be read: is a directory")


def test_the_header_says_what_makes_runs_comparable() -> None:
    again = make_header(command=("a", "b"), endpoint="h:1", profile={"name": "n"}, seed=7)
    assert isinstance(again, Header)
    assert again.run_id != HEADER.run_id
    assert {"grpcio", "protobuf", "locust", "gevent", "pytest"} <= set(HEADER.packages)
    assert set(machine()) == {"system", "processor", "cores", "memory_mib"}
    assert machine()["cores"] == len(os.sched_getaffinity(0))
    assert machine()["memory_mib"] > 0
    assert now_text().endswith("Z")
    assert Footer(now_text(), ExitCode.OK, 1).ended[10] == "T"
