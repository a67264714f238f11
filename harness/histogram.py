"""A log-linear histogram of non-negative integers (microseconds here) with three significant digits and bounded memory.

Buckets: exact below 2,048; above, every power of two is cut into 1,024 equal parts, so a value is off by less than 0.1 %.
Histograms of several workers add up exactly. Pure.
"""

from __future__ import annotations

import math
import struct
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import accumulate

_SUB_BITS = 10
_SUB = 1 << _SUB_BITS
_EXACT = _SUB << 1
_PACKED_HEAD = 4 * 16
_PACKED_BUCKET = 4 + 8


def bucket_of(value: int) -> int:
    """Return the bucket of a non-negative value."""
    if value < _EXACT:
        return value
    shift = value.bit_length() - _SUB_BITS - 1
    return (shift << _SUB_BITS) + (value >> shift)


def bounds_of(bucket: int) -> tuple[int, int]:
    """Return the smallest and the largest value of a bucket."""
    if bucket < _EXACT:
        return bucket, bucket
    shift = (bucket >> _SUB_BITS) - 1
    low = (bucket - (shift << _SUB_BITS)) << shift
    return low, low + (1 << shift) - 1


class Histogram:
    """Counts by bucket, with exact count, sum, minimum and maximum."""

    __slots__ = ("_buckets", "count", "largest", "smallest", "total")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0
        self.total = 0
        self.smallest = 0
        self.largest = 0

    def add(self, value: int, times: int = 1) -> None:
        """Count a value (negative values count as zero)."""
        value = max(value, 0)
        bucket = bucket_of(value)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + times
        self.smallest = value if self.count == 0 else min(self.smallest, value)
        self.largest = max(self.largest, value)
        self.count += times
        self.total += value * times

    def add_all(self, counts: Mapping[int, int]) -> None:
        """Count many values at once, each as often as it says."""
        if not counts:
            return
        if min(counts) < 0:
            for value, times in counts.items():
                self.add(value, times)
            return
        buckets, least, most = self._buckets, min(counts), max(counts)
        for value, times in counts.items():
            bucket = value if value < _EXACT else bucket_of(value)
            buckets[bucket] = buckets.get(bucket, 0) + times
        self.smallest = least if self.count == 0 else min(self.smallest, least)
        self.largest = max(self.largest, most)
        self.count += sum(counts.values())
        self.total += sum(value * times for value, times in counts.items())

    def merge(self, other: Histogram) -> None:
        """Add another histogram's counts."""
        if other.count == 0:
            return
        for bucket, times in other._buckets.items():
            self._buckets[bucket] = self._buckets.get(bucket, 0) + times
        self.smallest = other.smallest if self.count == 0 else min(self.smallest, other.smallest)
        self.largest = max(self.largest, other.largest)
        self.count += other.count
        self.total += other.total

    @property
    def mean(self) -> float:
        """The exact mean; 0 without samples."""
        return self.total / self.count if self.count else 0.0

    def percentile(self, percent: float) -> int:
        """Return the value at or below which `percent` (0..100) of the samples lie, to three digits; 0 without samples."""
        return self.spectrum((percent,))[0][1]

    def spectrum(self, percents: Iterable[float]) -> list[tuple[float, int]]:
        """Return (percent, value) pairs, with the value of `percentile` for each."""
        if not self.count:
            return [(percent, 0) for percent in percents]
        buckets = sorted(self._buckets)
        seen = list(accumulate(self._buckets[bucket] for bucket in buckets))
        found: list[tuple[float, int]] = []
        for percent in percents:
            rank = max(1, math.ceil(Fraction(str(percent)) * self.count / 100))
            place = bisect_left(seen, rank)
            value = bounds_of(buckets[place])[1] if place < len(buckets) else self.largest
            found.append((percent, max(self.smallest, min(value, self.largest))))
        return found

    def to_json(self) -> dict[str, object]:
        """Return the histogram as a JSON object; `from_json` reads it back."""
        return {
            "count": self.count,
            "total": self.total,
            "smallest": self.smallest,
            "largest": self.largest,
            "buckets": [[bucket, self._buckets[bucket]] for bucket in sorted(self._buckets)],
        }

    @staticmethod
    def from_json(data: Mapping[str, object]) -> Histogram:
        """Read a histogram back. Raises KeyError, TypeError or ValueError when it is none."""
        histogram = Histogram()
        buckets = data["buckets"]
        if not isinstance(buckets, Sequence):
            raise TypeError("buckets must be a list")
        histogram._buckets = {_natural(bucket): _natural(times) for bucket, times in buckets}
        histogram.count, histogram.total, histogram.smallest, histogram.largest = (
            _natural(data[key]) for key in ("count", "total", "smallest", "largest")
        )
        if histogram.count != sum(histogram._buckets.values()):
            raise ValueError("count does not match the buckets")
        return histogram

    def pack(self) -> bytes:
        """Return the histogram as octets, at a fraction of the cost of JSON; `unpack` reads it back."""
        size = len(self._buckets)
        head = b"".join(value.to_bytes(16, "little") for value in (self.count, self.total, self.smallest, self.largest))
        return head + struct.pack(f"<{size}I{size}Q", *self._buckets, *self._buckets.values())

    @staticmethod
    def unpack(octets: bytes) -> Histogram:
        """Read a histogram back. Raises ValueError when it is none."""
        size, rest = divmod(len(octets) - _PACKED_HEAD, _PACKED_BUCKET)
        if size < 0 or rest:
            raise ValueError("not a packed histogram")
        numbers = struct.unpack_from(f"<{size}I{size}Q", octets, _PACKED_HEAD)
        histogram = Histogram()
        histogram._buckets = dict(zip(numbers[:size], numbers[size:], strict=True))
        histogram.count, histogram.total, histogram.smallest, histogram.largest = (
            int.from_bytes(octets[at : at + 16], "little") for at in range(0, _PACKED_HEAD, 16)
        )
        if histogram.count != sum(histogram._buckets.values()):
            raise ValueError("count does not match the buckets")
        return histogram


def _natural(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"expected a whole number of 0 or more, got {value!r}")
    return value
