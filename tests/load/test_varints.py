"""Varints are those of protobuf."""

from __future__ import annotations

from google.protobuf import wrappers_pb2
from hypothesis import given
from hypothesis import strategies as st

from loadtests.varints import SHORT, varint


@given(st.integers(1, 2**64 - 1))
def test_a_number_is_written_as_protobuf_writes_it(number: int) -> None:
    assert wrappers_pb2.UInt64Value(value=number).SerializeToString() == bytes([1 << 3]) + varint(number)


@given(st.integers(0, 2**64 - 1))
def test_short_numbers_take_one_octet(number: int) -> None:
    assert (len(varint(number)) == 1) == (number < SHORT)
