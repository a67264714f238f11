"""The server's end of an HTTP/2 connection, without sockets: against the client side of the same library, and raw octets."""

from __future__ import annotations

import contextlib
import itertools
import math
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import ngh2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.grpcframing import pack
from harness.grpcmeta import decode_metadata
from harness.grpcstatus import decode_message
from harness.h2frames import PREFACE, Kind, frame
from harness.server.wire_call import Call, Method
from harness.server.wire_session import GRACE, MOST_UNREAD, Session

ODD = "not é, 100 %\nnot \x7f"
MIB = 1 << 20


@dataclass
class Response:
    """What came back on one stream."""

    head: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    trailers: tuple[tuple[bytes, bytes], ...] = ()
    reset: int | None = None
    closed: bool = False

    @property
    def status(self) -> str:
        return (dict(self.trailers).get(b"grpc-status") or self.head.get(b"grpc-status") or b"").decode()

    @property
    def details(self) -> str:
        return decode_message(dict(self.trailers).get(b"grpc-message") or self.head.get(b"grpc-message") or b"")


class Pair:
    """A session and a client of it, both without sockets. `/echo` answers, `/fail` fails, `/hold` keeps, `/each` streams."""

    def __init__(self, **options: Any) -> None:
        self.handled: list[tuple[str, bytes | None]] = []
        self.held: list[Call] = []
        self.abandoned = self.woken = 0
        self.now = 0.0
        self.session = Session(self.find, self.wake, peer="tests", **options)
        self.client = ngh2.Connection(ngh2.Role.CLIENT, ngh2.Configuration())
        self.client.initiate_connection({ngh2.Setting.ENABLE_PUSH: 0})
        self.responses: dict[int, Response] = {}
        self.goaways: list[int] = []

    def find(self, path: bytes) -> Method | None:
        return {
            b"/echo": Method(self.echo, decorated=True),
            b"/fail": Method(self.fail, decorated=True),
            b"/hold": Method(self.hold),
            b"/each": Method(self.each, streaming=True),
        }.get(path)

    def wake(self) -> None:
        self.woken += 1

    def echo(self, call: Call, message: bytes | None) -> None:
        assert message is not None
        self.handled.append(("echo", message))
        call.reply(message)

    def fail(self, call: Call, message: bytes | None) -> None:
        self.handled.append(("fail", message))
        call.fail(9, ODD)

    def hold(self, call: Call, message: bytes | None) -> None:
        self.handled.append(("hold", message))
        call.abandoned = self.abandon
        self.held.append(call)

    def abandon(self) -> None:
        self.abandoned += 1

    def each(self, call: Call, message: bytes | None) -> None:
        self.handled.append(("each", message))
        if message is None:
            call.finish()
        else:
            call.send(message)

    def request(self, path: str, body: bytes | None, *more: tuple[bytes, bytes], ends: bool = True, **pseudo: bytes) -> int:
        fields = {b":method": b"POST", b":scheme": b"http", b":path": path.encode(), b":authority": b"a"}
        fields |= {b"content-type": b"application/grpc"}
        fields |= {name.replace("_", "-").encode(): value for name, value in pseudo.items()}
        if "method" in pseudo:
            fields[b":method"] = fields.pop(b"method")
        stream = self.client.send_request((*fields.items(), *more), end_stream=body is None)
        if body is not None:
            self.client.send_data(stream, body, end_stream=ends)
        self.responses[stream] = Response()
        return stream

    def give(self, octets: bytes, cuts: Iterable[int] = ()) -> None:
        """Hand octets to the session, cut at these places."""
        places = sorted({cut % (len(octets) + 1) for cut in cuts} | {0, len(octets)})
        for start, end in itertools.pairwise(places):
            self.session.receive(octets[start:end], self.now)

    def pump(self, cuts: Iterable[int] = (), amount: int = 1 << 18) -> None:
        """Let both sides talk until neither has anything to say."""
        for _ in range(100_000):
            up = self.client.data_to_send()
            self.give(up, cuts)
            down = self.session.send(amount)
            with contextlib.suppress(ngh2.ConnectionStateError):  # a client that has heard of the end listens no more
                self.client.receive_data(down)
            for event in self.client.events():
                self.note(event)
            if not up and not down:
                return
        raise AssertionError("they never stop")

    def note(self, event: ngh2.Event) -> None:
        match event:
            case ngh2.ResponseReceived(stream, headers, _):
                self.responses[stream].head = dict(headers)
                self.responses[stream].trailers = headers
            case ngh2.DataReceived(stream, octets, _):
                self.responses[stream].body += octets
            case ngh2.TrailersReceived(stream, headers):
                self.responses[stream].trailers = headers
            case ngh2.StreamReset(stream, error):
                self.responses[stream].reset = error
            case ngh2.StreamClosed(stream, _, _):
                self.responses[stream].closed = True
            case ngh2.GoAwayReceived(last, _, _):
                self.goaways.append(last)

    def ask(self, path: str, body: bytes | None, *more: tuple[bytes, bytes], ends: bool = True, **pseudo: bytes) -> Response:
        stream = self.request(path, body, *more, ends=ends, **pseudo)
        self.pump()
        return self.responses[stream]


def gzipped(octets: bytes) -> bytes:
    squeezer = zlib.compressobj(wbits=31)
    return squeezer.compress(octets) + squeezer.flush()


def compressed(octets: bytes) -> bytes:
    small = gzipped(octets)
    return b"\x01" + len(small).to_bytes(4, "big") + small


GZIP = (b"grpc-encoding", b"gzip")


def test_answers() -> None:
    pair = Pair()
    found = pair.ask("/echo", pack(b"hello"))
    assert (found.head[b":status"], found.head[b"content-type"]) == (b"200", b"application/grpc")
    assert (found.body, found.status, found.closed, found.reset) == (pack(b"hello"), "0", True, None)
    assert pair.session.open_calls == 0
    assert pair.woken == 0, "what is answered while octets are taken in is sent by who gave them"


def test_an_error_is_one_block_of_headers_with_its_message_encoded() -> None:
    found = Pair().ask("/fail", pack(b""))
    assert (found.status, found.details, found.body) == ("9", ODD, b"")
    assert found.head[b"grpc-status"] == b"9"
    assert found.head[b"grpc-message"] == b"not %C3%A9, 100 %25%0Anot %7F"


@pytest.mark.parametrize(
    ("body", "more", "status", "details"),
    [
        (None, (), "13", "no message"),
        (b"", (), "13", "no message"),
        (b"\0\0\0", (), "13", "breaks off"),
        (b"\0\0\0\0\x05abc", (), "13", "breaks off"),
        (b"\2\0\0\0\0", (), "13", "flag 2"),
        (pack(b"a") * 2, (), "12", "more than one"),
        (b"\0\xff\xff\xff\xff", (), "8", "more than"),
        (pack(b"x" * 1001), (), "8", "more than 1,000"),
        (compressed(b"x" * 1001), (GZIP,), "8", "once decompressed"),
        (compressed(b"x"), (), "13", "compressed"),
        (b"\x01\0\0\0\x01x", (GZIP,), "13", "cannot be decompressed"),
        (pack(b"x"), ((b"grpc-encoding", b"br"),), "12", "br is not supported"),
        (pack(b"x"), ((b"grpc-encoding", b"g"),), "12", "not supported"),
        (pack(b"x"), ((b"grpc-timeout", b"soon"),), "13", "grpc-timeout"),
        (pack(b"x"), ((b"grpc-timeout", b"0n"),), "4", "Deadline"),
    ],
)
def test_requests_that_cannot_be(body: bytes | None, more: tuple[tuple[bytes, bytes], ...], status: str, details: str) -> None:
    pair = Pair(limit=1000)
    found = pair.ask("/echo", body, *more)
    assert found.status == status
    assert details in found.details
    assert pair.handled == []
    assert pair.ask("/echo", pack(b"next")).status == "0"
    assert pair.session.open_calls == 0


def test_a_gzip_request_is_understood_unless_switched_off() -> None:
    pair = Pair()
    assert pair.ask("/echo", compressed(b"y" * 500), GZIP).body == pack(b"y" * 500)
    assert pair.ask("/echo", pack(b"z"), GZIP).body == pack(b"z")
    refused = Pair(accept_gzip=False).ask("/echo", compressed(b"y"), GZIP)
    assert (refused.status, refused.head[b"grpc-accept-encoding"]) == ("12", b"identity")


def test_unknown_methods_and_other_protocols() -> None:
    pair = Pair()
    assert pair.ask("/other", pack(b"")).status == "12"
    assert pair.ask("/echo", pack(b""), content_type=b"text/html").head[b":status"] == b"415"
    assert pair.ask("/echo", pack(b""), method=b"PUT").head[b":status"] == b"405"
    assert pair.ask("/echo", pack(b"a"), content_type=b"application/grpc+proto").status == "0"


def test_who_is_refused_before_the_end_of_a_request_gets_the_answer_and_is_stopped() -> None:
    pair = Pair(limit=1000)
    for path, status in (("/other", "12"), ("/echo", "8")):
        stream = pair.request(path, b"\0\0\xff\xff\xff" + bytes(100_000), ends=False)
        pair.pump()
        found = pair.responses[stream]
        assert (found.status, found.reset, found.closed) == (status, 0, True)
    assert pair.ask("/echo", pack(b"next")).status == "0"


def test_the_first_credential_counts() -> None:
    pair = Pair()
    pair.request("/hold", pack(b""), (b"authorization", b"Bearer a"), (b"authorization", b"Bearer b"), (b"grpc-timeout", b"5S"))
    pair.now = 7.0
    pair.pump()
    assert [(call.authorization, call.deadline, call.session.peer) for call in pair.held] == [(b"Bearer a", 12.0, "tests")]
    pair.request("/hold", pack(b""))
    pair.pump()
    assert (pair.held[1].authorization, pair.held[1].deadline) == (None, math.inf)


def test_large_messages_pass_under_flow_control() -> None:
    pair = Pair()
    message = bytes(range(256)) * (32 * MIB // 1024)
    found = pair.ask("/echo", pack(message))
    assert found.body == pack(message)
    assert found.status == "0"


def test_an_answer_above_the_limit_is_an_error() -> None:
    pair = Pair(limit=100)
    stream = pair.request("/hold", pack(b""))
    pair.pump()
    pair.held[0].reply(bytes(101))
    assert pair.woken == 1
    pair.pump()
    assert pair.responses[stream].status == "8"


def test_a_reset_is_told_to_who_answers_and_later_answers_go_nowhere() -> None:
    pair = Pair()
    stream = pair.request("/hold", pack(b""))
    pair.pump()
    pair.client.reset_stream(stream, 8)
    pair.pump()
    assert pair.abandoned == 1
    pair.held[0].reply(b"late")
    pair.held[0].fail(13, "late")
    pair.held[0].finish()
    pair.held[0].send(b"late")
    assert pair.woken == 0
    assert pair.session.send(1000) == b""


def test_deadlines_end_calls_and_incomplete_requests() -> None:
    pair = Pair()
    held = pair.request("/hold", pack(b""), (b"grpc-timeout", b"2S"))
    part = pair.request("/echo", b"\0\0", (b"grpc-timeout", b"2S"), ends=False)
    long = pair.request("/hold", pack(b""))
    pair.pump()
    pair.session.expire(2.0)
    assert pair.session.open_calls == 3
    pair.session.expire(2.0 + GRACE)
    assert (pair.session.open_calls, pair.abandoned) == (1, 1)
    pair.pump()
    assert [pair.responses[stream].status for stream in (held, part, long)] == ["4", "4", ""]


def test_draining_lets_calls_finish_and_then_ends() -> None:
    pair = Pair()
    stream = pair.request("/hold", pack(b""))
    pair.pump()
    pair.session.drain()
    pair.session.drain()
    racing = pair.request("/echo", pack(b"sent before it was known"))
    pair.pump()
    assert pair.goaways == [2**31 - 1, racing]
    assert pair.responses[racing].status == "0"
    assert pair.session.over is None
    pair.held[0].reply(b"done")
    pair.pump()
    assert pair.responses[stream].body == pack(b"done")
    assert pair.session.over is not None


def test_draining_an_idle_connection_ends_it_at_once() -> None:
    pair = Pair()
    pair.ask("/echo", pack(b"x"))
    pair.session.drain()
    pair.pump()
    assert pair.session.over is not None
    assert pair.goaways


def test_a_farewell_and_a_loss_abandon_calls() -> None:
    for end in (Session.terminate, lambda session: session.lose("gone")):
        pair = Pair()
        pair.request("/hold", pack(b""))
        pair.pump()
        end(pair.session)
        end(pair.session)
        assert (pair.abandoned, pair.session.open_calls) == (1, 0)
        pair.session.receive(b"anything", 0.0)
        pair.session.expire(math.inf)


def test_as_many_streams_as_are_allowed() -> None:
    pair = Pair(most_streams=2)
    pair.pump()
    assert pair.client.remote_settings[ngh2.Setting.MAX_CONCURRENT_STREAMS] == 2


def test_pings_are_answered() -> None:
    pair = Pair()
    pair.pump()
    pair.client.ping(b"12345678")
    pair.session.receive(pair.client.data_to_send(), 0.0)
    assert pair.session.send(1000) == frame(6, 1, 0, b"12345678")


def test_decorated_answers() -> None:
    pair = Pair(gzip=True, decoration=(("x-a", "1"), ("x-a", "2"), ("x-b-bin", b"\0\xff")))
    accepts = (b"grpc-accept-encoding", b"identity, deflate, gzip")
    more = (("x-a", "1"), ("x-a", "2"), ("x-b-bin", b"\0\xff"))
    found = pair.ask("/echo", pack(b"z" * 1000), accepts)
    assert decode_metadata(found.trailers) == more
    assert (found.head[b"grpc-encoding"], found.head[b"x-b-bin"]) == (b"gzip", b"AP8")
    assert found.body == pack(b"z" * 1000, gzip=True) != pack(b"z" * 1000)
    assert pair.ask("/echo", pack(b"z" * 1000)).body == pack(b"z" * 1000)
    failed = pair.ask("/fail", pack(b""))
    assert (b"grpc-status" in failed.head, failed.status, decode_metadata(failed.trailers)) == (False, "9", more)


@given(st.lists(st.binary(max_size=30), max_size=6), st.lists(st.integers(0, 10_000), max_size=8), st.booleans())
def test_streams_of_messages(messages: list[bytes], cuts: list[int], zipped: bool) -> None:
    pair = Pair()
    body = b"".join(compressed(one) if zipped else pack(one) for one in messages)
    stream = pair.request("/each", body, *([GZIP] if zipped else []))
    pair.pump(cuts)
    assert pair.handled == [*(("each", one) for one in messages), ("each", None)]
    assert pair.responses[stream].body == b"".join(map(pack, messages))
    assert pair.responses[stream].status == "0"


@pytest.mark.parametrize(("body", "status"), [(b"\0\0", "13"), (b"\x05\0\0\0\0", "13"), (b"\0\xff\0\0\0", "8")])
def test_streams_that_break(body: bytes, status: str) -> None:
    pair = Pair(limit=1000)
    found = pair.ask("/each", pack(b"a") + body)
    assert pair.handled == [("each", b"a")]
    assert (found.body, found.status) == (pack(b"a"), status)


def test_who_does_not_read_a_stream_loses_it() -> None:
    pair = Pair()
    stream = pair.request("/each", pack(b"a"), ends=False)
    pair.give(pair.client.data_to_send())
    (call,) = pair.session._calls.values()
    call.abandoned = pair.abandon
    for _ in range(MOST_UNREAD // MIB + 1):
        call.send(bytes(MIB))
    assert (pair.abandoned, pair.session.open_calls) == (1, 0)
    pair.pump()
    assert pair.responses[stream].closed


# Whatever the pieces, whatever the octets


def conversation() -> bytes:
    pair = Pair()
    pair.request("/echo", pack(b"one"))
    pair.request("/fail", pack(b"two"), (b"x-long", b"v" * 300))
    pair.request("/other", pack(b"three"))
    pair.request("/echo", compressed(b"four" * 100), GZIP)
    pair.request("/each", pack(b"five") * 3)
    pair.request("/echo", None)
    return pair.client.data_to_send()


TALK = conversation()


@given(st.lists(st.integers(0, len(TALK)), max_size=40))
def test_any_chunking_gives_the_same(cuts: list[int]) -> None:
    whole, cut = Pair(), Pair()
    whole.give(TALK)
    cut.give(TALK, cuts)
    assert cut.handled == whole.handled
    assert len(whole.handled) == 7
    replies = []
    for pair in (whole, cut):
        pair.client.data_to_send()
        listener = Pair()
        conversation_of(listener)
        listener.client.receive_data(pair.session.send(1 << 20))
        for event in listener.client.events():
            listener.note(event)
        replies.append([(one.body, one.status, one.details) for one in listener.responses.values()])
    assert replies[0] == replies[1]
    assert [status for _, status, _ in replies[0]] == ["0", "9", "12", "0", "0", "13"]


def conversation_of(pair: Pair) -> None:
    """Have the client side of a pair be one that has made the calls of `conversation`."""
    for path in ("/echo", "/fail", "/other", "/echo", "/each"):
        pair.request(path, pack(b"x"))
    pair.request("/echo", None)
    pair.client.data_to_send()


def survive(octets: bytes, cuts: list[int]) -> Session:
    pair = Pair()
    pair.give(octets, cuts)
    sent = 0
    while found := pair.session.send(1 << 16):
        sent += len(found)
        assert sent < MIB, "it never stops"
    pair.session.expire(math.inf)
    pair.session.drain()
    pair.session.send(1 << 16)
    pair.session.terminate()
    pair.session.send(1 << 16)
    assert pair.session.open_calls == 0
    return pair.session


@given(st.binary(min_size=24, max_size=200), st.lists(st.integers(0, 200), max_size=4))
def test_octets_that_are_no_http_end_the_connection(octets: bytes, cuts: list[int]) -> None:
    pair = Pair()
    pair.give(b"?" + octets, cuts)
    assert pair.session.over is not None
    assert survive(octets, cuts).over is not None


FRAMES = st.builds(
    frame, st.integers(0, 12), st.integers(0, 255), st.sampled_from([0, 1, 1, 2, 3, 2**31 - 1]), st.binary(max_size=40)
)


@given(st.lists(FRAMES, max_size=12), st.lists(st.integers(0, 800), max_size=4))
def test_frames_at_random_do_no_harm(frames: list[bytes], cuts: list[int]) -> None:
    survive(PREFACE + frame(Kind.SETTINGS, 0, 0, b"") + b"".join(frames), cuts)


@given(
    st.lists(st.tuples(st.integers(0, len(TALK) - 1), st.integers(1, 255)), max_size=5), st.lists(st.integers(0, 900), max_size=4)
)
def test_talk_with_flipped_bits_does_no_harm(flips: list[tuple[int, int]], cuts: list[int]) -> None:
    octets = bytearray(TALK)
    for place, bits in flips:
        octets[place] ^= bits
    survive(bytes(octets), cuts)


@given(st.integers(0, len(TALK)))
def test_talk_that_breaks_off_does_no_harm(length: int) -> None:
    survive(TALK[:length], [])
