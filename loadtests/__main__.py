"""`python -m loadtests`: Locust with our locustfile, and without a traceback if a signal comes while it is still being loaded."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from harness.errors import ConfigError, ExitCode
from loadtests.quiet import complain, leave_quietly
from loadtests.runner import LOCUSTFILE


def main() -> None:
    """Run Locust; the command line is Locust's, with `-f` given already."""
    leave_quietly()
    sys.argv[1:1] = ["-f", str(LOCUSTFILE)]
    # Importing Locust takes most of the time of starting, so it waits until signals are taken care of.
    locust: Any = importlib.import_module("locust.main")
    lost_connection: Any = importlib.import_module("locust.exception").RPCError
    try:
        locust.main()
    except lost_connection as error:
        complain(ConfigError(f"master and workers cannot meet: {error}", hint="give another port with --master-bind-port"))
        sys.exit(int(ExitCode.USAGE))
    except SystemExit as ended:
        # What keeps Locust from starting (no master that answers, say) has codes that mean something else here.
        started = importlib.import_module("loadtests.attach").has_session()
        if not started and ended.code in {1, -1}:
            sys.exit(int(ExitCode.USAGE))
        raise


main()
