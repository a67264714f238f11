"""What a user's work asks for while it goes on: calls and rests, as a generator that somebody else runs.

The same work is thus run by a greenlet of its own, which waits, or by callbacks, which are cheaper. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NamedTuple, TypeVar

from google.protobuf.message import Message

from harness.errors import HarnessError
from harness.history import Failed, Rpc, Unknown
from loadtests.receipts import Ids

T = TypeVar("T")


class Ask(NamedTuple):
    """A call that is to be made: `octets` are the request, `jobs` how many it submits, `due_ns` when it was meant to be sent."""

    rpc: Rpc
    octets: bytes
    jobs: int = 0
    due_ns: int | None = None


class Answer(NamedTuple):
    """What came of a call: `response` (its ids, if it was a submission) when `code` is OK, else `error`.

    Times are nanoseconds since the start of the run.
    """

    rpc: Rpc
    code: str
    response: Message | Ids | None
    error: Failed | Unknown | None
    started_ns: int
    ended_ns: int
    raw_request_id: bytes

    @property
    def request_id(self) -> str:
        """The header by which the endpoint's own logs name the call."""
        return self.raw_request_id.decode()


Wish = Ask | float
"""A call, or a rest in seconds."""
Program = Generator[Wish, Any, T]
"""Work in steps: yields wishes, is sent the `Answer` of each call and None after each rest."""


def run_waiting(program: Program[object], call: Callable[[Ask], Answer], sleep: Callable[[float], object]) -> None:
    """Run a program to its end by functions that wait. It hears of a HarnessError of a call, and may raise it again."""
    try:
        wish = next(program)
        while True:
            if isinstance(wish, Ask):
                try:
                    answer = call(wish)
                except HarnessError as error:
                    wish = program.throw(error)
                    continue
                wish = program.send(answer)
            else:
                sleep(wish)
                wish = program.send(None)
    except StopIteration:
        return
    finally:
        program.close()
