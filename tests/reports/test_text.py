"""Text for people: safe to show, and numbers that read well."""

from __future__ import annotations

import unicodedata
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.markup import escape
from reports.text import clean, cleaned, duration, moment, number, one_line, percent, seconds_between, shortened
from tests.reports import records as make

ANY = st.text(st.characters(codec=None))


@given(ANY)
def test_clean_text_can_be_written_as_xml_and_read_back(text: str) -> None:
    element = ElementTree.Element("a")
    element.text = clean(text)
    assert (ElementTree.fromstring(ElementTree.tostring(element, encoding="utf-8")).text or "") == clean(text)  # noqa: S314 - our own output


@given(ANY)
def test_clean_text_has_no_controls_and_stays_clean(text: str) -> None:
    safe = clean(text)
    assert clean(safe) == safe
    assert not any(unicodedata.category(char) in {"Cc", "Cs"} for char in safe if char not in "\t\n")


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert clean(text) == text


def test_controls_are_shown_as_escapes() -> None:
    assert clean("a\x00\x1b\u202e\ud800\r\nb\t") == "a\\x00\\x1b\\u202e\\ud800\nb\t"


def test_cleaned_reaches_everything() -> None:
    line = make.hostile("\x00").lines[-1]
    assert cleaned(line) == line
    assert "\x00" not in repr(cleaned(make.hostile("\x00")))
    assert "\\\\x00" in repr(cleaned(make.hostile("\x00")))


@given(ANY)
def test_escaped_text_is_one_cell_of_a_table(text: str) -> None:
    safe = escape(text)
    assert "\n" not in safe
    bare = safe.replace("\\\\", "")
    assert all(bare[place - 1] == "\\" for place, char in enumerate(bare) if char in "|`*[]<>~$&")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"),
        ("_a_", "\\_a\\_"),
        ("http://a.example", "http\\://a.example"),
        ("# a", "\\# a"),
        ("- a", "\\- a"),
        ("1. a", "1\N{WORD JOINER}. a"),
        ("EXEC-01: 5 < 6", "EXEC-01: 5 \\< 6"),
        ("@name", "@\N{WORD JOINER}name"),
    ],
)
def test_escape_leaves_readable_what_is_harmless(text: str, expected: str) -> None:
    assert escape(text) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.1234, "0.123"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (1234567.8, "1,234,568"), (5.0, "5")],
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 10, "0 %"),
        (0, 0, "0 %"),
        (1, 1_000_000, "< 0.01 %"),
        (203, 272_414, "0.07 %"),
        (1, 3, "33.3 %"),
        (10, 10, "100 %"),
        (999_999, 1_000_000, "> 99.99 %"),
        (996, 1000, "99.60 %"),
    ],
)
def test_percent(part: float, whole: float, text: str) -> None:
    assert percent(part, whole) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "not known"),
        (0.25, "0.250 s"),
        (59.5, "59.5 s"),
        (60, "1 min"),
        (72.5, "1 min 12 s"),
        (3600, "1 h"),
        (3725, "1 h 2 min 5 s"),
    ],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_moment() -> None:
    assert moment("2026-01-15T10:30:00.123+01:00") == "2026-01-15 09:30:00 UTC"
    assert moment("2026-01-15T10:30:00") == "2026-01-15 10:30:00"
    assert moment("yesterday") == "yesterday"


def test_seconds_between() -> None:
    assert seconds_between(make.STARTED, make.ENDED) == 72.5
    assert seconds_between(make.STARTED, "") is None
    assert seconds_between(make.STARTED, "2026-01-15T10:30:00") is None


@given(st.text(), st.integers(0, 20))
def test_shortened_keeps_the_beginning(text: str, limit: int) -> None:
    short = shortened(text, limit)
    assert short.startswith(text[:limit])
    assert (short == text) is (len(text) <= limit)


def test_one_line() -> None:
    assert one_line(" a\n\t b ") == "a b"
