"""Before a run: everything that may be wrong at the other end is one line and exit code 5."""

from __future__ import annotations

import threading
import time
from typing import Any

import grpc
import pytest

from harness.budget import BudgetExceededError
from harness.errors import ExitCode, UnreachableError
from harness.facts import Budget
from harness.probe import probe
from harness.server.run import Bound
from tests.edge.endpoints import PATIENCE, Spy, endpoint, identities, silent_socket


def complaint_of(*arguments: Any) -> str:
    with pytest.raises(UnreachableError) as caught:
        probe(*arguments)
    assert caught.value.exit_code is ExitCode.UNREACHABLE
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_reference_answers(bound: Bound) -> None:
    probe(endpoint(bound.address), PATIENCE)


def test_nobody_there() -> None:
    assert "127.0.0.1:1 does not answer (waited 0.3 s): " in complaint_of(endpoint("127.0.0.1:1"), 0.3)


def test_somebody_who_takes_connections_and_says_nothing() -> None:
    begun = time.monotonic()
    with silent_socket() as address:
        assert "does not answer (waited 0.3 s)" in complaint_of(endpoint(address), 0.3)
    assert time.monotonic() - begun < PATIENCE


def test_a_service_that_never_answers(spy: Spy) -> None:
    gone = threading.Event()

    def reply(_body: bytes, context: grpc.ServicerContext) -> bytes:
        if "Controller" in spy.calls[-1][0]:
            context.add_callback(gone.set)
            gone.wait(PATIENCE)
        return b""

    spy.reply = reply
    said = complaint_of(endpoint(spy.address), 0.5)
    assert said.startswith(f"{spy.address} does not answer a status call: DEADLINE_EXCEEDED: ")


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("UNAUTHENTICATED", "refuses the credentials of identity 'main': no; check identities in the profile"),
        ("PERMISSION_DENIED", "refuses the credentials of identity 'main': no; check identities in the profile"),
        ("UNIMPLEMENTED", "does not serve the Controller service: no; is the address right?"),
        ("UNAVAILABLE", "does not answer a status call: UNAVAILABLE: no"),
    ],
)
def test_a_refusal(spy: Spy, code: str, complaint: str) -> None:
    def reply(_body: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode[code], "no")

    spy.reply = reply
    assert complaint_of(endpoint(spy.address, identities=identities(main="t")), PATIENCE) == f"{spy.address} {complaint}"


def test_a_refusal_of_calls_without_credentials(spy: Spy) -> None:
    spy.reply = lambda _body, context: context.abort(grpc.StatusCode.UNAUTHENTICATED, "who?")
    assert "refuses calls without credentials: who?" in complaint_of(endpoint(spy.address), PATIENCE)


@pytest.mark.parametrize("code", ["NOT_FOUND", "INVALID_ARGUMENT", "INTERNAL", "RESOURCE_EXHAUSTED", "UNKNOWN"])
def test_any_other_answer_will_do(spy: Spy, code: str) -> None:
    spy.reply = lambda _body, context: context.abort(grpc.StatusCode[code], "hm")
    probe(endpoint(spy.address), PATIENCE)
    assert [path.rpartition("/")[2] for path, _, _ in spy.calls] == ["Check", "GetControllerJobStatus"]


def test_a_budget_of_nothing(spy: Spy) -> None:
    with pytest.raises(BudgetExceededError):
        probe(endpoint(spy.address, budget=Budget(calls=0)), PATIENCE)
