"""How long the conformance suite takes on one lane, on two, on as many as the profile has targets.

`python benchmarks/suite_lanes.py [--lanes 1,2,4,6] [--rounds 2] [--profile FILE] [--keep FOLDER]`. Runs of different numbers
of lanes take turns, so that what else the machine does falls on all of them; only figures of one invocation may be compared.
Each run is a process of its own, with a server of its own where the profile says so, and is stopped after `LONGEST` seconds.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

LONGEST = 600.0
"""Seconds that one run may take."""
MOST_ROUNDS = 10


@dataclass(frozen=True)
class Figures:
    """One run: wall clock and CPU time of all its processes (the server's, too) in seconds, load average before it, exit code."""

    wall: float
    cpu: float
    load: float
    code: int


def run(lanes: int, profile: str, folder: Path) -> Figures:
    """Run the whole suite once and measure it. Raises subprocess.TimeoutExpired."""
    command = [sys.executable, "-m", "harness.cli", "conformance", "--seed", "7", "--lanes", str(lanes)]
    command += ["--profile", profile, "--out", str(folder)]
    load, cpu, begun = os.getloadavg()[0], _children(), time.monotonic()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=LONGEST, check=False)  # noqa: S603 - ours
    return Figures(time.monotonic() - begun, _children() - cpu, load, done.returncode)


def _children() -> float:
    """Return the CPU seconds of all processes that were started and waited for, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """Measure and print; 0 when every run passed, else 1."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--lanes", default="1,2,4,6", help="numbers of lanes, with commas (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, choices=range(1, MOST_ROUNDS + 1), metavar="N", help="runs of each")
    parser.add_argument("--profile", default="reference", help="profile with at least so many targets (default: %(default)s)")
    parser.add_argument("--keep", type=Path, default=None, metavar="FOLDER", help="where to leave records and reports")
    options = parser.parse_args()
    try:
        counts = [int(text) for text in options.lanes.split(",")]
    except ValueError:
        parser.error(f"--lanes: expected numbers with commas between them, got {options.lanes!r}")
    found: dict[int, list[Figures]] = {count: [] for count in counts}
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(options.rounds):
            for count in counts if number % 2 == 0 else reversed(counts):
                figures = run(count, options.profile, (options.keep or Path(scratch)) / f"lanes-{count}-round-{number + 1}")
                found[count].append(figures)
                told = f"wall {figures.wall:6.1f} s   CPU {figures.cpu:6.1f} s   load before {figures.load:.1f}"
                print(f"round {number + 1}   lanes {count}   {told}   exit code {figures.code}", flush=True)
    _summarise(found)
    return int(any(figures.code for runs in found.values() for figures in runs))


def _summarise(found: dict[int, list[Figures]]) -> None:
    first = next(iter(found.values()))
    print(
        f"\n{'lanes':>5} {'wall, s':>9} {'CPU, s':>9} {'wall ratio':>11} {'CPU ratio':>11}   (medians; ratios to the first row)"
    )
    for count, runs in found.items():
        wall, cpu = (statistics.median(getattr(item, name) for item in runs) for name in ("wall", "cpu"))
        base_wall, base_cpu = (statistics.median(getattr(item, name) for item in first) for name in ("wall", "cpu"))
        print(f"{count:>5} {wall:>9.1f} {cpu:>9.1f} {wall / base_wall:>11.2f} {cpu / base_cpu:>11.2f}")


if __name__ == "__main__":
    sys.exit(main())
