"""How large the page of a long run is, and that it is the same every time."""

from __future__ import annotations

import pytest

from harness.record import Record
from reports import build_view, render
from tests.reports import records as make

TEN_MINUTES = 600
MOST_OCTETS = 2_000_000


def page(*records: Record) -> bytes:
    return render(build_view(records), ["html"])["report.html"]


def full_run() -> Record:
    """Return a run of as many checks and requirements as the suites have, some of which failed, and ten minutes of load."""
    names = [f"EXEC-{number:02}" for number in range(1, 79)]
    catalogue = [make.requirement(name) for name in names]
    calls = tuple(make.operation(number) for number in range(1, 25))
    checks = [
        (make.failed if number % 9 == 0 else make.check)(
            f"test_exec.py::test_{number}",
            names[number % 78],
            repeat="controller-harness conformance --check x --seed 7",
            calls=calls,
        )
        for number in range(270)
    ]
    return make.record(*make.conformance(*catalogue, *checks), *make.staged_load(TEN_MINUTES))


def test_ten_minutes_of_load_stay_small() -> None:
    for lines in (make.staged_load(TEN_MINUTES), make.load(*make.busy_load(TEN_MINUTES, {"UNAVAILABLE": 3, "INTERNAL": 2}))):
        assert len(page(make.record(*lines))) < MOST_OCTETS / 2


def test_a_full_run_with_failures_and_ten_minutes_of_load_fits() -> None:
    assert len(page(full_run())) < MOST_OCTETS


@pytest.mark.parametrize("record", [make.failing(), make.record(*make.staged_load())], ids=["failing", "load"])
def test_the_same_record_gives_the_same_bytes(record: Record) -> None:
    assert page(record) == page(record)
