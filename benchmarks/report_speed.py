"""What a report of a large run takes: the seconds and the memory of `controller-harness report`, in all formats.

`python -m benchmarks.report_speed [--checks 1000] [--seconds 3600]`. The record is made up: so many checks, one in fifty of which
fails, each with calls as evidence, and a load run of so many seconds on five RPCs with errors, histograms and a ledger. The
report is made by a process of its own; what is measured is its time on the wall, on a machine that has nothing else to do, and
the peak of its resident memory. Unix only. Exit code 1: a bar is not held.
"""

from __future__ import annotations

import argparse
import math
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ExitCode
from harness.histogram import Histogram
from harness.history import Failed, Ok, Operation, Rpc
from harness.record import (
    CheckLine,
    Discrepancy,
    Footer,
    Header,
    Interval,
    Latency,
    Ledger,
    Line,
    RequirementLine,
    SectionEnd,
    SectionStart,
    ThresholdLine,
    encode,
)
from harness.requirements import builtin_catalogue
from reports import FORMATS

TIME_BAR = 5.0
"""Seconds that a report may take."""
MEMORY_BAR = 300.0
"""Megabytes of resident memory that it may take."""
LONGEST = 120
"""Seconds after which the report is given up."""
_CALLS = 20
_FAILS_EVERY = 50
_STARTED, _ENDED = "2026-01-15T09:30:00.000Z", "2026-01-15T10:30:00.000Z"
_COMMAND = "grpcurl -protoset controller.protoset -d '{}' 127.0.0.1:50051 services.controller.Controller/"


def make_lines(checks: int, seconds: int) -> Iterator[Line]:
    """Yield the lines of a record, its footer left out."""
    yield Header(
        run_id="8c5d0b52-7a51-4d39-9f0f-0a4f4c1f9a11",
        started=_STARTED,
        command=("controller-harness", "validate"),
        tool_version="0.1.0",
        python="3.11.7",
        packages={"grpcio": "1.85.1"},
        machine={"system": "Linux", "cores": 2},
        endpoint="127.0.0.1:50051",
        profile={"name": "made-up"},
        seed=7,
    )
    yield from _conformance(checks)
    yield from _load(seconds, random.Random(7))  # noqa: S311 - nothing secret


def _conformance(checks: int) -> Iterator[Line]:
    catalogue = [(item.id, item.level) for item in builtin_catalogue()]
    yield SectionStart("conformance", _STARTED, checks)
    for item in builtin_catalogue():
        passages = tuple(map(str, item.passages))
        yield RequirementLine(item.id, item.level, item.chapter, item.statement, passages, item.implied, item.unobservable)
    for number in range(checks):
        requirement, _ = catalogue[number % len(catalogue)]
        is_bad = number % _FAILS_EVERY == _FAILS_EVERY - 1
        yield CheckLine(
            check=f"test_made_up.py::test_{number}",
            title=f"Check {number} of the made-up suite holds",
            requirements=(requirement,),
            verdict="fail" if is_bad else "pass",
            reason="",
            reason_kind="",
            seconds=0.25,
            calls_made=_CALLS,
            discrepancies=(Discrepancy(requirement, "an answer within a second", "none", (1, 2)),) if is_bad else (),
            calls=tuple(_call(number * _CALLS + place) for place in range(_CALLS)) if is_bad else (),
            jobs=_CALLS,
            seed=7,
        )
    yield SectionEnd("conformance", _ENDED, "completed", "", int(ExitCode.VIOLATION))


def _call(number: int) -> Operation:
    return Operation(
        number=number,
        rpc=Rpc.STATUS,
        client="main",
        identity="owner",
        request_id=f"00000000-0000-4000-8000-{number:012}",
        started_ns=number * 1_000_000,
        ended_ns=number * 1_000_000 + 700_000,
        request={"job_id": f"00000000-0000-4000-9000-{number:012}", "target": {"quantum_processor_id": "qpu-1"}},
        outcome=Failed("NOT_FOUND", "no such job") if number % 3 else Ok({"status": "QUEUED"}),
        command=f"{_COMMAND}{Rpc.STATUS}",
    )


def _load(seconds: int, source: random.Random) -> Iterator[Line]:
    yield SectionStart("load", _STARTED, seconds, {"name": "made-up", "executor": "constant-arrival-rate"})
    for second in range(seconds):
        wave = 1 + 0.3 * math.sin(second / 60) + 0.1 * source.random()
        for place, rpc in enumerate(Rpc, start=1):
            errors = {"UNAVAILABLE": 2, "RESOURCE_EXHAUSTED": 1} if source.random() < 0.02 else {}
            p50 = round(1000 * place * wave)
            yield Interval(second, rpc.value, round(400 * wave), errors, p50, 2 * p50, 3 * p50, 8 * p50, 64)
    for rpc in Rpc:
        yield Latency("rpc", rpc.value, "OK", _histogram(400 * seconds, source))
        yield Latency("service", rpc.value, "OK", _histogram(400 * seconds, source))
        for code in ("UNAVAILABLE", "RESOURCE_EXHAUSTED"):
            yield Latency("rpc", rpc.value, code, _histogram(seconds // 50, source))
    for phase in ("queued", "running", "to_result"):
        yield Latency("lifecycle", phase, "", _histogram(100 * seconds, source))
        yield Latency("lifecycle_error", phase, "", _histogram(100 * seconds, source))
    yield Ledger(400 * seconds, 400 * seconds, 400 * seconds, 0, 0, 0, 0, 0, 0, (), 400 * seconds)
    yield ThresholdLine("errors: rate < 1%", "0.01%", True, "")
    yield ThresholdLine("rpc_duration: p(99) < 1ms", "9.1ms", False, "above the limit")
    yield SectionEnd("load", _ENDED, "completed", "", int(ExitCode.BELOW_THRESHOLD))


def _histogram(samples: int, source: random.Random) -> Histogram:
    """Return so many samples over four powers of ten, in as many buckets as long runs fill."""
    made, shapes = Histogram(), 8000
    for _ in range(shapes):
        made.add(round(100 * 10_000 ** source.random()), max(1, samples // shapes))
    return made


def write_record(path: Path, checks: int, seconds: int) -> int:
    """Write a record to a file and return its size in bytes."""
    with path.open("w", encoding="ascii", newline="\n") as file:
        lines = 0
        for line in make_lines(checks, seconds):
            file.write(encode(line) + "\n")
            lines += 1
        file.write(encode(Footer(_ENDED, int(ExitCode.VIOLATION), lines)) + "\n")
    return path.stat().st_size


@dataclass(frozen=True)
class Cost:
    """What making a report took: seconds on the wall, seconds of computing, and the peak of resident memory in megabytes."""

    wall: float
    computing: float
    peak: float


def measure(record: Path, out: Path, formats: tuple[str, ...]) -> Cost:
    """Make a report in a process of its own and return what it took; the peak is that of the largest child so far.

    Raises RuntimeError when the command does not end as it has to.
    """
    words = [sys.executable, "-P", "-m", "harness.cli", "report", str(record), "--out", str(out)]
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(  # noqa: S603 - our own program
        [*words, *(word for name in formats for word in ("--format", name))],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != ExitCode.VIOLATION:
        raise RuntimeError(f"the report ended with code {done.returncode}: {done.stdout.strip()[-500:]}")
    computing = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, computing, after.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6)


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report_speed", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--checks", type=int, default=1000, help="checks in the record (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=3600, help="seconds of load in it (default: %(default)s)")
    parser.add_argument("--format", dest="formats", action="append", choices=list(FORMATS), help="only this form (repeatable)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="report-speed-") as folder:
        record, out = Path(folder) / "record.jsonl", Path(folder) / "out"
        size = write_record(record, arguments.checks, arguments.seconds)
        print(f"{arguments.checks:,} checks, {arguments.seconds:,} s of load: a record of {size / 1e6:.1f} MB")
        cost = measure(record, out, tuple(arguments.formats or ()))
        files = ", ".join(f"{path.name} {path.stat().st_size / 1e3:,.0f} kB" for path in sorted(out.iterdir()))
    print(f"{cost.wall:.2f} s ({cost.computing:.2f} s of computing), {cost.peak:.0f} MB at most: {files}")
    held = cost.wall < TIME_BAR and cost.peak < MEMORY_BAR
    print(f"{'held' if held else 'not held'}: the limits are {TIME_BAR:g} s and {MEMORY_BAR:g} MB")
    return int(not held)


if __name__ == "__main__":
    sys.exit(main())
