"""Look for plans that an endpoint does not survive: run generated ones, confirm what fails, shrink it, and tell.

One violation in a recorded history proves the fault, for the judge lets pass whatever a correct endpoint could have done. What
does not happen again is told all the same, as it was.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from conformance.kit.case import Case
from conformance.kit.clock import Stopwatch
from conformance.kit.plans import PlanRun, Stage
from conformance.kit.verdicts import DisturbedError
from harness import __version__
from harness.budget import BudgetExceededError
from harness.joblife import Violation
from harness.plan import Plan, descriptions
from harness.plan_file import Origin, StoredPlan, encode_plan
from harness.shrink import shrink

TRIES = 10
"""How often a plan that failed is run again to see whether it fails again."""
ENOUGH = 3
"""After so many failures in a row it is taken to fail always."""
SHRINKING = 20.0
"""Seconds that one check spends on shrinking."""
MOST_FINDINGS = 3
"""How many failing plans one check tells of."""
_MOST_CALLS = 24


@dataclass(frozen=True)
class Finding:
    """A plan that failed: the smallest one found, its last failing run, and how often the plan failed again in how many tries."""

    plan: Plan
    run: PlanRun
    again: int
    tries: int

    @property
    def reproduced(self) -> str:
        """Say whether it happened again."""
        if not self.again:
            return f"seen once and not again in {self.tries} tries, so shown as it happened"
        return f"failed again in {self.again} of {self.tries} tries"


class Hunt:
    """One check's search. The profile's budget ends it early; what was found until then counts."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._stage = Stage(case)
        self._left = SHRINKING
        self._spent = ""
        self.findings: list[Finding] = []
        self.plans = 0
        self.calls = 0
        self._accepted = 0

    def through(self, plans: Iterable[Plan]) -> None:
        """Run the plans. Raises BudgetExceededError or DisturbedError when nothing at all could be tried."""
        known: set[str] = set()
        for plan in plans:
            run = self._run(plan)
            if run is None:
                break
            self.plans += 1
            news = [item for item in run.violations if item.requirement not in known]
            if news:
                finding = self._look_into(plan, run, _worst(news))
                self.findings.append(finding)
                known |= {item.requirement for item in (*run.violations, *finding.run.violations)}
            if len(self.findings) == MOST_FINDINGS or self._spent:
                break
        if self.plans and not self._accepted and not self.findings:
            raise DisturbedError(f"none of the submissions in {self.plans} plans was accepted")

    def tell(self) -> None:
        """Report what was found: discrepancies with their calls, the plans as files, and how much was tried."""
        for number, finding in enumerate(self.findings, start=1):
            name = f"generated-{number}.json"
            self._case.plans[name] = encode_plan(self._stored(finding))
            numbers = {call.number: call for call in finding.run.calls}
            for item in finding.run.violations:
                chosen = [numbers[place] for place in item.operations if place in numbers]
                calls = finding.run.calls if len(numbers) <= _MOST_CALLS else chosen
                repeat = f"controller-harness replay plans/{name} --profile {shlex.quote(self._case.profile_name)}"
                observed = f"{item.observed} ({finding.reproduced}; repeat with `{repeat}`)"
                self._case.expect(item.requirement, False, item.expected, observed, *calls)
            steps = "; ".join(f"{place}. {text}" for place, text in enumerate(descriptions(finding.plan), start=1))
            self._case.observe(_worst(finding.run.violations), f"plan {name}: {steps}")
        end = f", until {self._spent}" if self._spent else ""
        text = f"{self.plans} generated plans of {self.calls} calls in all were run, seed {self._case.seed}{end}"
        self._case.observe("STA-01", text)

    def _run(self, plan: Plan) -> PlanRun | None:
        try:
            run = self._stage.run(plan)
        except BudgetExceededError as error:
            if not self.plans:
                raise
            self._spent = str(error)
            return None
        self.calls += len(run.calls)
        self._accepted += run.accepted
        return run

    def _look_into(self, plan: Plan, run: PlanRun, requirement: str) -> Finding:
        """Confirm and shrink a plan that broke a requirement."""
        watch = Stopwatch()
        tries = again = 0
        last = run
        while tries < TRIES and again < ENOUGH and watch.seconds() < self._left and not self._spent:
            repeated = self._run(plan)
            tries += repeated is not None
            if repeated is not None and _breaks(repeated, requirement):
                again, last = again + 1, repeated
        small = plan
        # What failed now and then is given more than one chance to fail when it is smaller.
        chances = 1 if again == tries else min(5, 2 * tries // max(again, 1))

        def fails(candidate: Plan) -> bool:
            nonlocal last
            for _ in range(chances):
                if watch.seconds() > self._left or self._spent:
                    return False
                tried = self._run(candidate)
                if tried is not None and _breaks(tried, requirement):
                    last = tried
                    return True
            return False

        if again:
            small = shrink(plan, fails)
        self._left -= watch.seconds()
        return Finding(small, last, again, tries)

    def _stored(self, finding: Finding) -> StoredPlan:
        violated = tuple(dict.fromkeys(item.requirement for item in finding.run.violations))
        origin = Origin(__version__, self._case.profile.name, self._case.seed, violated, finding.reproduced)
        return StoredPlan(finding.plan, origin)


def _worst(violations: Iterable[Violation]) -> str:
    """Return the requirement to look into: the first MUST, else the first of all."""
    found = sorted(violations, key=lambda item: item.level != "MUST")
    return found[0].requirement


def _breaks(run: PlanRun, requirement: str) -> bool:
    return any(item.requirement == requirement for item in run.violations)
