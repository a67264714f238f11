"""What it costs to encode the requests of a load run: from constants, and built afresh with protobuf.

`python benchmarks/payload_encoding.py [--rounds 7] [--milliseconds 200]`. Both ways make the same octets in turn, in one process;
their order changes from round to round. Only the ratios of one invocation mean anything; CPU time is counted, not the clock's.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from google.protobuf.message import Message

from harness.endpoint import Endpoint, resolve
from harness.fixtures import MemoryValue
from harness.profile import load_profile
from harness.requests import Requests
from harness.stubs import service_pb2
from harness.workload import Follow, Workload
from loadtests.payloads import Payloads, reals
from loadtests.workload import Chooser, Submission

PROFILE = """\
name: benchmark
address: 127.0.0.1:1
target: {quantum_processor_id: qpu-1}
jobs:
  quick: {text: controller-job duration=2ms estimate=2ms, key_id: reference-key, nonce: AAECAwQFBgcICQoL}
"""
REGION, REALS = "theta", 16
JOB_ID = "6f1c2a9e-3b7d-4c58-9a01-8f4d2e6b7c90"
Way = Callable[[], bytes]


def plain_submission(requests: Requests, submission: Submission) -> Message:
    """Build a submission with protobuf alone."""
    members = []
    for size in submission.sizes:
        configurations = [requests.configuration("quick", {REGION: MemoryValue(real=reals(REALS))}) for _ in range(size)]
        members.append(requests.execute("quick", configurations=configurations))
    return requests.batch(members, key=submission.key)


def pairs(endpoint: Endpoint) -> dict[str, tuple[Way, Way]]:
    """Return for each kind of request how it is made from constants, and how afresh."""
    requests = Requests(endpoint)
    batch = Workload(
        single=0,
        batch=1,
        requests_per_batch=10,
        configurations_per_request=10,
        memory_values_per_configuration=REALS,
        memory_region=REGION,
    )
    payloads = Payloads(endpoint, batch)
    submission = Chooser(batch, Follow(), random.Random(1), random.Random(2)).submission()  # noqa: S311 - nothing secret
    return {
        "status": (lambda: payloads.status(JOB_ID.encode()), lambda: requests.status(JOB_ID).SerializeToString()),
        f"batch of 10 x 10 x {REALS} reals": (
            lambda: payloads.submission(submission),
            lambda: plain_submission(requests, submission).SerializeToString(),
        ),
    }


def check(name: str, ways: tuple[Way, Way]) -> None:
    """Make sure that both ways say the same. Raises RuntimeError."""
    kind: type[Message] = (
        service_pb2.GetControllerJobStatusRequest if name == "status" else service_pb2.BatchExecuteControllerJobsRequest
    )
    one, two = (kind.FromString(way()) for way in ways)
    if one != two:
        raise RuntimeError(f"{name}: the two ways do not say the same")


def micros_of(way: Way, seconds: float) -> float:
    """Return the CPU microseconds that one request takes, measured for about so many seconds of CPU time."""
    times, begun = 0, time.process_time()
    while True:
        for _ in range(20):
            way()
        times += 20
        spent = time.process_time() - begun
        if spent >= seconds:
            return spent / times * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each way (1 to 100)")
    parser.add_argument("--milliseconds", type=int, default=200, help="CPU time of each measurement (1 to 10000)")
    options = parser.parse_args()
    rounds, seconds = min(max(1, options.rounds), 100), min(max(1, options.milliseconds), 10_000) / 1000
    for name, ways in pairs(resolve(load_profile(PROFILE, "benchmark"), Path())).items():
        check(name, ways)
        found: tuple[list[float], list[float]] = ([], [])
        for number in range(rounds):
            for place in (0, 1) if number % 2 else (1, 0):
                found[place].append(micros_of(ways[place], seconds))
        ratios = [afresh / constant for constant, afresh in zip(*found, strict=True)]
        constant, afresh = map(statistics.median, found)
        print(
            f"{name}: {statistics.median(ratios):.1f} times cheaper ({min(ratios):.1f} to {max(ratios):.1f}); "
            f"from constants {constant:.2f} us, built afresh {afresh:.2f} us, {len(ways[0]()):,} octets"
        )


if __name__ == "__main__":
    main()
