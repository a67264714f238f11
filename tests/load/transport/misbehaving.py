"""A `grpc.aio` server that does on purpose what is asked of it: the request says which way it is to end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import grpc
from grpc import aio

from harness.grpcstatus import Code

PATIENCE = 20.0
LARGEST = 256 << 20
_CODES = {code.value[0]: code for code in grpc.StatusCode}


async def behave(request: bytes, context: Any) -> bytes:
    """Do what the request says: an order in JSON, a line feed, and octets that do not matter."""
    order, _, rest = request.partition(b"\n")
    wish = json.loads(order)
    metadata = {name: value for name, value in context.invocation_metadata() if name.startswith("x-")}
    context.set_trailing_metadata((("x-after", "1"), ("x-after-bin", bytes(range(256))), ("x-size", str(len(rest)))))
    if wish.get("echo"):
        await context.send_initial_metadata(tuple(metadata.items()))
    if wish.get("gzip"):
        context.set_compression(grpc.Compression.Gzip)
    if wish.get("sleep"):
        await asyncio.sleep(wish["sleep"])
    if wish.get("code"):
        await context.abort(_CODES[wish["code"]], wish.get("details", ""))
    if wish.get("crash"):
        raise RuntimeError(wish["crash"])
    if wish.get("deadline"):
        return f"{context.time_remaining():.3f}".encode()
    return b"z" * int(wish.get("size", 0))


class _Handler(grpc.GenericRpcHandler):
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Handle any method but one."""
        if handler_call_details.method.endswith("/Nothing"):
            return None
        return grpc.unary_unary_rpc_method_handler(behave)


@contextlib.contextmanager
def misbehaving_server(*, options: tuple[tuple[str, int], ...] = ()) -> Iterator[str]:
    """Run the server in a thread while the block runs; yields its address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> tuple[aio.Server, int]:
        limits = (("grpc.max_receive_message_length", LARGEST), ("grpc.max_send_message_length", LARGEST))
        server = aio.server(options=(*limits, *options))
        server.add_generic_rpc_handlers((_Handler(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = asyncio.run_coroutine_threadsafe(start(), loop).result(PATIENCE)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(None), loop).result(PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()


def order(rest: bytes = b"", **wish: Any) -> bytes:
    """Return a request that asks for something."""
    return json.dumps(wish).encode() + b"\n" + rest


FAILURES = [code for code in Code if code is not Code.OK]
