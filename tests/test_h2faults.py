"""What is decided about frames, one connection at a time, without a connection."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.h2faults import (
    Action,
    Answered,
    CutAfterRequest,
    CutBeforeRequest,
    Fault,
    HoldResponse,
    Interceptor,
    ResetStream,
    Strike,
    ToClient,
    ToServer,
)
from harness.h2frames import (
    END_HEADERS,
    END_STREAM,
    HEADER,
    PADDED,
    PREFACE,
    Frame,
    FrameSplitter,
    Kind,
    frame,
    rst_stream,
    window_update,
)

FAULTS: tuple[Fault, ...] = (CutAfterRequest(), CutBeforeRequest(), HoldResponse(), ResetStream())
AFTER: tuple[Fault, ...] = (CutAfterRequest(), HoldResponse(), ResetStream())


def made(kind: int, flags: int, stream: int, payload: bytes = b"") -> Frame:
    return Frame(kind, flags, stream, frame(kind, flags, stream, payload))


def headers(stream: int, *, end: bool = False) -> Frame:
    return made(Kind.HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, b"h")


def data(stream: int, payload: bytes, *, end: bool = False) -> Frame:
    return made(Kind.DATA, END_STREAM if end else 0, stream, payload)


def started(*faults: Fault) -> Interceptor:
    """Return an interceptor past the beginning of its connection, with faults for the calls to come."""
    waiting = list(faults)
    interceptor = Interceptor(lambda: waiting.pop(0) if waiting else None)
    interceptor.from_client(made(Kind.WINDOW_UPDATE, 0, 0, bytes(4)))
    return interceptor


def requested(fault: Fault) -> Interceptor:
    """Return an interceptor whose stream 1 has been struck after a whole request."""
    interceptor = started(fault)
    interceptor.from_client(headers(1))
    assert Strike(fault, 1) in interceptor.from_client(data(1, b"body", end=True))
    return interceptor


def sent(actions: Iterable[Action], to: type[ToClient] | type[ToServer]) -> bytes:
    return b"".join(action.octets for action in actions if isinstance(action, ToClient | ToServer) and type(action) is to)


FRAMES = st.lists(
    st.builds(
        made,
        st.integers(0, 255).filter(lambda kind: kind not in {Kind.SETTINGS, Kind.CONTINUATION}),
        st.integers(0, 255),
        st.integers(0, 9),
        st.binary(max_size=20),
    ),
    max_size=20,
)


@given(FRAMES, FRAMES)
def test_without_a_fault_all_passes_as_it_is(near: list[Frame], far: list[Frame]) -> None:
    interceptor = Interceptor(lambda: None)
    out = [action for one in near for action in interceptor.from_client(one)]
    back = [action for one in far for action in interceptor.from_server(one)]
    assert sent(out, ToServer) == (PREFACE if near else b"") + b"".join(one.octets for one in near)
    assert sent(back, ToClient) == b"".join(one.octets for one in far)
    assert {type(action) for action in out} <= {ToServer}
    assert {type(action) for action in back} <= {ToClient}


@pytest.mark.parametrize("fault", FAULTS)
@given(near=FRAMES, far=FRAMES, order=st.lists(st.booleans(), max_size=40))
def test_other_streams_are_left_alone(fault: Fault, near: list[Frame], far: list[Frame], order: list[bool]) -> None:
    """Whatever comes on the stream that is struck, and whenever, what comes on the others passes in order."""
    interceptor = started(fault)
    interceptor.from_client(headers(11))
    others = {True: b"", False: b""}
    passed = {True: b"", False: b""}
    queues = {True: near, False: [*far]}
    for from_client in [*order, *[True] * 20, *[False] * 20]:
        if not queues[from_client]:
            continue
        one, queues[from_client] = queues[from_client][0], queues[from_client][1:]
        struck = one.stream == 9
        one = Frame(one.kind, one.flags, 11, one.octets[:5] + (11).to_bytes(4) + one.octets[9:]) if struck else one
        actions = interceptor.from_client(one) if from_client else interceptor.from_server(one)
        if not struck:
            others[from_client] += one.octets
            passed[from_client] += sent(actions, ToServer if from_client else ToClient)
    assert passed == others


@pytest.mark.parametrize("fault", AFTER)
def test_the_whole_request_goes_first(fault: Fault) -> None:
    interceptor = started(fault)
    parts = [headers(1), data(1, b"bo"), data(1, b"dy"), data(1, b"", end=True)]
    actions = [interceptor.from_client(part) for part in parts]
    assert [sent(some, ToServer) for some in actions] == [part.octets for part in parts]
    assert [[action for action in some if isinstance(action, Strike)] for some in actions] == [[], [], [], [Strike(fault, 1)]]
    assert isinstance(actions[-1][0], ToServer)
    assert sent(actions[-1], ToClient) == (rst_stream(1, 8) if isinstance(fault, ResetStream) else b"")


@pytest.mark.parametrize("fault", FAULTS)
def test_one_call_is_struck(fault: Fault) -> None:
    interceptor = started(fault)
    for stream in (1, 3):
        interceptor.from_client(headers(stream))
    assert [Strike(fault, 1)] == [
        action
        for stream in (3, 1)
        for action in interceptor.from_client(data(stream, b"body", end=True))
        if isinstance(action, Strike)
    ]
    assert interceptor.from_server(headers(3, end=True)) == [ToClient(headers(3, end=True).octets)]


def test_a_call_under_way_is_not_struck() -> None:
    waiting: list[Fault] = []
    interceptor = Interceptor(lambda: waiting.pop() if waiting else None)
    interceptor.from_client(headers(1))
    waiting.append(ResetStream())
    assert interceptor.from_client(headers(1, end=True)) == [ToServer(headers(1, end=True).octets)]
    assert interceptor.from_client(headers(3, end=True))[1:2] == [Strike(ResetStream(), 3)]


@given(st.lists(st.tuples(st.binary(max_size=30), st.integers(-1, 5)), min_size=1, max_size=6), st.booleans())
def test_a_cut_request_lacks_its_last_octet(parts: list[tuple[bytes, int]], own_end: bool) -> None:
    """However the body is cut into frames, padded (-1: not) or not, the server gets all of it but one octet, and no end."""
    interceptor = started(CutBeforeRequest())
    actions = interceptor.from_client(headers(1))
    for number, (body, padding) in enumerate(parts):
        flags = (END_STREAM if not own_end and number == len(parts) - 1 else 0) | (PADDED if padding >= 0 else 0)
        payload = body if padding < 0 else bytes([padding]) + body + bytes(padding)
        actions += interceptor.from_client(made(Kind.DATA, flags, 1, payload))
    if own_end:
        actions += interceptor.from_client(data(1, b"", end=True))
    first, *rest = FrameSplitter().feed(sent(actions, ToServer))
    assert first == headers(1)
    assert {(one.kind, one.flags) for one in rest} <= {(Kind.DATA, 0)}
    assert b"".join(one.payload for one in rest) == b"".join(body for body, _ in parts)[:-1]
    assert actions[-1] == Strike(CutBeforeRequest(), 1)
    assert sent(actions, ToClient) == b""


def test_a_request_of_headers_alone_is_cut_before_them() -> None:
    assert started(CutBeforeRequest()).from_client(headers(1, end=True)) == [Strike(CutBeforeRequest(), 1)]


@pytest.mark.parametrize("fault", [CutAfterRequest(), ResetStream()])
def test_a_lost_response_gives_its_window_back(fault: Fault) -> None:
    interceptor = requested(fault)
    assert interceptor.from_server(headers(1)) == []
    assert interceptor.from_server(data(1, b"12345")) == [ToServer(window_update(0, 5)), ToServer(window_update(1, 5))]
    assert interceptor.from_server(data(1, b"")) == []
    assert interceptor.from_server(data(1, b"678", end=True)) == [ToServer(window_update(0, 3)), Answered(1)]
    assert interceptor.from_server(made(Kind.RST_STREAM, 0, 1, bytes(4))) == [Answered(1)]
    assert interceptor.release() == []


def test_a_held_response_comes_whole() -> None:
    interceptor, response = requested(HoldResponse()), [headers(1), data(1, b"body"), headers(1, end=True)]
    assert [interceptor.from_server(part) for part in response] == [[], [], [Answered(1)]]
    assert interceptor.held_octets == sum(len(part.octets) for part in response) == 3 * HEADER + 6
    assert interceptor.release() == [ToClient(part.octets) for part in response]
    assert interceptor.held_octets == 0
    assert interceptor.release() == []


def test_a_response_released_early_passes() -> None:
    interceptor = requested(HoldResponse())
    assert interceptor.from_server(headers(1)) == []
    assert interceptor.release(1) == [ToClient(headers(1).octets)]
    assert interceptor.from_server(data(1, b"body", end=True)) == [ToClient(data(1, b"body", end=True).octets)]


def test_a_held_response_is_dropped_with_its_call() -> None:
    interceptor, cancel = requested(HoldResponse()), Frame(Kind.RST_STREAM, 0, 1, rst_stream(1, 8))
    interceptor.from_server(data(1, b"body"))
    assert interceptor.from_client(cancel) == [
        ToServer(cancel.octets),
        ToServer(window_update(0, 4)),
        ToServer(window_update(1, 4)),
    ]
    assert interceptor.from_server(data(1, b"x", end=True)) == [ToServer(window_update(0, 1)), Answered(1)]
    assert interceptor.release() == []


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("last", [headers(1, end=True), Frame(Kind.RST_STREAM, 0, 1, rst_stream(1, 7))])
def test_an_answer_before_the_whole_request_passes(fault: Fault, last: Frame) -> None:
    interceptor = started(fault)
    interceptor.from_client(headers(1))
    assert interceptor.from_server(headers(1)) == []
    assert interceptor.release() == []
    assert interceptor.from_server(last) == [ToClient(headers(1).octets), ToClient(last.octets)]
    assert interceptor.from_client(data(1, b"", end=True)) == [ToServer(data(1, b"", end=True).octets)]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_call_cancelled_before_its_request_is_whole_is_not_struck(fault: Fault) -> None:
    interceptor, cancel = started(fault), Frame(Kind.RST_STREAM, 0, 1, rst_stream(1, 8))
    interceptor.from_client(headers(1))
    assert interceptor.from_client(cancel) == [ToServer(cancel.octets)]
    assert interceptor.from_server(headers(1)) == [ToClient(headers(1).octets)]


@pytest.mark.parametrize("fault", FAULTS)
def test_the_window_of_a_request_passes(fault: Fault) -> None:
    interceptor = started(fault)
    interceptor.from_client(headers(1))
    update = Frame(Kind.WINDOW_UPDATE, 0, 1, window_update(1, 9))
    assert interceptor.from_server(update) == [ToClient(update.octets)]
