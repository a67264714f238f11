"""Keeps Locust's own statistics fed, so that its page, its CSV files and its summary show the load: many calls at a time.

Locust fires an event for every call, which costs as much as half of the call. Nobody but Locust's own statistics listens as a
rule, so they get sums instead; failures, and all calls once there are other listeners, are events as usual. No figure of ours
comes from these statistics: they round to two digits.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from locust.env import Environment
from locust.stats import StatsEntry, bucket_response_time

from loadtests.program import Answer
from loadtests.recording import Fold

METHOD = "grpc"
"""What Locust's page shows as the method of all calls."""
_OWN_LISTENERS = 1
"""Listeners of Locust's request event that its runner brings along."""


class CountedError(Exception):
    """A failed call as Locust's page groups it: by code, not by the details that differ from call to call."""

    def __init__(self, answer: Answer) -> None:
        assert answer.error is not None  # noqa: S101 - only failed calls are errors
        error = answer.error
        super().__init__(f"{answer.rpc.value} failed: {error.code}: {error.message} (request id {answer.request_id})")
        self._code = error.code

    def __repr__(self) -> str:
        return self._code


class LocustTally:
    """Tells one environment of calls. Ask `is_watched` when a run begins: then every call has to be told by `answered`."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._events: Any = environment.events
        self._each = False

    def begin(self) -> bool:
        """Find out, when a run begins, whether anybody but Locust itself listens, so that each call has to be an event."""
        self._each = len(self._events.request._handlers) > _OWN_LISTENERS
        return self._each

    def answered(self, answer: Answer, octets: int) -> None:
        """Fire Locust's event for one call."""
        latency_ms = (answer.ended_ns - answer.started_ns) / 1e6
        self._events.request.fire(
            request_type=METHOD,
            name=answer.rpc.value,
            response_time=latency_ms,
            response_length=octets,
            exception=None if answer.error is None else CountedError(answer),
            context={},
            start_time=time.time() - latency_ms / 1e3,
            url=answer.rpc.path,
        )

    def folded(self, fold: Fold) -> None:
        """Add calls that succeeded to the statistics, all at once; the others were told one by one."""
        if self._each or fold.code != "OK" or not fold.counts:
            return
        stats = self._environment.stats
        for entry in (stats.total, stats.get(fold.rpc, METHOD)):
            entry.extend(_entry(entry, fold.counts, fold.octets))


def _entry(like: StatsEntry, counts: Mapping[int, int], octets: int) -> StatsEntry:
    """Return statistics of calls that ended within the last second, as Locust would have gathered them one by one."""
    entry = StatsEntry(like.stats, like.name, like.method)
    now = time.time()
    number = sum(counts.values())
    entry.num_requests = number
    entry.num_reqs_per_sec[int(now)] = number
    entry.last_request_timestamp = now
    entry.start_time = like.start_time
    entry.total_content_length = octets
    total = sum(micros * times for micros, times in counts.items())
    # Locust declares these as whole milliseconds, and itself puts fractions in.
    times: Any = entry
    times.total_response_time = total / 1000
    times.min_response_time, times.max_response_time = min(counts) / 1000, max(counts) / 1000
    for micros, number in counts.items():
        entry.response_times[bucket_response_time(micros / 1000)] += number
    return entry
