"""The part of a load run that writes it down: adds up what collectors hand over, second by second and at the end.

Owns the section of the record. Knows neither users nor calls nor Locust, and no clock: it goes by the parcels.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

from harness.errors import ExitCode, HarnessError, worst
from harness.gates import load_exit
from harness.measurements import Measurements, broken, evaluate_all
from harness.record import Line, SectionEnd, SectionStart, ThresholdLine
from harness.recorder import now_text
from harness.scenario import Scenario
from harness.schedule import Timeline
from harness.template import masked
from harness.thresholds import Threshold
from loadtests.observed import Watch
from loadtests.parcels import Parcel
from loadtests.quiet import complain
from loadtests.recording import intervals, recent_of
from loadtests.runner import Progress
from loadtests.sink import Sink


class Conclusion:
    """The results of one run as they come in. A `watch` holds the endpoint's own count against its books in the end."""

    def __init__(
        self, scenario: Scenario, sink: Sink, on_progress: Callable[[Progress], None], watch: Watch | None = None
    ) -> None:
        self._scenario = scenario
        self._watch = watch
        self._sink = sink
        self._on_progress = on_progress
        self._latest: Parcel | None = None
        self._recent = recent_of(())
        self._broken: ThresholdLine | None = None
        self._broken_after = 0.0
        self._scheduled = 0

    def begin(self, workers: Sequence[str] = ()) -> None:
        """Start the section of the record; a distributed run names its workers. Raises HarnessError."""
        detail = {**masked(self._scenario), "thresholds": [_shown(limit) for limit in self._scenario.limits]}
        detail |= {"workers": list(workers)} if workers else {}
        self._sink.write(SectionStart("load", now_text(), math.ceil(self._scenario.seconds), detail))

    def take(self, parcel: Parcel) -> None:
        """Take a parcel in, and write down its seconds. Raises HarnessError when the record cannot be written."""
        self._latest = parcel
        if parcel.seconds:
            self._recent = recent_of(parcel.seconds)
        for line in intervals(parcel.seconds, parcel.users):
            self._sink.write(line)

    def tell(self, elapsed: float) -> None:
        """Say how the run stands."""
        now = self._present
        before, self._scheduled = self._scheduled, sum(line.scheduled for line in now.arrivals)
        self._on_progress(
            Progress(
                elapsed=round(elapsed, 1),
                total=self._scenario.seconds,
                stage=self._stage(elapsed),
                offered=self._scheduled - before if self._scenario.is_open else None,
                late=sum(line.late for line in now.arrivals),
                dropped=sum(line.dropped for line in now.arrivals),
                users=now.users,
                rps=self._recent.count,
                p50=self._recent.p50 / 1000,
                p95=self._recent.p95 / 1000,
                p99=self._recent.p99 / 1000,
                in_flight=now.in_flight,
                calls=now.calls,
                errors=now.errors,
                jobs_finished=now.ledger.finished,
                violations=now.ledger.violation_count,
            )
        )

    def _stage(self, elapsed: float) -> str:
        """Return the name of the stage; of a search, that of the trial that was begun last."""
        if self._scenario.is_search:
            return self._present.arrivals[-1].stage if self._present.arrivals else ""
        return Timeline(self._scenario.parts).at(elapsed).name

    def measurements(self) -> Measurements:
        """Return what was measured so far."""
        now = self._present
        if now.found is not None and now.found.excerpt is not None:
            return now.found.excerpt.of(now.latencies, now.arrivals, now.ledger)
        begin, unmeasured = 0.0, 0.0
        stages: dict[str, float] = {}
        for part in self._scenario.parts:
            stages[part.name] = min(max(0.0, now.span - begin), part.seconds)
            unmeasured += 0.0 if part.measured else stages[part.name]
            begin += part.seconds
        return Measurements(max(0.0, now.span - unmeasured), now.latencies, now.ledger, now.arrivals, stages)

    def is_broken(self) -> bool:
        """Whether a limit that may end the run early has not held by now; it then counts as missed whatever comes."""
        if self._broken is None:
            elapsed = self._present.span
            self._broken = broken(self._scenario.limits, self.measurements(), elapsed)
            self._broken_after = elapsed
        return self._broken is not None

    @property
    def is_aborted(self) -> bool:
        """Whether a limit has ended the run early."""
        return self._broken is not None

    def close(self, error: HarnessError | None, *, interrupted: bool) -> ExitCode:
        """Judge the run, write the last lines of its section, and return what it amounts to.

        `error` ended it early; it is told here, as is one that keeps the record from being written.
        """
        if self._watch is not None and error is None and not interrupted:
            self._latest = dataclasses.replace(self._present, ledger=self._watch.judged(self._present.ledger))
        measured = self.measurements()
        lines: tuple[Line, ...] = (
            *measured.latencies,
            *measured.arrivals,
            self._present.ledger,
            *(() if self._present.found is None else (self._present.found.line,)),
            *map(self._as_broken, evaluate_all(self._scenario.limits, measured)),
        )
        end = self._end(*load_exit(lines), error, interrupted=interrupted)
        code = ExitCode(end.exit_code)
        try:
            for line in (*lines, end):
                self._sink.write(line)
            self._sink.close(code)
        except HarnessError as found:
            error = error or found
            code = worst((code, found.exit_code))
        if error is not None:
            complain(error)
        return code

    def _end(self, code: ExitCode, reason: str, error: HarnessError | None, *, interrupted: bool) -> SectionEnd:
        outcome = "completed"
        if error is not None:
            code, reason = worst((code, error.exit_code)), str(error)
            outcome = "crashed" if error.exit_code is ExitCode.NOT_VALID else outcome
        elif interrupted:
            code, outcome = ExitCode.INTERRUPTED, "interrupted"
            what = "search was" if self._scenario.is_search else f"scenario's {self._scenario.seconds:g} s were"
            reason = f"interrupted before the {what} over"
        elif self._broken is not None:
            outcome = "aborted"
            reason = (
                f"ended {self._broken_after:.0f} s after its start by the limit {self._broken.expression}: {self._broken.reason}"
            )
        return SectionEnd("load", now_text(), outcome, reason, int(code))

    def _as_broken(self, line: ThresholdLine) -> ThresholdLine:
        """Return a limit as missed if it ended the run, even if it came to hold while work was being finished."""
        return self._broken if self._broken is not None and self._broken.expression == line.expression and line.held else line

    @property
    def _present(self) -> Parcel:
        assert self._latest is not None  # noqa: S101 - asked for once there are figures only
        return self._latest


def _shown(limit: Threshold) -> str:
    return (
        limit.expression if limit.abort_after is None else f"{limit.expression} (else the run ends, from {limit.abort_after:g} s)"
    )
