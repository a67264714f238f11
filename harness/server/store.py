"""Where the server keeps what it has acknowledged: the protocol, and the store that keeps nothing.

A store is told the effects of every command before the command's reply is sent; what it has been told must survive its medium's
kind of crash. It reads jobs and keys while it is told, and keeps no reference to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from harness.errors import HarnessError
from harness.server.state import Effects, Job, KeyRecord, Processor


class StoreError(HarnessError):
    """The store cannot keep what it was told; the server must stop rather than forget what it acknowledged."""


class Snapshot(NamedTuple):
    """All that a store holds: jobs in order of submission, keys with their counts of known ids."""

    jobs: Sequence[Job]
    keys: Sequence[KeyRecord]


class Store(Protocol):
    """The host's view of a store."""

    def load(self, processors: dict[str, Processor]) -> Snapshot:
        """Return what was kept; ConfigError when it does not fit these processors."""

    def apply(self, effects: Effects) -> None:
        """Keep the effects of one command, all or nothing; StoreError when that fails."""

    def close(self) -> None:
        """Flush and let go."""


class MemoryStore:
    """Keeps nothing: the engine's own state is all there is, and it ends with the process."""

    def load(self, processors: dict[str, Processor]) -> Snapshot:  # noqa: ARG002  (as the protocol has it)
        """Return an empty snapshot."""
        return Snapshot((), ())

    def apply(self, effects: Effects) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
