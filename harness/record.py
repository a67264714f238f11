"""The run record: a header, streamed lines, a footer, as JSON Lines; everything in a report comes from it.

A record without its footer is an incomplete run. Lines are frozen values; `encode` and `decode` are inverse. The published
JSON Schema is `harness/schemas/record.schema.json`. Pure: text in, text out.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.errors import ConfigError
from harness.histogram import Histogram
from harness.history import Operation
from harness.jsoncodec import parse_object, rebuild

VERSION = 1
"""Version of the record format."""

FOOTER_MISSING = "the footer is missing: the run did not come to its end"
"""Why a record is incomplete that is whole but for its footer."""

KNOWN_STATES = ("excused", "expired", "stale", "undecided")
"""What becomes of an entry of the known failures."""
VERDICTS = ("pass", "fail", "inconclusive", "not_applicable", "known_failure", "skipped")


@dataclass(frozen=True)
class Header:
    """What was run, with what, against what. `profile` has its secrets masked; `started` is ISO 8601 in UTC."""

    run_id: str
    started: str
    command: tuple[str, ...]
    tool_version: str
    python: str
    packages: Mapping[str, str]
    machine: Mapping[str, Any]
    endpoint: str
    profile: Mapping[str, Any]
    seed: int
    version: int = VERSION


@dataclass(frozen=True)
class SectionStart:
    """A part of the run begins: `conformance` or `load`. `planned` counts checks, or seconds of load."""

    section: str
    started: str
    planned: int
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RequirementLine:
    """One line of the catalogue as it stood in this run; `mutants` are the wrong servers that prove its checks."""

    id: str
    level: str
    chapter: str
    statement: str
    passages: tuple[str, ...]
    implied: bool
    unobservable: str
    mutants: tuple[str, ...] = ()


@dataclass(frozen=True)
class Discrepancy:
    """One way in which the endpoint differs from a requirement; `calls` are the numbers of the operations that show it.

    `known` is the reason of the profile's known failure that excuses it; empty: nothing does.
    """

    requirement: str
    expected: str
    observed: str
    calls: tuple[int, ...] = ()
    known: str = ""


@dataclass(frozen=True)
class Observation:
    """What the endpoint does where it is free to choose (INFO lines), or a figure worth knowing."""

    requirement: str
    text: str


@dataclass(frozen=True)
class CheckLine:
    """The verdict of one check and what it rests on.

    `reason_kind` of an inconclusive check: `unobservable` (the profile offers no way), `disturbed` (could not be brought
    about this time) or `crashed` (the check itself broke). `calls` holds the operations of checks that did not pass.

    How strong a verdict is: `calls_made` and `jobs` (submitted, whether accepted or not) count all attempts together;
    `interleavings` counts the rounds of the last attempt in which calls of several clients really overlapped; `effort` counts
    what makes a check dearer on another endpoint: `reads` of a status, how often the executors were `held`, the queue was
    `filled` and jobs were `counted`. `repeat` is a command line that runs the check again with its `seed`; `commands` run the
    plans that broke a requirement again, or judge the whole history once more: both are stored beside the record.
    `mutants` are the wrong reference servers that the check caught when the suites were last on trial.
    """

    check: str
    title: str
    requirements: tuple[str, ...]
    verdict: str
    reason: str
    reason_kind: str
    seconds: float
    calls_made: int
    oracles: tuple[str, ...] = ()
    discrepancies: tuple[Discrepancy, ...] = ()
    observations: tuple[Observation, ...] = ()
    calls: tuple[Operation, ...] = ()
    traceback: str = ""
    jobs: int = 0
    interleavings: int = 0
    effort: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0
    repeat: str = ""
    commands: tuple[str, ...] = ()
    mutants: tuple[str, ...] = ()


@dataclass(frozen=True)
class KnownLine:
    """What became of an entry of the profile's known failures, which names a requirement or a check.

    `state` is `excused` (`checks` failed as known), `expired` (they failed, but the entry no longer excuses it), `stale` (all
    of `checks` passed: the entry has to go) or `undecided` (`checks` did not run, or could not say).
    """

    requirement: str
    check: str
    reason: str
    expires: str
    state: str
    checks: tuple[str, ...]

    @property
    def name(self) -> str:
        """What the entry names."""
        return self.requirement or self.check


@dataclass(frozen=True)
class Interval:
    """One second of load on one RPC; latencies in microseconds, `errors` by gRPC code, `second` counted from the start."""

    second: int
    rpc: str
    count: int
    errors: Mapping[str, int]
    p50: int
    p95: int
    p99: int
    largest: int
    users: int


@dataclass(frozen=True)
class Latency:
    """All samples of one series, in microseconds.

    By `kind`: `rpc` (calls by RPC and outcome code; in an open load the first call of an iteration counts from when it was meant
    to start), `service` (open loads only: the same calls, each from when it was sent), `lifecycle` (jobs by phase, as
    seen by polling), `lifecycle_error` (the same jobs: by how much at most each of those times is off), `scheduling`
    (open loads only: how much later than due the generator began iterations). `stage` is the stage in which the call began;
    what is not `measured` enters neither summary nor thresholds.
    """

    kind: str
    name: str
    code: str
    histogram: Histogram
    stage: str = ""
    measured: bool = True


@dataclass(frozen=True)
class Arrivals:
    """What became of the starts of one stage of an open load.

    `scheduled` = `started` + `dropped`. Of those started, `waited` had to wait for a free user, and `late` were begun more than
    `late_after` seconds after they were due (or after a user was free) for want of computing power of the generator. Of those
    dropped, `dropped_behind` fell due while the generator was behind, so that it is to blame and not the endpoint. The run is
    not valid when `late` and `dropped_behind` together are more than the share `behind_limit` of `scheduled`.
    """

    stage: str
    measured: bool
    seconds: float
    scheduled: int
    started: int
    waited: int
    late: int
    dropped: int
    dropped_behind: int
    late_after: float
    behind_limit: float


@dataclass(frozen=True)
class Ledger:
    """What became of the jobs of a load run. `violations` name each broken invariant (first ones in full, then counted).

    `attempted_jobs` were submitted, whatever came of it. Of those acknowledged, `unfinished` ones did not end in time, `lost`
    ones the endpoint denied when it was asked at the end, `not_followed` ones nobody asked for. `duplicated` counts ids that
    were given twice, jobs that a replay made, and jobs that no id shows; `unexpected` ids that no configuration asked for,
    `unknown_jobs` those of submissions that were never answered.
    """

    submissions: int
    acknowledged_jobs: int
    finished: int
    canceled: int
    failed: int
    unfinished: int
    unknown_submissions: int
    replays: int
    violation_count: int
    violations: tuple[Discrepancy, ...]
    attempted_jobs: int = 0
    lost: int = 0
    duplicated: int = 0
    unexpected: int = 0
    unknown_jobs: int = 0
    not_followed: int = 0


@dataclass(frozen=True)
class ThresholdLine:
    """A limit of the scenario and what was measured."""

    expression: str
    observed: str
    held: bool
    reason: str


SEARCH_ENDINGS = ("endpoint", "maximum", "generator", "lowest", "unconfirmed", "unfinished")
"""Why a search was over; `harness.slosearch.Ending` explains all but `unfinished`: the run ended before."""
OUTCOMES = ("held", "failed", "behind")
"""What can come of a trial of a search: as `harness.slosearch.Outcome`."""


@dataclass(frozen=True)
class Probe:
    """A trial of one rate (per second) in a search: a probe, or a confirmation if it `confirms`.

    `limit` is the first one that it failed, `observed` what was measured of that. `starts` counts those that were due.
    """

    stage: str
    rate: float
    confirms: bool
    outcome: str
    limit: str
    observed: str
    starts: int
    late: int
    dropped: int


@dataclass(frozen=True)
class SearchLine:
    """What a search found: the highest rate (per second) that was confirmed, 0 for none, and why it ended, in a sentence.

    With `at_least`, it was not the endpoint that kept it from finding more.
    """

    found: float
    at_least: bool
    ending: str
    reason: str
    probes: tuple[Probe, ...]


@dataclass(frozen=True)
class SectionEnd:
    """A part of the run is over. `outcome` is completed, aborted (by a limit), interrupted or crashed."""

    section: str
    ended: str
    outcome: str
    reason: str
    exit_code: int


@dataclass(frozen=True)
class Footer:
    """The run is over; `lines` counts all lines before this one."""

    ended: str
    exit_code: int
    lines: int


Line = (
    Header
    | SectionStart
    | RequirementLine
    | CheckLine
    | KnownLine
    | Interval
    | Latency
    | Arrivals
    | Ledger
    | ThresholdLine
    | SearchLine
    | SectionEnd
    | Footer
)
_TYPES: Mapping[str, type] = {
    "header": Header,
    "section_start": SectionStart,
    "requirement": RequirementLine,
    "check": CheckLine,
    "known_failure": KnownLine,
    "interval": Interval,
    "latency": Latency,
    "arrivals": Arrivals,
    "ledger": Ledger,
    "threshold": ThresholdLine,
    "search": SearchLine,
    "section_end": SectionEnd,
    "footer": Footer,
}
_NAMES = {cls: name for name, cls in _TYPES.items()}


@dataclass(frozen=True)
class Record:
    """A record that was read back: its lines, and why it is incomplete ("" when it is whole)."""

    source: str
    header: Header
    lines: tuple[Line, ...]
    incomplete: str

    @property
    def footer(self) -> Footer | None:
        """The footer, if the run came to its end."""
        last = self.lines[-1] if self.lines else None
        return last if isinstance(last, Footer) else None


def encode(line: Line) -> str:
    """Return a line as one JSON text in ASCII, so that no reader finds a line break in it and any text can be written."""
    data = {"type": _NAMES[type(line)], **{item.name: _plain(getattr(line, item.name)) for item in dataclasses.fields(line)}}
    return json.dumps(data, separators=(",", ":"), allow_nan=False)


def decode(text: str) -> Line:
    """Read one line back, and check the types of its fields. Raises ValueError, KeyError or TypeError when it is none."""
    data = parse_object(text)
    line: Line = rebuild(data, _TYPES[data.pop("type")])
    return line


def failed_checks(lines: Iterable[Line]) -> tuple[str, ...]:
    """Return the names of the checks that failed or stayed open."""
    return tuple(line.check for line in lines if isinstance(line, CheckLine) and line.verdict in {"fail", "inconclusive"})


def is_strict(lines: Iterable[Line]) -> bool:
    """Whether a run was asked to fail for a SHOULD as for a MUST."""
    return any(isinstance(line, SectionStart) and line.detail.get("strict") is True for line in lines)


def read_record(lines: Iterable[str], source: str) -> Record:
    """Read a record; a damaged or missing end makes it incomplete, a missing header or another version is an error.

    Raises ConfigError naming file and line.
    """
    found: list[Line] = []
    incomplete = ""
    for number, text in enumerate(lines, start=1):
        if incomplete:
            raise ConfigError("not a line of a run record", source=source, line=number - 1, hint="the file is damaged")
        try:
            if number == 1:
                _check_version(parse_object(text), source)
            found.append(decode(text))
        except (ValueError, KeyError, TypeError):
            if number == 1:
                break
            incomplete = f"line {number} is cut off or damaged"
    if not found or not isinstance(found[0], Header):
        raise ConfigError("not a run record: the first line is no header", source=source, line=1)
    return Record(source, found[0], tuple(found), incomplete or _missing(found))


def _plain(value: Any) -> Any:
    if isinstance(value, Histogram | Operation):
        return value.to_json()
    if isinstance(value, Discrepancy | Observation | Probe):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return dict(value) if isinstance(value, Mapping) else value


def _check_version(data: Mapping[str, Any], source: str) -> None:
    version = data["version"]
    if data["type"] == "header" and version != VERSION:
        hint = f"this tool reads version {VERSION}"
        raise ConfigError(f"record version {version!r} is not supported", source=source, line=1, hint=hint)


def _missing(found: Sequence[Line]) -> str:
    last = found[-1]
    if not isinstance(last, Footer):
        return "the footer is missing: the run did not come to its end"
    if last.lines != len(found) - 1:
        return f"the footer counts {last.lines} lines before it, but there are {len(found) - 1}"
    return ""
