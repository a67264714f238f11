"""How many jobs did the endpoint really queue? The spec has no call that lists jobs, so the profile's facts have to help.

From strong to weak: *observer* (the endpoint's own counter), *capacity* (fill a queue of known size and see how many still
fit), *delay* (what was queued makes a probe wait on a serial executor). Each count names the oracle that it used; without one
the check is inconclusive.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from conformance.kit.answers import describe, ids_of
from conformance.kit.case import Case
from conformance.kit.delay import MANY, needs_delay, phantoms
from conformance.kit.hold import held
from conformance.kit.observers import read_observer
from conformance.kit.verdicts import DisturbedError, UnobservableError
from conformance.kit.waiting import Patience
from harness.call import Call
from harness.facts import Observer
from harness.model import Status

CONFIRMATIONS = 3
"""So many attempts at a check must agree before a wrong count by *delay* is believed; no more than a check has."""


@dataclass
class Count:
    """How many jobs were queued inside a block, and its last calls; known when the block has ended."""

    oracle: str
    jobs: int = -1
    calls: tuple[Call, ...] = ()

    def __str__(self) -> str:
        or_more = " or more" if self.oracle == "delay" and self.jobs >= MANY else ""
        return f"{self.jobs}{or_more} jobs (oracle: {self.oracle})"


def counted_role(case: Case) -> str:
    """Return the role that jobs must have so that the profile's oracle can count them. Raises UnobservableError without one."""
    return "slow" if _oracle(case) == "delay" else "quick"


def countable(case: Case, role: str) -> str:
    """Return a role whose jobs the profile's oracle can count. Raises UnobservableError when they are too quick for it."""
    needed = case.profile.jobs[counted_role(case)].duration
    if _oracle(case) == "delay" and case.profile.jobs[case.needs(role)].duration < 0.9 * needed:
        raise UnobservableError(
            f"a job {role!r} is too quick for a delay to show: it would have to take {needed:g} s as 'slow' does"
        )
    return case.needs(role)


@contextlib.contextmanager
def counting(case: Case) -> Iterator[Count]:
    """Count the jobs that the endpoint queues during the block, with the strongest oracle of the profile.

    Jobs submitted in the block must be of the `counted_role`, or one that is `countable`. *delay* holds the executor for one
    `slow` job's time, and the block must be over by then. Acknowledged jobs may be cancelled when it ends.
    Raises UnobservableError when there is no oracle, DisturbedError when the count could not be taken.
    """
    count = Count(_oracle(case))
    case.oracles.append(count.oracle)
    case.did("counted")
    if count.oracle == "observer" and case.facts.observer is not None:
        with _by_observer(case.facts.observer, count):
            yield count
            count.calls = tuple(case.calls[-3:])
    elif count.oracle == "capacity" and case.facts.queue_capacity is not None:
        with _by_capacity(case, case.facts.queue_capacity, count):
            yield count
            count.calls = tuple(case.calls[-3:])
    else:
        with phantoms(case) as found:
            yield count
            count.calls = tuple(case.calls[-3:])
        count.jobs = sum(found)


def _oracle(case: Case) -> str:
    if not case.facts.exclusive:
        raise UnobservableError("others use the target as well (facts.exclusive is false): counts mean nothing")
    if case.facts.observer is not None:
        return "observer"
    if case.facts.queue_capacity is not None and "slow" in case.profile.jobs:
        return "capacity"
    needs_delay(case)
    return "delay"


def expect_jobs(case: Case, requirement: str, count: Count, jobs: int, when: str) -> bool:
    """Expect that exactly `jobs` jobs were queued during the counted block."""
    return _expect(case, requirement, count, (jobs,), f"{when}: {jobs} jobs are queued")


def expect_all_or_none(case: Case, requirement: str, count: Count, jobs: int, when: str) -> bool:
    """Expect that `jobs` jobs were queued during the counted block, or none."""
    return _expect(case, requirement, count, (0, jobs), f"{when}: all of {jobs} jobs are queued, or none")


def _expect(case: Case, requirement: str, count: Count, allowed: tuple[int, ...], expected: str) -> bool:
    if count.oracle == "delay":
        if case.discrepancies:
            # The check fails as it is; a count that nothing confirms adds no certainty.
            return count.jobs in allowed
        _confirm(case, count, suspicious=count.jobs not in allowed)
    return case.expect(requirement, count.jobs in allowed, expected, str(count), *count.calls)


def _confirm(case: Case, count: Count, *, suspicious: bool) -> None:
    """Let a wrong count pass only when it came in every attempt. Raises DisturbedError until then, and when they disagree."""
    if suspicious:
        case.suspicions += 1
    if case.suspicions and (not suspicious or case.suspicions < CONFIRMATIONS):
        raise DisturbedError(f"a wrong count by delay, seen {case.suspicions} times, is not confirmed: {count} this time")


@contextlib.contextmanager
def _by_observer(observer: Observer, count: Count) -> Iterator[None]:
    before = _settled(observer)
    yield
    after = _settled(observer)
    if after < before or (after - before) % 1:
        raise DisturbedError(f"the observer went from {before:g} to {after:g}: that is no count of accepted jobs")
    count.jobs = round(after - before)


def _settled(observer: Observer) -> float:
    """Read until two reads agree: a submission that is still being handled shows a moment later."""
    last = read_observer(observer)
    patience = Patience(2.0)
    for _ in range(5):
        patience.pause()
        value = read_observer(observer)
        if value == last:
            return value
        last = value
    return last


@contextlib.contextmanager
def _by_capacity(case: Case, capacity: int, count: Count) -> Iterator[None]:
    case.clean_up()
    fillers: list[str] = []
    with held(case):
        yield
        fillers = fill(case, capacity)
    count.jobs = capacity - len(fillers)
    case.clean_up()


def fill(case: Case, capacity: int) -> list[str]:
    """Queue `quick` jobs until nothing more fits and return their ids; call it inside `held`.

    Halves the request at every refusal, so that a queue of n places takes about 2 log2(n) calls. The code of a refusal is the
    endpoint's own affair (EXEC-10). Raises DisturbedError when more fits than the profile says, or nothing at all does for
    another reason than room.
    """
    if capacity == case.facts.queue_capacity:
        case.did("filled")
    ids: list[str] = []
    size = min(capacity, case.facts.max_configurations)
    while size >= 1:
        call = case.attempt(case.requests.execute("quick", count=size))
        if call.error is not None:
            size //= 2
            continue
        ids += ids_of(call)
        if len(ids) > capacity:
            raise DisturbedError(f"more than {capacity} jobs fit: facts.queue_capacity is wrong, or the queue drains")
    if ids and case.calls[-1].error is not None:
        case.full_codes.add(case.calls[-1].code)
    if not ids and case.calls[-1].code not in {"OK", *case.full_codes}:
        raise DisturbedError(f"nothing fits, and the endpoint says {describe(case.calls[-1])}")
    return ids


def refuse_late_cancels(case: Case, ids: Iterable[str]) -> None:
    """Raise DisturbedError when one of these jobs is CANCELED after all: then there is more room than was counted on."""
    late = [job_id for job_id in ids if case.status(job_id) is Status.CANCELED]
    if late:
        raise DisturbedError(f"{len(late)} cancels took effect when they were no longer waited for")
