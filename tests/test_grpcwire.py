"""gRPC as it travels: statuses, messages, metadata and timeouts come back as they went out, and nothing odd upsets them."""

from __future__ import annotations

import itertools
import string
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.grpcframing import PREFIX, MessageError, MessageReader, pack, unpack
from harness.grpcmeta import decode_metadata, decode_timeout, encode_metadata, encode_timeout
from harness.grpcstatus import (
    Code,
    H2Error,
    code_of_http,
    code_of_reset,
    code_of_text,
    decode_message,
    encode_message,
    name_of_h2_error,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
names = st.text(string.ascii_lowercase + string.digits + "-_.", min_size=1, max_size=20).map(lambda name: f"x{name}")
plain = names.filter(lambda name: not name.endswith("-bin"))
values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)
pairs = st.one_of(st.tuples(plain, values), st.tuples(names.map(lambda name: f"{name}-bin"), st.binary(max_size=40)))


@given(texts)
def test_status_messages_travel_as_printable_ascii(text: str) -> None:
    sent = encode_message(text)
    assert all(0x20 <= octet <= 0x7E for octet in sent)
    assert decode_message(sent) == text


@given(st.binary(max_size=50))
def test_any_status_message_can_be_read(octets: bytes) -> None:
    assert isinstance(decode_message(octets), str)


@pytest.mark.parametrize(
    ("sent", "text"),
    [(b"a%20b", "a b"), (b"%E2%82%ac", "€"), (b"100%", "100%"), (b"%zz%4", "%zz%4"), (b"%ff", "�"), (b"%25%32%35", "%25")],
)
def test_percent_signs(sent: bytes, text: str) -> None:
    assert decode_message(sent) == text


def test_every_status_has_its_number() -> None:
    assert [code_of_text(str(number).encode()) for number in range(17)] == list(Code)
    assert {code_of_text(odd) for odd in (b"", b"17", b"-1", b"00", b" 0", b"x", b"9" * 99)} == {Code.UNKNOWN}


def test_what_stands_in_for_a_missing_status() -> None:
    assert code_of_http(b"404") is Code.UNIMPLEMENTED
    assert {code_of_http(odd) for odd in (b"200", b"500", b"", b"x", b"999")} == {Code.UNKNOWN}
    assert code_of_reset(H2Error.ENHANCE_YOUR_CALM) is Code.RESOURCE_EXHAUSTED
    assert {code_of_reset(odd) for odd in (0, 1, 0x99, 1 << 31)} == {Code.INTERNAL}
    assert (name_of_h2_error(8), name_of_h2_error(0x99)) == ("CANCEL", "error 0x99")


@given(st.lists(pairs, max_size=6))
def test_metadata_comes_back(metadata: list[tuple[str, str | bytes]]) -> None:
    sent = encode_metadata(metadata)
    assert all(0x20 <= octet <= 0x7E for _, value in sent for octet in value)
    assert list(decode_metadata(sent)) == metadata


@pytest.mark.parametrize(
    ("header", "read"),
    [
        ((b"x-bin", b"AAE="), (("x-bin", b"\0\1"),)),
        ((b"x-bin", b"AAE"), (("x-bin", b"\0\1"),)),
        ((b"x-bin", b"AAE,Ag== , AA"), (("x-bin", b"\0\1"), ("x-bin", b"\2"), ("x-bin", b"\0"))),
        ((b"x-bin", b"no base64!"), (("x-bin", b"no base64!"),)),
        ((b":status", b"200"), ()),
        ((b"grpc-status", b"0"), ()),
        ((b"content-type", b"application/grpc"), ()),
        ((b"x-latin", b"\xe4"), (("x-latin", "ä"),)),
    ],
)
def test_headers_of_others(header: tuple[bytes, bytes], read: tuple[tuple[str, str | bytes], ...]) -> None:
    assert decode_metadata([header]) == read


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X", "1"),
        ("", "1"),
        ("a b", "1"),
        (":path", "1"),
        ("grpc-timeout", "1S"),
        ("ü", "1"),
        ("x", "ü"),
        ("x", "\n"),
        ("x", b"\xff"),
    ],
)
def test_metadata_that_cannot_travel(name: str, value: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"is no name|outside printable"):
        encode_metadata([(name, value)])


@given(st.floats(1e-9, 3.5e11))
def test_timeouts_are_never_shorter_and_hardly_longer(seconds: float) -> None:
    sent = encode_timeout(seconds)
    assert len(sent) <= 9
    assert seconds * (1 - 1e-9) <= decode_timeout(sent) <= seconds * (1 + 2e-5) + 1e-9


@pytest.mark.parametrize(
    ("seconds", "sent"), [(0, b"0n"), (-1, b"0n"), (0.05, b"50000000n"), (5, b"5000000u"), (1e300, b"99999999H")]
)
def test_timeouts_at_their_limits(seconds: float, sent: bytes) -> None:
    assert encode_timeout(seconds) == sent


@pytest.mark.parametrize("value", [b"", b"5", b"S", b"123456789S", b"-1S", b"1 S", b"1s", b"1.5S"])
def test_what_is_no_timeout(value: bytes) -> None:
    with pytest.raises(ValueError, match="is no timeout"):
        decode_timeout(value)


@given(st.binary(max_size=2000), st.booleans(), st.lists(st.integers(0, 2100), max_size=8))
def test_messages_come_back_in_any_pieces(message: bytes, gzip: bool, cuts: list[int]) -> None:
    sent = pack(message, gzip=gzip)
    assert len(sent) <= PREFIX + len(message)
    reader = MessageReader()
    places = sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    for start, end in itertools.pairwise(places):
        reader.feed(sent[start:end])
    found = reader.finish()
    assert found == sent
    assert unpack(found, b"gzip") == message


@given(st.lists(st.binary(max_size=30), max_size=6), st.sampled_from([b"", b"gzip", b"deflate", b"identity", b"snappy"]))
def test_any_octets_are_a_message_or_an_error(parts: list[bytes], encoding: bytes) -> None:
    reader = MessageReader(100)
    try:
        for part in parts:
            reader.feed(part)
        found = reader.finish()
        message = None if found is None else unpack(found, encoding, 100)
    except MessageError as error:
        message = str(error).encode()
    assert message is None or len(message) <= 100


def test_compression_is_used_when_it_helps() -> None:
    assert pack(b"ab", gzip=True) == b"\0\0\0\0\2ab"
    assert pack(b"a" * 1000, gzip=True)[0] == 1
    assert unpack(b"\1" + bytes(4) + zlib.compress(b"x"), b"deflate") == b"x"


def test_a_small_message_may_not_grow_beyond_the_limit() -> None:
    bomb = pack(bytes(10_000_000), gzip=True)
    assert len(bomb) < 20_000
    with pytest.raises(MessageError, match="more than 1,000,000 octets, once decompressed"):
        unpack(bomb, b"gzip", 1_000_000)
    assert len(unpack(bomb, b"gzip", 10_000_000)) == 10_000_000


def test_a_message_that_says_it_is_too_long_is_refused_at_once() -> None:
    reader = MessageReader(100)
    reader.feed(b"\0\0\0")
    with pytest.raises(MessageError) as caught:
        reader.feed(b"\0\x65")
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
