"""What status reads tell beyond each answer: whether overlapping ones agree (STA-05), and whether any job is still known."""

from __future__ import annotations

from collections.abc import Iterable

from conformance.kit.answers import status_of
from conformance.kit.case import Case
from harness.call import Call
from harness.model import Status, is_legal_move


def backward_reads(reads: list[Call]) -> list[tuple[Call, Call]]:
    """Return pairs (earlier, later) of reads, the one ended before the other began, that show a move backwards.

    `reads` are ordered by their end. For one job, states form a chain, so it is enough to hold each read against the most
    advanced state that any read ended before its begin has shown.
    """
    problems: list[tuple[Call, Call]] = []
    starts = sorted(reads, key=lambda call: call.started_ns)
    furthest: Call | None = None
    index = 0
    for call in starts:
        while index < len(reads) and reads[index].ended_ns < call.started_ns:
            ended = reads[index]
            if furthest is None or is_legal_move(status_of(furthest), status_of(ended)):
                furthest = ended
            index += 1
        if furthest is not None and not is_legal_move(status_of(furthest), status_of(call)):
            problems.append((furthest, call))
    return problems


def still_known(case: Case, ids: Iterable[str]) -> bool:
    """Whether the endpoint still knows any of the jobs; only then is a replay owed."""
    for job_id in ids:
        call = case.attempt(case.requests.status(job_id))
        if call.error is None and status_of(call) is not Status.UNKNOWN:
            return True
    return False
