"""What a network, a proxy and a newer version of the contract do to calls."""

# ruff: noqa: D101, D102  (the summary given to `variant` is what is to be said of each)

from __future__ import annotations

import asyncio
import itertools
import random
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

from harness.server.service import Answer, Service
from harness.server.variants.registry import Variant, add, variant
from harness.stubs import service_pb2

_NEW_FIELD = b"\xa2\xf5\x03\x05%05d"
"""Field 8020 with five octets of text."""


class _Delayed(Service, ABC):
    """Takes its time before and after it handles a call."""

    @abstractmethod
    def pause(self) -> float:
        """Return how long to wait, in seconds."""

    def call(self, rpc: str, payload: bytes, **how: Any) -> Answer[bytes]:
        return self._delayed(rpc, payload, how)

    async def _delayed(self, rpc: str, payload: bytes, how: Any) -> bytes:
        await asyncio.sleep(self.pause())
        answer = super().call(rpc, payload, **how)
        octets = answer if isinstance(answer, bytes) else await answer
        await asyncio.sleep(self.pause())
        return octets


@variant("latency-jitter", "a call takes up to 50 ms longer, at random")
class Jitter(_Delayed):
    def pause(self) -> float:
        return random.uniform(0, 0.025)  # noqa: S311  (not for secrets)


@variant("latency-30ms", "a call takes 30 ms longer")
class Slow(_Delayed):
    def pause(self) -> float:
        return 0.015


def _extended(message: Any, number: int) -> None:
    """Put a field of a newer contract, with a value that is never the same, in a message and all that it holds."""
    message.MergeFromString(_NEW_FIELD % (number % 100_000))
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            for item in value.values() if field.message_type.fields_by_name["value"].message_type else ():
                _extended(item, number)
        elif hasattr(value, "ListFields"):
            _extended(value, number)
        else:
            for item in value:
                _extended(item, number)


class _Newer(Service):
    """Sends fields that the contract does not know, in every message of a response."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._numbers = itertools.count()
        super().__init__(*args, **kwargs)

    def call(self, rpc: str, payload: bytes, **how: Any) -> Answer[bytes]:
        answer = super().call(rpc, payload, **how)
        return self._newer(rpc, answer) if isinstance(answer, bytes) else self._later(rpc, answer)

    async def _later(self, rpc: str, answer: Any) -> bytes:
        return self._newer(rpc, await answer)

    def _newer(self, rpc: str, octets: bytes) -> bytes:
        name = f"{rpc}Response"
        message = getattr(service_pb2, name).FromString(octets)
        if rpc == "GetControllerJobResults":
            message.result.memory_values["a region without a value"].SetInParent()
            message.result.readout_values["a channel without a value"].SetInParent()
        _extended(message, next(self._numbers))
        return bytes(message.SerializeToString())


add(
    Variant(
        "responses-extended",
        "responses have fields of a newer contract, with ever new values, and map entries without one",
        service=_Newer,
    )
)
add(
    Variant(
        "responses-decorated",
        "responses are compressed, and come with headers and trailers that nobody asked for",
        settings=lambda settings: replace(settings, decorated=True),
    )
)
add(
    Variant(
        "connections-recycled",
        "a connection is closed after a second, with grace for the calls on it",
        settings=lambda settings: replace(settings, connection_age=1.0),
    )
)
