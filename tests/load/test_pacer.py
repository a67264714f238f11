"""The pace of an open load, in an interpreter of its own: gevent's hub is not to be shared with other tests."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, sys, time, gevent
from harness.executors import Starts
from harness.schedule import Segment, starts
from loadtests.arrivals import Dispatch, Seat
from loadtests.pacer import Pacer

rate, seconds = float(sys.argv[1]), float(sys.argv[2])
parts = [Segment("", seconds, rate, rate)]
dispatch = Dispatch(parts, Starts(late_after=5.0), time.monotonic_ns, lambda: False)
pacer = Pacer(dispatch)

def made(seat):
    dispatch.begin(seat)
    freed.append(seat)

freed = []
for _ in range(10_000):
    seat = Seat(lambda: None)
    seat.wake = lambda seat=seat: made(seat)
    dispatch.free(seat)
begun, cpu = time.monotonic_ns(), time.process_time()
dispatch.follow(starts(parts, "even", 1), begun)
pacer.go_on()
turns = 0
while dispatch.next_due_ns is not None:
    gevent.sleep(0.01)
    while freed:
        dispatch.free(freed.pop())
took = (time.monotonic_ns() - begun) / 1e9
cpu = time.process_time() - cpu
pacer.close()
(line,) = dispatch.summary()
(delays,) = dispatch.delays()
p = {str(q): v for q, v in delays.histogram.spectrum((50, 99, 99.9))}
print(json.dumps({"made": line.started, "dropped": line.dropped, "took": took, "cpu": cpu, **p}))
"""


@pytest.mark.parametrize(("rate", "seconds"), [(200, 1.0), (20_000, 0.5)])
def test_every_start_is_made_in_its_time(rate: int, seconds: float) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(rate), str(seconds)], capture_output=True, text=True, timeout=60, check=True
    )
    told = json.loads(done.stdout)
    assert told["made"] + told["dropped"] == rate * seconds
    assert told["made"] > 0
    assert told["took"] >= seconds - 1 / rate
