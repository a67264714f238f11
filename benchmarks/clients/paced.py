"""`python -m benchmarks.clients.paced PORT CALL RATE SECONDS`: one blocking call after the other at a fixed rate.

Prints the latencies as JSON, in microseconds, each from when the call was sent. It stands in for a paced h2load where that is
not installed: nothing but a socket and nghttp2 between the clock and the wire.
"""

from __future__ import annotations

import json
import sys
import time

from benchmarks import messages
from benchmarks.wire_client import Client

SPIN = 0.0005
"""Seconds before a call is due from which this does not sleep any more."""


def main(port: int, what: str, rate: float, seconds: float) -> list[int]:
    """Return the latencies of all calls."""
    client, octets, taken = Client(port), messages.message(what).SerializeToString(), []
    begun = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = begun + number / rate
        while (left := due - time.perf_counter()) > 0:
            if left > SPIN:
                time.sleep(left - SPIN)
        sent = time.perf_counter()
        client.start(messages.METHODS[what], octets)
        while not client.turn():
            continue
        taken.append(round(1e6 * (time.perf_counter() - sent)))
    client.close()
    return taken


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))))
