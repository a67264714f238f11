"""A plan: a short sequence of calls over several connections, as a value that can be run anywhere, shrunk and described.

Jobs are named by the submission that they come from and their place in it, so that dropping any step leaves a valid plan: a
step that refers to nothing is not carried out. Pure.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.config import option

MAX_STEPS = 200
MAX_CONNECTIONS = 8
MAX_CONFIGURATIONS = 1000
"""Most configurations of one submission, or of one member of a batch."""
PLAYED = ("quick", "slow", "user_failure", "correlated")
"""The roles of jobs that a plan may submit; an endpoint whose profile lacks one is given `quick` jobs instead."""
STRANGER, NONSENSE = "stranger", "nonsense"
"""Names of jobs that no endpoint knows: a fresh UUID, and a text that is none."""

_NAME = re.compile(r"[a-z]{1,8}", re.ASCII)
_JOB = re.compile(r"([a-z]{1,8})\.(\d{1,4})", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step: over which connection, and whether it starts at the same time as the step before."""

    on: int = option("number of the connection, counted from 1", default=1, minimum=1, maximum=MAX_CONNECTIONS)
    beside: bool = option("whether the step starts at the same time as the one before", default=False)


@dataclass(frozen=True, kw_only=True)
class _Sending(Step):
    hang_up: float | None = option(
        "milliseconds after which the caller hangs up; unset: it waits for the answer", default=None, minimum=0, maximum=10_000
    )


@dataclass(frozen=True, kw_only=True)
class Submit(_Sending):
    """Submit `count` configurations. The key is fresh for each run of the plan."""

    name: str = option("what other steps call this submission: a few lower-case letters")
    count: int = option("configurations", default=1, minimum=1, maximum=MAX_CONFIGURATIONS)
    role: str = option("role of the job", default="quick", choices=PLAYED)
    key: bool = option("whether it carries an idempotency key", default=False)

    def __post_init__(self) -> None:
        _check_name(self.name)

    @property
    def counts(self) -> tuple[int, ...]:
        """The configurations of each member, of which there is one."""
        return (self.count,)


@dataclass(frozen=True, kw_only=True)
class Batch(_Sending):
    """Submit a batch of requests, each with so many configurations."""

    name: str = option("what other steps call this submission: a few lower-case letters")
    counts: tuple[int, ...] = option("configurations of each member", minimum=1, maximum=MAX_CONFIGURATIONS)
    role: str = option("role of the jobs", default="quick", choices=PLAYED)
    key: bool = option("whether it carries an idempotency key", default=False)

    def __post_init__(self) -> None:
        _check_name(self.name)
        if not 1 <= len(self.counts) <= MAX_STEPS:
            raise ValueError(f"counts: a batch has 1 to {MAX_STEPS} members")


@dataclass(frozen=True, kw_only=True)
class Replay(_Sending):
    """Send an earlier submission again, the same request with the same key (without one it is a new submission)."""

    of: str = option("name of the submission")


@dataclass(frozen=True, kw_only=True)
class Cancel(Step):
    """Cancel jobs in one call."""

    jobs: tuple[str, ...] = option(f"jobs such as a.0 (the first one of submission a), {STRANGER} or {NONSENSE}")

    def __post_init__(self) -> None:
        if len(self.jobs) > MAX_CONFIGURATIONS:
            raise ValueError(f"jobs: at most {MAX_CONFIGURATIONS}")
        for job in self.jobs:
            _check_job(job)


@dataclass(frozen=True, kw_only=True)
class Status(Step):
    """Read the status of a job."""

    job: str = option(f"a job such as a.0 (the first one of submission a), {STRANGER} or {NONSENSE}")

    def __post_init__(self) -> None:
        _check_job(self.job)


@dataclass(frozen=True, kw_only=True)
class Results(Step):
    """Ask for the results of a job."""

    job: str = option(f"a job such as a.0 (the first one of submission a), {STRANGER} or {NONSENSE}")
    deadline: float = option("deadline of the call in milliseconds", default=2000.0, minimum=1, maximum=60_000)

    def __post_init__(self) -> None:
        _check_job(self.job)


@dataclass(frozen=True, kw_only=True)
class Wait(Step):
    """Read the status of all jobs of a submission until they are terminal."""

    of: str = option("name of the submission")


AnyStep = Submit | Batch | Replay | Cancel | Status | Results | Wait
KINDS: Mapping[str, type[AnyStep]] = {
    "submit": Submit,
    "batch": Batch,
    "replay": Replay,
    "cancel": Cancel,
    "status": Status,
    "results": Results,
    "wait": Wait,
}
"""The steps by the name that they have in a file."""


@dataclass(frozen=True)
class Plan:
    """Steps in order, those that start together next to each other. Raises ValueError unless names and numbers are in order."""

    steps: tuple[AnyStep, ...]

    def __post_init__(self) -> None:
        if len(self.steps) > MAX_STEPS:
            raise ValueError(f"steps: at most {MAX_STEPS}")
        seen: set[str] = set()
        for step in self.submissions():
            if step.name in seen:
                raise ValueError(f"steps: two submissions are called {step.name!r}")
            seen.add(step.name)

    @property
    def connections(self) -> int:
        """How many connections the plan needs."""
        return max((step.on for step in self.steps), default=1)

    def submissions(self) -> Iterator[Submit | Batch]:
        """Yield the steps that name jobs."""
        return (step for step in self.steps if isinstance(step, Submit | Batch))

    def groups(self) -> list[list[AnyStep]]:
        """Return the steps in the order of their start; those of one group start together."""
        found: list[list[AnyStep]] = []
        for step in self.steps:
            if step.beside and found:
                found[-1].append(step)
            else:
                found.append([step])
        return found


def job_of(reference: str) -> tuple[str, int] | None:
    """Return the submission and the place that a job's name stands for; None for a job that nobody knows."""
    match = _JOB.fullmatch(reference)
    return None if match is None else (match[1], int(match[2]))


def descriptions(plan: Plan) -> list[str]:
    """Return the plan in words, one line per step; steps that start together say so."""
    lines: list[str] = []
    for group in plan.groups():
        for step in group:
            beside = "" if step is group[0] else "at the same time, "
            lines.append(f"{beside}connection {step.on} {_words(step)}")
    return lines


def _words(step: AnyStep) -> str:
    match step:
        case Submit() | Batch():
            counts = " and ".join(str(count) for count in step.counts)
            what = f"a batch of {counts}" if isinstance(step, Batch) else counts
            key = "with a key" if step.key else "without a key"
            text = f"submits {what} {step.role} jobs {key} ({step.name}){_hang_up(step)}"
        case Replay():
            text = f"sends {step.of} again{_hang_up(step)}"
        case Cancel():
            text = f"cancels {', '.join(step.jobs) or 'nothing'}"
        case Status():
            text = f"reads the status of {step.job}"
        case Results():
            text = f"asks for the results of {step.job} for {step.deadline:g} ms"
        case Wait():
            text = f"waits until {step.of} is finished"
    return text


def _hang_up(step: _Sending) -> str:
    return "" if step.hang_up is None else f" and hangs up after {step.hang_up:g} ms"


def names() -> Iterator[str]:
    """Yield names for submissions: a, b, ... z, aa, ab, ..."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    for length in itertools.count(1):
        yield from ("".join(word) for word in itertools.product(letters, repeat=length))


def _check_name(name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise ValueError("name: one to eight lower-case letters are a name")


def _check_job(job: str) -> None:
    if job not in {STRANGER, NONSENSE} and _JOB.fullmatch(job) is None:
        raise ValueError(f"{job!r:.40} is no job; write a.0 for the first one of submission a, {STRANGER} or {NONSENSE}")
