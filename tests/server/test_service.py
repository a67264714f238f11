"""The host of the engine, without any transport."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

import pytest

from harness.server.refusal import Code, Refusal
from harness.server.run import build_service
from harness.server.service import CallContext, Service
from harness.server.settings import ServerSettings
from harness.server.state import Effects
from harness.server.store import MemoryStore, StoreError
from harness.server.values import Caller
from harness.stubs import service_pb2

ALICE = Caller("alice", False)


class FailingStore(MemoryStore):
    """Fails from a certain command on."""

    def __init__(self, good: int) -> None:
        self.good = good

    def apply(self, effects: Effects) -> None:
        self.good -= 1
        if self.good < 0:
            raise StoreError(f"disk full, {len(effects.accepted)} jobs lost")


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 20))


def service(**settings: Any) -> Service:
    return build_service(ServerSettings(**settings), MemoryStore(), None)


def submit(subject: Service, support: Any, text: str, count: int = 1) -> list[str]:
    answer = subject.execute(support.submission(text, range(count)), CallContext(ALICE))
    assert isinstance(answer, service_pb2.ExecuteControllerJobResponse)
    return list(answer.job_execution_ids)


def ask_results(job_id: str) -> service_pb2.GetControllerJobResultsRequest:
    return service_pb2.GetControllerJobResultsRequest(job_execution_id=job_id, quantum_processor_id="qpu-1")


async def settle() -> None:
    """Let every task that can go on do so."""
    for _ in range(3):
        await asyncio.sleep(0)


def test_waiting_calls_get_their_own_result_and_leave_nothing(support: Any) -> None:
    async def test() -> None:
        subject = service()
        ids = submit(subject, support, "controller-job duration=2ms", 5)
        answers = [subject.results(ask_results(job_id), CallContext(ALICE)) for job_id in ids + ids]
        found = [await answer for answer in answers]  # type: ignore[misc]
        assert [one.result.memory_values["n"].integer.data[0] for one in found] == [0, 1, 2, 3, 4] * 2
        await settle()
        assert subject.waiting == 0
        assert isinstance(subject.results(ask_results(ids[0]), CallContext(ALICE)), service_pb2.GetControllerJobResultsResponse)
        subject.close()

    run(test())


def test_a_wait_ends_at_its_deadline_or_with_its_caller(support: Any) -> None:
    async def test() -> None:
        subject = service()
        (job_id,) = submit(subject, support, "controller-job duration=1000s")
        soon = asyncio.get_running_loop().time() + 0.02
        with pytest.raises(Refusal) as caught:
            await subject.results(ask_results(job_id), CallContext(ALICE, soon))  # type: ignore[misc]
        assert caught.value.code is Code.DEADLINE_EXCEEDED
        task = asyncio.ensure_future(subject.results(ask_results(job_id), CallContext(ALICE)))  # type: ignore[arg-type]
        await settle()
        assert subject.waiting == 1
        task.cancel()
        await settle()
        assert subject.waiting == 0
        subject.close()

    run(test())


def test_the_end_of_the_server_ends_every_wait(support: Any) -> None:
    async def test() -> None:
        subject = service()
        (job_id,) = submit(subject, support, "controller-job duration=1000s")
        task = asyncio.ensure_future(subject.results(ask_results(job_id), CallContext(ALICE)))  # type: ignore[arg-type]
        await settle()
        subject.release_waiting()
        with pytest.raises(Refusal) as caught:
            await task
        assert caught.value.code is Code.UNAVAILABLE
        subject.close()
        with pytest.raises(Refusal, match="UNAVAILABLE"):
            submit(subject, support, "controller-job")

    run(test())


def test_a_result_reaches_its_caller_even_if_it_is_forgotten_at_once(support: Any) -> None:
    async def test() -> None:
        subject = service(retention=0.0)
        (job_id,) = submit(subject, support, "controller-job duration=5ms")
        response = await subject.results(ask_results(job_id), CallContext(ALICE))  # type: ignore[misc]
        assert response.result.status == 1
        assert subject.engine.known_jobs == 0
        subject.close()

    run(test())


def test_a_store_that_fails_stops_the_server_instead_of_forgetting(support: Any) -> None:
    async def test() -> None:
        subject = build_service(ServerSettings(), FailingStore(1), None)
        submit(subject, support, "controller-job duration=1000s")
        for _ in range(2):
            with pytest.raises(Refusal, match="UNAVAILABLE"):
                submit(subject, support, "controller-job duration=1000s")
        assert isinstance(subject.failed.result(), StoreError)
        subject.close()

    run(test())


def test_a_store_that_fails_while_nobody_calls_is_noticed_too(support: Any) -> None:
    async def test() -> None:
        subject = build_service(ServerSettings(), FailingStore(1), None)
        (job_id,) = submit(subject, support, "controller-job duration=5ms")
        answer = subject.results(ask_results(job_id), CallContext(ALICE))
        with pytest.raises(Refusal, match="UNAVAILABLE"):
            await answer  # type: ignore[misc]
        assert str(await subject.failed) == "disk full, 0 jobs lost"
        subject.close()

    run(test())


def test_calls_are_counted_by_their_outcome(support: Any) -> None:
    async def test() -> None:
        subject = service()
        good = support.submission("controller-job duration=1ms").SerializeToString()
        ids = service_pb2.ExecuteControllerJobResponse.FromString(subject.call("ExecuteControllerJob", good))  # type: ignore[arg-type]
        await subject.call("GetControllerJobResults", ask_results(ids.job_execution_ids[0]).SerializeToString())  # type: ignore[misc]
        for payload in (b"", b"\xff"):
            with pytest.raises(Refusal):
                subject.call("ExecuteControllerJob", payload)
        assert subject.requests == {
            ("ExecuteControllerJob", "OK"): 1,
            ("GetControllerJobResults", "OK"): 1,
            ("ExecuteControllerJob", "INVALID_ARGUMENT"): 2,
        }
        subject.close()

    run(test())


def test_a_defect_is_an_internal_error_and_is_logged(
    support: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        subject = service()
        monkeypatch.setattr(subject.engine, "submit", lambda *_: 1 / 0)
        with pytest.raises(Refusal, match="INTERNAL: internal error"), caplog.at_level(logging.ERROR):
            subject.call("ExecuteControllerJob", support.submission().SerializeToString())
        assert "division by zero" in caplog.text
        subject.close()

    run(test())
