"""What a transport is asked for and what it answers with. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

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
    """Connections to one endpoint, on which unary calls of any method can be made by many greenlets at once."""

    def exchange(self, path: str, message: bytes, timeout: float | None = None, metadata: Metadata = ()) -> Reply:
        """Make one call and wait for its end, `timeout` seconds at most; failures are replies, too.

        Raises ValueError for metadata that cannot travel.
        """

    def close(self) -> None:
        """Drop all connections; calls under way end as CANCELLED."""
