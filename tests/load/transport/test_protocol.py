"""The connection without its socket: what it sends, when calls wait, end, move on; and that no octets can upset it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import ngh2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.grpcframing import pack
from harness.grpcmeta import decode_timeout
from harness.grpcstatus import Code, H2Error
from harness.h2frames import PREFACE, Frame, FrameSplitter, Kind, rst_stream, window_update
from loadtests.transport.pending import Call, Method
from loadtests.transport.protocol import LAST_STREAM, MOST_MOVES, Connection
from loadtests.transport.reply import Reply
from tests.load.transport.oddities import BROKEN_FRAMES, BROKEN_MESSAGES, LEGAL, RESETS, STATUSES, Oddity
from tests.load.transport.peer import HEAD, data, goaway, good, headers, message, settings

REQUEST = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/a/b"),
    (b":authority", b"x"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
)
STREAMS_KEY, WINDOW_KEY = 3, 4


def new_call(now: float = 0.0, timeout: float | None = None, body: bytes = b"") -> Call:
    return Call(Method(REQUEST, timeout), pack(body), now, timeout)


class Bench:
    """A connection, the frames that it has sent, and what came of its calls."""

    def __init__(self, *pairs: tuple[int, int], ready: bool = True, last_stream: int = LAST_STREAM, limit: int = 1 << 20) -> None:
        self.core = Connection(message_limit=limit, last_stream=last_stream)
        self.splitter = FrameSplitter(preface=PREFACE)
        self.frames: list[Frame] = []
        self.pump()
        if ready:
            self.feed(settings(*pairs))

    def feed(self, octets: bytes, now: float = 0.0) -> None:
        self.core.receive(octets, now)
        self.pump(now)

    def pump(self, now: float = 0.0) -> None:
        while octets := self.core.send(1 << 14, now):
            self.frames += self.splitter.feed(octets)

    def submit(self, *calls: Call, now: float = 0.0) -> None:
        for call in calls:
            self.core.submit(call, now)
        self.pump(now)

    def sent(self, kind: int) -> list[int]:
        """Return the streams of all frames of a kind."""
        return [frame.stream for frame in self.frames if frame.kind == kind]


def ended(*calls: Call) -> list[Code | None]:
    return [None if call.reply is None else call.reply.code for call in calls]


def test_calls_wait_for_the_settings() -> None:
    bench, call = Bench(ready=False), new_call()
    bench.submit(call)
    assert (bench.sent(Kind.HEADERS), bench.core.waiting, bench.core.ready) == ([], 1, False)
    bench.feed(settings())
    assert (bench.sent(Kind.HEADERS), bench.core.waiting, bench.core.ready) == ([1], 0, True)
    bench.feed(good(1, b"hello"))
    assert call.reply is not None
    assert call.reply.message == b"hello"
    assert bench.core.finished == [call]
    assert bench.core.idle


def test_more_calls_than_streams_wait_in_turn() -> None:
    bench, calls = Bench((STREAMS_KEY, 2)), [new_call() for _ in range(5)]
    bench.submit(*calls)
    assert (bench.sent(Kind.HEADERS), bench.core.in_flight, bench.core.waiting) == ([1, 3], 2, 3)
    bench.feed(good(3))
    assert bench.sent(Kind.HEADERS) == [1, 3, 5]
    assert ended(*calls) == [None, Code.OK, None, None, None]
    bench.feed(settings((STREAMS_KEY, 0)))
    bench.feed(good(1) + good(5))
    assert (bench.sent(Kind.HEADERS), bench.core.waiting) == ([1, 3, 5], 2)
    bench.feed(settings((STREAMS_KEY, 100)))
    bench.feed(good(7) + good(9))
    assert ended(*calls) == [Code.OK] * 5


def test_settings_without_a_limit_keep_the_one_from_before() -> None:
    bench, calls = Bench((STREAMS_KEY, 1)), [new_call() for _ in range(2)]
    bench.feed(settings((WINDOW_KEY, 1000)))
    bench.submit(*calls)
    assert bench.core.waiting == 1


def test_a_stream_counts_until_both_ends_have_closed_it() -> None:
    bench = Bench((STREAMS_KEY, 1), (WINDOW_KEY, 0))
    first, second = new_call(body=b"long"), new_call()
    bench.submit(first, second)
    bench.feed(good(1))
    assert ended(first, second) == [Code.OK, None]
    assert bench.sent(Kind.RST_STREAM) == [1]
    assert bench.sent(Kind.HEADERS) == [1, 3]


def test_deadlines_end_calls_that_are_sent_and_calls_that_wait() -> None:
    bench = Bench((STREAMS_KEY, 1))
    sent, waits, patient = new_call(timeout=2.0), new_call(timeout=1.0), new_call(timeout=9.0)
    bench.submit(sent, waits, patient)
    assert bench.core.next_due == 1.0
    bench.core.expire(0.99)
    assert ended(sent, waits) == [None, None]
    bench.core.expire(1.0)
    assert (ended(sent, waits), bench.core.next_due) == ([None, Code.DEADLINE_EXCEEDED], 2.0)
    bench.core.expire(2.5)
    bench.pump(2.5)
    assert (ended(sent), bench.core.next_due) == ([Code.DEADLINE_EXCEEDED], 9.0)
    assert [int.from_bytes(frame.payload) for frame in bench.frames if frame.kind == Kind.RST_STREAM] == [H2Error.CANCEL]
    assert (bench.core.finished, bench.sent(Kind.HEADERS)) == ([waits, sent], [1, 3])
    bench.feed(good(1) + good(3))
    assert ended(patient) == [Code.OK]
    bench.core.expire(10.0)
    assert bench.core.next_due == math.inf


def test_a_call_that_has_waited_has_less_time_left() -> None:
    bench, first, waits, moved = Bench((STREAMS_KEY, 1)), new_call(), new_call(timeout=5.0), new_call(timeout=7.0)
    bench.submit(first, waits)
    bench.feed(good(1), now=2.0)
    bench.feed(good(3), now=3.0)
    moved.moves = 1
    bench.submit(moved, now=3.0)
    assert times_left(bench) == [None, 3.0, 4.0]


def times_left(bench: Bench) -> list[float | None]:
    """Return the time that each request gave, as a server hears it."""
    server = ngh2.Connection(ngh2.Role.SERVER, ngh2.Configuration())
    server.initiate_connection({})
    server.receive_data(PREFACE + b"".join(frame.octets for frame in bench.frames))
    heard = [dict(event.headers) for event in server.events() if isinstance(event, ngh2.RequestReceived)]
    return [decode_timeout(found[b"grpc-timeout"]) if b"grpc-timeout" in found else None for found in heard]


def test_a_cancelled_call_is_reset_and_others_are_left_alone() -> None:
    bench, other = Bench((STREAMS_KEY, 1)), Bench()
    first, waits, stranger = new_call(), new_call(), new_call()
    bench.submit(first, waits)
    other.submit(stranger)
    gone = Reply(Code.CANCELLED)
    assert not bench.core.cancel(stranger, gone)
    assert ended(stranger, first) == [None, None]
    assert bench.core.cancel(waits, gone)
    assert bench.core.cancel(first, gone)
    assert not bench.core.cancel(first, gone)
    bench.pump()
    assert (bench.sent(Kind.RST_STREAM), bench.core.finished, bench.core.idle) == ([1], [], True)


def test_goaway_finishes_what_is_below_and_gives_back_the_rest() -> None:
    bench = Bench((STREAMS_KEY, 3))
    calls = [new_call() for _ in range(5)]
    bench.submit(*calls)
    bench.feed(goaway((1 << 31) - 1))
    assert bench.core.draining
    assert bench.core.orphans == calls[3:]
    bench.feed(goaway(3))
    assert bench.core.orphans == [calls[3], calls[4], calls[2]]
    bench.feed(good(1) + good(3))
    assert ended(*calls) == [Code.OK, Code.OK, None, None, None]
    late = new_call()
    bench.submit(late)
    assert bench.core.orphans[-1] is late
    assert bench.sent(Kind.HEADERS) == [1, 3, 5]


def test_goaway_before_a_request_has_left_gives_it_back() -> None:
    bench, call = Bench(), new_call()
    bench.core.submit(call, 0.0)
    bench.core.receive(goaway(0), 0.0)
    bench.pump()
    assert (bench.core.orphans, bench.sent(Kind.HEADERS)) == ([call], [])


def test_a_refused_call_may_move_so_often_and_no_more() -> None:
    call = new_call()
    for _ in range(MOST_MOVES):
        bench = Bench()
        bench.submit(call)
        bench.feed(rst_stream(1, H2Error.REFUSED_STREAM))
        assert bench.core.orphans == [call]
    bench = Bench()
    bench.submit(call)
    bench.feed(rst_stream(1, H2Error.REFUSED_STREAM))
    assert (bench.core.orphans, ended(call)) == ([], [Code.UNAVAILABLE])


def test_a_lost_connection_ends_what_was_sent_and_gives_back_what_was_not() -> None:
    bench, calls = Bench((STREAMS_KEY, 1)), [new_call(), new_call()]
    bench.submit(*calls)
    bench.core.lose("gone")
    assert (ended(*calls), bench.core.orphans) == ([Code.UNAVAILABLE, None], [calls[1]])
    unready, early = Bench(ready=False), new_call()
    unready.submit(early)
    unready.core.lose("no route")
    assert early.reply == Reply(Code.UNAVAILABLE, "no route")
    assert unready.core.orphans == []


def test_stream_ids_run_out_and_the_connection_drains() -> None:
    bench, calls = Bench(last_stream=3), [new_call() for _ in range(3)]
    bench.submit(*calls)
    assert bench.core.draining
    assert bench.core.orphans == [calls[2]]
    bench.feed(good(1) + good(3))
    assert ended(*calls) == [Code.OK, Code.OK, None]


def test_a_reset_at_the_deadline_is_the_deadline() -> None:
    bench, late, early = Bench(), new_call(timeout=1.0), new_call(timeout=9.0)
    bench.submit(late, early)
    bench.feed(rst_stream(1, H2Error.CANCEL) + rst_stream(3, H2Error.CANCEL), now=1.0)
    assert ended(late, early) == [Code.DEADLINE_EXCEEDED, Code.CANCELLED]


def test_a_request_that_cannot_be_sent_is_an_error_of_ours() -> None:
    bench = Bench()
    call = Call(Method((*REQUEST, (b"x", b"y" * 100_000)), None), pack(b""), 0.0, None)
    bench.submit(call)
    assert ended(call) == [Code.INTERNAL]
    other = new_call()
    bench.submit(other)
    bench.feed(good(bench.sent(Kind.HEADERS)[-1]))
    assert ended(other) == [Code.OK]


def test_large_bodies_follow_the_windows_of_the_peer() -> None:
    bench, call = Bench((WINDOW_KEY, 10)), new_call(body=b"z" * 100)
    bench.submit(call)
    assert body_of(bench) == pack(b"z" * 100)[:10]
    bench.feed(window_update(1, 90))
    assert len(body_of(bench)) == 100
    bench.feed(settings((WINDOW_KEY, 0)))
    bench.feed(window_update(1, 20))
    assert body_of(bench) == pack(b"z" * 100)
    bench.feed(good(1))
    assert ended(call) == [Code.OK]


def body_of(bench: Bench) -> bytes:
    return b"".join(frame.payload for frame in bench.frames if frame.kind == Kind.DATA)


@pytest.mark.parametrize("length", [1000, 1001])
def test_the_limit_of_messages(length: int) -> None:
    bench, call = Bench(limit=1000), new_call()
    bench.submit(call)
    bench.feed(headers(1, *HEAD) + data(1, message(b"m" * length)) + headers(1, ("grpc-status", "0"), end=True))
    assert ended(call) == [Code.OK if length == 1000 else Code.RESOURCE_EXHAUSTED]


# Any octets in any pieces


SAFE = [oddity for oddity in (*LEGAL, *STATUSES, *RESETS, *BROKEN_MESSAGES, *BROKEN_FRAMES) if "flood" not in oddity.name]
"""A flood is one only if nothing is sent in between, so it depends on the pieces."""
conversations = st.lists(st.sampled_from(SAFE), min_size=1, max_size=4)


def outcome(octets: bytes, pieces: Callable[[bytes], list[bytes]], calls: int) -> tuple[list[Reply | None], list[int], object]:
    bench, made = Bench(), [new_call(timeout=60.0) for _ in range(calls)]
    bench.submit(*made)
    for piece in pieces(octets):
        bench.feed(piece)
    why = bench.core.over
    bench.core.lose("the end")
    orphans = sorted(made.index(call) for call in bench.core.orphans)
    assert all((call.reply is None) == (number in orphans) for number, call in enumerate(made))
    assert bench.core.idle
    replies = [call.reply for call in made]
    # Which fault of two in one piece comes first, nghttp2 does not tell: that of the connection covers that of a response.
    spoilt = why is not None and why.startswith("the peer broke HTTP/2")
    covered = Reply(Code.UNAVAILABLE, why or "")
    replies = [covered if spoilt and reply is not None and "malformed" in reply.details else reply for reply in replies]
    return replies, orphans, why


def cut(octets: bytes, at: list[float]) -> list[bytes]:
    places = sorted({0, len(octets), *(int(share * len(octets)) for share in at)})
    return [octets[start:end] for start, end in itertools.pairwise(places)]


@given(conversations, st.lists(st.floats(0, 1), max_size=20))
def test_any_pieces_give_the_same_outcome(oddities: list[Oddity], at: list[float]) -> None:
    octets = b"".join(oddity.answer(2 * number + 1) for number, oddity in enumerate(oddities))
    whole = outcome(octets, lambda octets: [octets], len(oddities))
    assert outcome(octets, lambda octets: cut(octets, at), len(oddities)) == whole


@pytest.mark.parametrize("oddity", [oddity for oddity in SAFE if len(oddity.answer(1)) < 10_000], ids=lambda oddity: oddity.name)
def test_single_octets_give_the_same_outcome(oddity: Oddity) -> None:
    octets = oddity.answer(1)
    whole = outcome(octets, lambda octets: [octets], 1)
    assert outcome(octets, lambda octets: [bytes((octet,)) for octet in octets], 1) == whole


frames = st.builds(
    lambda kind, flags, stream, payload: (
        len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload
    ),
    st.integers(0, 12),
    st.integers(0, 255),
    st.integers(0, 5),
    st.binary(max_size=40),
)
hostile = st.one_of(
    st.binary(max_size=300),
    st.lists(frames, max_size=12).map(b"".join),
    st.tuples(conversations, st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=6)).map(
        lambda drawn: damaged(b"".join(oddity.answer(2 * number + 1) for number, oddity in enumerate(drawn[0])), drawn[1])
    ),
)


def damaged(octets: bytes, changes: list[tuple[float, int]]) -> bytes:
    found = bytearray(octets)
    for share, value in changes:
        if found:
            found[int(share * len(found))] = value
    return bytes(found)


@given(hostile, st.lists(st.floats(0, 1), max_size=6), st.booleans())
def test_hostile_octets_give_an_end_and_never_an_exception(octets: bytes, at: list[float], ready: bool) -> None:
    bench, made = Bench(ready=ready), [new_call(timeout=1.0) for _ in range(3)]
    bench.submit(*made)
    for piece in cut(octets, at):
        bench.feed(piece)
        bench.submit(new_call(timeout=1.0))
    bench.core.expire(2.0)
    bench.pump(2.0)
    assert all(call.reply is not None or call in bench.core.orphans for call in made)
    assert bench.core.idle
