"""What the ledger of a load run costs: memory per job, open or settled, and the time of its audit beyond the calls.

`python -m benchmarks.ledger_memory [--jobs 1000000]`. Each figure is taken in a process of its own, as growth of its
resident memory and CPU time; jobs come in submissions of 100, with ids of 36 characters. Linux only.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.endpoint import Endpoint, resolve
from harness.history import Rpc
from harness.ids import random_key
from harness.model import Status
from harness.profile import load_profile
from harness.stubs import service_pb2
from harness.workload import Follow, Workload
from loadtests.audit import CLERKS, Audit, Step
from loadtests.ledger import LoadLedger, TrackedJob
from loadtests.lifecycle import JobLife
from loadtests.payloads import Payloads
from loadtests.program import Answer, Ask, run_waiting
from loadtests.workload import Submission

MEMORY_BAR = 250
"""Megabytes that a million open jobs may take in the books: their ids, handles, and the set of ids."""
AUDIT_BAR = 10.0
"""Seconds of CPU that the audit of a million jobs may take beyond its calls."""
LONGEST = 600
"""Seconds that one measurement may take."""
_BATCH = 100
_MILLION = 1_000_000
_PROFILE = "name: t\naddress: 127.0.0.1:1\ntarget: {quantum_processor_id: qpu-1}\njobs:\n  quick: {text: x}\n"
_KEY = b"key of a distributed run"
Figures = dict[str, float]


def _resident() -> float:
    """Return the resident memory of this process in megabytes."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _timed(do: Callable[[], object]) -> float:
    begun = time.process_time()
    do()
    return time.process_time() - begun


def _acknowledge(ledger: LoadLedger, jobs: int) -> Iterator[tuple[TrackedJob, ...]]:
    """Enter so many jobs in the books, and yield them submission by submission."""
    source = random.Random(5)  # noqa: S311 - nothing secret
    for _ in range(jobs // _BATCH):
        submission = Submission(Rpc.EXECUTE, random_key(source), (_BATCH,), False, False)
        ledger.offered(submission)
        ledger.sent(submission)
        digits = (f"{source.getrandbits(128):032x}" for _ in range(_BATCH))
        ids = tuple(f"{d[:8]}-{d[8:12]}-{d[12:16]}-{d[16:20]}-{d[20:]}" for d in digits)
        yield ledger.acknowledged(submission, (ids,), "call")


def measure_open(jobs: int) -> Figures:
    """Measure what the books hold of jobs that wait in the queue: their ids and handles, and the set of ids."""
    before, ledger, kept = _resident(), LoadLedger(), list[TrackedJob]()
    for batch in _acknowledge(ledger, jobs):
        for job in batch:
            ledger.saw_status(job, Status.QUEUED, "call")
        kept.extend(batch)
    return {"megabytes": _resident() - before, "summary_seconds": _timed(ledger.summary)}


def measure_lives(jobs: int) -> Figures:
    """Measure what the times of their lives take besides: each job has been asked for once, at its own time."""
    before, kept = _resident(), list[JobLife]()
    now = 1_000_000_000_000
    for _ in range(jobs // _BATCH):
        acknowledged = now
        for _ in range(_BATCH):
            life = JobLife(acknowledged, acknowledged)
            now += 1000
            life.saw(Status.QUEUED, now, now + 500)
            kept.append(life)
    return {"megabytes": _resident() - before}


def measure_settled(jobs: int) -> Figures:
    """Measure jobs that are over: what is left of each is in the set of ids, by the shared digest of a distributed run."""
    before, ledger = _resident(), LoadLedger(_KEY)
    entering = 0.0
    for batch in _acknowledge(ledger, jobs):
        begun = time.process_time()
        for job in batch:
            ledger.saw_status(job, Status.SUCCEEDED, "call")
            ledger.settle(job)
        entering += time.process_time() - begun
    grown = _resident() - before
    return {"megabytes": grown, "summary_seconds": _timed(ledger.summary), "digests_seconds": _timed(ledger.digests)}


def measure_audit(jobs: int) -> Figures:
    """Measure the audit of jobs that were all left unfinished; the time of its calls is taken off."""
    ledger = LoadLedger()
    for batch in _acknowledge(ledger, jobs):
        for job in batch:
            ledger.settle(job)
    response = service_pb2.GetControllerJobStatusResponse(status=service_pb2.GetControllerJobStatusResponse.RUNNING)
    answer = Answer(Rpc.STATUS, response, None, b"call", 0, 1)
    asked = 0

    def call(_: Ask) -> Answer:
        nonlocal asked
        asked += 1
        return answer

    def share(step: Step) -> None:
        for program in [step() for _ in range(CLERKS)]:
            run_waiting(program, call, lambda _: None)

    audit = Audit(ledger, Payloads(_endpoint(), Workload()), Follow(), lambda: 1.0)
    seconds = _timed(lambda: audit.conduct(share))
    if asked != jobs or ledger.summary().unfinished != jobs:
        raise AssertionError(f"asked for {asked} of {jobs} jobs")
    return {"audit_seconds": seconds}


def _endpoint() -> Endpoint:
    return resolve(load_profile(_PROFILE, "benchmark"), Path())


MEASURES: dict[str, Callable[[int], Figures]] = {
    "open": measure_open,
    "lives": measure_lives,
    "settled": measure_settled,
    "audit": measure_audit,
}


def measured(name: str, jobs: int) -> Figures:
    """Take one measurement in a process of its own. Raises subprocess.SubprocessError."""
    command = [sys.executable, "-m", "benchmarks.ledger_memory", "--measure", name, "--jobs", str(jobs)]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=LONGEST, check=True, cwd=root)  # noqa: S603 - ours
    figures: Figures = json.loads(done.stdout)
    return figures


def main() -> int:
    """Measure and print; 0 when the bars are kept, else 1."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=_MILLION, metavar="N", help="how many jobs (default: %(default)s)")
    parser.add_argument("--measure", choices=list(MEASURES), help="take this measurement in this process, and print it as JSON")
    options = parser.parse_args()
    if not _BATCH <= options.jobs <= 20 * _MILLION:
        parser.error(f"--jobs: must be from {_BATCH} to {20 * _MILLION}")
    jobs = options.jobs - options.jobs % _BATCH
    if options.measure:
        print(json.dumps(MEASURES[options.measure](jobs)))
        return 0
    waiting, lives, over, audit = (measured(name, jobs) for name in MEASURES)
    per_job = 1e6 / jobs
    print(f"{jobs:,} open jobs: {waiting['megabytes']:.0f} MB, {waiting['megabytes'] * per_job:.0f} octets each")
    print(f"times of their lives besides: {lives['megabytes']:.0f} MB, {lives['megabytes'] * per_job:.0f} octets each")
    print(f"{jobs:,} settled jobs: {over['megabytes']:.0f} MB, {over['megabytes'] * per_job:.0f} octets each")
    print(f"summary: {waiting['summary_seconds'] * 1e3:.1f} ms; digests of all ids: {over['digests_seconds'] * 1e3:.1f} ms")
    print(f"audit of {jobs:,} jobs beyond its calls: {audit['audit_seconds']:.1f} s of CPU")
    millions = jobs / _MILLION
    kept = waiting["megabytes"] <= MEMORY_BAR * millions and audit["audit_seconds"] <= AUDIT_BAR * millions
    print(f"bars (per million jobs: {MEMORY_BAR} MB open, {AUDIT_BAR:.0f} s of audit): {'kept' if kept else 'NOT kept'}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
