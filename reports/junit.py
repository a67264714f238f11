"""JUnit XML for CI systems: a suite per chapter, a case per requirement; thresholds and the ledger are cases as well. Pure.

There is no standard, only common use: `failure` for what fails the gate, `system-out` for what warns of it, `skipped` for what
could not be said.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from harness.gates import plural
from reports.text import clean, shortened
from reports.values import Conformance, Failure, Load, RequirementView, View

_LONGEST = 8000


def render_junit(view: View) -> bytes:
    """Return the report as JUnit XML; an outcome that no case shows (an incomplete record, say) is an `error` of its own."""
    root = Element("testsuites", name=clean(view.title))
    if view.conformance is not None:
        _conformance_suites(root, view.conformance)
    for place, load in enumerate(view.loads, start=1):
        _load_suite(root, load, "load" if len(view.loads) == 1 else f"load {place}")
    if view.verdict.kind not in {"pass", "violated", "thresholds_missed"}:
        suite = SubElement(root, "testsuite", name="run")
        case = SubElement(suite, "testcase", classname="run", name="valid run", time="0")
        _child(case, "error", view.verdict.label, view.verdict.reason)
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
            spent = sum(checks[key].seconds for key in item.checks)
            case = SubElement(suite, "testcase", classname=clean(chapter.name), name=clean(item.id), time=f"{spent:.3f}")
            properties = SubElement(case, "properties")
            for name, value in (("level", item.level), ("statement", item.statement)):
                SubElement(properties, "property", name=name, value=clean(value))
            covering = [checks[key] for key in item.checks]
            strength = (
                ("calls", sum(check.calls_made for check in covering)),
                ("jobs", sum(check.jobs for check in covering)),
                ("interleavings", sum(check.interleavings for check in covering)),
                ("oracles", ", ".join(dict.fromkeys(name for check in covering for name in check.oracles))),
                ("seed", ", ".join(dict.fromkeys(str(check.seed) for check in covering))),
            )
            for name, figure in strength if covering else ():
                SubElement(properties, "property", name=name, value=clean(str(figure)))
            _outcome(case, item, failures.get(item.id), strict=conformance.strict)


def _outcome(case: Element, item: RequirementView, failure: Failure | None, *, strict: bool) -> None:
    if failure is not None and item.level == "SHOULD" and not strict:
        # What reads this fails a build for every failure; a warning must not.
        SubElement(case, "system-out").text = clean(shortened(f"warning: {item.statement}\n\n{_findings(failure)}", _LONGEST))
    elif failure is not None and item.level != "INFO":
        _child(case, "failure", f"{item.level}: {item.statement}", _findings(failure), kind=item.level)
    elif item.verdict not in {"pass", "fail"}:
        reason = item.verdict.replace("_", " ")
        _child(case, "skipped", f"{reason}: {item.reason}" if item.reason else reason, "")


def _findings(failure: Failure) -> str:
    blocks = []
    for finding in failure.findings:
        calls = f"\ncalls: {', '.join(map(str, finding.numbers))}" if finding.numbers else ""
        blocks.append(f"check: {finding.check.name}\nexpected: {finding.expected}\nobserved: {finding.observed}{calls}")
    return "\n\n".join(blocks)


def _load_suite(root: Element, load: Load, name: str) -> None:
    suite = SubElement(root, "testsuite", name=name)
    total = load.total
    case = SubElement(suite, "testcase", classname=name, name="calls", time=f"{load.seconds:.3f}")
    if not total.count:
        _child(case, "error", "nothing was measured", "The load run has no samples.")
    for line in load.thresholds:
        case = SubElement(suite, "testcase", classname=name, name=clean(line.expression), time="0")
        if not line.held:
            reason = f"\n{line.reason}" if line.reason else ""
            _child(case, "failure", f"observed {line.observed}", f"{line.expression}: observed {line.observed}{reason}")
    if load.search is not None:
        case = SubElement(suite, "testcase", classname=name, name="search", time="0")
        if not load.search.found:
            _child(case, "failure", "nothing was found", load.search.reason)
    if load.ledger is not None:
        case = SubElement(suite, "testcase", classname=name, name="ledger of jobs", time="0")
        if load.ledger.violation_count:
            blocks = (
                f"{item.requirement}\nexpected: {item.expected}\nobserved: {item.observed}" for item in load.ledger.violations
            )
            _child(case, "failure", plural(load.ledger.violation_count, "violated invariant"), "\n\n".join(blocks))


def _child(case: Element, tag: str, message: str, text: str, kind: str = "") -> None:
    attributes = {"message": clean(shortened(message, _LONGEST))} | ({"type": kind} if kind else {})
    SubElement(case, tag, attributes).text = clean(shortened(text, _LONGEST)) or None


def _count(root: Element) -> None:
    """Fill in the counts of every suite and of the whole."""
    cases: list[Element] = []
    for suite in root:
        cases += suite
        _totals(suite, list(suite))
    _totals(root, cases)


def _totals(element: Element, cases: Sequence[Element]) -> None:
    element.set("tests", str(len(cases)))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(name, str(sum(case.find(tag) is not None for case in cases)))
    element.set("time", f"{sum(float(case.get('time', '0')) for case in cases):.3f}")
