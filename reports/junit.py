"""JUnit XML for CI systems: a suite per chapter and per load run, a case per requirement, limit and invariant. Pure.

There is no standard, only common use, and the schemas of Jenkins, which it is valid against: `failure` for what fails the gate,
`error` for what says nothing, `skipped` for what could not be said, `system-out` for the rest. Tools tell a case from the next
run's by its class and name: neither holds anything that changes from run to run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from harness.gates import plural
from reports.loadruns import LoadRun, distinct, flaw, invariants, load_runs
from reports.loadvalues import Load
from reports.text import clean, one_line, shortened
from reports.values import CheckView, Conformance, Failure, RequirementView, View

_LONGEST = 8000
_LONGEST_MESSAGE = 500
_JUDGED = {"pass", "violated", "thresholds_missed"}


def render_junit(view: View) -> bytes:
    """Return the report as UTF-8 JUnit XML; the same view gives the same bytes."""
    root = Element("testsuites", name="controller-harness")
    if view.conformance is not None:
        _conformance_suites(root, view.conformance)
    for found in load_runs(view):
        _load_suite(root, found)
    _run_suite(root, view)
    _count(root)
    indent(root)
    text: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _conformance_suites(root: Element, conformance: Conformance) -> None:
    failures = {failure.requirement.id: failure for failure in conformance.failures}
    checks = {check.key: check for check in conformance.checks}
    for chapter in conformance.chapters:
        suite = SubElement(root, "testsuite", name=clean(chapter.name))
        for item in chapter.requirements:
            covering = [checks[key] for key in item.checks]
            case = _case(suite, chapter.name, item.id, sum(check.seconds for check in covering))
            failure = failures.get(item.id)
            warning = _outcome(case, item, failure, strict=conformance.strict)
            about = "\n".join((f"{item.level}: {item.statement}", *_strength(covering)))
            SubElement(case, "system-out").text = clean(shortened("\n\n".join(filter(None, (warning, about))), _LONGEST))


def _outcome(case: Element, item: RequirementView, failure: Failure | None, *, strict: bool) -> str:
    """Put what came of a requirement into its case; return what is to be told without failing it."""
    if failure is not None and item.level == "INFO":
        return f"observed\n\n{_findings(failure)}"
    if failure is not None and item.level == "SHOULD" and not strict:
        # What reads this fails a build for every failure; a warning must not.
        return f"warning: {item.statement}\n\n{_findings(failure)}"
    if failure is not None:
        _child(case, "failure", f"{item.level}: {item.statement}", _findings(failure), kind=item.level)
    elif item.verdict not in {"pass", "fail"}:
        reason = item.verdict.replace("_", " ")
        _child(case, "skipped", f"{reason}: {item.reason}" if item.reason else reason)
    return ""


def _strength(covering: Sequence[CheckView]) -> Iterable[str]:
    return (f"{check.name}: {check.verdict.replace('_', ' ')}; {check.strength}" for check in covering)


def _findings(failure: Failure) -> str:
    blocks = []
    for finding in failure.findings:
        calls = f"\ncalls: {', '.join(map(str, finding.numbers))}" if finding.numbers else ""
        blocks.append(f"check: {finding.check.name}\nexpected: {finding.expected}\nobserved: {finding.observed}{calls}")
    return "\n\n".join(blocks)


def _load_suite(root: Element, found: LoadRun) -> None:
    load, name = found.load, f"load.{found.name}"
    suite = SubElement(root, "testsuite", name=clean(name))
    case, why = _case(suite, name, "valid load run", load.seconds), flaw(found)
    if why:
        _child(case, "error", why)
    for line, expression in zip(load.thresholds, distinct(line.expression for line in load.thresholds), strict=True):
        case = _case(suite, name, expression)
        if not line.held:
            _child(case, "failure", f"observed {line.observed}", line.reason)
    if load.search is not None:
        case = _case(suite, name, "search")
        if not load.search.found:
            _child(case, "failure", "nothing was found", load.search.reason)
    _ledger_cases(suite, load, f"{name}.ledger")


def _ledger_cases(suite: Element, load: Load, name: str) -> None:
    for item in invariants(load.ledger) if load.ledger is not None else ():
        case = _case(suite, name, item.name)
        if item.broken:
            _child(case, "failure", item.meaning or "an invariant of the ledger does not hold", item.broken)
        elif item.unknown:
            _child(case, "skipped", item.unknown)
        if item.meaning:
            SubElement(case, "system-out").text = item.meaning


def _run_suite(root: Element, view: View) -> None:
    """Add the case that fails when an outcome that no other case shows keeps the whole from being valid."""
    suite = SubElement(root, "testsuite", name="run")
    case = _case(suite, "run", "valid run")
    incomplete = "; ".join(f"{run.source} is incomplete: {run.incomplete}" for run in view.runs if run.incomplete)
    if view.verdict.kind not in _JUDGED:
        _child(case, "error", view.verdict.label, "\n".join((view.verdict.reason, *view.notices)))
    elif incomplete:
        _child(case, "error", "Incomplete", incomplete)
    if view.baseline is not None:
        case = _case(suite, "run", "nothing became worse")
        if view.baseline.refusals:
            _child(case, "skipped", "; ".join(refusal.text for refusal in view.baseline.refusals))
        elif view.baseline.regressed:
            _child(case, "failure", plural(len(view.baseline.regressions), "regression"), "\n".join(view.baseline.regressions))


def _case(suite: Element, group: str, name: str, seconds: float = 0.0) -> Element:
    return SubElement(suite, "testcase", classname=clean(group), name=clean(name), time=f"{seconds:.3f}")


def _child(case: Element, tag: str, message: str, text: str = "", kind: str = "") -> None:
    attributes = {"message": clean(shortened(one_line(message), _LONGEST_MESSAGE))} | ({"type": kind} if kind else {})
    # GitLab shows the text only, others the message only.
    SubElement(case, tag, attributes).text = clean(shortened(f"{message}\n\n{text}".rstrip(), _LONGEST))


def _count(root: Element) -> None:
    """Fill in the counts of every suite and of the whole."""
    cases: list[Element] = []
    for suite in root:
        cases += suite
        _totals(suite, list(suite))
        suite.set("skipped", str(_having(suite, "skipped")))
    _totals(root, cases)


def _totals(element: Element, cases: Sequence[Element]) -> None:
    element.set("tests", str(len(cases)))
    element.set("failures", str(_having(cases, "failure")))
    element.set("errors", str(_having(cases, "error")))
    element.set("time", f"{sum(float(case.get('time', '0')) for case in cases):.3f}")


def _having(cases: Iterable[Element], tag: str) -> int:
    return sum(case.find(tag) is not None for case in cases)
