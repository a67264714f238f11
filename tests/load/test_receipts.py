"""Ids that are taken out of answers all at once are those that protobuf reads, whatever the octets."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import example, given
from hypothesis import strategies as st

from harness.call import RESPONSE_TYPES
from harness.history import Rpc
from harness.stubs import service_pb2 as pb
from loadtests.receipts import MOST_CUT, MOST_SHAPES, Ids, Reader, ids_in, parser_of

UUIDS = st.uuids().map(str)
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
LONG = st.integers(120, 300).map("x".__mul__)
NAMES = st.one_of(UUIDS, ANY, LONG)
ONE_LENGTH = st.integers(0, 130).flatmap(lambda size: st.text("abé\n$", min_size=size, max_size=size))


def answers(ids: st.SearchStrategy[str]) -> st.SearchStrategy[list[list[str]]]:
    """Draw the ids of an answer, for each of its requests."""
    return st.lists(st.lists(ids, max_size=5), max_size=5)


@st.composite
def alike(draw: st.DrawFn) -> list[list[list[str]]]:
    """Draw the ids of several answers that look the same: equal numbers of ids, and often all ids of a length."""
    sizes = draw(st.lists(st.integers(0, 5), max_size=5))
    ids = draw(st.sampled_from([UUIDS, ONE_LENGTH, ANY]))
    return [[draw(st.lists(ids, min_size=size, max_size=size)) for size in sizes] for _ in range(draw(st.integers(1, 5)))]


def message(several: list[list[str]], *, batch: bool) -> Message:
    """Return the answer with some ids; one to a single submission has those of the first request only."""
    members = [pb.ExecuteControllerJobResponse(job_execution_ids=ids) for ids in several]
    if batch:
        return pb.BatchExecuteControllerJobsResponse(responses=members)
    return members[0] if members else pb.ExecuteControllerJobResponse()


def plainly(rpc: Rpc, octets: bytes) -> tuple[list[bytes], tuple[int, ...]]:
    """Return the ids in an answer, read by protobuf one by one, and how many each request has. Raises DecodeError."""
    found = RESPONSE_TYPES[rpc].FromString(octets)
    members = found.responses if isinstance(found, pb.BatchExecuteControllerJobsResponse) else [found]
    ids = [[job_id.encode() for job_id in member.job_execution_ids] for member in members]  # type: ignore[attr-defined]
    return [job_id for some in ids for job_id in some], tuple(map(len, ids))


def same(reader: Reader, rpc: Rpc, octets: bytes) -> bool:
    """Whether a reader says of some octets what protobuf says: the ids, or that they are no answer."""
    try:
        expected = plainly(rpc, octets)
    except DecodeError:
        with pytest.raises(DecodeError):
            reader(octets)
        return True
    ids = reader(octets)
    return (list(ids.flat), ids.sizes) == expected


@given(st.lists(answers(NAMES) | answers(UUIDS), max_size=8) | alike(), st.booleans())
@example([[["a" * 36] * 2] * 2] * 3, True)
def test_answers_are_read_as_protobuf_reads_them(several: list[list[list[str]]], batch: bool) -> None:
    rpc = Rpc.BATCH if batch else Rpc.EXECUTE
    reader = Reader(rpc)
    for ids in [*several, *several]:  # the second time, what they look like is known
        assert same(reader, rpc, message(ids, batch=batch).SerializeToString())


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.booleans(), st.data())
def test_an_answer_with_any_octet_changed_is_read_as_protobuf_reads_it(
    sizes: list[int], batch: bool, data: st.DataObject
) -> None:
    rpc = Rpc.BATCH if batch else Rpc.EXECUTE
    reader = Reader(rpc)
    octets = message([[f"{number:036}" for number in range(size)] for size in sizes], batch=batch).SerializeToString()
    for _ in range(2):
        assert same(reader, rpc, octets)
    place = data.draw(st.integers(0, len(octets) - 1))
    change = data.draw(st.binary(min_size=1, max_size=3))
    assert same(reader, rpc, octets[:place] + change + octets[place + len(change) :])
    assert same(reader, rpc, octets[:place] + change + octets[place:])
    assert same(reader, rpc, octets[:place] + octets[place + 1 :])


@given(st.lists(ANY | UUIDS, max_size=20) | st.lists(UUIDS, max_size=20))
def test_ids_are_what_they_were_one_by_one(names: list[str]) -> None:
    ids = ids_in([names[:3], names[3:]])
    flat = [name.encode() for name in names]
    assert list(ids.flat) == [ids.at(place) for place in range(len(names))] == flat
    assert ids.sizes == (len(flat[:3]), len(flat[3:]))


@given(answers(ANY) | answers(st.sampled_from(["a", "b"])), answers(ANY) | answers(st.sampled_from(["a", "b"])))
def test_ids_are_equal_when_all_of_them_are(some: list[list[str]], others: list[list[str]]) -> None:
    assert ids_in(some) == ids_in([list(ids) for ids in some])
    assert (ids_in(some) == ids_in(others)) == (some == others)


def test_ids_of_a_learned_answer_equal_those_of_one_that_was_read() -> None:
    reader = Reader(Rpc.BATCH)
    octets = message([["a" * 36, "b" * 36], ["c" * 36]], batch=True).SerializeToString()
    first, *others = [reader(octets) for _ in range(4)]
    assert others == [first] * 3


@pytest.mark.parametrize("count", [MOST_CUT - 1, MOST_CUT, MOST_CUT + 1, 3 * MOST_CUT])
def test_answers_of_any_number_of_ids_are_read(count: int) -> None:
    reader = Reader(Rpc.EXECUTE)
    octets = message([[f"{number:05}" for number in range(count)]], batch=False).SerializeToString()
    for _ in range(3):
        assert same(reader, Rpc.EXECUTE, octets)


def test_only_so_many_shapes_are_learned_and_all_answers_are_read() -> None:
    reader = Reader(Rpc.EXECUTE)
    for count in range(1, MOST_SHAPES + 20):
        octets = message([[f"{number:04}" for number in range(count)]], batch=False).SerializeToString()
        for _ in range(3):
            assert same(reader, Rpc.EXECUTE, octets)


def test_submissions_are_answered_by_ids_and_other_calls_by_messages() -> None:
    for rpc in Rpc:
        empty = parser_of(rpc)(b"")
        assert isinstance(empty, Ids) == (rpc in {Rpc.EXECUTE, Rpc.BATCH})
        assert isinstance(empty, Ids | RESPONSE_TYPES[rpc])
