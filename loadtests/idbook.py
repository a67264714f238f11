"""The ids that a load run was given, so that none is given twice: eight octets each, however many there are.

Ids are told apart by digests of 64 bits: among ten million ids, the odds that two different ones are taken for the same are one
in three hundred thousand. Pure.
"""

from __future__ import annotations

import hashlib
import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

_BUCKETS = 4096
_SHIFT = 52
_MASK = (1 << 64) - 1
_PARTS = 256
"""In how many parts digests of several books are compared: it bounds the memory that this takes."""


class IdBook:
    """A set of ids. With a `key`, books of several processes that have the same key can be compared.

    Buckets by the first bits, each sorted: adding an id moves a few kilobytes at most, and never pauses a run for a rehash.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._digest = _own_digest if key is None else _shared_digest(key)
        self._buckets = [array("Q") for _ in range(_BUCKETS)]

    def __len__(self) -> int:
        """Return how many ids there are in the book."""
        return sum(map(len, self._buckets))

    def add(self, job_id: str) -> bool:
        """Enter an id; return whether it is new."""
        digest = self._digest(job_id)
        bucket = self._buckets[digest >> _SHIFT]
        place = bisect_left(bucket, digest)
        if place < len(bucket) and bucket[place] == digest:
            return False
        bucket.insert(place, digest)
        return True

    def digests(self) -> bytes:
        """Return the digests of all ids in ascending order, each as eight octets, the lowest first."""
        return b"".join(_little(bucket).tobytes() for bucket in self._buckets)


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


def _own_digest(job_id: str) -> int:
    return hash(job_id) & _MASK


def _shared_digest(key: bytes) -> Callable[[str], int]:
    begun = hashlib.blake2s(key=key[:32], digest_size=8)

    def digest(job_id: str) -> int:
        hashing = begun.copy()
        hashing.update(job_id.encode())
        return int.from_bytes(hashing.digest(), "big")

    return digest
