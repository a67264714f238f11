"""Whatever a peer answers with: a result or an error, by both transports the same, and in time."""

from __future__ import annotations

import pytest

from harness.grpcstatus import Code
from tests.load.transport.lines import BOTH, GRPCIO, ask, call, channel
from tests.load.transport.oddities import (
    BROKEN_FRAMES,
    BROKEN_MESSAGES,
    GRPCIO_SAYS,
    LEGAL,
    RESETS,
    STATUSES,
    Oddity,
)
from tests.load.transport.peer import CLOSE, Request, good, raw_peer

ALL = [*LEGAL, *STATUSES, *RESETS, *BROKEN_MESSAGES, *BROKEN_FRAMES]


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("oddity", ALL, ids=lambda oddity: oddity.name)
def test_an_odd_answer(oddity: Oddity, kind: str) -> None:
    code = GRPCIO_SAYS.get(oddity.name, oddity.code) if kind == GRPCIO else oddity.code
    # What grpcio waits for never comes.
    timeout = 0.5 if code is Code.DEADLINE_EXCEEDED else 20.0

    def answer(request: Request) -> list[bytes]:
        return [oddity.answer(request.stream), *([CLOSE] if oddity.closes else [])]

    with raw_peer(answer) as peer:
        reply = call(kind, peer.address, b"x", timeout=timeout)
    assert reply.code is code, reply.details
    if code is Code.OK:
        assert reply.message == (oddity.body if oddity.code is Code.OK else b"ok")
    elif oddity.details is not None:
        assert reply.details == oddity.details


def test_every_difference_is_one_of_the_oddities() -> None:
    assert set(GRPCIO_SAYS) <= {oddity.name for oddity in ALL}


ACCEPTED = [
    pytest.param(oddity, kind, id=f"{oddity.name}-{kind}")
    for oddity in (*LEGAL, *STATUSES)
    for kind in BOTH
    if kind != GRPCIO or oddity.name not in GRPCIO_SAYS
]


@pytest.mark.parametrize(("oddity", "kind"), ACCEPTED)
def test_a_legal_answer_leaves_the_connection_of_use(oddity: Oddity, kind: str) -> None:
    def answer(request: Request) -> list[bytes]:
        return [oddity.answer(request.stream) if request.number == 1 else good(request.stream, b"next")]

    with raw_peer(answer) as peer, channel(kind, peer.address) as opened:
        ask(opened, "/a/b", b"", 20.0)
        assert ask(opened, "/a/b", b"", 20.0).message == b"next"
        assert {request.connection for request in peer.requests} == {1}
