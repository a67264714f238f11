"""Mutants of EXEC and IDEM that need more than the engine: time between a submission and its answer, and who asks."""

# ruff: noqa: D101, D102  (the summary given to `mutant` is what is to be said of each)

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

from harness.server import translate
from harness.server.mutants.registry import mutant
from harness.server.service import Answer, CallContext, Service
from harness.server.state import KeyId, KeyRecord
from harness.stubs import service_pb2

_ANSWER_DELAY = 0.05
"""Seconds that an answer stays on the way: long enough for a client to leave, or for another call to come in."""
_SECOND_HALF_DELAY = 0.2
"""Seconds between the two halves of a submission: a caller that leaves in between does so on a loaded machine as well."""

Request = service_pb2.ExecuteControllerJobRequest
Response = service_pb2.ExecuteControllerJobResponse


class _SlowAnswer(Service):
    """Answers single submissions a little later than it handles them."""

    def new_records(self, before: set[KeyId]) -> list[KeyRecord]:
        return [record for key, record in self.engine._keys.items() if key not in before]


@mutant("idem-lost-response-loses-key", "IDEM-04", "forgets the key when the caller has gone before the answer was sent")
class LostResponseLosesKey(_SlowAnswer):
    def execute(self, request: Request, context: CallContext) -> Answer[Response]:
        before = set(self.engine._keys)
        response = super().execute(request, context)
        return self._send(response, self.new_records(before))

    async def _send(self, response: Answer[Response], records: list[KeyRecord]) -> Response:
        try:
            await asyncio.sleep(_ANSWER_DELAY)
        except asyncio.CancelledError:
            for record in records:
                self.engine._drop_key(record)
            raise
        assert isinstance(response, Response)  # noqa: S101  (a single submission is answered at once)
        return response


@mutant(
    "idem-concurrent-replays",
    "IDEM-07",
    "learns a key only when the first answer is sent, so calls in between are new submissions",
)
class ConcurrentReplays(_SlowAnswer):
    def execute(self, request: Request, context: CallContext) -> Answer[Response]:
        before = set(self.engine._keys)
        response = super().execute(request, context)
        records = self.new_records(before)
        for record in records:
            del self.engine._keys[record.key]
        return self._send(response, records)

    async def _send(self, response: Answer[Response], records: list[KeyRecord]) -> Response:
        try:
            await asyncio.sleep(_ANSWER_DELAY)
        finally:
            for record in records:
                self.engine._keys.setdefault(record.key, record)
        assert isinstance(response, Response)  # noqa: S101  (a single submission is answered at once)
        return response


@mutant(
    "exec-lost-caller-keeps-half",
    "EXEC-04",
    "queues the second half of a submission without a key (eight configurations or more) only if the caller is still there",
)
class LostCallerKeepsHalf(Service):
    def execute(self, request: Request, context: CallContext) -> Answer[Response]:
        size = len(request.execution_configurations)
        value = translate.submit_request(request, self.default_duration)
        processor = self.engine._resolve(value.target)
        if size < 8 or request.HasField("idempotency_key") or processor is None or self.engine._room(processor) < size:
            return super().execute(request, context)
        first, rest = Request(), Request()
        first.CopyFrom(request)
        rest.CopyFrom(request)
        del first.execution_configurations[size // 2 :]
        del rest.execution_configurations[: size // 2]
        return self._both(super().execute(first, context), rest, context)

    async def _both(self, first: Answer[Response], rest: Request, context: CallContext) -> Response:
        await asyncio.sleep(_SECOND_HALF_DELAY)
        second = super().execute(rest, context)
        assert isinstance(first, Response)  # noqa: S101  (a single submission is answered at once)
        assert isinstance(second, Response)  # noqa: S101
        return Response(job_execution_ids=[*first.job_execution_ids, *second.job_execution_ids])


class _WiderScope(Service, ABC):
    """Scopes keys by something that must not matter."""

    @abstractmethod
    def mark(self, context: CallContext) -> str:
        """Name the scope of a call."""

    def execute(self, request: Request, context: CallContext) -> Answer[Response]:
        caller = context.caller._replace(subject=f"{context.caller.subject} {self.mark(context)}")
        return super().execute(request, context._replace(caller=caller))


@mutant("idem-key-per-connection", "IDEM-10", "knows a key only on the connection that used it first")
class KeyPerConnection(_WiderScope):
    def mark(self, context: CallContext) -> str:
        return context.peer


@mutant("idem-key-per-deadline", "IDEM-10", "takes a retry with another deadline (in whole seconds) for a new submission")
class KeyPerDeadline(_WiderScope):
    def mark(self, context: CallContext) -> str:
        if context.deadline is None:
            return ""
        return str(round(context.deadline - asyncio.get_running_loop().time()))
