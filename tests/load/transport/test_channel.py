"""Connections that come and go, calls that have to move, and callers that give up: what a caller gets to see of it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event

from harness.grpcstatus import Code, H2Error
from harness.h2frames import Kind, frame, rst_stream, window_update
from loadtests.transport.link import EAGER
from loadtests.transport.protocol import MOST_MOVES
from loadtests.transport.reply import Channel, Reply
from loadtests.transport.wire import LARGE, WireChannel
from tests.edge.endpoints import PATIENCE, silent_socket
from tests.load.transport.lines import BOTH, GRPCIO, PATH, WIRE, ask, call, call_all, channel
from tests.load.transport.peer import (
    CLOSE,
    HEAD,
    PING,
    Peer,
    Request,
    authority_in,
    data,
    goaway,
    good,
    headers,
    message,
    raw_peer,
    settings,
)


def gone(channel: WireChannel) -> None:
    channel.close()
    gevent.sleep(0)


def until(ready: Callable[[], bool]) -> bool:
    by = time.monotonic() + PATIENCE
    while time.monotonic() < by:
        if ready():
            return True
        gevent.sleep(0.005)
    return False


@pytest.mark.parametrize("kind", BOTH)
def test_each_connection_of_a_channel_is_used_in_turn(kind: str) -> None:
    with raw_peer(lambda request: [good(request.stream)]) as peer, channel(kind, peer.address, connections=3) as opened:
        method = opened.method(PATH, (), 20.0)
        assert {opened.exchange(method, b"").code for _ in range(6)} == {Code.OK}
    assert sorted(request.connection for request in peer.requests) == [1, 1, 2, 2, 3, 3]


def test_a_large_request_does_not_stand_in_the_way_of_small_ones() -> None:
    wide = settings((4, 1 << 24)) + window_update(0, 1 << 24)
    with raw_peer(lambda request: [good(request.stream)], first=wide) as peer, channel(WIRE, peer.address) as opened:
        for size in (LARGE, LARGE + 1, 0, LARGE + 1):
            assert ask(opened, PATH, bytes(size), 20.0).code is Code.OK
    assert [request.connection for request in peer.requests] == [1, 2, 1, 2]


def started(opened: Channel, body: bytes = b"", timeout: float = 20.0, **options: Any) -> Reply:
    """Start a call, and return its reply; it may not come before `start` has returned."""
    replies: list[Reply] = []
    over = Event()

    def done(reply: Reply, token: object) -> None:
        assert token is options["token"]
        replies.append(reply)
        over.set()

    options["token"] = object()
    opened.start(opened.method(PATH, (), timeout), body, done, **options)
    assert not replies
    assert over.wait(PATIENCE)
    return replies[0]


def test_a_call_by_callback_ends_as_one_that_is_waited_for() -> None:
    with raw_peer(lambda request: [good(request.stream)]) as peer, channel(WIRE, peer.address) as opened:
        assert started(opened) == ask(opened, PATH, b"", 20.0)
    with raw_peer(lambda _: []) as mute, channel(WIRE, mute.address) as opened:
        assert started(opened, timeout=0.2).code is Code.DEADLINE_EXCEEDED
    with channel(WIRE, "127.0.0.1:1") as opened:
        assert {started(opened).code for _ in range(3)} == {Code.UNAVAILABLE}
    assert started(opened).code is Code.CANCELLED


def test_calls_by_callback_can_start_others() -> None:
    left, over = [30], Event()
    with raw_peer(lambda request: [good(request.stream)]) as peer, channel(WIRE, peer.address, connections=2) as opened:
        method = opened.method(PATH, (), 20.0)

        def again(reply: Reply, _: object) -> None:
            assert reply.code is Code.OK
            left[0] -= 1
            if left[0] == 0:
                over.set()
            elif left[0] > 0:
                opened.start(method, b"", again)

        for _ in range(3):
            opened.start(method, b"", again)
        assert over.wait(PATIENCE)


def test_new_calls_go_out_while_many_answers_are_still_handed_over() -> None:
    answers, sent, last = 0, threading.Event(), Event()

    def answer(_: Request) -> list[bytes]:
        """Answer the first calls all at once, and no others."""
        if len(peer.requests) == 3 * EAGER:
            sent.set()
        return [b"".join(good(one.stream) for one in peer.requests)] if len(peer.requests) == 2 * EAGER else []

    def again(*_: object) -> None:
        nonlocal answers
        answers += 1
        if answers == 2 * EAGER:
            assert sent.wait(PATIENCE)
            last.set()
        opened.start(method, b"", lambda *_: None)

    with raw_peer(answer) as peer, channel(WIRE, peer.address) as opened:
        method = opened.method(PATH, (), 20.0)
        for _ in range(2 * EAGER):
            opened.start(method, b"", again)
        assert last.wait(PATIENCE)


def test_who_fails_to_take_an_answer_does_not_cost_the_others_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    troubles: list[object] = []
    monkeypatch.setattr(gevent.get_hub(), "handle_error", lambda *trouble: troubles.append(trouble[1]))
    replies: list[Reply] = []
    over = Event()

    def taken(reply: Reply, _: object) -> None:
        replies.append(reply)
        if len(replies) == 2:
            over.set()

    def fails(*_: object) -> None:
        raise KeyError("x")

    with raw_peer(lambda request: [good(request.stream)]) as peer, channel(WIRE, peer.address) as opened:
        method = opened.method(PATH, (), 20.0)
        for done in (taken, fails, taken):
            opened.start(method, b"", done)
        assert over.wait(PATIENCE)
        gevent.sleep(0)
    assert troubles == [KeyError]


def test_what_a_goaway_leaves_out_is_done_on_a_new_connection() -> None:
    def answer(request: Request) -> list[bytes]:
        if request.connection > 1:
            return [good(request.stream, b"second")]
        return [goaway(1), good(1, b"first")] if request.stream == 5 else []

    with raw_peer(answer) as peer, channel(WIRE, peer.address) as opened:
        replies = call_all(WIRE, opened, [b""] * 3)
        assert sorted(reply.message for reply in replies) == [b"first", b"second", b"second"]
        assert ask(opened, PATH, b"", 20.0).message == b"second"
    assert peer.connections == 2


def test_a_graceful_goaway_lets_calls_finish_and_is_not_seen() -> None:
    def answer(request: Request) -> list[bytes]:
        parting = [goaway((1 << 31) - 1), goaway(request.stream)] if request.connection < 3 else []
        return [*parting, good(request.stream, b"%d" % request.connection)]

    with raw_peer(answer) as peer, channel(WIRE, peer.address) as opened:
        assert [ask(opened, PATH, b"", 20.0).message for _ in range(4)] == [b"1", b"2", b"3", b"3"]


@pytest.mark.parametrize(("refusals", "code"), [(MOST_MOVES, Code.OK), (MOST_MOVES + 1, Code.UNAVAILABLE)])
def test_a_refused_call_is_made_again_and_not_for_ever(refusals: int, code: Code) -> None:
    def answer(request: Request) -> list[bytes]:
        return [rst_stream(request.stream, H2Error.REFUSED_STREAM) if request.number <= refusals else good(request.stream)]

    with raw_peer(answer) as peer:
        assert call(WIRE, peer.address).code is code
    assert len(peer.requests) == MOST_MOVES + 1


def test_grpcio_is_told_not_to_make_refused_calls_again() -> None:
    with raw_peer(lambda request: [rst_stream(request.stream, H2Error.REFUSED_STREAM)]) as peer:
        assert call(GRPCIO, peer.address).code is Code.UNAVAILABLE
    assert len(peer.requests) == 1


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    "error", [error for error in H2Error if error is not H2Error.REFUSED_STREAM], ids=lambda error: error.name
)
def test_any_other_reset_is_final(kind: str, error: H2Error) -> None:
    with raw_peer(lambda request: [rst_stream(request.stream, error)]) as peer:
        assert call(kind, peer.address).code is not Code.OK
    assert len(peer.requests) == 1


@pytest.mark.parametrize("kind", BOTH)
def test_a_connection_that_breaks_with_a_call_under_way_is_not_tried_again_but_made_again(kind: str) -> None:
    def answer(request: Request) -> list[bytes]:
        return [CLOSE] if request.number == 1 else [good(request.stream)]

    with raw_peer(answer) as peer, channel(kind, peer.address) as opened:
        assert ask(opened, PATH, b"", 20.0).code is Code.UNAVAILABLE
        # grpcio may need a while to notice that the connection is gone.
        assert until(lambda: ask(opened, PATH, b"", 20.0).code is Code.OK)
    assert [request.connection for request in peer.requests] == [1, 2]


def test_a_limit_of_streams_is_kept_and_everybody_gets_a_turn() -> None:
    waiting: list[Request] = []
    most = 0

    def answer(request: Request) -> list[bytes]:
        nonlocal most
        waiting.append(request)
        most = max(most, len(waiting))
        if len(waiting) < 4 and request.number < 10:
            return []
        done = [good(waiting.pop(0).stream) for _ in range(len(waiting))]
        return [b"".join(done)]

    with raw_peer(answer, first=settings((3, 4))) as peer, channel(WIRE, peer.address) as opened:
        assert {reply.code for reply in call_all(WIRE, opened, [b""] * 10)} == {Code.OK}
    assert (most, len(peer.requests), peer.connections) == (4, 10, 1)


@pytest.mark.parametrize("kind", BOTH)
def test_a_call_that_waits_for_a_stream_has_its_deadline(kind: str) -> None:
    with raw_peer(lambda _: [], first=settings((3, 1))) as peer, channel(kind, peer.address) as opened:
        replies = call_all(kind, opened, [b""] * 3, timeout=0.5)
    assert [reply.code for reply in replies] == [Code.DEADLINE_EXCEEDED] * 3


@pytest.mark.parametrize("kind", BOTH)
def test_a_deadline_resets_the_stream_and_leaves_the_connection(kind: str) -> None:
    def answer(request: Request) -> list[bytes]:
        return [] if request.number == 1 else [good(request.stream)]

    with raw_peer(answer) as peer, channel(kind, peer.address) as opened:
        began = time.monotonic()
        assert ask(opened, PATH, b"", 0.3).code is Code.DEADLINE_EXCEEDED
        assert time.monotonic() - began >= 0.29
        assert ask(opened, PATH, b"", 20.0).code is Code.OK
        assert [frame.payload[-1] for frame in peer.of_kind(Kind.RST_STREAM)] == [H2Error.CANCEL]
    assert peer.connections == 1


@pytest.mark.parametrize("kind", BOTH)
def test_nobody_there(kind: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with channel(kind, address) as opened:
            replies = [ask(opened, PATH, b"", 20.0) for _ in range(3)]
    assert {reply.code for reply in replies} == {Code.UNAVAILABLE}
    assert all("onnection refused" in reply.details for reply in replies)


@pytest.mark.parametrize("kind", BOTH)
def test_nobody_who_speaks(kind: str) -> None:
    with silent_socket() as address:
        assert call(kind, address, timeout=0.5).code is Code.DEADLINE_EXCEEDED


@pytest.mark.parametrize("kind", BOTH)
def test_somebody_who_speaks_http_1(kind: str) -> None:
    with raw_peer(lambda _: [], first=b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n") as peer:
        assert call(kind, peer.address).code is Code.UNAVAILABLE


@pytest.mark.parametrize("kind", BOTH)
def test_an_endpoint_that_comes_late_is_found(kind: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with channel(kind, f"127.0.0.1:{port}") as opened:
        assert ask(opened, PATH, b"", 20.0).code is Code.UNAVAILABLE
        with raw_peer(lambda request: [good(request.stream)], port=port):
            assert until(lambda: ask(opened, PATH, b"", 20.0).code is Code.OK)


def test_attempts_to_connect_are_spaced_out() -> None:
    with raw_peer(lambda _: [], first=b"nonsense, not settings") as peer, channel(WIRE, peer.address) as opened:
        codes = [ask(opened, PATH, b"", 20.0).code for _ in range(200)]
        attempts = peer.connections
    assert set(codes) == {Code.UNAVAILABLE}
    assert attempts < 20


def test_an_early_answer_stops_the_upload() -> None:
    refused = headers(1, *HEAD, ("grpc-status", "8"), end=True)
    with raw_peer(lambda _: [refused], at_headers=True) as peer, channel(WIRE, peer.address) as opened:
        assert ask(opened, PATH, bytes(10 << 20), 20.0).code is Code.RESOURCE_EXHAUSTED
        assert until(lambda: bool(peer.of_kind(Kind.RST_STREAM)))
        assert sum(len(frame.payload) for frame in peer.of_kind(Kind.DATA)) <= 65535


@pytest.mark.parametrize("kind", BOTH)
def test_an_upload_through_a_tiny_window(kind: str) -> None:
    body = bytes(range(256)) * 8

    def answer(request: Request) -> list[bytes]:
        return [window_update(request.stream, 300)] * 10

    with raw_peer(answer, first=settings((4, 1)), at_headers=True) as peer, channel(kind, peer.address) as opened:
        assert ask(opened, PATH, body, 1.0).code is Code.DEADLINE_EXCEEDED
        sent = b"".join(frame.payload for frame in peer.of_kind(Kind.DATA))
    assert sent == message(body)


@pytest.mark.parametrize("kind", BOTH)
def test_pings_are_answered(kind: str) -> None:
    def answer(request: Request) -> list[bytes]:
        return [frame(PING, 0, 0, b"12345678"), good(request.stream)]

    with raw_peer(answer) as peer, channel(kind, peer.address) as opened:
        assert ask(opened, PATH, b"", 20.0).code is Code.OK
        assert until(lambda: b"12345678" in {found.payload for found in peer.of_kind(PING) if found.flags})


def test_a_caller_that_is_killed_resets_its_stream_only() -> None:
    def answer(request: Request) -> list[bytes]:
        return [good(3, b"kept")] if request.stream == 3 and peer.of_kind(Kind.RST_STREAM) else []

    def done(peer: Peer) -> bool:
        return len(peer.requests) == 2

    with raw_peer(answer) as peer, channel(WIRE, peer.address) as opened:
        first, second = (gevent.spawn(ask, opened, PATH, b"", 20.0) for _ in range(2))
        assert until(lambda: done(peer))
        first.kill()
        assert until(lambda: len(peer.of_kind(Kind.RST_STREAM)) == 1)
        third = gevent.spawn(ask, opened, PATH, b"", 20.0)
        assert until(lambda: len(peer.requests) == 3)
        assert not second.ready()
        second.kill()
        third.kill()
        assert until(lambda: len(peer.of_kind(Kind.RST_STREAM)) == 3)
    assert sorted(found.stream for found in peer.of_kind(Kind.RST_STREAM)) == [1, 3, 5]


def test_closing_a_channel_ends_its_calls() -> None:
    with raw_peer(lambda _: []) as peer:
        opened = WireChannel(peer.address)
        task = gevent.spawn(ask, opened, PATH, b"", 20.0)
        assert until(lambda: bool(peer.requests))
        gone(opened)
        reply: Reply = task.get(timeout=PATIENCE)
        assert reply.code is Code.CANCELLED
        assert ask(opened, PATH, b"", 20.0).code is Code.CANCELLED


def test_stream_ids_that_run_out_bring_a_new_connection() -> None:
    with raw_peer(lambda request: [good(request.stream)]) as peer:
        opened = WireChannel(peer.address, last_stream=5)
        assert {ask(opened, PATH, b"", 20.0).code for _ in range(7)} == {Code.OK}
        gone(opened)
    assert [request.connection for request in peer.requests] == [1, 1, 1, 2, 2, 2, 3]


@pytest.mark.parametrize("kind", BOTH)
def test_the_authority(kind: str) -> None:
    seen = {}
    for authority in (None, "controller.example:7"):
        with raw_peer(lambda request: [good(request.stream)]) as peer:
            assert call(kind, peer.address, authority=authority).code is Code.OK
            seen[authority] = (peer.address, b"".join(found.payload for found in peer.of_kind(Kind.HEADERS)))
    assert authority_in(seen["controller.example:7"][1]) == "controller.example:7"
    assert authority_in(seen[None][1]) == seen[None][0]


def test_a_large_answer_in_small_pieces_over_many_calls() -> None:
    body = bytes(range(256)) * 4096

    def answer(request: Request) -> list[bytes]:
        return [
            headers(request.stream, *HEAD) + data(request.stream, message(body)),
            headers(request.stream, ("grpc-status", "0"), end=True),
        ]

    with raw_peer(answer) as peer, channel(WIRE, peer.address) as opened:
        assert {reply.message == body for reply in call_all(WIRE, opened, [b""] * 20)} == {True}
