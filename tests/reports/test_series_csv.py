"""The time series as CSV: every second is in it, any reader of CSV gets it back, and no spreadsheet calculates with its text."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.record import Interval, Record
from reports import build_view, render
from reports.series_csv import HEADER, text_cell
from tests.reports import records as make

RECORDS = make.everything()


def rows(*records: Record) -> list[dict[str, str]]:
    data = render(build_view(records), ["csv"])["series.csv"]
    head, *body = csv.reader(io.StringIO(data.decode(), newline=""), strict=True)
    assert tuple(head) == HEADER
    assert all(len(row) == len(head) for row in body)
    return [dict(zip(head, row, strict=True)) for row in body]


def test_the_header_is_part_of_the_contract() -> None:
    text = ",".join(HEADER)
    assert text == "load,second,rpc,calls,errors,p50_ms,p95_ms,p99_ms,max_ms,users,errors_by_code,record"


@pytest.mark.parametrize("name", RECORDS)
def test_every_second_of_every_rpc_is_a_row(name: str) -> None:
    record = RECORDS[name]
    lines = [line for line in record.lines if isinstance(line, Interval)]
    found = rows(record)
    assert [(row["second"], row["calls"]) for row in found] == [(str(line.second), str(line.count)) for line in lines]


def test_a_long_run_is_not_thinned_out() -> None:
    found = rows(make.record(*make.load(*make.busy_load(1000))))
    assert len(found) == 3000
    assert found[-1]["second"] == "999"


def test_a_row() -> None:
    line = make.interval(7, errors={"UNAVAILABLE": 2, "INTERNAL": 1}, count=50, p50=1234, p95=2000, p99=3001, largest=90_000)
    assert rows(make.record(*make.load(line))) == [
        {
            "load": "load",
            "second": "7",
            "rpc": "GetControllerJobStatus",
            "calls": "50",
            "errors": "3",
            "p50_ms": "1.234",
            "p95_ms": "2.000",
            "p99_ms": "3.001",
            "max_ms": "90.000",
            "users": "10",
            "errors_by_code": "INTERNAL:1 UNAVAILABLE:2",
            "record": "complete",
        }
    ]


def test_lines_end_as_rfc_4180_has_it() -> None:
    data = render(build_view([make.loaded()]), ["csv"])["series.csv"]
    assert data.endswith(b"\r\n")
    assert data.count(b"\n") == data.count(b"\r\n") == 181


def test_records_tell_whether_they_are_whole() -> None:
    lines = make.load(make.interval(0))
    found = rows(make.record(*lines[:-1], incomplete="line 3 is cut off"), make.record(*lines))
    assert [(row["load"], row["record"]) for row in found] == [("load", "incomplete"), ("load (2)", "complete")]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1+1", " =1", "\r\n=1", "\uff1d1", "\uff20a"])
def test_no_text_is_a_formula(text: str) -> None:
    assert text_cell(text).startswith("'")


@given(st.text(st.characters(codec=None)))
def test_text_stays_on_one_line_and_harmless_text_stays_as_it_is(text: str) -> None:
    cell = text_cell(text)
    assert cell.strip("'")[:1] not in set("=+-@\t\r\n") or cell.startswith("'")
    assert "\n" not in cell
    assert "\r" not in cell
    assert text_cell(f"a{text}").startswith("a")


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=30)
@given(st.text(st.characters(codec=None), min_size=1, max_size=60))
def test_any_reader_gets_hostile_text_back(text: str) -> None:
    found = rows(make.hostile(text))
    assert len(found) == 2
    assert found[0]["errors"] == "1"
