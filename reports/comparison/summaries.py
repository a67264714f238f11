"""What a history keeps of one run, so that a folder of large records fits into memory one by one. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.record import CheckLine, Record, RequirementLine, SectionStart
from reports.comparison.fingerprint import fingerprints, invalid, key_of, scenario_of
from reports.comparison.measures import ALL, LATENCY, SEARCH
from reports.comparison.samples import PERCENTILES, LoadRun, load_runs
from reports.comparison.verdicts import judged, requirement_counts
from reports.text import one_line, parsed_time


@dataclass(frozen=True)
class Entry:
    """One run; `failed` counts the requirements that fail (None: no checks ran)."""

    source: str
    run_id: str
    started: str
    endpoint: str
    tool_version: str
    passed: int | None
    failed: int | None


@dataclass(frozen=True)
class Figure:
    """One measure of one run; fields are as in `Measure`."""

    subject: str
    statistic: str
    unit: str
    worse: int
    value: float


@dataclass(frozen=True)
class RunSummary:
    """One run: where it belongs (`key`, the same for runs that can be compared), its figures, and its verdicts without evidence.

    `refusal` says why it is no valid run; "" if it is one. `verdicts` is None when no checks ran.
    """

    entry: Entry
    refusal: str
    key: str
    title: str
    machine: str
    figures: tuple[Figure, ...]
    verdicts: Record | None

    @property
    def order(self) -> tuple[float, str, str]:
        """What runs are sorted by: the start, and the source if that is the same."""
        time = parsed_time(self.entry.started)
        known = time is not None and time.tzinfo is not None
        return (time.timestamp() if time is not None and known else 0.0, self.entry.started, self.entry.source)


def summarized(record: Record) -> RunSummary:
    """Return what a history needs of a record; of one with several loads, the first counts."""
    refusal = invalid(record)
    header, checked = record.header, judged([record])
    counts = requirement_counts(record.lines) if checked else {}
    entry = Entry(
        source=record.source,
        run_id=header.run_id,
        started=header.started,
        endpoint=header.endpoint,
        tool_version=header.tool_version,
        passed=counts.get("pass", 0) if checked else None,
        failed=counts.get("fail", 0) if checked else None,
    )
    return RunSummary(
        entry=entry,
        refusal=refusal.text if refusal is not None else "",
        key=key_of(fingerprints(record)),
        title=_title(record),
        machine=_described(header.machine),
        figures=tuple(figure for run in load_runs([record])[:1] for figure in _figures(run)),
        verdicts=_without_evidence(record) if checked else None,
    )


def _title(record: Record) -> str:
    scenario = scenario_of(record)
    load = str(scenario.get("name") or "load") if scenario else "checks"
    return one_line(f"{record.header.profile.get('name') or record.header.endpoint}: {load}")


def _described(machine: Mapping[str, Any]) -> str:
    return one_line(", ".join(str(machine[key]) for key in ("processor", "system") if key in machine))


def _without_evidence(record: Record) -> Record:
    kept = [line for line in record.lines if isinstance(line, SectionStart | RequirementLine | CheckLine)]
    slim = (replace(line, calls=(), traceback="") if isinstance(line, CheckLine) else line for line in kept)
    return replace(record, lines=(record.header, *slim))


def _figures(run: LoadRun) -> Iterator[Figure]:
    if run.load.search is not None:
        yield Figure(SEARCH, "highest rate", "/s", -1, run.load.search.found)
        return
    rpcs = sorted(run.rpcs)
    latency = run.latency([rpc for rpc in rpcs if run.percentile(rpc, "p50")])
    if latency:
        yield Figure(ALL, LATENCY, "ms", 1, latency)
    yield Figure(ALL, "rate", "/s", -1, run.load.total.rate)
    yield Figure(ALL, "errors", "%", 1, run.failed)
    for rpc in rpcs:
        for statistic in PERCENTILES:
            value = run.percentile(rpc, statistic)
            if value is not None:
                yield Figure(rpc, statistic, "ms", 1, value)
    for phase in run.load.phases:
        value = run.phase(phase.name, "p50")
        if value is not None:
            yield Figure(f"jobs: {phase.name}", "p50", "ms", 1, value)
