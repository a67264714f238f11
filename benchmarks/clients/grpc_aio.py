"""`python -m benchmarks.clients.grpc_aio TARGET CALL CALLERS SECONDS`: coroutines that call by Google's asyncio library."""

from __future__ import annotations

import asyncio
import sys
import time

import grpc.aio

from benchmarks import messages
from harness.stubs import service_pb2_grpc


async def main(target: str, what: str, callers: int, seconds: float) -> None:
    """Have so many coroutines make one call after the other for a while."""
    async with grpc.aio.insecure_channel(target) as channel:
        call = getattr(service_pb2_grpc.ControllerStub(channel), messages.METHODS[what])
        request = messages.message(what)
        end = time.monotonic() + seconds

        async def caller() -> None:
            while time.monotonic() < end:
                await call(request, timeout=30)

        await asyncio.gather(*(caller() for _ in range(callers)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
