"""The worker processes of a distributed run as their master knows them: what they said of themselves, and whether they are there.

Also the names of the messages between them, which travel through Locust's own connection. Knows neither Locust nor gevent.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness import __version__
from harness.errors import ConfigError, ExitCode, HarnessError
from harness.jsoncodec import rebuild

HELLO, PARCEL, HIRED, INTERRUPT = (f"controller_harness_{name}" for name in ("hello", "parcel", "hired", "interrupt"))
"""What workers send: who they are, their figures, that their users have come, and that somebody wants the run to end."""
REFUSAL, SHARE, BEGIN, STOP = (f"controller_harness_{name}" for name in ("refusal", "share", "begin", "stop"))
"""What the master sends: that a worker cannot take part, what falls to it, that the schedule begins, and that the run ends."""

SILENCE = 10.0
"""Seconds without a word after which a worker is lost to its master, and a master to its worker."""

FAREWELL = 5.0
"""Seconds that a worker has to end when all is over."""
_PROBE = b"controller-harness"


def error_of(exit_code: int, text: str) -> HarnessError:
    """Return an error that another process met."""
    error = HarnessError(text)
    error.exit_code = ExitCode(exit_code) if exit_code in set(ExitCode) else ExitCode.NOT_VALID
    return error


@dataclass(frozen=True)
class Hello:
    """What a worker says first. `scenario` is the fingerprint of its scenario; a `problem` keeps it from taking part.

    `hashing` tells whether two processes hash octets alike, as those do that were forked from one.
    """

    version: str
    scenario: str
    host: str
    pid: int
    parent: int
    problem: str = ""
    exit_code: int = 0
    hashing: int = 0

    @staticmethod
    def of(scenario: str, problem: HarnessError | None = None) -> Hello:
        """Return the hello of this process."""
        text, code = ("", 0) if problem is None else (str(problem), int(problem.exit_code))
        return Hello(__version__, scenario, socket.gethostname(), os.getpid(), os.getppid(), text, code, hash(_PROBE))

    @property
    def name(self) -> str:
        """What people call the worker."""
        return f"{self.host}, process {self.pid}"

    def to_json(self) -> Mapping[str, Any]:
        """Return the hello as a message."""
        return dataclasses.asdict(self)


class Crew:
    """Keeps the hellos of the workers of one master, and when each was last heard of. `scenario` is the master's fingerprint."""

    def __init__(self, scenario: str) -> None:
        self._scenario = scenario
        self._hellos: dict[str, Hello] = {}
        self._heard: dict[str, float] = {}

    def greet(self, client: str, message: Any) -> HarnessError | None:
        """Take a hello, and return why that worker cannot take part, if it cannot."""
        try:
            hello: Hello = rebuild(message, Hello)
        except (ValueError, KeyError, TypeError):
            return ConfigError(f"worker {client} is of another kind", hint="start all workers with this version of the harness")
        if hello.version != __version__:
            text = f"worker {hello.name} is version {hello.version} of the harness, its master {__version__}"
            return ConfigError(text, hint="install the same version on all machines")
        if hello.problem:
            return error_of(hello.exit_code, f"worker {hello.name}: {hello.problem}")
        if hello.scenario != self._scenario:
            return ConfigError(f"worker {hello.name} has another scenario than its master", hint="give all the same file")
        self._hellos[client] = hello
        self.heard(client)
        return None

    def knows(self, client: str) -> bool:
        """Whether a worker has said hello and may take part."""
        return client in self._hellos

    def hash_alike(self, clients: Iterable[str]) -> bool:
        """Whether some workers all have the same hash for the same octets."""
        return len({self._hellos[client].hashing for client in clients}) == 1

    def name(self, client: str) -> str:
        """Return what people call a worker."""
        return self._hellos[client].name

    def heard(self, client: str) -> None:
        """Note a sign of life."""
        self._heard[client] = time.monotonic()

    def why_gone(self, client: str) -> str:
        """Return why a worker is taken for gone, "" if it is not."""
        if self._is_child(client) and _has_ended(self._hellos[client].pid):
            return "its process has ended"
        silence = time.monotonic() - self._heard[client]
        return f"it said nothing for {silence:.0f} s" if silence > SILENCE else ""

    def put_away(self, client: str) -> None:
        """Kill a worker that is taken for gone, if it is a process that we started: it must not come back and add to the load."""
        if self._is_child(client) and not _has_ended(self._hellos[client].pid):
            os.kill(self._hellos[client].pid, signal.SIGKILL)

    def dismiss(self) -> None:
        """Wait a little for the processes that we started to end, and kill those that do not."""
        children = [client for client in self._hellos if self._is_child(client)]
        deadline = time.monotonic() + FAREWELL
        while time.monotonic() < deadline and not all(_has_ended(self._hellos[client].pid) for client in children):
            time.sleep(0.05)
        for client in children:
            self.put_away(client)

    def _is_child(self, client: str) -> bool:
        hello = self._hellos[client]
        return hello.parent == os.getpid() and hello.host == socket.gethostname()


def _has_ended(child: int) -> bool:
    """Whether a child process has ended, without taking its exit status away from whoever waits for it."""
    try:
        return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
