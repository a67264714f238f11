"""`python -m harness.server SETTINGS`: a server process from settings as JSON; prints where it listens as one line of JSON.

For tests and tools; people use `controller-harness serve`.
"""

from __future__ import annotations

import dataclasses
import json
import sys

from harness.errors import ConfigError, ExitCode, HarnessError
from harness.server.run import Bound, run
from harness.server.settings import parse_settings


def main(arguments: list[str]) -> int:
    """Serve until a signal comes; returns the exit code."""
    try:
        try:
            raw = json.loads(arguments[0] if arguments else "{}")
        except ValueError:
            raise ConfigError("the settings are not JSON") from None
        if not isinstance(raw, dict):
            raise ConfigError("the settings are not a JSON object")
        run(parse_settings(raw), _announce)
    except HarnessError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return ExitCode.OK


def _announce(bound: Bound) -> None:
    sys.stdout.write(json.dumps(dataclasses.asdict(bound)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
