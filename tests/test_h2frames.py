"""Frames survive any chunking; octets that are none are refused before they cost anything."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.h2frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    HEADER,
    MAX_BLOCK,
    PREFACE,
    Frame,
    FrameError,
    FrameSplitter,
    Kind,
    frame,
    rst_stream,
    window_update,
    without_header_table,
)

STREAMS = st.integers(0, (1 << 31) - 1)
FLAGS = st.integers(0, 255)
PAYLOADS = st.binary(max_size=60)
PLAIN = st.builds(
    lambda kind, flags, stream, payload: Frame(kind, flags, stream, frame(kind, flags, stream, payload)),
    st.integers(0, 255).filter(lambda kind: kind not in {Kind.HEADERS, Kind.PUSH_PROMISE, Kind.CONTINUATION}),
    FLAGS,
    STREAMS,
    PAYLOADS,
)


@st.composite
def blocks(draw: st.DrawFn) -> Frame:
    """Header blocks of one to four frames."""
    kind, stream = draw(st.sampled_from([Kind.HEADERS, Kind.PUSH_PROMISE])), draw(STREAMS)
    flags = draw(FLAGS) & ~END_HEADERS
    parts = draw(st.lists(PAYLOADS, min_size=1, max_size=4))
    ends = [0] * (len(parts) - 1) + [END_HEADERS]
    kinds = [kind] + [Kind.CONTINUATION] * (len(parts) - 1)
    begun = [flags] + [0] * (len(parts) - 1)
    octets = b"".join(frame(k, f | e, stream, p) for k, f, e, p in zip(kinds, begun, ends, parts, strict=True))
    return Frame(kind, begun[0] | ends[0], stream, octets)


FRAMES = st.lists(PLAIN | blocks(), max_size=12)


def cut(octets: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({0, len(octets), *(place % (len(octets) + 1) for place in places)})
    return [octets[start:end] for start, end in pairwise(ends)]


@given(FRAMES, st.lists(st.integers(min_value=0), max_size=30), st.sampled_from([b"", PREFACE]))
def test_any_chunking_gives_the_same_frames(frames: list[Frame], places: list[int], preface: bytes) -> None:
    splitter = FrameSplitter(preface=preface)
    octets = preface + b"".join(one.octets for one in frames)
    assert [one for chunk in cut(octets, places) for one in splitter.feed(chunk)] == frames


@given(FRAMES)
def test_octet_by_octet(frames: list[Frame]) -> None:
    splitter = FrameSplitter(preface=PREFACE)
    octets = PREFACE + b"".join(one.octets for one in frames)
    assert [one for octet in octets for one in splitter.feed(bytes([octet]))] == frames


@given(st.binary(max_size=2000), st.lists(st.integers(min_value=0), max_size=10), st.integers(0, 100))
def test_any_octets_are_split_or_refused(octets: bytes, places: list[int], limit: int) -> None:
    splitter, found, fed = FrameSplitter(limit=limit), b"", b""
    try:
        for chunk in cut(octets, places):
            fed += chunk
            found += b"".join(one.octets for one in splitter.feed(chunk))
            assert fed.startswith(found)
    except FrameError:
        return
    assert octets.startswith(found)


@pytest.mark.parametrize("length", [17, 1 << 16, (1 << 24) - 1])
def test_a_frame_beyond_the_limit_is_refused_at_its_header(length: int) -> None:
    header = length.to_bytes(3) + bytes(6)
    with pytest.raises(FrameError, match=f"a frame of {length} octets, more than 16"):
        FrameSplitter(limit=16).feed(header)
    assert FrameSplitter(limit=length).feed(header) == []


def test_a_frame_of_just_the_limit_passes() -> None:
    assert len(FrameSplitter(limit=16).feed(frame(Kind.DATA, 0, 1, bytes(16)))) == 1


@pytest.mark.parametrize("size", [0, 1000])
def test_a_block_without_end_is_refused(size: int) -> None:
    splitter = FrameSplitter()
    splitter.feed(frame(Kind.HEADERS, 0, 1, b""))
    more = frame(Kind.CONTINUATION, 0, 1, bytes(size)) * (MAX_BLOCK // (size + HEADER) + 1)
    with pytest.raises(FrameError, match="a header block of more than 1048576 octets"):
        splitter.feed(more)


@pytest.mark.parametrize(
    ("octets", "complaint"),
    [
        (frame(Kind.CONTINUATION, END_HEADERS, 1, b""), "without a header block"),
        (frame(Kind.HEADERS, 0, 1, b"") + frame(Kind.DATA, 0, 1, b""), "interrupted"),
        (frame(Kind.HEADERS, 0, 1, b"") + frame(Kind.CONTINUATION, END_HEADERS, 3, b""), "interrupted"),
        (frame(Kind.HEADERS, 0, 1, b"") + frame(Kind.HEADERS, END_HEADERS, 1, b""), "interrupted"),
    ],
)
def test_blocks_out_of_order(octets: bytes, complaint: str) -> None:
    with pytest.raises(FrameError, match=complaint):
        FrameSplitter().feed(octets)


@given(st.binary(max_size=40).filter(lambda octets: not PREFACE.startswith(octets[: len(PREFACE)])))
def test_another_protocol_is_refused_as_soon_as_it_shows(octets: bytes) -> None:
    with pytest.raises(FrameError, match="preface"):
        FrameSplitter(preface=PREFACE).feed(octets)


@pytest.mark.parametrize(
    ("one", "ends", "closes"),
    [
        (Frame(Kind.DATA, END_STREAM, 1, b""), True, True),
        (Frame(Kind.HEADERS, END_STREAM, 1, b""), True, True),
        (Frame(Kind.HEADERS, END_HEADERS, 1, b""), False, False),
        (Frame(Kind.SETTINGS, ACK, 0, b""), False, False),
        (Frame(Kind.RST_STREAM, 0, 1, b""), False, True),
    ],
)
def test_how_a_stream_ends(one: Frame, ends: bool, closes: bool) -> None:
    assert (one.ends_stream, one.closes_stream) == (ends, closes)


def test_frames_that_are_made_are_those_of_the_rfc() -> None:
    assert rst_stream(5, 8) == bytes.fromhex("000004 03 00 00000005 00000008")
    assert window_update(0, 65535) == bytes.fromhex("000004 08 00 00000000 0000ffff")


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(0, (1 << 32) - 1)), max_size=8))
def test_settings_lose_their_header_table_only(entries: list[tuple[int, int]]) -> None:
    payload = b"".join(number.to_bytes(2) + value.to_bytes(4) for number, value in entries)
    changed = without_header_table(Frame(Kind.SETTINGS, 0, 0, frame(Kind.SETTINGS, 0, 0, payload)))
    (read,) = FrameSplitter().feed(changed)
    found = [read.payload[start : start + 6] for start in range(0, len(read.payload), 6)]
    pairs = [(int.from_bytes(entry[:2]), int.from_bytes(entry[2:])) for entry in found]
    assert pairs == [(1, 0), *((number, value) for number, value in entries if number != 1)]
    assert (read.kind, read.flags, read.stream) == (Kind.SETTINGS, 0, 0)
