"""How many jobs did the endpoint really queue? The spec has no call that lists jobs, so the profile's facts have to help.

From strong to weak: *observer* (the endpoint's own counter), *capacity* (fill a queue of known size and see how many still
fit). Each count names the oracle that it used; without one the check is inconclusive.
"""

from __future__ import annotations

import contextlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from conformance.kit.answers import describe, ids_of
from conformance.kit.case import Case
from conformance.kit.hold import held
from conformance.kit.verdicts import DisturbedError, UnobservableError
from conformance.kit.waiting import Patience
from harness.facts import Observer


@dataclass
class Count:
    """How many jobs were queued inside a block; known when the block has ended."""

    oracle: str
    jobs: int = -1

    def __str__(self) -> str:
        return f"{self.jobs} jobs (oracle: {self.oracle})"


@contextlib.contextmanager
def counting(case: Case) -> Iterator[Count]:
    """Count the jobs that the endpoint queues during the block, with the strongest oracle of the profile.

    Raises UnobservableError when there is none, DisturbedError when the count could not be taken.
    """
    if not case.facts.exclusive:
        raise UnobservableError("others use the target as well (facts.exclusive is false): counts mean nothing")
    if case.facts.observer is not None:
        with _by_observer(case, case.facts.observer) as count:
            yield count
    elif case.facts.queue_capacity is not None and "slow" in case.profile.jobs:
        with _by_capacity(case, case.facts.queue_capacity) as count:
            yield count
    else:
        raise UnobservableError("nothing shows what was queued: the profile names neither an observer nor a queue capacity")


def expect_jobs(case: Case, requirement: str, count: Count, jobs: int, when: str) -> bool:
    """Expect that exactly `jobs` jobs were queued during the counted block."""
    return case.expect(requirement, count.jobs == jobs, f"{when}: {jobs} jobs are queued", str(count), *case.calls[-3:])


def read_observer(observer: Observer) -> float:
    """Return the observer's counter. Raises UnobservableError when it cannot be read."""
    try:
        with urllib.request.urlopen(observer.url, timeout=10) as page:  # noqa: S310 - the profile's own address
            text = page.read(16 << 20).decode()
        families = list(text_string_to_metric_families(text))
    except (OSError, ValueError, http.client.HTTPException, urllib.error.URLError) as error:
        raise UnobservableError(f"the observer {observer.url} cannot be read: {error}") from None
    samples = [
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == observer.metric and observer.labels.items() <= sample.labels.items()
    ]
    if not samples:
        raise UnobservableError(f"the observer {observer.url} has no metric {observer.metric!r} with the profile's labels")
    return sum(samples)


@contextlib.contextmanager
def _by_observer(case: Case, observer: Observer) -> Iterator[Count]:
    count = Count("observer")
    case.oracles.append(count.oracle)
    before = _settled(observer)
    yield count
    count.jobs = round(_settled(observer) - before)


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
def _by_capacity(case: Case, capacity: int) -> Iterator[Count]:
    count = Count("capacity")
    case.oracles.append(count.oracle)
    case.clean_up()
    fillers: list[str] = []
    with held(case):
        yield count
        fillers = fill(case, capacity)
    count.jobs = capacity - len(fillers)
    case.clean_up()


def fill(case: Case, capacity: int) -> list[str]:
    """Queue `quick` jobs until nothing more fits and return their ids; call it inside `held`.

    Halves the request at every refusal, so that a queue of n places takes about 2 log2(n) calls. The code of a refusal is the
    endpoint's own affair (EXEC-10). Raises DisturbedError when more fits than the profile says, or nothing at all does for
    another reason than room.
    """
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
    if not ids and case.calls[-1].code not in {"RESOURCE_EXHAUSTED", "OK"}:
        raise DisturbedError(f"nothing fits, and the endpoint says {describe(case.calls[-1])}")
    return ids
