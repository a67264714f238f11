"""Judge a history: whether a Controller that keeps its promises could have answered like this.

Operations of concurrent clients are compared by real time only where one was over before the other began. An operation
without an answer may have happened at any time from its start on, or never. What the rules cannot tell apart from legal
behaviour they let pass; restarts of the endpoint, after which it may forget jobs, are not part of a history. Pure.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.errors import ConfigError
from harness.history import Operation, Rpc
from harness.joblife import Acknowledgement, Job, Violation, judge_job
from harness.sightings import Cancel, CutError, ResultsRead, Sighting, StatusRead, Submission, sighting

LEGAL, ILLEGAL, UNKNOWN = "legal", "illegal", "unknown"
"""The verdicts of a judgement."""
BUDGET = 2_000_000
"""How many sightings of a job one judgement looks at before it gives up."""


@dataclass(frozen=True)
class Judgement:
    """What the judge found; `reason` says why the verdict is unknown. A broken SHOULD alone leaves a history legal."""

    verdict: str
    violations: tuple[Violation, ...]
    operations: int
    reason: str = ""


def judge(operations: Iterable[Operation], *, budget: int = BUDGET) -> Judgement:
    """Judge operations, given in any order. Raises ConfigError for what cannot be a history, such as shortened evidence.

    Takes time in n log n; `unknown` when there is nothing to judge, or more than `budget` sightings of jobs.
    """
    sightings = _read(operations)
    if not sightings:
        return Judgement(UNKNOWN, (), 0, "there is no operation to judge")
    work = sum(_size(item) for item in sightings)
    if work > budget:
        return Judgement(UNKNOWN, (), len(sightings), f"{work} sightings of jobs are more than the budget of {budget}")
    submissions = [item for item in sightings if isinstance(item, Submission)]
    ambiguous = _ambiguous_keys(submissions)
    jobs = _jobs(sightings, ambiguous)
    violations = [*_counts(submissions, ambiguous), *_duplicates(submissions), *_replays(submissions, jobs)]
    violations += [violation for job in jobs.values() for violation in judge_job(job)]
    violations.sort(key=lambda item: (max(item.operations), item.requirement))
    illegal = any(item.level == "MUST" for item in violations)
    return Judgement(ILLEGAL if illegal else LEGAL, tuple(violations), len(sightings))


def _read(operations: Iterable[Operation]) -> list[Sighting]:
    found: dict[int, Sighting] = {}
    for operation in operations:
        if operation.number in found:
            raise ConfigError("the number occurs twice", key=f"operation {operation.number}")
        try:
            found[operation.number] = sighting(operation)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"cannot be judged: {error}", key=f"operation {operation.number}", hint=advice(error)) from None
    return sorted(found.values(), key=lambda item: (item.ended_ns, item.number))


def advice(error: Exception) -> str:
    """Return what to do about an operation that `sighting` refuses."""
    return "judge whole histories, not the evidence of a run record" if isinstance(error, CutError) else ""


def _size(item: Sighting) -> int:
    if isinstance(item, Submission):
        return 1 + sum(member.configurations for member in item.members) + len(item.all_ids())
    return 1 + len(item.jobs) if isinstance(item, Cancel) else 1


def _ambiguous_keys(submissions: Iterable[Submission]) -> set[str]:
    """Return the keys of several different requests: whose jobs an answer names is then free (IDEM-13)."""
    forms: dict[str, set[str]] = defaultdict(set)
    for item in submissions:
        if item.key is not None and not item.refused:
            forms[item.key].add(item.form)
    return {key for key, found in forms.items() if len(found) > 1}


def _jobs(sightings: Iterable[Sighting], ambiguous: set[str]) -> dict[str, Job]:
    jobs: dict[str, Job] = {}

    def job(name: str) -> Job:
        return jobs.setdefault(name, Job(name))

    for item in sightings:
        if isinstance(item, Submission):
            members = () if item.key in ambiguous else item.members
            for member, ids in zip(members, item.ids or (), strict=False):
                for name in ids:
                    found = Acknowledgement(item, item.identity, member.target, member.timeout)
                    job(name).acknowledgements.append(found)
        elif isinstance(item, StatusRead):
            job(item.job).reads.append(item)
        elif isinstance(item, ResultsRead):
            job(item.job).results.append(item)
        else:
            for name in item.jobs:
                job(name).cancels.append(item)
    return jobs


def _counts(submissions: Iterable[Submission], ambiguous: set[str]) -> Iterator[Violation]:
    for item in submissions:
        if item.ids is None or item.key in ambiguous:
            continue
        requirement = "BATCH-01" if item.rpc is Rpc.BATCH else "EXEC-01"
        if len(item.ids) != len(item.members):
            expected = f"{len(item.members)} responses, one per request"
            yield Violation(requirement, expected, f"{len(item.ids)} responses", (item.number,))
            continue
        for index, (member, ids) in enumerate(zip(item.members, item.ids, strict=True)):
            if len(ids) != member.configurations:
                where = f" in request {index}" if item.rpc is Rpc.BATCH else ""
                expected = f"{member.configurations} ids, one per configuration{where}"
                yield Violation(requirement, expected, f"{len(ids)} ids", (item.number,))


def _duplicates(submissions: Iterable[Submission]) -> Iterator[Violation]:
    """Judge that ids are new, but for the replays of a key (EXEC-03)."""
    owners: dict[str, Submission] = {}
    for item in submissions:
        ids = item.all_ids()
        if "" in ids:
            yield Violation("EXEC-03", "ids that are not empty", "an empty id", (item.number,))
        if len(set(ids)) < len(ids):
            twice = Counter(ids).most_common(1)[0][0]
            yield Violation("EXEC-03", "ids that differ within an answer", f"{twice} twice", (item.number,))
        others = {name: owners.setdefault(name, item) for name in ids}
        for name, first in [(name, first) for name, first in others.items() if first.owner != item.owner][:1]:
            expected = "ids that no other submission was given"
            yield Violation("EXEC-03", expected, f"{name}, given out before", (first.number, item.number))


def _replays(submissions: Iterable[Submission], jobs: Mapping[str, Job]) -> Iterator[Violation]:
    """Judge that a key and its request have one set of ids, until the endpoint may have forgotten all of them."""
    answers: dict[tuple[str, str], dict[tuple[tuple[str, ...], ...], list[Submission]]] = defaultdict(lambda: defaultdict(list))
    for item in submissions:
        if item.key is not None and item.ids is not None:
            answers[item.key, item.form][item.ids].append(item)
    for sets in answers.values():
        # In the order in which each set was first answered, because submissions come in the order of their ends.
        generations = list(sets.values())
        for older, newer in itertools.pairwise(generations):
            violation = _replay(older, newer, jobs)
            if violation is not None:
                yield violation
                break


def _replay(older: Sequence[Submission], newer: Sequence[Submission], jobs: Mapping[str, Job]) -> Violation | None:
    first, second = older[0], newer[0]
    if all(item.started_ns <= second.ended_ns for item in older) and _may_have_changed(first, second, jobs):
        return None
    in_turn = "BATCH-05" if first.rpc is Rpc.BATCH else "IDEM-01"
    requirement = in_turn if first.precedes(second) else "IDEM-07"
    observed = f"other ids: {_some(second.all_ids())}"
    return Violation(
        requirement, f"the ids of the same key and request: {_some(first.all_ids())}", observed, (first.number, second.number)
    )


def _may_have_changed(first: Submission, second: Submission, jobs: Mapping[str, Job]) -> bool:
    at = second.ended_ns
    found = [jobs.get(name, Job(name)) for name in first.all_ids()]
    return all(job.forgettable_from <= at and job.last_known_ns <= at for job in found)


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "") if ids else "none"
