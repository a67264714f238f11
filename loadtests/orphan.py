"""Ends a forked process soon after the one that forked it: a worker without its master would go on, or wait for it for minutes.

Works from the very moment of the fork, when there is neither a session nor a connection to the master.
"""

from __future__ import annotations

import os
from typing import Any

from gevent import monkey

from harness.errors import ExitCode

LOOK = 0.5
"""Seconds between two looks whether the parent is there."""


def end_with_parent() -> None:
    """Have every process that is forked from this one from now on end when this one does."""
    parent = os.getpid()
    os.register_at_fork(after_in_child=lambda: _watch(parent))


def _watch(parent: int) -> None:
    # A real thread and a real sleep: whatever the event loop is at must not matter.
    start: Any = monkey.get_original("_thread", "start_new_thread")
    sleep: Any = monkey.get_original("time", "sleep")
    start(_end_with, (parent, sleep))


def _end_with(parent: int, sleep: Any) -> None:
    while os.getppid() == parent:
        sleep(LOOK)
    os._exit(int(ExitCode.NOT_VALID))
