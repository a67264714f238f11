"""Answers to submissions: the ids in them, taken out of the octets all at once where that can be done.

Answers of a run are much alike: so many requests, so many ids each, all ids of one length. What such an answer looks like is
learned from answers that protobuf has read, and one pattern then checks all of an answer and another cuts it. An answer that
looks different in any octet is read by protobuf. Pure: knows the messages, but not how they came.
"""

from __future__ import annotations

import functools
import itertools
import re
import struct
from collections.abc import Callable
from typing import NamedTuple

from google.protobuf.message import Message

from harness.call import RESPONSE_TYPES
from harness.history import Rpc
from harness.stubs import service_pb2
from loadtests.varints import SHORT, varint

MOST_SHAPES = 64
"""How many shapes of answers are kept; further ones are read by protobuf, which takes several times as long."""

MOST_CUT = 1024
"""Ids of an answer above which no pattern is kept for it: that would take as much memory as the ids themselves."""

_new = tuple.__new__
"""Makes a named tuple in a third of the time."""


class Ids(NamedTuple):
    """The ids of an answer (UTF-8), those of all its requests in a row; `sizes` says how many each request has.

    If all have the same `length` in octets, they are one string: that is a third of the memory. Otherwise `length` is 0. There is
    one form for the same ids, so that two answers can be compared.
    """

    names: bytes | tuple[bytes, ...]
    length: int
    sizes: tuple[int, ...]

    @property
    def flat(self) -> tuple[bytes, ...]:
        """The ids one by one."""
        names, length, _ = self
        return _cut(names, length) if isinstance(names, bytes) else names

    def at(self, place: int) -> bytes:
        """Return one id; the first one is at place 0."""
        names, length, _ = self
        return names[place * length : (place + 1) * length] if isinstance(names, bytes) else names[place]


class _Shape(NamedTuple):
    """What answers of one length look like: `fits` tells whether one does, `cut` returns its ids."""

    fits: Callable[[bytes], object]
    cut: Callable[[bytes], tuple[bytes, ...]]
    length: int
    sizes: tuple[int, ...]


class Reader:
    """Reads the answers to the submissions of one kind (EXECUTE or BATCH). Raises DecodeError as protobuf does."""

    def __init__(self, rpc: Rpc) -> None:
        self._is_batch = rpc is Rpc.BATCH
        self._shapes: dict[int, _Shape] = {}
        self._last: tuple[int, ...] = ()

    def __call__(self, octets: bytes) -> Ids:
        """Return the ids in an answer."""
        shape = self._shapes.get(len(octets))
        if shape is not None and shape.fits(octets):
            names = b"".join(shape.cut(octets))
            if names.isascii():
                return _new(Ids, (names, shape.length, shape.sizes))
        ids = self._read(octets)
        if shape is None:
            self._learn(ids, len(octets))
        return ids

    def _read(self, octets: bytes) -> Ids:
        if self._is_batch:
            members = service_pb2.BatchExecuteControllerJobsResponse.FromString(octets).responses
            several = [list(member.job_execution_ids) for member in members]
        else:
            several = [list(service_pb2.ExecuteControllerJobResponse.FromString(octets).job_execution_ids)]
        return ids_in(several)

    def _learn(self, ids: Ids, length: int) -> None:
        """Remember what an answer looks like that has the sizes of the one before it."""
        before, self._last = self._last, ids.sizes
        is_worth_it = ids.sizes == before and 0 < ids.length < SHORT and len(ids.names) <= MOST_CUT * ids.length
        if is_worth_it and len(self._shapes) < MOST_SHAPES:
            self._shapes[length] = _shape(ids.sizes, ids.length, self._is_batch)


def ids_in(several: list[list[str]]) -> Ids:
    """Return ids as they come from messages: a list for each request."""
    flat = tuple([job_id.encode() for ids in several for job_id in ids])
    lengths = set(map(len, flat))
    length = lengths.pop() if len(lengths) == 1 else 0
    return Ids(b"".join(flat) if length else flat, length, tuple(map(len, several)))


def parser_of(rpc: Rpc) -> Callable[[bytes], Message | Ids]:
    """Return what makes a response of the octets of an answer. It raises DecodeError."""
    return Reader(rpc) if rpc in {Rpc.EXECUTE, Rpc.BATCH} else RESPONSE_TYPES[rpc].FromString


def _shape(sizes: tuple[int, ...], length: int, is_batch: bool) -> _Shape:
    """Return the shape of answers with such numbers of ids, all of one length.

    An id is field 1 of the answer to a request, and that is field 1 of the answer to a batch; both have a length (wire type 2).
    """
    pattern, layout = b"", "<"
    for size, alike in itertools.groupby(sizes):
        times = len(list(alike))
        member = b"(?:\n%s.{%d}){%d}" % (re.escape(bytes([length])), length, size)
        cut = f"2x{length}s" * size
        if is_batch:
            head = b"\n" + varint(size * (length + 2))
            member, cut = re.escape(head) + member, f"{len(head)}x{cut}"
        pattern += b"(?:%s){%d}" % (member, times)
        layout += cut * times
    return _Shape(re.compile(pattern, re.DOTALL).fullmatch, struct.Struct(layout).unpack, length, sizes)


def _cut(names: bytes, length: int) -> tuple[bytes, ...]:
    """Return the parts of a string, all of one length."""
    count = len(names) // length
    if count == 1:
        return (names,)
    if count > MOST_CUT:
        return tuple([names[begin : begin + length] for begin in range(0, len(names), length)])
    return _cutter(length, count)(names)


@functools.lru_cache(maxsize=128)
def _cutter(length: int, count: int) -> Callable[[bytes], tuple[bytes, ...]]:
    """Return what cuts a string into so many parts of a length."""
    return struct.Struct(f"{length}s" * count).unpack
