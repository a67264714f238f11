"""What the samples of a load run take: memory for many calls, and the time to take each in.

`python -m benchmarks.recording_memory [--samples 100000000]`. Calls of five RPCs, one in a hundred of which fails, take between
50 microseconds and 100 seconds, spread over all sizes, a hundred thousand of them in each second of the run. What is measured is
the growth of this process' resident memory, and its CPU time. Linux only. Exit code 1: the bar is not held.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import sys
import time
from pathlib import Path

from harness.history import Rpc
from loadtests.recording import Recording

BAR = 50.0
"""Megabytes that the samples of a run may take, however many they are."""
PER_SECOND = 100_000
_SHAPES = 1 << 16
_SECOND = 1_000_000_000


def resident() -> float:
    """Return the resident memory of this process in megabytes."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def shapes() -> list[tuple[str, str, int]]:
    """Return calls to draw from: RPC, code and nanoseconds."""
    source = random.Random(7)  # noqa: S311 - nothing secret
    rpcs = [rpc.value for rpc in Rpc]
    return [
        (source.choice(rpcs), "UNAVAILABLE" if source.random() < 0.01 else "OK", round(50_000 * 2_000_000 ** source.random()))
        for _ in range(_SHAPES)
    ]


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recording_memory", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--samples", type=int, default=100_000_000, help="calls to take in (default: %(default)s)")
    samples: int = parser.parse_args().samples
    calls, before = shapes(), resident()
    recording, largest, begun = Recording(is_open=True), 0.0, time.process_time()
    add_call = recording.add_call
    for second in range(-(-samples // PER_SECOND)):
        ended = second * _SECOND + _SECOND // 2
        for index in range(min(PER_SECOND, samples - second * PER_SECOND)):
            rpc, code, took = calls[(index * 7 + second) % _SHAPES]
            add_call(rpc, code, ended - took, ended, ended - took - 1000)
        largest = max(largest, resident() - before) if second % 50 == 0 else largest
        recording.take_seconds(second + 1)
    spent = time.process_time() - begun
    lines = recording.latencies()
    counted = sum(line.histogram.count for line in lines if line.kind == "rpc")
    if counted != samples:
        sys.stderr.write(f"recording_memory: {counted} of {samples} calls were counted\n")
        return 1
    held = largest < BAR
    sys.stdout.write(f"{samples:,} calls in {len(lines)} series: {largest:.1f} MB at most, {spent / samples * 1e6:.2f} us each\n")
    sys.stdout.write(f"{'held' if held else 'not held'}: the limit is {BAR:.0f} MB\n")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
