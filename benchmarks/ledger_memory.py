"""What the ledger of a load run costs: memory per job, open or over, and the time of its audit beyond the calls.

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
from loadtests.driver import Driver, Workshop
from loadtests.ledger import LoadLedger
from loadtests.lifecycle import TrackedJob
from loadtests.patience import Patience
from loadtests.payloads import Payloads
from loadtests.program import Answer, Ask, Program, run_waiting
from loadtests.receipts import Ids, ids_in
from loadtests.recording import Recording
from loadtests.workload import Chooser, Submission

MEMORY_BAR = 250
"""Megabytes that a million open jobs may take: ids, handles, the times of their lives, the set of ids, and who follows them."""
AUDIT_BAR = 10.0
"""Seconds of CPU that the audit of a million jobs may take beyond its calls."""
LONGEST = 600
"""Seconds that one measurement may take."""
_BATCH = 100
_MILLION = 1_000_000
_PROFILE = "name: t\naddress: 127.0.0.1:1\ntarget: {quantum_processor_id: qpu-1}\njobs:\n  quick: {text: x}\n"
_KEY = b"key of a distributed run"
_SENT_NS, _MICRO = 1_000_000_000_000, 1000
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


def fresh_ids(source: random.Random, count: int) -> Ids:
    """Return so many ids of one request, written as UUIDs are."""
    digits = (f"{source.getrandbits(128):032x}" for _ in range(count))
    return ids_in([[f"{d[:8]}-{d[8:12]}-{d[12:16]}-{d[16:20]}-{d[20:]}" for d in digits]])


def _answers(ledger: LoadLedger, jobs: int) -> Iterator[tuple[Submission, Ids]]:
    """Note so many jobs as submitted, and yield submissions and their ids."""
    source = random.Random(5)  # noqa: S311 - nothing secret
    for _ in range(jobs // _BATCH):
        submission = Submission(Rpc.EXECUTE, random_key(source), (_BATCH,), False, False)
        ledger.offered(submission)
        ledger.sent(submission)
        yield submission, fresh_ids(source, _BATCH)


def _acknowledge(ledger: LoadLedger, jobs: int) -> Iterator[tuple[TrackedJob, ...]]:
    """Enter so many jobs in the books, and yield them submission by submission; each answer has times of its own."""
    now = _SENT_NS
    for submission, ids in _answers(ledger, jobs):
        now += _MICRO
        yield ledger.acknowledged(submission, ids, "call", now, now + _MICRO)


def _ask(ledger: LoadLedger, jobs: Iterator[tuple[TrackedJob, ...]], *statuses: Status) -> list[TrackedJob]:
    """Have each job seen in some statuses, one after the other, each at a time of its own; return the jobs."""
    kept, now = list[TrackedJob](), 2 * _SENT_NS
    for batch in jobs:
        for job in batch:
            for status in statuses:
                now += _MICRO
                job.saw(status, now, now + 500)
                ledger.saw_status(job, status, "call")
        kept.extend(batch)
    return kept


def measure_queued(jobs: int) -> Figures:
    """Measure jobs that wait in the queue, and have been asked for once: all that the books hold of them."""
    before, ledger = _resident(), LoadLedger()
    kept = _ask(ledger, _acknowledge(ledger, jobs), Status.QUEUED)
    return {"megabytes": _resident() - before, "summary_seconds": _timed(ledger.summary), "jobs": len(kept)}


def measure_running(jobs: int) -> Figures:
    """Measure jobs that have been seen to queue and then to run: each has an error bar of its own."""
    before, ledger = _resident(), LoadLedger()
    kept = _ask(ledger, _acknowledge(ledger, jobs), Status.QUEUED, Status.RUNNING)
    return {"megabytes": _resident() - before, "jobs": len(kept)}


def measure_followed(jobs: int) -> Figures:
    """Measure queued jobs with their users, who rest after having asked for each of them once."""
    ledger, source = LoadLedger(), random.Random(5)  # noqa: S311 - nothing secret
    workload = Workload(configurations_per_request=_BATCH)
    shop = Workshop(Payloads(_endpoint(), workload), Follow(), ledger, Recording(), Patience())
    driver = Driver(shop, Chooser(workload, Follow(), source, source))
    queued = service_pb2.GetControllerJobStatusResponse(status=service_pb2.GetControllerJobStatusResponse.QUEUED)
    now, kept, before = _SENT_NS, list[Program[None]](), _resident()
    for _ in range(jobs // _BATCH):
        program = driver.step()
        wish, rests = next(program), 0
        while True:
            if isinstance(wish, Ask):
                now += _MICRO
                response = queued if wish.rpc is Rpc.STATUS else fresh_ids(source, _BATCH)
                wish = program.send(Answer(wish.rpc, "OK", response, None, now, now + 500, b"call"))
            elif rests:
                break
            else:
                rests, wish = rests + 1, program.send(None)
        kept.append(program)
    megabytes = _resident() - before
    if ledger.summary().unfinished != jobs:
        raise AssertionError(f"{ledger.summary().unfinished} of {jobs} jobs are open")
    return {"megabytes": megabytes, "jobs": len(kept) * _BATCH}


def measure_settled(jobs: int) -> Figures:
    """Measure jobs that are over: what is left of each is in the set of ids, by the shared digest of a distributed run."""
    before, ledger = _resident(), LoadLedger(_KEY)
    for batch in _acknowledge(ledger, jobs):
        for job in batch:
            ledger.saw_status(job, Status.SUCCEEDED, "call")
            ledger.settle(job)
    grown = _resident() - before
    return {"megabytes": grown, "summary_seconds": _timed(ledger.summary), "digests_seconds": _timed(ledger.digests)}


def measure_left_alone(jobs: int) -> Figures:
    """Measure jobs that nobody follows."""
    before, ledger = _resident(), LoadLedger()
    for submission, ids in _answers(ledger, jobs):
        ledger.acknowledged_only(submission, ids, "call")
    return {"megabytes": _resident() - before}


def measure_audit(jobs: int) -> Figures:
    """Measure the audit of jobs that were all left unfinished; the time of its calls is taken off."""
    ledger = LoadLedger()
    for batch in _acknowledge(ledger, jobs):
        for job in batch:
            ledger.settle(job)
    response = service_pb2.GetControllerJobStatusResponse(status=service_pb2.GetControllerJobStatusResponse.RUNNING)
    answer = Answer(Rpc.STATUS, "OK", response, None, 0, 1, b"call")
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
    "queued": measure_queued,
    "running": measure_running,
    "followed": measure_followed,
    "settled": measure_settled,
    "left alone": measure_left_alone,
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
    found = {name: measured(name, jobs) for name in MEASURES}
    for name, what in (
        ("queued", "open jobs, queued, with the times of their lives"),
        ("running", "the same, running"),
        ("followed", "open jobs, queued, and their users"),
        ("settled", "jobs that are over"),
        ("left alone", "jobs that nobody follows"),
    ):
        megabytes = found[name]["megabytes"]
        print(f"{jobs:,} {what}: {megabytes:.0f} MB, {megabytes * 1e6 / jobs:.0f} octets each")
    summary, digests = found["queued"]["summary_seconds"], found["settled"]["digests_seconds"]
    print(f"summary: {summary * 1e3:.1f} ms; digests of all ids: {digests * 1e3:.1f} ms")
    print(f"audit of {jobs:,} jobs beyond its calls: {found['audit']['audit_seconds']:.1f} s of CPU")
    millions = jobs / _MILLION
    largest = max(found[name]["megabytes"] for name in ("queued", "running", "followed"))
    kept = largest <= MEMORY_BAR * millions and found["audit"]["audit_seconds"] <= AUDIT_BAR * millions
    print(f"bars (per million jobs: {MEMORY_BAR} MB open, {AUDIT_BAR:.0f} s of audit): {'kept' if kept else 'NOT kept'}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
