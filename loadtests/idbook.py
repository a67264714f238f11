"""The ids that a load run was given, so that none is given twice: nine octets each, or more room for less time.

Ids are told apart by digests of 64 bits: among ten million ids, the odds that two different ones are taken for the same are one
in three hundred thousand. Pure.
"""

from __future__ import annotations

import hashlib
import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

MOST_QUICK = 2_500_000
"""How many ids are entered the quick way, which takes 190 MB for so many; with a few more, the set would double."""

_BUCKETS = 4096
_SHIFT = 52
_MASK = (1 << 64) - 1
_END = (1 << 63) - 1
"""Closes every bucket, so that there is always a digest to compare with."""
_PARTS = 256
"""In how many parts digests of several books are compared: it bounds the memory that this takes."""


class IdBook:
    """A set of ids. With a `key`, books of several processes that have the same key can be compared.

    Buckets by the first bits, each sorted: entering an id moves a few kilobytes at most. The first ids (`most_quick`) that may
    take more room are in a plain set instead: that is eight times the memory and a third of the time. When it doubles, a run
    pauses for some milliseconds, at 1.26 million ids for 45.
    """

    def __init__(self, key: bytes | None = None, most_quick: int = MOST_QUICK) -> None:
        self._digest: Callable[[bytes], int] = hash if key is None else _shared_digest(key)
        self._most_quick = most_quick
        self._quick: set[int] = set()
        self._sorted = 0
        self._buckets = [array("q", [_END]) for _ in range(_BUCKETS)]

    def __len__(self) -> int:
        """Return how many ids there are in the book."""
        return len(self._quick) + self._sorted

    def add_all(self, ids: Sequence[bytes], *, quick: bool = False) -> list[int]:
        """Enter ids; return the places, among them, of those that were in the book or in an earlier place.

        Those that are to be `quick` may take more memory.
        """
        if quick and not self._sorted:
            fresh = set(map(self._digest, ids))
            known = self._quick
            if len(fresh) == len(ids) <= self._most_quick - len(known) and known.isdisjoint(fresh):
                known |= fresh
                return []
        known, buckets = self._quick, self._buckets
        again: list[int] = []
        for place, digest in enumerate(map(self._digest, ids)):
            # The first half of all digests is not negative, the second half is: just so, indices below 0 count from the end.
            bucket = buckets[digest >> _SHIFT]
            at = bisect_left(bucket, digest)
            if bucket[at] == digest or digest in known:
                again.append(place)
            elif quick and len(known) < self._most_quick:
                known.add(digest)
            else:
                bucket.insert(at, digest)
                self._sorted += 1
        return again

    def digests(self) -> bytes:
        """Return the digests of all ids in ascending order, each as eight octets, the lowest first."""
        quick, begin, parts = sorted(digest & _MASK for digest in self._quick), 0, list[bytes]()
        for number, bucket in enumerate(self._buckets, start=1):
            end = bisect_left(quick, number << _SHIFT, begin)
            part = [digest & _MASK for digest in bucket[:-1]] + quick[begin:end]
            parts.append(_little(array("Q", sorted(part))).tobytes())
            begin = end
        return b"".join(parts)


def repeated(books: Sequence[bytes]) -> int:
    """Return how many entries of several books (`IdBook.digests`, all with one key) are in a book before them as well."""
    return sum(len(part) - len(set(part)) for part in _parts([_read(book) for book in books]))


def _parts(books: Sequence[array[int]]) -> Iterator[list[int]]:
    begins = [0] * len(books)
    for part in range(1, _PARTS + 1):
        ends = [bisect_left(book, part << 56) if part < _PARTS else len(book) for book in books]
        yield [digest for book, begin, end in zip(books, begins, ends, strict=True) for digest in book[begin:end]]
        begins = ends


def _read(octets: bytes) -> array[int]:
    book = array("Q")
    book.frombytes(octets)
    return _little(book)


def _little(numbers: array[int]) -> array[int]:
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers


def _shared_digest(key: bytes) -> Callable[[bytes], int]:
    begun = hashlib.blake2s(key=key[:32], digest_size=8)

    def digest(job_id: bytes) -> int:
        hashing = begun.copy()
        hashing.update(job_id)
        return int.from_bytes(hashing.digest(), "big", signed=True)

    return digest
