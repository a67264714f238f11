"""What a collector of calls hands over once a second: the calls of the seconds that are over, and all other figures so far.

Parcels of several collectors add up exactly, and travel between processes as octets. Pure.
"""

from __future__ import annotations

import dataclasses
import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from harness.histogram import Histogram
from harness.jsoncodec import parse_object
from harness.measurements import Excerpt
from harness.record import Arrivals, Latency, Ledger, Line, SearchLine, decode, encode
from harness.thresholds import PHASES
from loadtests.ledger import LoadLedger
from loadtests.ledgers import merge
from loadtests.recording import SecondOfCalls

T = TypeVar("T")
_LENGTH = struct.Struct("<I")
_PLAIN = ("closed", "span", "users", "in_flight", "calls", "errors")
_LATENCY = tuple(item.name for item in dataclasses.fields(Latency) if item.name != "histogram")
_PHASES = list(PHASES)


@dataclass(frozen=True)
class Found:
    """How a search stands, and the trial that stands for the run: the last one that was begun; None: none was."""

    line: SearchLine
    excerpt: Excerpt | None


@dataclass(frozen=True)
class Parcel:
    """The figures of one collector, or of several together.

    `seconds` holds the calls of seconds that no other parcel held, `closed` says that all seconds below it are over; everything
    else counts from the start of the run, so that a later parcel replaces an earlier one. `span` is for how many seconds calls
    were made. `ids` are the digests of all ids (`LoadLedger.digests`) in the last parcel of a worker; a sum has none.
    `found` is there if the run is a search, which has one process only, so it does not travel.
    """

    closed: int
    seconds: tuple[SecondOfCalls, ...]
    latencies: tuple[Latency, ...]
    arrivals: tuple[Arrivals, ...]
    ledger: Ledger
    span: float
    users: int
    in_flight: int
    calls: int
    errors: int
    ids: bytes = b""
    found: Found | None = None

    def news(self, known: Mapping[_Series, int]) -> Parcel:
        """Return the parcel without the series of which nothing new was counted; `known` holds their counts as last told."""
        fresh = tuple(line for line in self.latencies if known.get(series_of(line)) != line.histogram.count)
        return dataclasses.replace(self, latencies=fresh)

    def after(self, earlier: Parcel) -> Parcel:
        """Return the parcel with the series of an earlier one of the same collector that are not in it; undoes `news`."""
        latencies = {series_of(line): line for line in (*earlier.latencies, *self.latencies)}
        return dataclasses.replace(self, latencies=tuple(latencies.values()))


_Series = tuple[str, str, str, str]


def series_of(line: Latency) -> _Series:
    """Return what tells the samples of one series from those of another."""
    return line.stage, line.kind, line.name, line.code


def together(parcels: Sequence[Parcel]) -> Parcel:
    """Return the figures of several collectors as those of one."""
    if not parcels:
        return Parcel(0, (), (), (), LoadLedger().summary(), 0.0, 0, 0, 0, 0)
    if len(parcels) == 1:
        return parcels[0]
    return Parcel(
        closed=min(parcel.closed for parcel in parcels),
        seconds=_seconds(parcels),
        latencies=_latencies(parcels),
        arrivals=_arrivals(parcels),
        ledger=merge([parcel.ledger for parcel in parcels], [parcel.ids for parcel in parcels if parcel.ids]),
        span=max(parcel.span for parcel in parcels),
        users=sum(parcel.users for parcel in parcels),
        in_flight=sum(parcel.in_flight for parcel in parcels),
        calls=sum(parcel.calls for parcel in parcels),
        errors=sum(parcel.errors for parcel in parcels),
    )


def pack(parcel: Parcel) -> bytes:
    """Return a parcel as octets."""
    lines: tuple[Line, ...] = (*parcel.arrivals, parcel.ledger)
    header = {
        **{name: getattr(parcel, name) for name in _PLAIN},
        "seconds": [[item.second, item.rpc, dict(item.errors)] for item in parcel.seconds],
        "latencies": [{name: getattr(line, name) for name in _LATENCY} for line in parcel.latencies],
        "lines": [encode(line) for line in lines],
    }
    histograms = [item.latencies for item in parcel.seconds] + [line.histogram for line in parcel.latencies]
    pieces = [json.dumps(header, separators=(",", ":")).encode(), parcel.ids, *(histogram.pack() for histogram in histograms)]
    return b"".join(piece for octets in pieces for piece in (_LENGTH.pack(len(octets)), octets))


def unpack(octets: bytes) -> Parcel:
    """Read a parcel back. Raises ValueError when it is none."""
    try:
        return _unpack(list(_pieces(octets)))
    except (KeyError, TypeError, IndexError, AttributeError, struct.error) as error:
        raise ValueError(f"not a parcel: {error}") from None


def _unpack(pieces: Sequence[bytes]) -> Parcel:
    header = parse_object(pieces[0].decode())
    histograms = iter([Histogram.unpack(piece) for piece in pieces[2:]])
    lines = [decode(text) for text in header["lines"]]
    (ledger,) = _of(lines, Ledger)
    seconds = tuple(
        SecondOfCalls(second, rpc, histogram, errors)
        for (second, rpc, errors), histogram in zip(header["seconds"], histograms, strict=False)
    )
    latencies = tuple(
        Latency(**fields, histogram=histogram) for fields, histogram in zip(header["latencies"], histograms, strict=True)
    )
    if len(seconds) != len(header["seconds"]):
        raise ValueError("not a parcel: histograms are missing")
    plain: dict[str, Any] = {name: header[name] for name in _PLAIN}
    arrivals = tuple(_of(lines, Arrivals))
    return Parcel(seconds=seconds, latencies=latencies, arrivals=arrivals, ledger=ledger, ids=pieces[1], **plain)


def _pieces(octets: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(octets):
        begin = at + _LENGTH.size
        at = begin + int(_LENGTH.unpack_from(octets, at)[0])
        if at > len(octets):
            raise ValueError("not a parcel: it is cut off")
        yield octets[begin:at]


def _of(lines: Iterable[Line], kind: type[T]) -> list[T]:
    return [line for line in lines if isinstance(line, kind)]


def _seconds(parcels: Iterable[Parcel]) -> tuple[SecondOfCalls, ...]:
    found: dict[tuple[int, str], SecondOfCalls] = {}
    for item in (item for parcel in parcels for item in parcel.seconds):
        before = found.get((item.second, item.rpc))
        found[item.second, item.rpc] = item if before is None else added(before, item)
    return tuple(found[key] for key in sorted(found))


def added(one: SecondOfCalls, other: SecondOfCalls) -> SecondOfCalls:
    """Return the calls of one RPC that ended in the same second at two collectors."""
    return dataclasses.replace(
        one, latencies=_merged([one.latencies, other.latencies]), errors=_counts([one.errors, other.errors])
    )


def _latencies(parcels: Iterable[Parcel]) -> tuple[Latency, ...]:
    found: dict[_Series, list[Latency]] = {}
    for line in (line for parcel in parcels for line in parcel.latencies):
        found.setdefault(series_of(line), []).append(line)
    stages = list(dict.fromkeys(stage for stage, *_ in found))

    def place(series: _Series) -> tuple[Any, ...]:
        stage, kind, name, code = series
        return stages.index(stage), kind, _PHASES.index(name) if name in PHASES else -1, name, code

    return tuple(
        dataclasses.replace(found[series][0], histogram=_merged([line.histogram for line in found[series]]))
        for series in sorted(found, key=place)
    )


def _arrivals(parcels: Iterable[Parcel]) -> tuple[Arrivals, ...]:
    found: dict[str, list[Arrivals]] = {}
    for line in (line for parcel in parcels for line in parcel.arrivals):
        found.setdefault(line.stage, []).append(line)
    counted = ("scheduled", "started", "waited", "late", "dropped", "dropped_behind")
    return tuple(
        dataclasses.replace(lines[0], **{name: sum(getattr(line, name) for line in lines) for name in counted})
        for lines in found.values()
    )


def _merged(histograms: Iterable[Histogram]) -> Histogram:
    whole = Histogram()
    for histogram in histograms:
        whole.merge(histogram)
    return whole


def _counts(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    whole: dict[str, int] = {}
    for count in counts:
        for name, number in count.items():
            whole[name] = whole.get(name, 0) + number
    return whole
