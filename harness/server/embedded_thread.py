"""A reference Controller on a thread of its own, for callers that are not asynchronous."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future

from harness.server.run import Bound, running
from harness.server.settings import ServerSettings


@contextlib.contextmanager
def background_server(settings: ServerSettings | None = None) -> Iterator[Bound]:
    """Serve while the block runs, and yield where. Errors of starting are raised here, those of stopping at the end."""
    chosen = settings or ServerSettings()
    ready: Future[tuple[Bound, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    ended: Future[None] = Future()

    async def main() -> None:
        stop = asyncio.Event()
        async with running(chosen) as server:
            ready.set_result((server.bound, asyncio.get_running_loop(), stop))
            await stop.wait()

    def work() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # carried over to the caller's thread
            (ended if ready.done() else ready).set_exception(error)
        else:
            ended.set_result(None)

    thread = threading.Thread(target=work, name="reference-controller", daemon=True)
    thread.start()
    bound, loop, stop = ready.result()
    try:
        yield bound
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
    ended.result()
