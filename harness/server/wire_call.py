"""One request over HTTP/2 as the octets of its body come in: its messages, and the way to answer it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias

from harness.grpcframing import PREFIX, MessageError, MessageReader, unpack
from harness.grpcstatus import Code

MOST_MESSAGES = 10_000
"""Messages of one request at most, where there may be several."""


class Method(NamedTuple):
    """How calls of a method are answered.

    `handle` gets the call and a message, once for each of them. Where requests are `streaming` it also gets None at their
    end; else there has to be exactly one message, and it comes when the request is complete. `decorated`: responses carry
    the metadata that the session was given.
    """

    handle: Handler
    streaming: bool = False
    decorated: bool = False


class Answers(Protocol):
    """Where the answers to a call go; see `Call`."""

    peer: str

    def reply(self, call: Call, message: bytes) -> None:
        """Send the only message, and OK."""

    def fail(self, call: Call, code: int, text: str) -> None:
        """Send an error."""

    def send_message(self, call: Call, message: bytes) -> None:
        """Send a message of several."""

    def finish(self, call: Call) -> None:
        """Send OK after all messages."""


class Call:
    """One request, and the way to answer it.

    `authorization` is that header as it came, `deadline` is in the time of `Session.receive`. `abandoned` is called when
    nobody waits for an answer any more. `inbox` belongs to whoever answers. `ended`: the request is complete. Answers to
    calls that are over go nowhere.
    """

    __slots__ = (
        *("abandoned", "authorization", "deadline", "encoding", "ended", "head_sent", "inbox", "limit", "messages", "method"),
        *("reader", "session", "stream", "zips"),
    )

    def __init__(
        self, session: Answers, stream: int, method: Method, fields: Mapping[bytes, bytes], deadline: float, *, limit: int
    ) -> None:
        self.session = session
        self.stream = stream
        self.method = method
        self.deadline = deadline
        self.limit = limit
        self.authorization = fields.get(b"authorization")
        self.encoding = fields.get(b"grpc-encoding", b"")
        self.reader: MessageReader | bytearray | None = None
        self.abandoned: Callable[[], object] | None = None
        self.head_sent = self.ended = self.zips = False
        self.messages = 0
        self.inbox: Any = None

    def take(self, octets: bytes, ended: bool) -> None:
        """Take in the next octets of the body, and have the messages handled that they complete. May raise MessageError."""
        method = self.method
        self.ended = ended
        if method.streaming:
            self._take_stream(octets)
            return
        size = len(octets) - PREFIX
        if ended and self.reader is None and 0 <= size <= self.limit and octets[:PREFIX] == size.to_bytes(PREFIX, "big"):
            method.handle(self, octets[PREFIX:])  # as nearly always
            return
        if self.reader is None:
            self.reader = MessageReader(self.limit)
        assert isinstance(self.reader, MessageReader)  # noqa: S101 - nothing else in calls with one message
        self.reader.feed(octets)
        if ended:
            packed, self.reader = self.reader.finish(), None
            if packed is None:
                raise MessageError(Code.INTERNAL, "no message, where there is to be one")
            message = unpack(packed, self.encoding, self.limit)
            del packed  # large ones are dear to have twice
            method.handle(self, message)

    def _take_stream(self, octets: bytes) -> None:
        if self.reader is None:
            self.reader = bytearray()
        assert isinstance(self.reader, bytearray)  # noqa: S101 - nothing else in calls with many messages
        kept = self.reader
        kept += octets
        start = 0
        while len(kept) - start >= PREFIX:
            length = int.from_bytes(kept[start + 1 : start + PREFIX], "big")
            if kept[start] > 1:
                raise MessageError(Code.INTERNAL, f"a message with the flag {kept[start]}, which is neither 0 nor 1")
            if length > self.limit or self.messages >= MOST_MESSAGES:
                raise MessageError(Code.RESOURCE_EXHAUSTED, "a message that is too long, or one too many")
            end = start + PREFIX + length
            if len(kept) < end:
                break
            self.messages += 1
            self.method.handle(self, unpack(bytes(kept[start:end]), self.encoding, self.limit))
            start = end
        del kept[:start]
        if self.ended:
            if kept:
                raise MessageError(Code.INTERNAL, "a message that breaks off")
            self.method.handle(self, None)

    def abandon(self) -> None:
        """Tell whoever answers that nobody waits for it any more."""
        self.reader = None
        abandoned, self.abandoned = self.abandoned, None
        if abandoned is not None:
            abandoned()

    def reply(self, message: bytes) -> None:
        """Answer with one message and OK."""
        self.session.reply(self, message)

    def fail(self, code: int, text: str) -> None:
        """Answer with an error."""
        self.session.fail(self, code, text)

    def send(self, message: bytes) -> None:
        """Answer with a message of several."""
        self.session.send_message(self, message)

    def finish(self) -> None:
        """Answer with OK after all messages."""
        self.session.finish(self)


Handler: TypeAlias = Callable[[Call, bytes | None], None]
