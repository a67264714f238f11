"""Whether overlapping status reads of one job agree with some single order of events (STA-05)."""

from __future__ import annotations

from conformance.kit.answers import status_of
from harness.call import Call
from harness.model import is_legal_move


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
