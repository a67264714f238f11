"""The fast way: gRPC calls by `ngh2` on gevent, over several connections that come back by themselves when they are lost."""

from __future__ import annotations

import functools
import itertools
import random
import ssl
from collections.abc import Callable
from typing import Any, Final

import ngh2
from gevent import get_hub, getcurrent
from ngh2 import NeverIndexedHeader

from harness.endpoint import Endpoint
from harness.grpcframing import ENCODINGS, PREFIX, pack
from harness.grpcmeta import Header, Metadata, encode_metadata
from harness.grpcstatus import Code
from harness.wire import client_context
from loadtests.transport.link import Dialled, Link, clock
from loadtests.transport.pending import Call, Method, nobody
from loadtests.transport.protocol import LAST_STREAM, Connection
from loadtests.transport.reply import Reply

FIRST_BACKOFF = 0.1
"""Seconds after a failed attempt to connect before the next; calls fail at once until then."""
LAST_BACKOFF = 1.0
"""Longest time between two attempts, in seconds."""
FIRST_REST = 0.002
"""Shortest rest, in seconds, of a call that was refused twice; it doubles with every further time."""
BACKOFF_FACTOR = 1.6
BACKOFF_JITTER = 0.2
USER_AGENT: Final = f"controller-harness ngh2/{ngh2.__version__}".encode()


LARGE = 1 << 20
"""Octets above which a request goes by a connection for such only: small calls behind it would wait until it is sent."""
_new = tuple.__new__
"""Makes a named tuple in a third of the time."""


class _Slot:
    """One of the connections, and how attempts to make it have gone."""

    def __init__(self) -> None:
        self.link: Link | None = None
        self.failures = 0
        self.retry_at = 0.0
        self.reason = ""


class WireChannel:
    """Calls on a fixed number of connections in turn, each made on first use and made again when it is lost.

    Large requests have as many connections of their own. `authority` is the `:authority` of all requests; unset: the address.
    `gzip` asks for requests to be compressed. No connection exists before the first call, so that a process may fork until then.
    """

    def __init__(
        self,
        address: str,
        connections: int = 1,
        *,
        context: ssl.SSLContext | None = None,
        server_name: str | None = None,
        authority: str | None = None,
        gzip: bool = False,
        last_stream: int = LAST_STREAM,
    ) -> None:
        host, _, port = address.removeprefix("dns:").lstrip("/").rpartition(":")
        host = host.strip("[]")
        self._where = Dialled(host, int(port), context, server_name or host)
        self._authority = (authority or server_name or address).encode()
        self._scheme = b"http" if context is None else b"https"
        self._gzip = gzip
        self._last_stream = last_stream
        self._turns = itertools.cycle([_Slot() for _ in range(connections)])
        self._large_turns = itertools.cycle([_Slot() for _ in range(connections)])
        self._links: set[Link] = set()
        self._closed = False
        self._jitter = random.Random()  # noqa: S311 - nothing secret

    def _headers_of(self, path: str) -> tuple[Header, ...]:
        encoding = ((b"grpc-encoding", b"gzip"),) if self._gzip else ()
        return (
            (b":method", b"POST"),
            (b":scheme", self._scheme),
            (b":path", path.encode()),
            (b":authority", self._authority),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            (b"user-agent", USER_AGENT),
            (b"grpc-accept-encoding", ENCODINGS),
            *encoding,
        )

    def method(self, path: str, metadata: Metadata = (), timeout: float | None = None) -> Method:
        """Return what calls of a method are made by. Raises ValueError for metadata that cannot travel."""
        return Method((*self._headers_of(path), *encode_metadata(metadata)), timeout)

    def exchange(self, method: Method, message: bytes, own: Header | None = None, timeout: float | None = None) -> Reply:
        """Make one call and wait for its end; failures are replies, too."""
        call = self.start(method, message, getcurrent().switch, None, own, timeout)
        try:
            reply: Reply = get_hub().switch()[0]
        except BaseException:
            self._abandon(call)
            raise
        return reply

    def start(  # noqa: PLR0917 - as the protocol has it
        self,
        method: Method,
        message: bytes,
        done: Callable[[Reply, Any], object],
        token: Any = None,
        own: Header | None = None,
        timeout: float | None = None,
    ) -> Call:
        """Make one call, and have `done` called with its reply and `token`, in the hub, when it is over."""
        body = pack(message, gzip=True) if self._gzip else len(message).to_bytes(PREFIX, "big") + message
        now = clock()
        extra: tuple[Header, ...] = () if own is None else (_new(NeverIndexedHeader, own),)
        call = Call(method, body, now, timeout, extra, done, token)
        slot = next(self._turns if len(message) <= LARGE else self._large_turns)
        link = slot.link
        if link is not None:
            link.submit(call, now)
        else:
            self._submit(call, slot)
            if call.reply is not None:
                get_hub().loop.run_callback(_deliver, call)
        return call

    def _abandon(self, call: Call) -> None:
        """Let go of a call whose greenlet is killed."""
        call.wake = nobody
        if call.reply is not None:
            return
        reply = Reply(Code.CANCELLED, "the caller gave up")
        for link in self._links:
            link.cancel(call, reply)
        call.reply = reply

    def _submit(self, call: Call, slot: _Slot) -> None:
        link = slot.link
        if link is None:
            if self._closed:
                call.reply = Reply(Code.CANCELLED, "the connection was closed")
                return
            if clock() < slot.retry_at:
                call.reply = Reply(Code.UNAVAILABLE, slot.reason)
                return
            link = self._open(slot)
        link.submit(call, clock())

    def _again(self, slot: _Slot, call: Call) -> None:
        """Make a call anew that a connection has not processed, the second time after a short rest; in the hub."""
        if call.moves == 1:
            self._make_anew(slot, call, None)
            return
        timer = get_hub().loop.timer(FIRST_REST * 2**call.moves * self._jitter.uniform(0.5, 1.0))
        timer.start(self._make_anew, slot, call, timer)

    def _make_anew(self, slot: _Slot, call: Call, timer: Any) -> None:
        if timer is not None:
            timer.close()
        if call.reply is not None:
            return  # its caller gave up in the meantime
        self._submit(call, slot)
        _deliver(call)

    def _open(self, slot: _Slot) -> Link:
        core = Connection(last_stream=self._last_stream)
        again, changed = functools.partial(self._again, slot), functools.partial(self._changed, slot)
        link = slot.link = Link(self._where, core, again, changed)
        self._links.add(link)
        return link

    def _changed(self, slot: _Slot, link: Link) -> None:
        core = link.core
        if core.ready:
            slot.failures = 0
        if core.draining or core.over is not None:
            if slot.link is link:
                slot.link = None
            if core.over is not None:
                self._links.discard(link)
                if not core.ready:
                    self._back_off(slot, core.over)

    def _back_off(self, slot: _Slot, reason: str) -> None:
        wait = min(FIRST_BACKOFF * BACKOFF_FACTOR**slot.failures, LAST_BACKOFF)
        slot.failures += 1
        slot.retry_at = clock() + wait * self._jitter.uniform(1 - BACKOFF_JITTER, 1 + BACKOFF_JITTER)
        slot.reason = reason

    def close(self) -> None:
        """Drop all connections; calls under way end as CANCELLED."""
        self._closed = True
        for link in list(self._links):
            link.close("the connection was closed")


def _deliver(call: Call) -> None:
    """Wake whoever waits for a call, if it is over."""
    if call.reply is not None:
        call.wake(call.reply, call.token)


def wire_channel(endpoint: Endpoint, connections: int = 1) -> WireChannel:
    """Return a channel to an endpoint, set up as its profile says."""
    profile = endpoint.profile
    return WireChannel(
        endpoint.address,
        connections,
        context=client_context(endpoint),
        server_name=None if profile.tls is None else profile.tls.server_name,
        authority=profile.authority,
        gzip=profile.compression == "gzip",
    )
