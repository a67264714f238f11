"""The ids of a run: none twice, in one book or in several."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.idbook import MOST_QUICK, IdBook, repeated

FEW = st.binary(max_size=1)
"""So short that most are met again."""
ANY = st.binary(max_size=8)
IDS = st.lists(FEW | ANY, max_size=60)
ANSWERS = st.lists(st.tuples(IDS | st.lists(ANY, unique=True, max_size=60), st.booleans()), max_size=6)
"""Ids as they come in together, and whether they may take more memory."""
KEY = b"of this test"
KEYS = st.sampled_from([None, KEY])
few = settings(max_examples=25)  # a book is half a megabyte, and several are made each time


def book_of(ids: list[bytes], key: bytes | None = KEY, *, quick: bool = False) -> IdBook:
    book = IdBook(key)
    book.add_all(ids, quick=quick)
    return book


def one_by_one(ids: list[bytes], seen: set[bytes]) -> list[int]:
    """Return which of some ids are not new, and note them all: the plain way."""
    again = []
    for place, job_id in enumerate(ids):
        if job_id in seen:
            again.append(place)
        seen.add(job_id)
    return again


@given(ANSWERS, KEYS, st.sampled_from([0, 1, 20, MOST_QUICK]))
def test_ids_that_come_together_are_told_apart_as_one_by_one(
    answers: list[tuple[list[bytes], bool]], key: bytes | None, most_quick: int
) -> None:
    book, seen = IdBook(key, most_quick), set[bytes]()
    for ids, quick in answers:
        assert book.add_all(ids, quick=quick) == one_by_one(ids, seen)
        assert len(book) == len(seen)
    assert book.digests() == book_of(list(seen), key).digests()


@given(st.lists(ANY, unique=True, min_size=1, max_size=60), st.data())
def test_an_id_that_comes_again_is_named_wherever_it_stands(ids: list[bytes], data: st.DataObject) -> None:
    book = IdBook()
    assert book.add_all(ids, quick=True) == []
    again = data.draw(st.sampled_from(ids))
    fresh = [b"fresh %d" % number for number in range(9)]
    place = data.draw(st.integers(0, 9))
    assert book.add_all([*fresh[:place], again, *fresh[place:]], quick=True) == [place]
    assert len(book) == len(ids) + 9


@few
@given(IDS)
def test_digests_are_in_order_and_eight_octets_each(ids: list[bytes]) -> None:
    octets = book_of(ids).digests()
    numbers = [int.from_bytes(octets[at : at + 8], "little") for at in range(0, len(octets), 8)]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == len(set(ids))


@few
@given(IDS, st.booleans())
def test_digests_depend_on_the_key_and_not_on_the_order_or_the_way(ids: list[bytes], quick: bool) -> None:
    assert book_of(ids, quick=quick).digests() == book_of(ids[::-1]).digests()
    assert not ids or book_of(ids, b"another").digests() != book_of(ids).digests()


@few
@given(st.lists(st.tuples(IDS, st.booleans()), max_size=4))
def test_what_several_books_hold_is_counted_once_for_every_book_too_many(books: list[tuple[list[bytes], bool]]) -> None:
    given_out = sum(len(set(ids)) for ids, _ in books)
    digests = [book_of(ids, quick=quick).digests() for ids, quick in books]
    assert repeated(digests) == given_out - len({job_id for ids, _ in books for job_id in ids})


def test_the_ends_of_the_range_are_compared_as_well() -> None:
    edges = array("Q", [0, (1 << 56) - 1, 1 << 56, (1 << 64) - 1]).tobytes()
    assert repeated([edges, edges]) == 4
    assert repeated([edges]) == repeated([]) == 0


@pytest.mark.parametrize("most_quick", [0, 99, 100, 101])
def test_ids_beyond_those_that_may_be_quick_are_told_apart_as_well(most_quick: int) -> None:
    ids = [b"%d" % number for number in range(100)]
    book = IdBook(most_quick=most_quick)
    assert book.add_all(ids, quick=True) == []
    more = [b"%d" % number for number in range(90, 190)]
    assert book.add_all(more, quick=True) == list(range(10))
    assert (len(book), len(book.digests())) == (190, 190 * 8)
