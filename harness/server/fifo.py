"""A first-in, first-out line whose members may leave from the middle, and that knows how much work stands before each of them.

Every operation is O(log n), compaction included (amortised); what has left is not kept. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, NamedTuple, Protocol, TypeVar


class Waiting(Protocol):
    """What stands in a line: its declared and its longest possible work in nanoseconds; `ticket` belongs to the line."""

    work_minimum: int
    work_maximum: int
    ticket: int


ItemT = TypeVar("ItemT", bound=Waiting)

_SLACK = 1024
"""Empty places that are tolerated before the line is compacted."""


class Ahead(NamedTuple):
    """The work before one place in the line: the two sums, and the longest single declared work."""

    minimum: int
    maximum: int
    longest: int


class FifoQueue(Generic[ItemT]):
    """The line. `track_longest` pays for `Ahead.longest`, which only several executors need; it is 0 otherwise.

    Sums are two Fenwick trees over the tickets (P. M. Fenwick, 1994), the maximum is a segment tree.
    """

    def __init__(self, *, track_longest: bool = False) -> None:
        self._slots: list[ItemT | None] = []
        self._head = 0
        self._live = 0
        self._minimum: list[int] = [0]
        self._maximum: list[int] = [0]
        self._longest = MaximumTree() if track_longest else None

    def __len__(self) -> int:
        return self._live

    def __iter__(self) -> Iterator[ItemT]:
        return (item for item in self._slots[self._head :] if item is not None)

    @property
    def footprint(self) -> int:
        """Places held in memory, empty ones included."""
        return len(self._slots)

    def append(self, item: ItemT) -> None:
        """Add at the end, and set the item's ticket."""
        item.ticket = len(self._slots)
        self._slots.append(item)
        self._live += 1
        _grow(self._minimum, item.work_minimum)
        _grow(self._maximum, item.work_maximum)
        if self._longest is not None:
            self._longest.put(item.ticket, item.work_minimum)

    def popleft(self) -> ItemT:
        """Take the first out; IndexError when nobody waits."""
        while self._slots[self._head] is None:
            self._head += 1
        item = self._slots[self._head]
        assert item is not None  # noqa: S101  (the loop above says so)
        self.remove(item)
        return item

    def remove(self, item: ItemT) -> None:
        """Take one out, wherever it stands; it must be in the line."""
        ticket = item.ticket
        if self._slots[ticket] is not item:
            raise ValueError("not in this line")
        self._slots[ticket] = None
        self._live -= 1
        _add(self._minimum, ticket, -item.work_minimum)
        _add(self._maximum, ticket, -item.work_maximum)
        if self._longest is not None:
            self._longest.put(ticket, 0)
        if len(self._slots) - self._live > self._live + _SLACK:
            self._compact()

    def ahead(self, item: ItemT) -> Ahead:
        """Return the work that stands before an item of the line."""
        ticket = index = item.ticket
        minimum = maximum = 0
        minimums, maximums = self._minimum, self._maximum
        while index:
            minimum += minimums[index]
            maximum += maximums[index]
            index &= index - 1
        return Ahead(minimum, maximum, self._longest.before(ticket) if self._longest is not None else 0)

    def _compact(self) -> None:
        items = list(self)
        self._slots, self._head, self._live = [], 0, 0
        self._minimum, self._maximum = [0], [0]
        if self._longest is not None:
            self._longest = MaximumTree()
        for item in items:
            self.append(item)


def _grow(tree: list[int], value: int) -> None:
    """Append one value to a Fenwick tree."""
    position = len(tree)
    child, floor = position - 1, position & (position - 1)
    while child > floor:
        value += tree[child]
        child &= child - 1
    tree.append(value)


def _add(tree: list[int], index: int, delta: int) -> None:
    position, size = index + 1, len(tree)
    while position < size:
        tree[position] += delta
        position += position & -position


class MaximumTree:
    """A segment tree: the maximum of the values before an index, all 0 at first."""

    def __init__(self) -> None:
        self._size = 1
        self._tree = [0, 0]

    def put(self, index: int, value: int) -> None:
        """Set the value at `index` (0 or more), growing as needed."""
        while index >= self._size:
            self._double()
        node = index + self._size
        self._tree[node] = value
        while node > 1:
            node >>= 1
            self._tree[node] = max(self._tree[2 * node], self._tree[2 * node + 1])

    def before(self, index: int) -> int:
        """Return the maximum of the values at 0..index-1, 0 when there are none."""
        low, high = self._size, self._size + min(index, self._size)
        best = 0
        while low < high:
            if high & 1:
                high -= 1
                best = max(best, self._tree[high])
            if low & 1:
                best = max(best, self._tree[low])
                low += 1
            low >>= 1
            high >>= 1
        return best

    def _double(self) -> None:
        leaves = self._tree[self._size :] + [0] * self._size
        self._size *= 2
        tree = [0] * self._size + leaves
        for node in range(self._size - 1, 0, -1):
            tree[node] = max(tree[2 * node], tree[2 * node + 1])
        self._tree = tree
