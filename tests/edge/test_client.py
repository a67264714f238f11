"""Both clients against the reference Controller: every RPC, every way to fail, and what is told of each call."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import uuid
from typing import Any

import grpc
import pytest

from harness.budget import BudgetExceededError, Spending
from harness.call import Call, RpcError
from harness.client import AioControllerClient, ControllerClient
from harness.endpoint import Endpoint
from harness.errors import UnreachableError
from harness.facts import Budget
from harness.history import Failed, Ok, Rpc, Unknown
from harness.ids import IdempotencyKey
from harness.requests import Requests
from harness.server.embedded_thread import background_server
from harness.server.run import Bound
from harness.server.settings import ServerSettings
from harness.server.tokens import Token
from harness.stubs import job_pb2, service_pb2
from tests.edge.endpoints import PATIENCE, Spy, endpoint, identities, silent_socket

Status = service_pb2.GetControllerJobStatusResponse
KEY = IdempotencyKey(0x0123456789AB4DEF, 0x9123456789ABCDEF)


def test_every_rpc_blocking(client: ControllerClient, served: Endpoint) -> None:
    requests = Requests(served)
    (job_id,) = client.execute(requests.execute()).job_execution_ids
    result = client.results(requests.results(job_id)).result
    assert result.status == job_pb2.ControllerJobExecutionResult.SUCCESS
    assert client.status(requests.status(job_id)).status == Status.SUCCEEDED
    batch = client.batch(requests.batch([requests.execute(count=2), requests.execute("slow")]))
    assert [len(one.job_execution_ids) for one in batch.responses] == [2, 1]
    slow = batch.responses[1].job_execution_ids[0]
    assert client.cancel(requests.cancel([slow])) == service_pb2.CancelControllerJobsResponse()


def test_every_rpc_for_asyncio(served: Endpoint) -> None:
    async def main() -> None:
        requests, calls = Requests(served), list[Call]()
        async with AioControllerClient(served, name="loop", on_call=calls.append) as client:
            (job_id,) = (await client.execute(requests.execute())).job_execution_ids
            result = (await client.results(requests.results(job_id))).result
            assert result.status == job_pb2.ControllerJobExecutionResult.SUCCESS
            assert (await client.status(requests.status(job_id))).status == Status.SUCCEEDED
            batch = await client.batch(requests.batch([requests.execute("slow")]))
            await client.cancel(requests.cancel(batch.responses[0].job_execution_ids))
            with pytest.raises(RpcError, match="NOT_FOUND"):
                await client.status(requests.status(str(uuid.uuid4())))
        assert [call.rpc for call in calls] == [Rpc.EXECUTE, Rpc.RESULTS, Rpc.STATUS, Rpc.BATCH, Rpc.CANCEL, Rpc.STATUS]
        assert {call.client for call in calls} == {"loop"}
        assert isinstance(calls[-1].error, Failed)

    asyncio.run(main())


def test_a_call_is_told_in_full(served: Endpoint) -> None:
    calls: list[Call] = []
    origin = time.monotonic_ns()
    with ControllerClient(served, name="me", on_call=calls.append, origin_ns=origin) as client:
        found = client.call(Rpc.EXECUTE, Requests(served).execute(key=KEY), timeout=3.0)
    assert calls == [found]
    assert (found.client, found.identity, found.rpc, found.timeout, found.code) == ("me", "", Rpc.EXECUTE, 3.0, "OK")
    assert 0 <= found.started_ns < found.ended_ns <= time.monotonic_ns() - origin
    operation = found.to_operation()
    assert isinstance(operation.outcome, Ok)
    assert operation.request["idempotency_key"] == {"high": str(KEY.high), "low": str(KEY.low)}
    assert operation.outcome.response["job_execution_ids"]
    assert (operation.request_id, operation.number) == (found.request_id, found.number)


def test_numbers_of_calls_are_unique_across_clients_and_threads(served: Endpoint) -> None:
    calls: list[Call] = []

    def work() -> None:
        with ControllerClient(served, on_call=calls.append) as client:
            for _ in range(5):
                client.execute(Requests(served).execute())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len({call.number for call in calls}) == 20
    assert len({call.request_id for call in calls}) == 20


def test_deadlines_of_the_profile(served: Endpoint) -> None:
    with ControllerClient(served) as client:
        assert {rpc: client.timeout_of(rpc) for rpc in Rpc} == {
            Rpc.EXECUTE: 6.0,
            Rpc.BATCH: 6.0,
            Rpc.RESULTS: 7.0,
            Rpc.CANCEL: 5.0,
            Rpc.STATUS: 5.0,
        }


def test_the_deadline_reaches_the_server(spy: Spy) -> None:
    left: list[float] = []

    def reply(_body: bytes, context: grpc.ServicerContext) -> bytes:
        left.append(context.time_remaining())
        return b""

    spy.reply = reply
    with ControllerClient(endpoint(spy.address)) as client:
        client.call(Rpc.CANCEL, service_pb2.CancelControllerJobsRequest())
        client.call(Rpc.CANCEL, service_pb2.CancelControllerJobsRequest(), timeout=300.0)
    # Deadlines travel in a few digits.
    assert 0 < left[0] <= 5.1
    assert 200 < left[1] <= 310


REFUSALS: list[tuple[grpc.StatusCode, type]] = [
    (code, Unknown if code.name in {"DEADLINE_EXCEEDED", "UNAVAILABLE", "CANCELLED"} else Failed)
    for code in grpc.StatusCode
    if code is not grpc.StatusCode.OK
]


@pytest.mark.parametrize(("code", "kind"), REFUSALS)
def test_every_code_is_translated_once(spy: Spy, code: grpc.StatusCode, kind: type) -> None:
    def reply(_body: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(code, "so be it")

    spy.reply = reply
    calls: list[Call] = []
    with ControllerClient(endpoint(spy.address), on_call=calls.append) as client, pytest.raises(RpcError) as caught:
        client.status(service_pb2.GetControllerJobStatusRequest())
    error = caught.value
    assert error.error == kind(code.name, "so be it")
    assert (error.code, error.details, calls) == (code.name, "so be it", [error.call])
    assert str(error) == f"GetControllerJobStatus failed: {code.name}: so be it (request id {spy.headers['x-request-id']})"


def test_an_answer_that_is_no_message_is_a_refusal(spy: Spy) -> None:
    spy.reply = lambda _body, _context: b"\xff\xff"
    with ControllerClient(endpoint(spy.address)) as client, pytest.raises(RpcError) as caught:
        client.status(service_pb2.GetControllerJobStatusRequest())
    assert caught.value.error == Failed("INTERNAL", caught.value.details)
    assert "deserializ" in caught.value.details


def test_a_deadline_that_passes_is_unknown(client: ControllerClient, served: Endpoint) -> None:
    requests = Requests(served)
    (job_id,) = client.execute(requests.execute("slow")).job_execution_ids
    with pytest.raises(RpcError) as caught:
        client.results(requests.results(job_id), timeout=0.05)
    assert isinstance(caught.value.error, Unknown)
    assert caught.value.code == "DEADLINE_EXCEEDED"
    client.cancel(requests.cancel([job_id]))


def test_nobody_there_is_unknown_at_once() -> None:
    with ControllerClient(endpoint("127.0.0.1:1")) as client, pytest.raises(RpcError) as caught:
        client.status(service_pb2.GetControllerJobStatusRequest())
    assert isinstance(caught.value.error, Unknown)
    assert caught.value.code == "UNAVAILABLE"


def test_abandon(client: ControllerClient, served: Endpoint) -> None:
    requests = Requests(served)
    (job_id,) = client.execute(requests.execute("slow")).job_execution_ids
    with pytest.raises(RpcError) as caught:
        client.abandon(Rpc.RESULTS, requests.results(job_id), after=0.01)
    assert caught.value.error == Unknown("CANCELLED", "abandoned after 10.00 ms")
    call = client.abandon(Rpc.STATUS, requests.status(job_id), after=PATIENCE)
    assert call.code == "OK"
    with pytest.raises(RpcError, match="NOT_FOUND"):
        client.abandon(Rpc.STATUS, requests.status(str(uuid.uuid4())), after=PATIENCE)
    client.cancel(requests.cancel([job_id]))


def test_abandon_hangs_up(spy: Spy) -> None:
    gone = threading.Event()

    def reply(_body: bytes, context: grpc.ServicerContext) -> bytes:
        context.add_callback(gone.set)
        assert gone.wait(PATIENCE)
        return b""

    spy.reply = reply
    with ControllerClient(endpoint(spy.address)) as client:
        with pytest.raises(RpcError, match="abandoned"):
            client.abandon(Rpc.CANCEL, service_pb2.CancelControllerJobsRequest(), after=0.2)
        assert gone.wait(PATIENCE)


def test_closing_the_connection_ends_an_abandoned_call(spy: Spy) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def reply(_body: bytes, _context: grpc.ServicerContext) -> bytes:
        arrived.set()
        go_on.wait(PATIENCE)
        return b""

    spy.reply = reply
    client = ControllerClient(endpoint(spy.address))

    def close() -> None:
        arrived.wait(PATIENCE)
        client.close()

    closer = threading.Thread(target=close)
    closer.start()
    with pytest.raises(RpcError) as caught:
        client.abandon(Rpc.CANCEL, service_pb2.CancelControllerJobsRequest(), after=PATIENCE)
    go_on.set()
    closer.join(PATIENCE)
    assert isinstance(caught.value.error, Unknown)
    assert caught.value.code == "CANCELLED"


def test_a_cancelled_task_is_told_as_unknown(spy: Spy) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def reply(_body: bytes, _context: grpc.ServicerContext) -> bytes:
        arrived.set()
        go_on.wait(PATIENCE)
        return b""

    async def main() -> list[Call]:
        calls: list[Call] = []
        async with AioControllerClient(endpoint(spy.address), on_call=calls.append) as client:
            task = asyncio.create_task(client.cancel(service_pb2.CancelControllerJobsRequest()))
            await asyncio.to_thread(arrived.wait, PATIENCE)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            go_on.set()
        return calls

    spy.reply = reply
    (call,) = asyncio.run(main())
    assert call.error == Unknown("CANCELLED", "the caller gave up")


# Who calls


@pytest.fixture(scope="module")
def guarded() -> Any:
    tokens = (Token("tok-main", "main"), Token("tok-root", "root", may_bypass=True))
    with background_server(ServerSettings(tokens=tokens)) as found:
        yield found


def test_tokens_by_identity(guarded: Bound) -> None:
    known = identities(main="tok-main", root="tok-root", liar="tok-none", nobody=None)
    where = endpoint(guarded.address, identities=known)
    requests = Requests(where)

    def code(identity: dict[str, str | None], bypass: bool = False) -> tuple[str, str]:
        calls: list[Call] = []
        with ControllerClient(where, on_call=calls.append, **identity) as client, contextlib.suppress(RpcError):
            client.execute(requests.execute(bypass=bypass))
        return calls[0].identity, calls[0].code

    assert code({}) == ("main", "OK")
    assert code({"identity": "root"}, bypass=True) == ("root", "OK")
    assert code({"identity": "main"}, bypass=True) == ("main", "PERMISSION_DENIED")
    assert code({"identity": "liar"}) == ("liar", "UNAUTHENTICATED")
    assert code({"identity": "nobody"}) == ("nobody", "UNAUTHENTICATED")
    assert code({"identity": None}) == ("", "UNAUTHENTICATED")


def test_the_profile_names_the_default_identity(guarded: Bound) -> None:
    where = endpoint(guarded.address, identities=identities(main="tok-main", root="tok-root"), identity="root")
    with ControllerClient(where) as client:
        assert client.identity == "root"
        assert client.execute(Requests(where).execute(bypass=True)).job_execution_ids


# Budgets


@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
def test_what_exceeds_the_budget_is_not_sent(spy: Spy, kind: str) -> None:
    where = endpoint(spy.address, budget=Budget(jobs=3))
    request = Requests(where).execute(count=2)

    def blocking() -> None:
        with ControllerClient(where) as client:
            client.execute(request)
            with pytest.raises(BudgetExceededError, match="2 more jobs exceed the profile's budget of 3"):
                client.execute(request)

    async def main() -> None:
        async with AioControllerClient(where) as client:
            await client.execute(request)
            with pytest.raises(BudgetExceededError):
                await client.execute(request)

    blocking() if kind == "blocking" else asyncio.run(main())
    assert len(spy.calls) == 1


def test_clients_can_share_a_budget(served: Endpoint) -> None:
    spending = Spending(Budget(calls=2))
    requests = Requests(served)
    with ControllerClient(served, spending=spending) as one, ControllerClient(served, spending=spending) as two:
        one.execute(requests.execute())
        two.batch(requests.batch([requests.execute(count=2), requests.execute()]))
        with pytest.raises(BudgetExceededError, match=r"budget of 2 calls is spent; raise budget\.calls"):
            one.status(requests.status("x"))
    assert (spending.calls, spending.jobs) == (2, 4)


# Connections


def test_wait_ready(client: ControllerClient) -> None:
    client.wait_ready(PATIENCE)
    client.wait_ready(PATIENCE)


def test_wait_ready_says_why_not() -> None:
    with ControllerClient(endpoint("127.0.0.1:1")) as client, pytest.raises(UnreachableError) as caught:
        client.wait_ready(0.3)
    assert str(caught.value).startswith("127.0.0.1:1 does not answer (waited 0.3 s): ")
    assert "Connection refused" in str(caught.value)


def test_wait_ready_does_not_wait_for_a_server_that_is_silent() -> None:
    begun = time.monotonic()
    with silent_socket() as address, ControllerClient(endpoint(address)) as client, pytest.raises(UnreachableError):
        client.wait_ready(0.3)
    assert time.monotonic() - begun < PATIENCE


def test_raw_octets(client: ControllerClient, served: Endpoint) -> None:
    answer = client.raw(Rpc.EXECUTE.path, Requests(served).execute().SerializeToString(), timeout=PATIENCE)
    assert service_pb2.ExecuteControllerJobResponse.FromString(answer).job_execution_ids
    with pytest.raises(grpc.RpcError) as caught:
        client.raw("/no.Such/Method", b"", timeout=PATIENCE)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_messages_of_many_mebibytes(client: ControllerClient, served: Endpoint) -> None:
    request = Requests(served).execute()
    request.encrypted.job += b"\n" + bytes(8 << 20)
    (job_id,) = client.execute(request).job_execution_ids
    assert client.results(Requests(served).results(job_id)).result.status == job_pb2.ControllerJobExecutionResult.SUCCESS
