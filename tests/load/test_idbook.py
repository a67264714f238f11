"""The ids of a run: none twice, in one book or in several."""

from __future__ import annotations

from array import array

from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.idbook import IdBook, repeated

IDS = st.lists(st.text(max_size=8), max_size=60)
KEY = b"of this test"
few = settings(max_examples=25)  # a book is half a megabyte, and several are made each time


def book_of(ids: list[str], key: bytes | None = KEY) -> IdBook:
    book = IdBook(key)
    for job_id in ids:
        book.add(job_id)
    return book


@few
@given(IDS, st.sampled_from([None, KEY]))
def test_an_id_is_new_once(ids: list[str], key: bytes | None) -> None:
    book, seen = IdBook(key), set[str]()
    for job_id in ids:
        assert book.add(job_id) == (job_id not in seen)
        seen.add(job_id)
    assert len(book) == len(seen)


@few
@given(IDS)
def test_digests_are_in_order_and_eight_octets_each(ids: list[str]) -> None:
    octets = book_of(ids).digests()
    numbers = [int.from_bytes(octets[at : at + 8], "little") for at in range(0, len(octets), 8)]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == len(set(ids))


@few
@given(IDS)
def test_digests_depend_on_the_key_and_not_on_the_order(ids: list[str]) -> None:
    assert book_of(ids).digests() == book_of(ids[::-1]).digests()
    assert not ids or book_of(ids, b"another").digests() != book_of(ids).digests()


@few
@given(st.lists(IDS, max_size=4))
def test_what_several_books_hold_is_counted_once_for_every_book_too_many(books: list[list[str]]) -> None:
    given_out = sum(len(set(ids)) for ids in books)
    assert repeated([book_of(ids).digests() for ids in books]) == given_out - len({job_id for ids in books for job_id in ids})


def test_the_ends_of_the_range_are_compared_as_well() -> None:
    edges = array("Q", [0, (1 << 56) - 1, 1 << 56, (1 << 64) - 1]).tobytes()
    assert repeated([edges, edges]) == 4
    assert repeated([edges]) == repeated([]) == 0
