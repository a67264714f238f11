"""The run record: lines round trip, a cut record is incomplete, and nothing that is read can crash the reader."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ConfigError
from harness.histogram import Histogram
from harness.history import Failed, Operation, Rpc
from harness.record import VERSION, Footer, Header, Line, SectionStart, decode, encode, read_record

TEXTS = st.text(max_size=8)
NUMBERS = st.integers(0, 1 << 40)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for a type hint of the record's lines."""
    if hint is Histogram:
        return st.lists(NUMBERS, max_size=5).map(histogram_of)
    if hint is Operation:
        return st.builds(an_operation, NUMBERS, TEXTS)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return lines_of(hint)
    arguments = get_args(hint)
    if typing.get_origin(hint) is tuple:
        return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
    if typing.get_origin(hint) is Mapping:
        return st.dictionaries(TEXTS, values_of(arguments[1]), max_size=3)
    plain = {
        str: TEXTS,
        int: NUMBERS,
        bool: st.booleans(),
        float: st.floats(0, 1e9),
        Any: SCALARS | st.lists(SCALARS, max_size=2),
    }
    return plain[hint]


def lines_of(cls: type) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(cls)
    fields = {key: st.just(VERSION) if key == "version" else values_of(hint) for key, hint in hints.items()}
    return st.builds(cls, **fields)


def histogram_of(samples: list[int]) -> Histogram:
    histogram = Histogram()
    for sample in samples:
        histogram.add(sample)
    return histogram


def an_operation(number: int, text: str) -> Operation:
    return Operation(number, Rpc.CANCEL, text, text, text, number, number, {"job_ids": [text]}, Failed("ABORTED", text), text)


def header(version: int = VERSION) -> Header:
    return Header("r1", "2025-01-01T00:00:00Z", ("c",), "0.1", "3.11", {}, {}, "127.0.0.1:1", {"name": "x"}, 1, version)


def footer(lines: int) -> Footer:
    return Footer("2025-01-01T00:00:09Z", 0, lines)


ANY_LINE = st.one_of([lines_of(cls) for cls in get_args(Line)])
BODY = st.lists(st.one_of([lines_of(cls) for cls in get_args(Line) if cls not in {Header, Footer}]), max_size=4)


@given(ANY_LINE)
def test_lines_round_trip(line: Line) -> None:
    text = encode(line)
    assert text.isascii()
    assert text.splitlines() == [text]
    again = decode(text)
    assert type(again) is type(line)
    assert encode(again) == text


@given(st.one_of([lines_of(cls) for cls in get_args(Line) if cls.__name__ != "Latency"]))
def test_what_is_read_equals_what_was_written(line: Line) -> None:
    assert decode(encode(line)) == line


@given(BODY)
def test_a_whole_record_is_complete(body: list[Line]) -> None:
    lines = [header(), *body, footer(len(body) + 1)]
    record = read_record(map(encode, lines), "r.jsonl")
    assert record.incomplete == ""
    assert record.header == header()
    assert record.footer == lines[-1]
    assert list(map(encode, record.lines)) == list(map(encode, lines))


@given(BODY, st.data())
def test_a_record_cut_anywhere_is_incomplete_never_a_crash(body: list[Line], data: st.DataObject) -> None:
    text = "\n".join(map(encode, [header(), *body, footer(len(body) + 1)]))
    first = text.index("\n")
    kept = text[: data.draw(st.integers(first, len(text) - 1))]
    record = read_record(kept.splitlines(), "r.jsonl")
    assert record.incomplete
    assert record.footer is None
    assert len(record.lines) <= len(body) + 1


@given(BODY, st.integers(0), st.text(alphabet='{}[]":,0123456789.eE-+ntfalsrue\\ \x00é', min_size=1, max_size=5))
def test_a_damaged_record_is_incomplete_or_refused(body: list[Line], place: int, noise: str) -> None:
    text = "\n".join(map(encode, [header(), *body, footer(len(body) + 1)]))
    at = place % len(text)
    try:
        record = read_record((text[:at] + noise + text[at + len(noise) :]).split("\n"), "r.jsonl")
    except ConfigError as error:
        shown = str(error)
    else:
        shown = f"r.jsonl: {record.incomplete}"
    assert shown.startswith("r.jsonl")
    assert "\n" not in shown


@given(
    st.lists(st.text(max_size=20) | st.sampled_from(["5", "[]", "null", '"x"', '{"type": []}', "{}", "[" * 100_000]), max_size=3)
)
def test_what_is_no_record_is_refused_at_its_first_line(lines: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"^r.jsonl:1: not a run record"):
        read_record(lines, "r.jsonl")


def test_half_a_surrogate_pair_survives() -> None:
    line = dataclasses.replace(header(), command=("run", "\udc80"))
    assert encode(line).encode() == encode(decode(encode(line))).encode()


def test_a_missing_footer_is_said() -> None:
    record = read_record([encode(header())], "r.jsonl")
    assert record.incomplete == "the footer is missing: the run did not come to its end"


def test_a_lost_line_in_the_middle_is_noticed_by_the_footer() -> None:
    record = read_record([encode(header()), encode(footer(5))], "r.jsonl")
    assert record.incomplete == "the footer counts 5 lines before it, but there are 1"


def test_two_records_in_one_file_are_not_one_run() -> None:
    one = [encode(header()), encode(footer(1))]
    assert read_record(one, "r.jsonl").incomplete == ""
    assert read_record(one + one, "r.jsonl").incomplete != ""


def test_a_damaged_line_in_the_middle_is_an_error_with_its_line() -> None:
    with pytest.raises(ConfigError, match=r"^r.jsonl:2: not a line of a run record; the file is damaged"):
        read_record([encode(header()), "x", encode(footer(2))], "r.jsonl")


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_version_is_refused_as_such_even_with_other_fields(version: object) -> None:
    data = {**json.loads(encode(header())), "version": version, "news": 1}
    with pytest.raises(ConfigError, match=rf"^r.jsonl:1: record version {version!r} is not supported; this tool reads version 1"):
        read_record([json.dumps(data)], "r.jsonl")


@pytest.mark.parametrize(
    "change",
    [
        {"planned": "5"},
        {"planned": True},
        {"planned": None},
        {"section": 1},
        {"detail": []},
        {"more": 1},
        {"type": "no_such_line"},
        {"type": None},
    ],
)
def test_a_field_of_the_wrong_type_is_no_line(change: dict[str, object]) -> None:
    data = json.loads(encode(SectionStart("load", "2025-01-01T00:00:00Z", 5)))
    with pytest.raises((ValueError, KeyError, TypeError)):
        decode(json.dumps({**data, **change}))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_are_not_json_are_refused_both_ways(number: str) -> None:
    with pytest.raises(ValueError, match="not JSON"):
        decode(f'{{"type":"section_start","section":"load","started":"","planned":1,"detail":{{"x":{number}}}}}')
    with pytest.raises(ValueError, match="JSON compliant"):
        encode(SectionStart("load", "", 1, {"x": float(number)}))
