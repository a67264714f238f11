"""What a submission of 10 requests x 10 configurations costs a load run beside its transport, in one process without network.

`python -m benchmarks.submission_path [--submissions 2000] [--rounds 5]`. The steps take turns within each round, each with books
of its own; figures are medians of CPU time. The yardstick is protobuf alone: to encode the request and to read the ids in the
answer, one by one, as a client does that keeps no books.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import yaml

from benchmarks import messages
from benchmarks.ledger_memory import fresh_ids
from benchmarks.ours import profile_at
from harness.endpoint import Endpoint, resolve
from harness.history import Rpc
from harness.profile import load_profile
from harness.stubs import service_pb2
from harness.workload import Follow, Workload
from loadtests.driver import Driver, Workshop
from loadtests.ledger import LoadLedger
from loadtests.patience import Patience
from loadtests.payloads import Payloads
from loadtests.program import Answer, Ask, Program
from loadtests.receipts import Ids, Reader
from loadtests.recording import Recording
from loadtests.workload import Chooser, Submission

POLLS = 20
"""How often each job is asked for where jobs are followed."""
_JOBS = messages.REQUESTS * messages.CONFIGURATIONS
_SHARED = b"key of a distributed run"
Step = Callable[[], object]


def workload(**changes: float) -> Workload:
    """Return batches as the suite's benchmark makes them."""
    return Workload(
        single=0,
        batch=1,
        requests_per_batch=messages.REQUESTS,
        configurations_per_request=messages.CONFIGURATIONS,
        memory_values_per_configuration=messages.REALS,
        memory_region=messages.REGION,
        **changes,  # type: ignore[arg-type]
    )


class Bench:
    """Submissions and the octets of their answers, and each step of a submission's way through a load run."""

    def __init__(self, endpoint: Endpoint, submissions: int) -> None:
        source = random.Random(3)  # noqa: S311 - nothing secret
        self._source = source
        self._payloads = Payloads(endpoint, workload())
        self._chooser = Chooser(workload(followed=0), Follow(), source, source)
        self._message = messages.message("batch")
        self.answers = [_answer(source) for _ in range(submissions)]
        self._submissions = [self._chooser.submission() for _ in range(submissions)]
        self._reader = Reader(Rpc.BATCH)
        self._ids = [self._reader(octets) for octets in self.answers]

    def protobuf(self) -> None:
        """Encode requests and read the ids in their answers by protobuf alone."""
        for octets in self.answers:
            self._message.SerializeToString()
            answer = service_pb2.BatchExecuteControllerJobsResponse.FromString(octets)
            [list(member.job_execution_ids) for member in answer.responses]

    def choose(self) -> None:
        """Draw submissions."""
        for _ in self.answers:
            self._chooser.submission()

    def encode(self) -> None:
        """Encode submissions."""
        for submission in self._submissions:
            self._payloads.submission(submission)

    def read(self) -> None:
        """Take the ids out of answers."""
        for octets in self.answers:
            self._reader(octets)

    def enter(self) -> None:
        """Enter the ids of jobs that nobody follows in the books."""
        self._enter(LoadLedger())

    def enter_shared(self) -> None:
        """Enter the same by digests that are shared by processes with hashes of their own."""
        self._enter(LoadLedger(_SHARED))

    def enter_followed(self) -> None:
        """Enter the ids of jobs that somebody follows."""
        ledger = LoadLedger()
        for submission, ids in self._sent(ledger):
            ledger.acknowledged(submission, ids, "call")

    def whole(self) -> None:
        """Run the users' own program from the draw to the books, for jobs that nobody follows."""
        self._drive(self._driver(followed=0), POLLS)

    def poll(self) -> None:
        """Ask for followed jobs whose status does not change: `POLLS` times each, a hundredth of the submissions."""
        self._drive(self._driver(followed=1), POLLS, share=100)

    def _enter(self, ledger: LoadLedger) -> None:
        for submission, ids in self._sent(ledger):
            ledger.acknowledged_only(submission, ids, "call")
        if ledger.summary().acknowledged_jobs != _JOBS * len(self.answers):
            raise AssertionError("ids were taken for ones that had been given out before")

    def _sent(self, ledger: LoadLedger) -> Iterator[tuple[Submission, Ids]]:
        for submission, ids in zip(self._submissions, self._ids, strict=True):
            ledger.offered(submission)
            ledger.sent(submission)
            yield submission, ids

    def _driver(self, followed: float) -> Driver:
        chosen = workload(followed=followed)
        follow = Follow(poll_min=0, jitter=0)
        shop = Workshop(self._payloads, follow, LoadLedger(), Recording(), Patience())
        return Driver(shop, Chooser(chosen, follow, self._source, self._source))

    def _drive(self, driver: Driver, polls: int, share: int = 1) -> None:
        """Have a driver make submissions, and answer each of its calls at once; jobs stay queued."""
        queued = service_pb2.GetControllerJobStatusResponse(status=service_pb2.GetControllerJobStatusResponse.QUEUED)
        status, read = Answer(Rpc.STATUS, "OK", queued, None, 2, 3, b"call"), self._reader
        for octets in self.answers[: len(self.answers) // share]:
            program: Program[None] = driver.step()
            wish, left = next(program), polls * _JOBS
            try:
                while left:
                    if isinstance(wish, Ask) and wish.rpc is Rpc.STATUS:
                        left -= 1
                        wish = program.send(status)
                    else:
                        wish = program.send(Answer(Rpc.BATCH, "OK", read(octets), None, 0, 1, b"call"))
            except StopIteration:
                continue
            program.close()


def _answer(source: random.Random) -> bytes:
    ids = [[job_id.decode() for job_id in fresh_ids(source, messages.CONFIGURATIONS).flat] for _ in range(messages.REQUESTS)]
    members = [service_pb2.ExecuteControllerJobResponse(job_execution_ids=some) for some in ids]
    return service_pb2.BatchExecuteControllerJobsResponse(responses=members).SerializeToString()


def measured(steps: Sequence[Step], rounds: int) -> list[float]:
    """Return the median CPU seconds of each step; the steps take turns."""
    seconds: list[list[float]] = [[] for _ in steps]
    for _ in range(rounds):
        for found, step in zip(seconds, steps, strict=True):
            begun = time.process_time()
            step()
            found.append(time.process_time() - begun)
    return [statistics.median(found) for found in seconds]


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--submissions", type=int, default=2000, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how many (default: %(default)s)")
    options = parser.parse_args()
    if not 100 <= options.submissions <= 20_000 or not 1 <= options.rounds <= 100:
        parser.error("--submissions is 100 to 20000, --rounds 1 to 100")
    bench = Bench(resolve(load_profile(yaml.safe_dump(profile_at(1)), "benchmark"), Path()), options.submissions)
    rows = {
        "protobuf alone: encode the message, read the ids": bench.protobuf,
        "a whole submission of jobs that nobody follows": bench.whole,
        "  draw it": bench.choose,
        "  encode it": bench.encode,
        "  take the ids out of its answer": bench.read,
        "  enter them in the books": bench.enter,
        "enter them by shared digests instead": bench.enter_shared,
        "enter them as jobs to follow instead": bench.enter_followed,
    }
    found = measured([*rows.values(), bench.poll], options.rounds)
    print(f"{_JOBS} ids per submission, {options.submissions} submissions, {options.rounds} rounds\n")
    print(f"{'step':52}{'us':>8}{'us per id':>12}{'of protobuf':>14}")
    for name, seconds in zip(rows, found, strict=False):
        micros = 1e6 * seconds / options.submissions
        print(f"{name:52}{micros:8.1f}{micros / _JOBS:12.2f}{seconds / found[0]:14.2f}")
    polls = options.submissions // 100 * _JOBS * POLLS
    print(f"{'a poll that finds the status unchanged':52}{1e6 * found[-1] / polls:8.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
