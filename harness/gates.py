"""Turn the lines of a record into verdicts per requirement and into the exit code that a gate acts on.

The same rule serves the command that made the record and every report made from it later. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.errors import ExitCode, worst
from harness.record import (
    Arrivals,
    CheckLine,
    Discrepancy,
    Footer,
    Interval,
    KnownLine,
    Latency,
    Ledger,
    Line,
    Record,
    RequirementLine,
    SearchLine,
    SectionEnd,
    SectionStart,
    ThresholdLine,
    is_strict,
)

REQUIREMENT_VERDICTS = (
    "fail",
    "inconclusive",
    "known_failure",
    "pass",
    "not_applicable",
    "skipped",
    "not_observable",
    "not_checked",
)
"""What can be said of a requirement, worst first."""

_JUDGED = frozenset({"pass", "fail", "known_failure"})
_NAMED_AT_MOST = 6


@dataclass(frozen=True)
class RequirementVerdict:
    """What a run says of one requirement; `reason` is empty for pass and fail, `checks` are those that cover it."""

    id: str
    level: str
    verdict: str
    reason: str
    checks: tuple[str, ...]


def requirement_verdicts(lines: Iterable[Line]) -> dict[str, RequirementVerdict]:
    """Return the verdict of every requirement of the catalogue, then of ids that only checks name (taken as MUST).

    A discrepancy of any check fails the requirement that it names, unless it is a known failure. A failed check
    says nothing about the other requirements that it covers, and so leaves them inconclusive; one that failed without
    naming anything fails them all.
    """
    found = tuple(lines)
    checks = [line for line in found if isinstance(line, CheckLine)]
    catalogue = {line.id: line for line in found if isinstance(line, RequirementLine)}
    covering: dict[str, list[CheckLine]] = {identifier: [] for identifier in catalogue}
    for check in checks:
        named = (item.requirement for item in check.discrepancies)
        for identifier in dict.fromkeys((*check.requirements, *named)):
            covering.setdefault(identifier, []).append(check)
    return {identifier: _judge(identifier, catalogue.get(identifier), covered) for identifier, covered in covering.items()}


def conformance_exit(lines: Iterable[Line], strict: bool = False) -> tuple[ExitCode, str]:
    """Return what the checks of a run amount to, and why in one sentence; `strict` makes a failed SHOULD count."""
    found = tuple(lines)
    verdicts = requirement_verdicts(found).values()
    failed = {
        level: [item.id for item in verdicts if item.level == level and item.verdict == "fail"] for level in _levels(verdicts)
    }
    must, should = failed.get("MUST", []), failed.get("SHOULD", [])
    if must or (strict and should):
        broken = must or should
        kind = "MUST" if must else "SHOULD"
        return ExitCode.VIOLATION, f"{plural(len(broken), f'{kind} requirement')} violated: {_some(broken)}."
    checks = [line for line in found if isinstance(line, CheckLine)]
    if not any(check.verdict in _JUDGED for check in checks):
        return ExitCode.NOT_VALID, f"Nothing was judged: none of {plural(len(checks), 'check')} reached a verdict."
    levels = {item.id: item.level for item in verdicts}
    crashed = [check.check for check in checks if _crashed(check) and any(levels[name] == "MUST" for name in check.requirements)]
    if crashed:
        return ExitCode.NOT_VALID, f"{plural(len(crashed), 'check')} of MUST requirements crashed: {_some(crashed)}."
    return ExitCode.OK, _conformance_summary(verdicts)


def stale_exit(lines: Iterable[Line]) -> tuple[ExitCode, str]:
    """Return whether the profile's known failures still fail: OK without a word, or a configuration error that names those."""
    stale = [line for line in lines if isinstance(line, KnownLine) and line.state == "stale"]
    if not stale:
        return ExitCode.OK, ""
    told = "; ".join(f"{line.name} (passed: {_some(line.checks)})" for line in stale)
    if len(stale) == 1:
        return ExitCode.USAGE, f"1 known failure no longer fails: {told}; remove it from the profile."
    return ExitCode.USAGE, f"{len(stale)} known failures no longer fail: {told}; remove them from the profile."


def load_exit(lines: Iterable[Line]) -> tuple[ExitCode, str]:
    """Return what the load part of a run amounts to, and why in one sentence."""
    found = tuple(lines)
    broken = _broken_books([line for line in found if isinstance(line, Ledger)])
    if broken:
        return ExitCode.VIOLATION, broken
    if not _samples(found):
        return ExitCode.NOT_VALID, "Nothing was measured: the load run has no samples."
    behind = fell_behind(found)
    if behind:
        return ExitCode.NOT_VALID, behind
    searches = [line for line in found if isinstance(line, SearchLine) and line.ending != "unfinished"]
    empty = next((line for line in searches if not line.found), None)
    if empty is not None:
        code = ExitCode.NOT_VALID if empty.ending == "generator" else ExitCode.BELOW_THRESHOLD
        return code, _told(empty)
    thresholds = [line for line in found if isinstance(line, ThresholdLine)]
    missed = [line.expression for line in thresholds if not line.held]
    if missed:
        return ExitCode.BELOW_THRESHOLD, f"{len(missed)} of {len(thresholds)} thresholds missed: {_some(missed)}."
    held = f"{len(thresholds)} of {len(thresholds)} thresholds held." if thresholds else "No threshold was set."
    return ExitCode.OK, " ".join((*map(_told, searches), held))


def record_exit(record: Record, strict: bool = False) -> tuple[ExitCode, str]:
    """Return the exit code of a whole record and why: the worst of what its lines show and of what was stored with them.

    A run that was made with `strict` is judged so ever after.
    """
    outcomes = outcomes_of(record, strict)
    code = worst(item for item, _ in outcomes)
    return code, " ".join(reason for item, reason in outcomes if item is code)


def outcomes_of(record: Record, strict: bool = False) -> tuple[tuple[ExitCode, str], ...]:
    """Return everything that bears on the exit code of a record, each with its reason, no two the same."""
    outcomes = list(dict.fromkeys(_outcomes(record, strict)))
    ends = [line.exit_code for line in record.lines if isinstance(line, SectionEnd | Footer)]
    for stored in dict.fromkeys(map(_exit_code, ends)):
        if stored is not ExitCode.OK and all(code is not stored for code, _ in outcomes):
            outcomes.append((stored, _STORED[stored]))
    return tuple(outcomes)


def _outcomes(record: Record, strict: bool) -> Iterator[tuple[ExitCode, str]]:
    started = dict.fromkeys(line.section for line in record.lines if isinstance(line, SectionStart))
    ends = {line.section: line for line in record.lines if isinstance(line, SectionEnd)}
    if record.incomplete:
        yield ExitCode.NOT_VALID, f"The record is incomplete: {record.incomplete}."
    elif not started:
        yield ExitCode.NOT_VALID, "Nothing was run: the record holds neither checks nor load."
    if "conformance" in started:
        yield conformance_exit(record.lines, strict or is_strict(record.lines))
        stale = stale_exit(record.lines)
        if stale[0] is not ExitCode.OK:
            yield stale
    if "load" in started:
        yield load_exit(record.lines)
    for section in started:
        end = ends.get(section)
        if end is not None:
            yield from _of_section(end)
        elif not record.incomplete:
            yield ExitCode.NOT_VALID, f"The {section} run did not come to its end."


def plural(count: int, noun: str) -> str:
    """Return a count with its noun, as in '1 check' and '1,200 checks'."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


_STORED: Mapping[ExitCode, str] = {
    ExitCode.BELOW_THRESHOLD: "The command ended with a missed threshold.",
    ExitCode.USAGE: "The command ended with a usage or configuration error.",
    ExitCode.VIOLATION: "The command ended with a violated requirement.",
    ExitCode.NOT_VALID: "The command ended with a run that is not valid.",
    ExitCode.UNREACHABLE: "The endpoint could not be reached, or refused the credentials.",
    ExitCode.INTERRUPTED: "The run was interrupted.",
}


def _judge(identifier: str, line: RequirementLine | None, covered: Sequence[CheckLine]) -> RequirementVerdict:
    level = line.level if line else "MUST"
    verdict, reason = _verdict(identifier, covered)
    if not covered:
        unobservable = line.unobservable if line else ""
        verdict, reason = ("not_observable", unobservable) if unobservable else ("not_checked", "no check of it ran")
    return RequirementVerdict(identifier, level, verdict, reason, tuple(dict.fromkeys(check.check for check in covered)))


def _verdict(identifier: str, covered: Sequence[CheckLine]) -> tuple[str, str]:
    naming = [check for check in covered if any(item.requirement == identifier for item in check.discrepancies)]
    unexcused = any(_is_open(check, item, identifier) for check in covered for item in check.discrepancies)
    silent = [check for check in covered if check.verdict == "fail" and not check.discrepancies]
    if silent or unexcused:
        return "fail", ""
    if naming:
        return "known_failure", _known_reason(naming, identifier)
    undecided = [check for check in covered if check.verdict in {"inconclusive", "fail"}]
    if undecided:
        first = undecided[0]
        return (
            "inconclusive",
            first.reason if first.verdict == "inconclusive" else f"check {first.check} failed for another requirement",
        )
    for verdict in ("pass", "known_failure", "not_applicable", "skipped"):
        these = [check for check in covered if check.verdict == verdict]
        if these:
            return verdict, "" if verdict == "pass" else _first_reason(these)
    return "not_checked", "no check of it ran"


def _is_open(check: CheckLine, item: Discrepancy, identifier: str) -> bool:
    """Whether nothing excuses a discrepancy of a requirement."""
    return item.requirement == identifier and not item.known and check.verdict != "known_failure"


def _known_reason(checks: Iterable[CheckLine], identifier: str) -> str:
    reasons = (item.known for check in checks for item in check.discrepancies if item.requirement == identifier and item.known)
    return next(reasons, "") or _first_reason(checks)


def _first_reason(checks: Iterable[CheckLine]) -> str:
    return next((check.reason for check in checks if check.reason), "")


def _crashed(check: CheckLine) -> bool:
    return check.verdict == "inconclusive" and check.reason_kind == "crashed"


def _levels(verdicts: Iterable[RequirementVerdict]) -> list[str]:
    return list(dict.fromkeys(item.level for item in verdicts))


def _conformance_summary(verdicts: Iterable[RequirementVerdict]) -> str:
    must = [item.verdict for item in verdicts if item.level == "MUST"]
    undecided = must.count("inconclusive") + must.count("not_observable")
    rest = f"; {plural(undecided, 'other')} could not be judged" if undecided else ""
    known = must.count("known_failure")
    rest += f"; {plural(known, 'known failure')}" if known else ""
    return f"No MUST requirement was violated: {must.count('pass')} of {len(must)} passed{rest}."


def _samples(lines: Sequence[Line]) -> int:
    """Count the measured calls; of a run that ended before its histograms were written, all calls."""
    calls = [line for line in lines if isinstance(line, Latency) and line.kind == "rpc"]
    if calls:
        return sum(line.histogram.count for line in calls if line.measured)
    return sum(line.count for line in lines if isinstance(line, Interval))


def _told(search: SearchLine) -> str:
    return f"Search: {search.reason}."


def _broken_books(ledgers: Sequence[Ledger]) -> str:
    """Say what the ledger of jobs shows to be wrong, whatever the thresholds allow; "" when it is in order."""
    wrong = {name: sum(getattr(line, name) for line in ledgers) for name in ("lost", "duplicated", "unexpected")}
    violations = sum(line.violation_count for line in ledgers)
    if not violations and not any(wrong.values()):
        return ""
    counts = ", ".join(f"{count:,} {name}" for name, count in wrong.items() if count)
    jobs = f"; jobs: {counts}" if counts else ""
    named = ", ".join(dict.fromkeys(item.requirement for line in ledgers for item in line.violations))
    return f"The ledger of jobs shows {plural(violations, 'violated invariant')}{f' ({named})' if named else ''}{jobs}."


def fell_behind(lines: Iterable[Line]) -> str:
    """Say that the generator of an open load fell behind, so that its figures are not the endpoint's; "" when it kept up."""
    arrivals = [line for line in lines if isinstance(line, Arrivals) and line.measured]
    scheduled = sum(line.scheduled for line in arrivals)
    late, dropped = sum(line.late for line in arrivals), sum(line.dropped_behind for line in arrivals)
    if not arrivals or late + dropped <= arrivals[0].behind_limit * scheduled:
        return ""
    limit, late_after = arrivals[0].behind_limit, arrivals[0].late_after * 1000
    return (
        f"The generator fell behind: of {plural(scheduled, 'start')}, {late:,} were more than {late_after:g} ms late and "
        f"{dropped:,} were dropped meanwhile, and the limit is {100 * limit:g} % in all. Its times say nothing of the endpoint."
    )


def _of_section(end: SectionEnd) -> Iterator[tuple[ExitCode, str]]:
    reason = f"{end.reason[:1].upper()}{end.reason[1:].rstrip('.')}." if end.reason else ""
    stored = _exit_code(end.exit_code)
    if stored is not ExitCode.OK and reason:
        yield stored, reason
    if end.outcome == "interrupted":
        yield ExitCode.INTERRUPTED, reason or _STORED[ExitCode.INTERRUPTED]
    elif end.outcome != "completed" and stored is ExitCode.OK:
        yield ExitCode.NOT_VALID, reason or f"The {end.section} run {end.outcome}."


def _exit_code(value: int) -> ExitCode:
    return ExitCode(value) if value in set(ExitCode) else ExitCode.NOT_VALID


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED_AT_MOST
    return ", ".join(names[:_NAMED_AT_MOST]) + (f" and {rest:,} more" if rest > 0 else "")
