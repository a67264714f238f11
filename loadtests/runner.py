"""How to start a load run as a child process, and how to read what it says while it goes on.

The command line imports this module, and this one only: it may import neither Locust nor gevent, which patch the process.
"""

from __future__ import annotations

import dataclasses
import json
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ConfigError

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
SCENARIOS = Path(__file__).with_name("scenarios")

PROFILE_VARIABLE = "CONTROLLER_HARNESS_PROFILE"
SCENARIO_VARIABLE = "CONTROLLER_HARNESS_SCENARIO"
RECORD_VARIABLE = "CONTROLLER_HARNESS_RECORD"
PROGRESS_VARIABLE = "CONTROLLER_HARNESS_PROGRESS"
"""Set to `json`, the run prints a line of JSON per second on its standard output, see `Progress`."""

DEFAULT_SCENARIO = "quick"


@dataclass(frozen=True)
class Progress:
    """How a run stands: seconds, the stage, the calls of the last full second (percentiles in milliseconds), and totals.

    `offered` are the starts that fell due in the last second; None: users start by themselves. `late` and `dropped` are those
    of the whole run that were not made in time, or by nobody.
    """

    elapsed: float
    total: float
    stage: str
    offered: int | None
    late: int
    dropped: int
    users: int
    rps: int
    p50: float
    p95: float
    p99: float
    in_flight: int
    calls: int
    errors: int
    jobs_finished: int
    violations: int

    def to_json(self) -> str:
        """Return the line that a run prints."""
        return json.dumps({"progress": dataclasses.asdict(self)}, separators=(",", ":"))


def scenario_path(name: str) -> Path:
    """Return the file of a scenario: a file as given, or a built-in one by name. Raises ConfigError."""
    built_in = {path.stem: path for path in sorted(SCENARIOS.glob("*.yaml"))}
    if name in built_in:
        return built_in[name]
    if not Path(name).exists():
        raise ConfigError(f"no such scenario: {name}", hint=f"give a file or one of {', '.join(built_in)}")
    return Path(name)


def command(profile: Path | str, scenario: Path | str, record: Path | None, extra: Sequence[str] = ()) -> list[str]:
    """Return the command that runs a scenario without a web page and without chatter; `extra` are options of Locust.

    The child's exit code is that of every command of the harness; an error is one line on its standard error.
    """
    words = [sys.executable, "-m", "loadtests", "--headless", "--skip-log-setup", "--only-summary"]
    words += ["--endpoint-profile", str(profile), "--scenario", str(scenario)]
    words += ["--record", str(record)] if record is not None else []
    return [*words, *extra]


def processes(number: int) -> list[str]:
    """Return the options of Locust with which a run is made by so many worker processes of this machine and a master over them.

    They meet at a port that is free now: Locust's own default would keep two runs from going on at once.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = ["--processes", str(number), "--master-bind-host", "127.0.0.1", "--master-bind-port", port]
    return [*words, "--master-host", "127.0.0.1", "--master-port", port]
