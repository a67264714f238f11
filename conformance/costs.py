"""What checks cost, before they run: jobs and calls, from real runs on the reference server (`costs.json`).

What depends on the endpoint is worked out from its profile: a queue to be filled, executors to be held, jobs that run for longer
and so are asked after more often. `python -m conformance.costs RECORD...` makes the file again from records of full runs.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.budget import Cost
from harness.gates import plural
from harness.profile import Profile
from harness.record import CheckLine, Record
from harness.recorder import load_record, write_atomically

TIERS = ("read-only", "light", "full")
"""How much the endpoint may be made to do: nothing but answer, a few quick jobs per check, or all that checks need."""
LIGHT_JOBS = 25
"""Most jobs of one check in the tier light."""
FILE = Path(__file__).with_name("costs.json")
_DELAY = Cost(jobs=4, calls=120)
"""What it takes to count by how long a probe waits, attempts that confirm it left out."""
_MARGIN = 1.25
"""Runs differ: reads while waiting, a second attempt, the clean-up."""


@dataclass(frozen=True)
class Entry:
    """What one check did at most on the reference server.

    `jobs` without those that hold executors or fill queues; `calls` without the `reads` of statuses; `held`, `filled` and
    `counted` say how often executors were held, a queue was filled and jobs were counted.
    """

    jobs: int
    calls: int
    reads: int
    held: int
    filled: int
    counted: int


@dataclass(frozen=True)
class Costs:
    """The entries by check, and how long the jobs were that they were measured with, in seconds by role."""

    durations: Mapping[str, float]
    checks: Mapping[str, Entry]

    def of(self, check: str, profile: Profile) -> Cost | None:
        """Return about how much a check takes at most on an endpoint; None for a check that was never measured."""
        entry = self.checks.get(check)
        if entry is None:
            return None
        unseen = entry.counted if profile.facts.observer is None else 0
        by_delay = unseen if profile.facts.queue_capacity is None else 0
        fills = entry.filled + unseen - by_delay
        holds = entry.held + (fills - entry.filled)
        fill = _fill(profile.facts.queue_capacity or 0, profile.facts.max_configurations)
        jobs = entry.jobs + by_delay * _DELAY.jobs + holds * (profile.facts.executors or 1) + fills * fill.jobs
        slower = max(
            (job.total / self.durations[role] for role, job in profile.jobs.items() if self.durations.get(role)), default=1.0
        )
        reads = entry.reads * max(1.0, slower)
        return Cost(jobs, math.ceil((entry.calls + reads) * _MARGIN) + fills * fill.calls + by_delay * _DELAY.calls)


def _fill(capacity: int, most: int) -> Cost:
    """Return what filling a queue takes: full requests until one is refused, then halves of halves."""
    size = max(1, min(capacity, most))
    # Each half is tried until it is refused: twice at most, for what was refused before was twice as large.
    return Cost(capacity + 2 * size, math.ceil(capacity / size) + 2 * size.bit_length())


@cache
def builtin_costs() -> Costs:
    """Return the costs that come with the suites."""
    data = json.loads(FILE.read_text(encoding="utf-8"))
    return Costs(data["durations"], {name: Entry(**entry) for name, entry in data["checks"].items()})


def plan(checks: Iterable[str], profile: Profile, tier: str) -> dict[str, Any]:
    """Return what a run is going to take at most: the event that is shown before it begins."""
    names = list(checks)
    costs = [builtin_costs().of(name, profile) for name in names]
    total = sum((cost for cost in costs if cost is not None), Cost())
    unknown = costs.count(None)
    text = f"tier {tier}: {plural(len(names), 'check')}, at most about {total.jobs:,} jobs and {total.calls:,} calls"
    text += f", and {unknown} of unknown cost" if unknown else ""
    for what, wanted, limit in (("jobs", total.jobs, profile.budget.jobs), ("calls", total.calls, profile.budget.calls)):
        if limit is not None and wanted > limit:
            text += f"; the budget allows {limit:,} {what}, checks that do not fit are skipped"
    return {"event": "plan", "tier": tier, "checks": len(names), "jobs": total.jobs, "calls": total.calls, "text": text}


def measured(records: Sequence[Record]) -> Costs:
    """Return the costs that records of runs on the reference server show: the most of each figure that was seen."""
    durations = {
        role: float(job["duration"]) + float(job["post_processing"]) for role, job in records[0].header.profile["jobs"].items()
    }
    checks: dict[str, Entry] = {}
    for record in records:
        facts = record.header.profile["facts"]
        fill = _fill(int(facts["queue_capacity"]), int(facts["max_configurations"])).jobs
        for line in record.lines:
            if isinstance(line, CheckLine) and line.verdict != "skipped":
                entry = _entry(line, fill, int(facts["executors"]))
                checks[line.check] = _most(checks.get(line.check, entry), entry)
    return Costs(durations, dict(sorted(checks.items())))


def _entry(line: CheckLine, fill: int, executors: int) -> Entry:
    done = {name: line.effort.get(name, 0) for name in ("reads", "held", "filled", "counted")}
    jobs = max(0, line.jobs - done["filled"] * fill - done["held"] * executors)
    return Entry(jobs=jobs, calls=max(0, line.calls_made - done["reads"]), **done)


def _most(one: Entry, other: Entry) -> Entry:
    return Entry(**{name: max(value, asdict(other)[name]) for name, value in asdict(one).items()})


def main(paths: Sequence[str]) -> None:
    """Write `costs.json` from records."""
    costs = measured([load_record(Path(path)) for path in paths])
    rows = [f"  {json.dumps(name)}: {json.dumps(asdict(entry))}" for name, entry in costs.checks.items()]
    text = f'{{"durations": {json.dumps(costs.durations)},\n "checks": {{\n' + ",\n".join(rows) + "\n }}\n"
    write_atomically(FILE, text.encode())


if __name__ == "__main__":
    main(sys.argv[1:])
