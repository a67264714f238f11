"""Is `compare` to be trusted? Real short runs against the reference Controller, with and without a slow-down of 20 %.

`python -m benchmarks.comparison [--quick] [--folder DIR] [--rounds N] [--minutes M] [--judge-only]`. A round is two runs against
one server and one against a server that is slower by a fifth of the latency that was measured first, in a drawn order. A
comparison takes the runs of as many rounds in a row as one side has runs: those of the same server against each other (A/A, where
an alarm is false), and against those of the slower one (where none is a miss). Comparisons overlap; how many do not is told.
Records are kept, so that the same command goes on where it stopped. Ends with 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from benchmarks.paced_server import command as server_command
from benchmarks.processes import ROOT, FailedError
from harness.errors import ConfigError
from harness.record import Record
from harness.recorder import load_record, write_atomically
from reports.comparison import Comparison, compare
from reports.comparison.samples import load_runs

FALSE_ALARMS = 0.05
"""Share of A/A comparisons that may find a regression."""
FOUND = 0.95
"""Share of comparisons with the slow-down that have to find one."""
SLOWER = 0.20
"""The slow-down, as a share of the latency that was measured."""
SERVICE_TIME = 0.005
"""Median of the service time of the server, in seconds."""
FOLDER = ROOT / "runs" / "benchmarks" / "comparison"
COMPARISONS = 200
LONGEST = 60.0
"""Seconds that one run may take."""
KINDS = ("base", "again", "slow")

SCENARIO = """\
name: paced
executor: constant-users
users: 4
duration: {seconds}s
workload: {{job: quick, single: 1}}
follow: {{poll_min: 5ms, poll_max: 10ms, deadline: 10s}}
"""
PROFILE = """\
name: paced
address: {host}:{port}
target: {{quantum_processor_id: qpu-1}}
jobs: {{quick: {{text: controller-job duration=2ms estimate=2ms, duration: 2ms}}}}
"""


@dataclass(frozen=True)
class Tally:
    """Comparisons of one kind: how many found a regression, of how many; how many sets of runs no two of which share one."""

    alarms: int
    comparisons: int
    disjoint: int
    effects: tuple[float, ...]
    by_measure: Counter[str]

    @property
    def share(self) -> float:
        """The share that found a regression."""
        return self.alarms / self.comparisons if self.comparisons else 0.0


class Pool:
    """A folder of run records, by round and kind."""

    def __init__(self, folder: Path, seconds: int) -> None:
        self.folder = folder
        self._seconds = seconds
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, number: int, kind: str) -> Path:
        """Return where the record of a run is kept."""
        return self.folder / f"{number:04}-{kind}.jsonl"

    def run(self, path: Path, server: dict[str, object]) -> None:
        """Make one load run against a server. Raises FailedError when that leaves no record."""
        scenario, profile, beside = (self.folder / name for name in ("scenario.yaml", "profile.yaml", "run.part"))
        scenario.write_text(SCENARIO.format(seconds=self._seconds), encoding="utf-8")
        profile.write_text(PROFILE.format(**server), encoding="utf-8")
        beside.unlink(missing_ok=True)
        command = [sys.executable, "-m", "loadtests", "--headless", "--endpoint-profile", str(profile)]
        command += ["--scenario", str(scenario), "--record", str(beside)]
        done = subprocess.run(command, cwd=ROOT, timeout=LONGEST, check=False, capture_output=True, text=True)  # noqa: S603 - ours
        if not beside.exists():
            raise FailedError(f"a load run left no record: {done.stderr.strip().splitlines()[-1:]}")
        beside.replace(path)

    def rounds(self) -> list[dict[str, Record]]:
        """Return the rounds that are complete, in their order."""
        found = []
        for first in sorted(self.folder.glob("[0-9]*-base.jsonl")):
            paths = {kind: self.path(int(first.name.partition("-")[0]), kind) for kind in KINDS}
            with contextlib.suppress(ConfigError):
                records = {kind: load_record(path) for kind, path in paths.items()}
                found += [records] if not any(record.incomplete for record in records.values()) else []
        return found


@contextlib.contextmanager
def serving(service_time: float) -> Iterator[dict[str, object]]:
    """Run a server during the block, and yield where it is."""
    command = server_command(service_time)
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ours
        assert process.stdout is not None  # noqa: S101 - asked for
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def calibrated(pool: Pool) -> float:
    """Return the service time of the slower server, in seconds: measured in three runs at the first time, then kept."""
    place = pool.folder / "calibration.json"
    if not place.exists():
        latencies = []
        with serving(SERVICE_TIME) as server:
            for number in range(3):
                path = pool.folder / f"calibration-{number}.jsonl"
                pool.run(path, server)
                (run,) = load_runs([load_record(path)])
                latencies += [row.spread.p50 / 1000 for row in run.load.rpcs if row.spread is not None]
        latency = median(latencies)
        data = {"latency": latency, "service_time": SERVICE_TIME, "slow_service_time": SERVICE_TIME + SLOWER * latency}
        write_atomically(place, json.dumps(data, indent=1).encode())
    found: float = json.loads(place.read_text(encoding="utf-8"))["slow_service_time"]
    return found


def make(pool: Pool, rounds: int, seconds: float) -> None:
    """Make the runs that are missing, for at most so many seconds."""
    deadline = time.monotonic() + seconds
    slow = calibrated(pool)
    with serving(SERVICE_TIME) as base, serving(slow) as slower:
        servers = {"base": base, "again": base, "slow": slower}
        for number in range(1, rounds + 1):
            order = random.Random(number).sample(KINDS, len(KINDS))  # noqa: S311 - nothing secret
            for kind in order:
                if time.monotonic() > deadline:
                    return
                path = pool.path(number, kind)
                if not path.exists():
                    pool.run(path, servers[kind])
            if number % 10 == 0:
                print(f"{number} of {rounds} rounds are there", flush=True)


def judge(rounds: Sequence[dict[str, Record]], per_side: int, one: str, two: str) -> Tally:
    """Compare runs of kind `one` with runs of kind `two`, over all stretches of `per_side` rounds, the last `COMPARISONS`."""
    alarms, effects, by_measure = 0, [], Counter[str]()
    starts = range(len(rounds) - per_side + 1)[-COMPARISONS:]
    for start in starts:
        stretch = rounds[start : start + per_side]
        comparison = compare([item[one] for item in stretch], [item[two] for item in stretch])
        if comparison.refusals:
            raise ConfigError(comparison.refusals[0].text)
        alarms += comparison.regressed
        by_measure.update(comparison.regressions)
        effects.append(_effect(comparison))
    disjoint = (starts.stop - starts.start) // per_side if len(starts) else 0
    return Tally(alarms, len(starts), disjoint, tuple(effects), by_measure)


def _effect(comparison: Comparison) -> float:
    return fmean(item.effect for item in comparison.measures if item.statistic == "p50" and item.effect is not None)


def _told(label: str, tally: Tally, bar: str, kept: bool) -> str:
    spread = f"effect on p50 {min(tally.effects):+.1f} to {max(tally.effects):+.1f} %, mean {fmean(tally.effects):+.1f} %"
    which = ", ".join(f"{name} {count}" for name, count in tally.by_measure.most_common(4))
    return (
        f"{label}: {tally.alarms} of {tally.comparisons} found a regression ({100 * tally.share:.1f} %; bar: {bar}): "
        f"{'kept' if kept else 'NOT kept'}; {tally.disjoint} sets of runs of their own; {spread}"
        + (f"; {which}" if which else "")
    )


def main() -> int:
    """Make runs, judge them, print; 0 when both bars are kept, else 1."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--folder", type=Path, default=FOLDER, help="where records are kept (default: runs/benchmarks/comparison)"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of three runs (default: enough for 200 comparisons)")
    parser.add_argument("--minutes", type=float, default=90.0, metavar="M", help="how long to make runs (default: %(default)g)")
    parser.add_argument("--per-side", type=int, default=5, metavar="K", help="runs on each side (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=3, metavar="S", help="length of a run (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="few rounds, for a first look")
    parser.add_argument("--judge-only", action="store_true", help="make no runs")
    options = parser.parse_args()
    if not (1 <= options.per_side <= 50 and 1 <= options.seconds <= 60 and 0 <= options.minutes <= 600):
        parser.error("--per-side: 1 to 50, --seconds: 1 to 60, --minutes: 0 to 600")
    rounds = options.rounds or (options.per_side + (3 if options.quick else COMPARISONS - 1))
    try:
        pool = Pool(options.folder, options.seconds)
        if not options.judge_only:
            make(pool, rounds, 60 * options.minutes)
        return _judged(pool, options.per_side, options.seconds)
    except (FailedError, ConfigError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def _judged(pool: Pool, per_side: int, seconds: int) -> int:
    """Judge and print what is in the pool; 0 when both bars are kept, else 1."""
    found = pool.rounds()
    if len(found) < per_side:
        raise FailedError(f"{len(found)} rounds are complete, and a comparison takes {per_side}")
    same, slower = (judge(found, per_side, "base", kind) for kind in ("again", "slow"))
    quiet, sharp = same.share <= FALSE_ALARMS, slower.share >= FOUND
    print(f"{len(found)} rounds of three runs of {seconds} s, {per_side} runs on each side")
    print(_told("the same server", same, f"at most {100 * FALSE_ALARMS:g} %", quiet))
    print(_told(f"a server slower by {100 * SLOWER:g} %", slower, f"at least {100 * FOUND:g} %", sharp))
    return 0 if quiet and sharp else 1


if __name__ == "__main__":
    sys.exit(main())
