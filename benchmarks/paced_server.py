"""The reference Controller with a known service time: each call is answered so much later, drawn around a mean.

`python -m benchmarks.paced_server --service-time 0.005` serves on a free port until its standard input ends, and says where as a
line of JSON. So a build that is slower by so many per cent can be made at will.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import random
import signal
import sys
import threading
from typing import Any

from harness.server.run import Bound, run
from harness.server.service import Answer, Service
from harness.server.settings import ServerSettings
from harness.server.variants.registry import Variant, add

SPREAD = 0.25
"""Standard deviation of the logarithm of a service time: real ones are not all the same."""
NAME = "paced"


def paced(service_time: float) -> type[Service]:
    """Return a service whose calls take `service_time` seconds longer, at the median."""

    class Paced(Service):
        """Takes its time before it handles a call."""

        def call(self, rpc: str, payload: bytes, **how: Any) -> Answer[bytes]:
            """Answer a call, later."""
            return self._later(rpc, payload, how)

        async def _later(self, rpc: str, payload: bytes, how: Any) -> bytes:
            await asyncio.sleep(service_time * random.lognormvariate(0, SPREAD))
            answer = super().call(rpc, payload, **how)
            return answer if isinstance(answer, bytes) else await answer

    return Paced


def command(service_time: float) -> list[str]:
    """Return the command that starts such a server."""
    return [sys.executable, "-m", "benchmarks.paced_server", "--service-time", str(service_time)]


def _announce(bound: Bound) -> None:
    print(json.dumps(dataclasses.asdict(bound)), flush=True)


def _stop_with_input() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> int:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--service-time", type=float, required=True, metavar="SECONDS", help="median of the service time")
    options = parser.parse_args()
    add(Variant(NAME, "calls take longer", service=paced(options.service_time)))
    threading.Thread(target=_stop_with_input, daemon=True).start()
    run(ServerSettings(port=0, observer_port=None, variant=NAME), _announce)
    return 0


if __name__ == "__main__":
    sys.exit(main())
