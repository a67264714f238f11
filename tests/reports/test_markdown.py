"""The summary in Markdown: what it says first, what it leaves out, and that nothing in it acts or grows too long."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from harness.record import Record
from reports import build_view, render
from reports.markup import LONGEST_DOCUMENT, MOST_ROWS, folded, joined, table
from tests.reports import records as make

RECORDS = make.everything()
READER = MarkdownIt("commonmark").enable("table")
OWN_HTML = re.compile(r"(<details>\n<summary>[^<>]*</summary>|</details>)\n?")


def markdown(*records: Record) -> str:
    return render(build_view(records), ["markdown"])["summary.md"].decode()


def tokens(text: str) -> list[Token]:
    """Return all that a reader of Markdown finds, inline tokens among them."""
    return [inner for token in READER.parse(text) for inner in (token, *(token.children or ()))]


def columns(text: str) -> list[tuple[int, int]]:
    """Return of each row of a table how many cells it has, and how many the head of its table has."""
    found: list[tuple[int, int]] = []
    head = cells = 0
    for token in tokens(text):
        head = 0 if token.type == "thead_open" else head + (token.type == "th_open")
        cells = 0 if token.type == "tr_open" else cells + (token.type in {"td_open", "th_open"})
        found += [(cells, head)] if token.type == "tr_close" else []
    return found


def assert_inert(text: str) -> None:
    """Check that nothing but headings, tables, lists and our own folds is in a summary."""
    found = tokens(text)
    assert all(OWN_HTML.fullmatch(token.content) for token in found if token.type in {"html_block", "html_inline"})
    assert not {token.type for token in found} & {"link_open", "image", "code_inline", "code_block", "fence", "em_open", "hr"}
    assert all(cells == head for cells, head in columns(text))
    assert text.count("<details>") == text.count("</details>")
    assert not re.search(r"^/", text, re.MULTILINE)  # a quick action of GitLab


def test_it_begins_with_the_verdict() -> None:
    lines = markdown(make.failing()).splitlines()
    assert lines[0].endswith("Violated: my-controller")
    assert lines[2] == "**1 MUST requirement violated: EXEC-01.**"


def test_it_says_only_what_needs_eyes() -> None:
    text = markdown(make.failing())
    assert "| EXEC-01 | MUST | expected of EXEC-01 | observed for EXEC-01 (and 1 more) |" in text
    assert "| EXEC-10 | SHOULD | the queue never filled |" in text
    assert "UUID-01" not in text


def test_a_clean_run_has_no_tables() -> None:
    assert "|" not in markdown(make.passing())


def test_a_load_shows_what_it_missed_and_folds_its_figures() -> None:
    missed = make.threshold(held=False, expression="a|b < 1")
    text = markdown(make.record(*make.load(make.interval(0), make.latency("A"), make.threshold(), missed)))
    before, _, inside = text.partition("<details>")
    assert "| a\\|b \\< 1 | 31.7 ms | above the limit |" in before
    assert "1 of 2 thresholds held." in before
    assert "| A | 100 | 100 | 0 % | 6.40 | 12.8 | 13.6 | 13.8 |" in inside
    assert "20ms" not in text


def test_a_load_that_is_not_valid_says_so() -> None:
    text = markdown(make.record(*make.load(make.interval(0), outcome="crashed", reason="the disk is full", exit_code=4)))
    assert "**Not valid: the disk is full**" in text


def test_stages_have_their_rows() -> None:
    text = markdown(make.record(*make.open_load()))
    assert "| warm-up (not measured) | 100 | 10 | 50 % | 4.58 |" in text
    assert "Stage" not in markdown(make.loaded())


def test_errors_are_shown_by_code() -> None:
    assert "| GetControllerJobStatus | UNAVAILABLE | 7 |" in markdown(make.loaded())


def test_long_tables_are_cut() -> None:
    lines = [make.failed(f"c{number}", f"EXEC-{number:02}") for number in range(40)]
    assert "10 more are in the full report." in markdown(make.record(*make.conformance(*lines)))


@pytest.mark.parametrize("name", ["incomplete", "header only"])
def test_it_says_incomplete(name: str) -> None:
    assert "Incomplete" in markdown(RECORDS[name]).splitlines()[0]


@pytest.mark.parametrize("name", RECORDS)
def test_nothing_in_it_acts(name: str) -> None:
    assert_inert(markdown(RECORDS[name]))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=40)
@given(st.text(st.characters(codec=None), min_size=1, max_size=60))
def test_nothing_that_an_endpoint_sends_acts(text: str) -> None:
    assert_inert(markdown(make.hostile(text)))


# Its length


def test_a_summary_of_very_much_fits_a_comment_and_says_what_is_missing() -> None:
    long = "| ä <b> `x` " * 60
    checks = [
        make.check(f"c{place}", f"EXEC-{place:02}", verdict="inconclusive", reason=long, title=long) for place in range(MOST_ROWS)
    ]
    bad = [make.failed(f"b{place}", f"{long}{place}") for place in range(MOST_ROWS)]
    missed = [make.threshold(held=False, expression=f"{long}{place}") for place in range(MOST_ROWS)]
    lines = (*make.conformance(*checks, *bad), *make.load(*make.busy_load(3), *missed))
    text = markdown(*(make.record(*lines, run_id=f"run {place}") for place in range(12)))
    assert LONGEST_DOCUMENT / 2 < len(text.encode()) <= LONGEST_DOCUMENT
    assert_inert(text)
    assert re.search(r"\*\*Cut for its length:\*\* \d+ rows of tables and \d+ other lines?; the full report has all\.", text)
    assert "Run run 9, started" in text
    assert text.endswith("2 more runs are in the full report.\n")


ROWS = st.lists(st.lists(st.text(max_size=20), min_size=2, max_size=2), max_size=MOST_ROWS + 3)


@given(st.lists(st.tuples(ROWS, st.booleans()), max_size=4), st.integers(600, 3000))
def test_whatever_is_cut_the_rest_stays_whole(parts: list[tuple[list[list[str]], bool]], limit: int) -> None:
    lines = [
        line for rows, fold in parts for line in (folded("more", table(("a", "b"), rows)) if fold else table(("a", "b"), rows))
    ]
    text = joined(lines, ("the end",), limit)
    assert len(text.encode()) <= limit
    assert text.endswith("the end\n")
    assert_inert(text)
    whole = "\n".join(lines)
    assert ("Cut for its length" in text) is (len(joined(lines, ("the end",), 10**9).encode()) > limit)
    assert text.count("<details>") <= whole.count("<details>")


def test_a_document_that_fits_stays_as_it_is() -> None:
    text = markdown(make.loaded())
    assert "Cut for its length" not in text
    assert len(columns(text)) > 8
    assert markdown(dataclasses.replace(make.loaded(), source="elsewhere")) == text
