"""The watch over the event loop, in an interpreter of its own: gevent's hub is not to be shared with other tests."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import time, gevent
from loadtests.pulse import Pulse

def busy(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass

def turns(seconds, work):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        busy(work)
        gevent.sleep(0)

pulse = Pulse(30.0)
pulse.start()
gevent.sleep(0.6)
print("idle", pulse.is_behind())
gevent.joinall([gevent.spawn(turns, 1.0, 0.001)])
gevent.sleep(0)
print("never idle", pulse.is_behind())
pulse.stop()

pulse = Pulse(0.2)
pulse.start()
gevent.sleep(0.01)
busy(0.3)
print("in a long turn", pulse.is_behind())
gevent.sleep(0.01)
print("after it", pulse.is_behind())
pulse.stop()
"""


def test_a_loop_that_never_idles_or_takes_long_turns_is_behind() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["idle False", "never idle True", "in a long turn True", "after it True"]
