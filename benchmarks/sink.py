"""`python -m benchmarks.sink OPTIONS`: the reference Controller's wire edge with constant answers, as fast as it can be.

What is measured against it is the client alone, so it decides nothing: submissions get fresh ids, as many as configurations; a
job runs for one to two times `life` seconds and has then succeeded. It prints where it listens as one line of JSON, answers each
line on its standard input with what it has done so far, and ends with that input.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass

from harness.server.wire_call import Call, Handler, Method
from harness.server.wire_connection import WireConnection
from harness.server.wire_session import Session
from harness.stubs import job_pb2, service_pb2

PREFIX = b"/services.controller.Controller/"
EPOCH, SERIAL, MARK = "@@@@", "########", b"-4000-8000-"
"""In ids: where the time of the submission and its number go, and what is always between them."""
MOST_SHAPES = 1000
"""Lengths of submissions whose number of configurations is remembered."""
SPIN = 0.0015
"""Seconds before the end of a delay from which the loop does not rest any more: its own timers are rounded to milliseconds."""
_STATUS = service_pb2.GetControllerJobStatusResponse


@dataclass(frozen=True)
class Template:
    """The answer to submissions of one shape, with gaps for what differs."""

    octets: bytes

    def filled(self, epoch: int, serial: int) -> bytes:
        """Return an answer whose ids were never given before."""
        with_epoch = self.octets.replace(EPOCH.encode(), b"%04x" % epoch)
        return with_epoch.replace(SERIAL.encode(), b"%08x" % serial)


def _ids(begin: int, count: int) -> list[str]:
    return [f"{SERIAL}-{EPOCH}{MARK.decode()}{index:012x}" for index in range(begin, begin + count)]


def single_template(message: bytes) -> Template:
    """Return the answer to an ExecuteControllerJob request of this shape."""
    request = service_pb2.ExecuteControllerJobRequest.FromString(message)
    response = service_pb2.ExecuteControllerJobResponse(job_execution_ids=_ids(0, len(request.execution_configurations)))
    return Template(response.SerializeToString())


def batch_template(message: bytes) -> Template:
    """Return the answer to a BatchExecuteControllerJobs request of this shape."""
    response, begin = service_pb2.BatchExecuteControllerJobsResponse(), 0
    for member in service_pb2.BatchExecuteControllerJobsRequest.FromString(message).requests:
        count = len(member.execution_configurations)
        response.responses.add(job_execution_ids=_ids(begin, count))
        begin += count
    return Template(response.SerializeToString())


class Answers:
    """What the sink says. `life` is in seconds; 0: jobs have succeeded when they are first asked for."""

    def __init__(self, life: float) -> None:
        self.calls = 0
        self._life = life
        self._epoch = 1
        self._live: frozenset[bytes] = frozenset()
        self._serial = 0
        self._templates: dict[tuple[Callable[[bytes], Template], int], Template] = {}
        self._running = _STATUS(status=_STATUS.RUNNING).SerializeToString()
        self._succeeded = _STATUS(status=_STATUS.SUCCEEDED).SerializeToString()
        result = job_pb2.ControllerJobExecutionResult(status=job_pb2.ControllerJobExecutionResult.SUCCESS)
        result.execution_duration_microseconds = 10
        self._result = service_pb2.GetControllerJobResultsResponse(result=result).SerializeToString()
        self.methods: dict[bytes, Callable[[bytes], bytes]] = {
            PREFIX + b"GetControllerJobStatus": self.status,
            PREFIX + b"ExecuteControllerJob": lambda message: self.submission(single_template, message),
            PREFIX + b"BatchExecuteControllerJobs": lambda message: self.submission(batch_template, message),
            PREFIX + b"GetControllerJobResults": lambda _: self._result,
            PREFIX + b"CancelControllerJobs": lambda _: b"",
        }

    def age(self) -> None:
        """Let a life pass."""
        self._epoch = (self._epoch + 1) & 0xFFFF
        if self._life:
            self._live = frozenset(b"%04x" % (epoch & 0xFFFF) for epoch in (self._epoch, self._epoch - 1))

    def status(self, message: bytes) -> bytes:
        """Say how a job stands; its id tells when it was submitted."""
        place = message.rfind(MARK)
        return self._running if message[place - 4 : place] in self._live else self._succeeded

    def submission(self, make: Callable[[bytes], Template], message: bytes) -> bytes:
        """Accept a submission. The clients here send only one shape of each length, so it is looked at once per length."""
        key = make, len(message)
        template = self._templates.get(key)
        if template is None:
            if len(self._templates) >= MOST_SHAPES:
                self._templates.clear()
            template = self._templates[key] = make(message)
        self._serial += 1
        return template.filled(self._epoch, self._serial & 0xFFFFFFFF)


def handler(answers: Answers, answer: Callable[[bytes], bytes], delay: float) -> Handler:
    """Return how calls of a method are answered, each `delay` seconds after it came."""

    def handle(call: Call, message: bytes | None) -> None:
        if message is not None:
            answers.calls += 1
            call.session.reply(call, answer(message))

    def handle_later(call: Call, message: bytes | None) -> None:
        if message is not None:
            answers.calls += 1
            loop = asyncio.get_running_loop()
            reply_at(loop, loop.time() + delay, call, answer(message))

    return handle_later if delay else handle


def reply_at(loop: asyncio.AbstractEventLoop, due: float, call: Call, answer: bytes) -> None:
    """Answer a call at a time of the loop's clock, exact to some microseconds."""
    left = due - loop.time()
    if left <= 0:
        call.reply(answer)
    elif left > SPIN:
        loop.call_later(left - SPIN, reply_at, loop, due, call, answer)
    else:
        loop.call_soon(reply_at, loop, due, call, answer)


async def serve(life: float, delay: float) -> None:
    """Serve until the standard input ends."""
    loop = asyncio.get_running_loop()
    answers = Answers(life)
    methods = {path: Method(handler(answers, answer, delay)) for path, answer in answers.methods.items()}
    listener = socket.create_server(("127.0.0.1", 0))
    connections: set[WireConnection] = set()
    server = await loop.create_server(
        lambda: WireConnection(lambda peer, wake: Session(methods.get, wake, peer=peer), connections, 0.0), sock=listener
    )
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), _hear, answers, ended)
    _say(json.dumps({"port": listener.getsockname()[1]}))
    gc.collect()
    gc.freeze()
    while not ended.is_set():
        answers.age()
        try:
            async with asyncio.timeout(life or None):
                await ended.wait()
        except TimeoutError:
            continue
    server.close()


def _hear(answers: Answers, ended: asyncio.Event) -> None:
    """Tell calls and CPU seconds so far for what was asked."""
    asked = os.read(sys.stdin.fileno(), 1024)
    if not asked:
        ended.set()
    used = resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(asked.count(b"\n")):
        _say(json.dumps({"calls": answers.calls, "cpu": used.ru_utime + used.ru_stime}))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Serve; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sink", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--life", type=float, default=0.5, help="seconds for which a job runs at least (default: %(default)s)")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer (default: %(default)s)")
    options = parser.parse_args()
    if not 0 <= options.life <= 3600 or not 0 <= options.delay <= 60:
        parser.error("--life is 0 to 3600 seconds, --delay 0 to 60")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ends with its input, so that the one who measures can still ask
    asyncio.run(serve(options.life, options.delay))
    return 0


if __name__ == "__main__":
    sys.exit(main())
