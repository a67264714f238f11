"""What a transport is asked for and what it answers with. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from harness.grpcmeta import Header, Metadata, decode_metadata
from harness.grpcstatus import Code


class Reply(NamedTuple):
    """How a call ended: the octets of the answer when `code` is OK, else `details` in words.

    `raw_head` and `raw_trailers` are the headers from before and after the message, as they came.
    """

    code: Code
    details: str = ""
    message: bytes = b""
    raw_head: Sequence[Header] = ()
    raw_trailers: Sequence[Header] = ()

    @property
    def head(self) -> Metadata:
        """The endpoint's metadata from before its message."""
        return decode_metadata(self.raw_head)

    @property
    def trailers(self) -> Metadata:
        """The endpoint's metadata from after its message, or all of it when there was none."""
        return decode_metadata(self.raw_trailers)


class Channel(Protocol):
    """Connections to one endpoint, on which unary calls of any method can be made by many greenlets at once.

    `own` is a header of one call only, as it travels. A `timeout` given with a call takes the place of the method's own.
    """

    def method(self, path: str, metadata: Metadata = (), timeout: float | None = None) -> Any:
        """Return what calls of a method are made by: everything that is the same in all of them, `timeout` in seconds.

        Raises ValueError for metadata that cannot travel.
        """

    def exchange(self, method: Any, message: bytes, own: Header | None = None, timeout: float | None = None) -> Reply:
        """Make one call and wait for its end; failures are replies, too."""

    def start(  # noqa: PLR0917 - names of arguments take time
        self,
        method: Any,
        message: bytes,
        done: Callable[[Reply, Any], object],
        token: Any = None,
        own: Header | None = None,
        timeout: float | None = None,
    ) -> object:
        """Make one call, and have `done` called with its reply and `token`, in the hub, when it is over.

        That is never before this returns. What it returns means something to the channel only.
        """

    def close(self) -> None:
        """Drop all connections; calls under way end as CANCELLED."""
