"""The waiting line keeps order, counts the work ahead, and does not keep what has left."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.server.fifo import Ahead, FifoQueue, MaximumTree


@dataclass(eq=False)
class Item:
    work_minimum: int
    work_maximum: int
    ticket: int = 0


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 50), st.integers(0, 50)),
        st.tuples(st.just("popleft"), st.just(0), st.just(0)),
        st.tuples(st.just("remove"), st.integers(0, 1000), st.just(0)),
    ),
    max_size=120,
)


def expected_ahead(line: list[Item], item: Item) -> Ahead:
    before = line[: line.index(item)]
    return Ahead(
        sum(one.work_minimum for one in before),
        sum(one.work_maximum for one in before),
        max((one.work_minimum for one in before), default=0),
    )


@given(STEPS)
def test_behaves_like_a_list(steps: list[tuple[str, int, int]]) -> None:
    queue: FifoQueue[Item] = FifoQueue(track_longest=True)
    line: list[Item] = []
    for step, first, second in steps:
        if step == "append":
            line.append(Item(first, first + second))
            queue.append(line[-1])
        elif line and step == "popleft":
            assert queue.popleft() is line.pop(0)
        elif line and step == "remove":
            queue.remove(line.pop(first % len(line)))
        assert len(queue) == len(line)
        assert list(queue) == line
    for item in line:
        assert queue.ahead(item) == expected_ahead(line, item)


@pytest.mark.parametrize("leave", ["front", "middle"])
def test_a_steady_line_stays_small_however_many_pass_through(leave: str) -> None:
    queue: FifoQueue[Item] = FifoQueue()
    first = Item(1, 2)
    queue.append(first)
    for _ in range(10_000):
        item = Item(1, 2)
        queue.append(item)
        if leave == "front":
            queue.popleft()
        else:
            queue.remove(item)
    assert len(queue) == 1
    assert queue.footprint < 3000


def test_work_ahead_survives_compaction() -> None:
    queue: FifoQueue[Item] = FifoQueue(track_longest=True)
    items = [Item(index, 2 * index) for index in range(6000)]
    for item in items:
        queue.append(item)
    for item in items[::3] + items[1::3]:
        queue.remove(item)
    left = items[2::3]
    assert queue.footprint < 6000
    assert queue.ahead(left[-1]) == expected_ahead(left, left[-1])


def test_what_is_not_in_line_cannot_leave_it() -> None:
    queue: FifoQueue[Item] = FifoQueue()
    queue.append(Item(1, 1))
    with pytest.raises(ValueError, match="not in this line"):
        queue.remove(Item(1, 1))


def test_an_empty_line_has_no_first() -> None:
    with pytest.raises(IndexError):
        FifoQueue[Item]().popleft()


@given(st.dictionaries(st.integers(0, 40), st.integers(0, 99)), st.integers(0, 45))
def test_maximum_before_an_index(values: dict[int, int], index: int) -> None:
    tree = MaximumTree()
    for position, value in values.items():
        tree.put(position, value)
    assert tree.before(index) == max((value for position, value in values.items() if position < index), default=0)
