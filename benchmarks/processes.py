"""Starts sinks and clients, each on a core of its own, and says what they did and what it cost.

What a client costs is the CPU time of its process, whatever it is written in, while it is at full work: neither its start nor its
end counts. How many calls it made is what the sink has counted. Every process has a deadline, and none outlives the one who
measures.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = 0.25
"""Seconds between looks at the sink while a client runs."""
WINDOW = 4
"""Looks that make up a second, over which a rate is taken."""


class FailedError(Exception):
    """A client did not do what it was to do; the text says why, in a line."""


@dataclass(frozen=True)
class Reading:
    """What had been done by some time: calls, and the CPU seconds of sink and client; `at` is on the monotonic clock."""

    at: float
    calls: int
    sink: float
    client: float = 0.0


@dataclass(frozen=True)
class Done:
    """What one client process did: calls, and the highest rate over a second, in calls per second.

    `begin` and `end` are those of its steady work. `said` is what it wrote.
    """

    calls: int
    rate: float
    begin: Reading
    end: Reading
    code: int
    said: str = ""


class Sink:
    """A sink that is running."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process = process
        self.port = port

    def read(self) -> Reading:
        """Ask it what it has done so far."""
        assert self._process.stdin is not None  # noqa: S101 - asked for
        assert self._process.stdout is not None  # noqa: S101 - asked for
        try:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
            told = json.loads(self._process.stdout.readline())
        except (OSError, ValueError):
            raise FailedError("the sink has died") from None
        return Reading(time.monotonic(), told["calls"], told["cpu"])


@dataclass(frozen=True)
class Cores:
    """Which core runs the client and which the sink; None where processes cannot be pinned or there is only one."""

    client: int | None
    sink: int | None


def pin() -> Cores:
    """Keep this process and its future children to one core, the client's, and return who runs where."""
    if not hasattr(os, "sched_setaffinity"):
        return Cores(None, None)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return Cores(None, None)
    os.sched_setaffinity(0, {cores[1]})
    return Cores(cores[1], cores[0])


@contextlib.contextmanager
def sink(cores: Cores, life: float = 0.5, delay: float = 0.0) -> Iterator[Sink]:
    """Run a sink; see `benchmarks.sink` for its options."""
    command = [sys.executable, "-m", "benchmarks.sink", "--life", str(life), "--delay", str(delay)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ours
        try:
            if cores.sink is not None:
                os.sched_setaffinity(process.pid, {cores.sink})
            assert process.stdout is not None  # noqa: S101 - asked for
            line = process.stdout.readline()
            if not line:
                raise FailedError("the sink did not start")
            yield Sink(process, json.loads(line)["port"])
        finally:
            process.terminate()


def run(
    command: Sequence[str], served: Sink, longest: float, env: Mapping[str, str] | None = None, codes: Sequence[int] = (0,)
) -> Done:
    """Run a client to its end. FailedError if that takes more than `longest` seconds, or its code is none of `codes`."""
    deadline = time.monotonic() + longest
    readings = [served.read()]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603 - a client of ours, or a tool found on the path
            command, cwd=ROOT, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
        )
        watched = psutil.Process(process.pid)
        try:
            while not _ended(process):
                readings.append(dataclasses.replace(served.read(), client=_cpu(watched, readings[-1].client)))
                if time.monotonic() > deadline:
                    raise FailedError(f"did not end within {longest:g} s")
        finally:
            process.kill()
            code = process.wait()
        said.seek(0)
        told = said.read().decode(errors="replace").strip()
    if code not in codes:
        raise FailedError(f"exit code {code}: {told.splitlines()[-1][:200] if told else 'it said nothing'}")
    calls = served.read().calls - readings[0].calls
    begin, end = steady(readings)
    return Done(calls, best_rate(readings), begin, end, code, told)


def _cpu(process: Any, known: float) -> float:
    """Return the CPU seconds of a process; those that are known when it has ended."""
    try:
        used = process.cpu_times()
    except psutil.Error:
        return known
    return float(used.user + used.system)


def _ended(process: subprocess.Popen[bytes]) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(SAMPLE)
        return True
    return False


def best_rate(readings: Sequence[Reading]) -> float:
    """Return the highest rate over a second, or over the whole time if that was less."""
    pairs = list(zip(readings, readings[WINDOW:], strict=False)) or [(readings[0], readings[-1])]
    return max((late.calls - early.calls) / (late.at - early.at) if late.at > early.at else 0.0 for early, late in pairs)


def steady(readings: Sequence[Reading]) -> tuple[Reading, Reading]:
    """Return the readings between which a client was at full work.

    That is from the end of the first look at which it was at least half as fast as at its best to the end of the last such look;
    where looks are few, from the beginning of the first.
    """
    pairs = list(itertools.pairwise(readings))
    rates = [(late.calls - early.calls) / (late.at - early.at) if late.at > early.at else 0.0 for early, late in pairs]
    best = max(rates, default=0.0)
    fast = [place for place, rate in enumerate(rates) if rate and rate >= best / 2]
    if not fast:
        return readings[0], readings[-1]
    first, last = fast[0], fast[-1]
    return readings[first + (last > first)], readings[last + 1]
