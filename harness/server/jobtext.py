r"""The text form of payloads: how a test tells the server what a job should do.

A payload whose first line starts with the word `controller-job` is read as `name=value` words separated by blanks:

    controller-job duration=20ms estimate=25ms post=5ms outcome=success touches-settings=yes readout=REGION

- `duration`: time on the hardware, above zero (default: the server's).  `post`: time in post-processing (default 0).
- `estimate`: the duration that the job declares, above zero (default: it declares none).
- `outcome`: `success` (default), `user-failure` or `service-failure`.
- `touches-settings`: `yes` or `no` (default): whether it changes protected settings.
- `readout`: name of the memory region that comes back as readout values (default: none).

Durations are decimal numbers with a unit, `us`, `ms` or `s`, at most a day, in steps of a nanosecond. The line ends at the first
line feed; whatever follows is padding. Words out of this grammar make a job that runs for the default duration and fails
with USER_FAILURE. Any other payload is opaque: it runs for the default duration and succeeds. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from harness.server.values import MICROSECOND, MILLISECOND, SECOND, JobSpec, ResultStatus

MAGIC = b"controller-job"
LONGEST_LINE = 4096
"""A first line longer than this is not read."""
LONGEST = 86_400 * SECOND

_DURATION = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,9}))?(us|ms|s)")
_UNITS = {"us": MICROSECOND, "ms": MILLISECOND, "s": SECOND}
_OUTCOMES = {
    "success": ResultStatus.SUCCESS,
    "user-failure": ResultStatus.USER_FAILURE,
    "service-failure": ResultStatus.SERVICE_FAILURE,
}


class JobTextError(ValueError):
    """The line is not in the grammar; the message names the word."""


def parse_duration(text: str) -> int:
    """Return a duration such as `1.5ms` in nanoseconds; JobTextError if it is none, or not a whole number of nanoseconds."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise JobTextError(f"{text!r} is not a duration such as 20ms")
    whole, fraction, unit = match[1], match[2] or "", _UNITS[match[3]]
    scale: int = 10 ** len(fraction)
    nanoseconds, rest = divmod(int(whole + fraction) * unit, scale)
    if rest:
        raise JobTextError(f"{text!r} is finer than a nanosecond")
    if nanoseconds > LONGEST:
        raise JobTextError(f"{text!r} is more than a day")
    return nanoseconds


def parse_job(payload: bytes, default_duration: int) -> JobSpec:
    """Return what a payload asks for; never fails. `default_duration` in nanoseconds."""
    if not payload.startswith(MAGIC):
        return JobSpec(default_duration)
    line = payload[: LONGEST_LINE + 1].partition(b"\n")[0]
    return _parse_line(line, default_duration)


@lru_cache(maxsize=1024)  # a load test sends the same few texts over and over
def _parse_line(line: bytes, default_duration: int) -> JobSpec:
    if line[len(MAGIC) :][:1].strip():
        return JobSpec(default_duration)  # another word that merely starts alike
    try:
        words = _parse_words(line)
    except (JobTextError, UnicodeDecodeError) as error:
        reason = str(error) if isinstance(error, JobTextError) else "the line is not UTF-8"
        return JobSpec(default_duration, outcome=ResultStatus.USER_FAILURE, message=f"job text: {reason}")
    message = "" if words.outcome is ResultStatus.SUCCESS else f"the job text asked for {words.outcome.name}"
    return JobSpec(
        words.duration or default_duration,
        words.estimate,
        words.post,
        words.outcome,
        message,
        words.touches_settings,
        words.readout,
    )


@dataclass(slots=True)
class _Words:
    duration: int | None = None
    estimate: int | None = None
    post: int = 0
    outcome: ResultStatus = ResultStatus.SUCCESS
    touches_settings: bool = False
    readout: str | None = None


def _above_zero(text: str) -> int:
    value = parse_duration(text)
    if not value:
        raise JobTextError(f"{text!r} must be above zero")
    return value


def _outcome(text: str) -> ResultStatus:
    if text not in _OUTCOMES:
        raise JobTextError(f"outcome {text!r} is none of {', '.join(_OUTCOMES)}")
    return _OUTCOMES[text]


def _yes_or_no(text: str) -> bool:
    if text not in {"yes", "no"}:
        raise JobTextError(f"touches-settings {text!r} is neither yes nor no")
    return text == "yes"


def _region(text: str) -> str:
    if not text:
        raise JobTextError("readout names no memory region")
    return text


_READERS: Mapping[str, tuple[str, Callable[[str], object]]] = {
    "duration": ("duration", _above_zero),
    "estimate": ("estimate", _above_zero),
    "post": ("post", parse_duration),
    "outcome": ("outcome", _outcome),
    "touches-settings": ("touches_settings", _yes_or_no),
    "readout": ("readout", _region),
}


def _parse_words(line: bytes) -> _Words:
    if len(line) > LONGEST_LINE:
        raise JobTextError(f"the line is longer than {LONGEST_LINE} bytes")
    words = _Words()
    seen: set[str] = set()
    for word in line.decode("utf-8").split()[1:]:
        name, equals, value = word.partition("=")
        if not equals or name not in _READERS:
            raise JobTextError(f"{word!r} is not one of {', '.join(_READERS)} with a value")
        if name in seen:
            raise JobTextError(f"{name} is given twice")
        seen.add(name)
        attribute, reader = _READERS[name]
        setattr(words, attribute, reader(value))
    return words
