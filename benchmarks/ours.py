"""Load runs of this project as its users start them, with the profile and the scenario that a measurement needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks import messages
from benchmarks.processes import Done, FailedError, Sink, run
from harness.record import Arrivals, Interval, Latency, Ledger, Record, SectionEnd
from harness.recorder import load_record
from loadtests.runner import command

SPARE = 60.0
"""Seconds that a run may take beyond its duration."""
CODES = (0, 1, 4)
"""Of runs that have a record to read; 4: the generator fell behind."""

FOLLOWING: Mapping[str, Any] = {
    "workload": {"single": 1},
    "follow": {"poll_min": "0s", "poll_max": "0s", "jitter": 0, "deadline": "20s"},
}
"""Users that submit a job and ask for its status without rest until it has ended."""
BATCHING: Mapping[str, Any] = {
    "workload": {
        "single": 0,
        "batch": 1,
        "requests_per_batch": messages.REQUESTS,
        "configurations_per_request": messages.CONFIGURATIONS,
        "memory_values_per_configuration": messages.REALS,
        "memory_region": messages.REGION,
        "followed": 0,
    }
}
"""Users that submit one batch after the other and leave the jobs alone."""
SUBMITTING: Mapping[str, Any] = {"workload": {"single": 1, "followed": 0}}
"""Users that submit one job after the other and leave it alone."""


@dataclass(frozen=True)
class LoadRun:
    """What a load run did, as the sink saw it and as its own record tells it."""

    done: Done
    record: Record

    @property
    def calls(self) -> int:
        """Calls by the record."""
        return sum(line.histogram.count for line in self._latencies("rpc"))

    def calls_within(self, seconds: float) -> int:
        """Return how many calls were answered in the first so many seconds, by the record."""
        return sum(line.count for line in self.record.lines if isinstance(line, Interval) and line.second < seconds)

    @property
    def errors(self) -> int:
        """Calls that failed, by the record, and rules of the ledger that were broken."""
        failed = sum(line.histogram.count for line in self._latencies("rpc") if line.code != "OK")
        return failed + sum(line.violation_count for line in self.record.lines if isinstance(line, Ledger))

    @property
    def arrivals(self) -> Arrivals | None:
        """What became of the starts of an open load."""
        return next((line for line in self.record.lines if isinstance(line, Arrivals)), None)

    def percentile(self, kind: str, percent: float) -> int:
        """Return a percentile of the latencies of a kind, in microseconds."""
        found = self._latencies(kind)
        if not found:
            raise FailedError(f"the record has no {kind} latencies")
        merged = found[0].histogram
        for line in found[1:]:
            merged.merge(line.histogram)
        return merged.percentile(percent)

    def _latencies(self, kind: str) -> list[Latency]:
        return [line for line in self.record.lines if isinstance(line, Latency) and line.kind == kind]


@dataclass
class Workbench:
    """Where runs are made: a folder for their files, and a number for each."""

    folder: Path
    made: int = field(default=0)

    def run(self, served: Sink, scenario: Mapping[str, Any], seconds: float, *, may_fall_behind: bool = False) -> LoadRun:
        """Run a scenario against a sink for so many seconds. Raises FailedError, also when any call has failed.

        It is none that an open load is more than the generator can make if it `may_fall_behind`: the record says so.
        """
        self.made += 1
        profile, file, record = (
            self.folder / f"{self.made}-{name}" for name in ("profile.yaml", "scenario.yaml", "record.jsonl")
        )
        profile.write_text(yaml.safe_dump(profile_at(served.port)), encoding="utf-8")
        file.write_text(yaml.safe_dump({"name": "benchmark", "duration": f"{seconds:g}s", **scenario}), encoding="utf-8")
        done = run(command(profile, file, record), served, seconds + SPARE, codes=CODES)
        found = LoadRun(done, load_record(record))
        if found.errors or found.record.incomplete:
            raise FailedError(found.record.incomplete or f"{found.errors} calls failed, or the ledger is not content")
        if done.code == 4 and not may_fall_behind:
            reasons = [line.reason for line in found.record.lines if isinstance(line, SectionEnd)]
            raise FailedError(f"the run is not valid: {'; '.join(reasons)}")
        return found


def profile_at(port: int) -> dict[str, Any]:
    """Return the profile of a sink."""
    memory = {messages.REGION: {"real": [0.5] * messages.REALS}}
    job = {"text": messages.PAYLOAD, "duration": "2ms", "memory": memory}
    return {
        "name": "sink",
        "address": f"127.0.0.1:{port}",
        "target": {"quantum_processor_id": messages.PROCESSOR},
        "jobs": {"quick": job},
    }


def users(work: Mapping[str, Any], number: int, engine: str) -> dict[str, Any]:
    """Return a closed scenario in which so many users do a kind of work."""
    return {"executor": "constant-users", "users": number, "engine": engine, **work}


def arrivals(work: Mapping[str, Any], rate: float, pool: int, engine: str) -> dict[str, Any]:
    """Return an open scenario with so many starts per second and so many users for them."""
    return {"executor": "constant-arrival-rate", "rate": rate, "preallocated_users": pool, "engine": engine, **work}
