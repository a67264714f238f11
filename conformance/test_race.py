"""Races: several clients submit, replay, cancel and read at once; the whole history is judged afterwards against the model."""

from __future__ import annotations

import random
from collections.abc import Sequence

from google.protobuf.message import Message

from conformance.kit import Case, covers
from conformance.kit.answers import ids_of
from harness.call import Call
from harness.checker import judge
from harness.client import ControllerClient

CLIENTS = 4
CALLS = 40
"""Calls of each client."""


@covers("IDEM-01", "IDEM-07", "EXEC-03", "STA-01", "STA-02", "RES-01", "CAN-05", exclusive=True)
def test_a_race_leaves_a_legal_history(case: Case) -> None:
    """Four clients race with shared and distinct keys, cancels and reads: some legal order explains all that they saw."""
    clients = [case.connect(f"racer {number}") for number in range(CLIENTS)]
    for client in clients:
        client.wait_ready(case.deadlines.call)
    shared = [case.requests.execute(count=2, key=case.key()) for _ in range(6)]
    seeds = [case.rng.getrandbits(32) for _ in clients]
    pairs = list(zip(clients, seeds, strict=True))
    begun = len(case.calls)
    case.together(lambda pair: _race(case, pair[0], random.Random(pair[1]), shared), pairs)  # noqa: S311 - repeatable, not secret
    calls = case.calls[begun:]
    numbers = {call.number: call for call in calls}
    case.history = tuple(call.to_operation(whole=True) for call in calls)
    judgement = judge(case.history)
    for violation in judgement.violations:
        shown = [numbers[number] for number in violation.operations if number in numbers]
        case.expect(violation.requirement, False, violation.expected, violation.observed, *shown)
    case.observe("STA-05", f"a history of {judgement.operations} concurrent calls is {judgement.verdict}")


def _race(case: Case, client: ControllerClient, rng: random.Random, shared: Sequence[Message]) -> None:
    ids: list[str] = []
    for _ in range(CALLS):
        call = case.attempt(_next(case, rng, ids, shared), client=client)
        ids += _new_ids(call, ids)


def _next(case: Case, rng: random.Random, ids: Sequence[str], shared: Sequence[Message]) -> Message:
    draw = rng.random()
    if not ids or draw < 0.2:
        return rng.choice(shared)
    if draw < 0.3:
        return case.requests.execute(count=rng.randint(1, 3))
    if draw < 0.4:
        return case.requests.cancel(rng.sample(ids, min(2, len(ids))))
    if draw < 0.6:
        return case.requests.results(rng.choice(ids))
    return case.requests.status(rng.choice(ids))


def _new_ids(call: Call, known: Sequence[str]) -> list[str]:
    return [job_id for job_id in ids_of(call) if job_id not in known]
