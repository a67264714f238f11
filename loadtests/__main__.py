"""`python -m loadtests`: Locust with our locustfile, and without a traceback if a signal comes while it is still being loaded."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from loadtests.quiet import leave_quietly
from loadtests.runner import LOCUSTFILE


def main() -> None:
    """Run Locust; the command line is Locust's, with `-f` given already."""
    leave_quietly()
    sys.argv[1:1] = ["-f", str(LOCUSTFILE)]
    # Importing Locust takes most of the time of starting, so it waits until signals are taken care of.
    locust: Any = importlib.import_module("locust.main")
    locust.main()


main()
