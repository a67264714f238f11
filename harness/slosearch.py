"""The search for the highest rate at which an endpoint keeps its limits: which rate to try next, and when that is enough.

Grows the rate until a trial fails, bisects between what held and what failed, and confirms what it found by a longer trial.
Knows neither clock nor endpoint: the outcome of each trial comes in, the next rate goes out. A trial in which the generator fell
behind says nothing of the endpoint, and is never taken for a failure of it. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from harness.record import Probe, SearchLine
from harness.thresholds import plain

REPEATS = 2
"""Trials in a search that are made once more because the generator fell behind; with the next such trial it is the limit."""
_DIGITS = 4
"""Significant digits of the rates that are tried."""


class Outcome(StrEnum):
    """What came of a trial."""

    HELD = "held"
    FAILED = "failed"
    BEHIND = "behind"


class Ending(StrEnum):
    """Why a search is over."""

    ENDPOINT = "endpoint"
    """A rate was confirmed, and the endpoint fails its limits at one that is higher by no more than the precision."""
    MAXIMUM = "maximum"
    """The highest rate that was to be tried was confirmed."""
    GENERATOR = "generator"
    """The generator fell behind: the endpoint may take more than it was offered."""
    LOWEST = "lowest"
    """The endpoint fails its limits even at the lowest rate."""
    UNCONFIRMED = "unconfirmed"
    """No confirmation held."""


@dataclass(frozen=True)
class Bounds:
    """How to search: rates (per second) from `least` to `most`, growing by `factor`, until what held and what failed are near.

    They are when the one is above the other by no more than `precision` (a share). At most so many `confirmations` follow, each
    lower than the one before it.
    """

    least: float
    most: float
    factor: float
    precision: float
    confirmations: int

    @property
    def most_probes(self) -> int:
        """The number of trials, confirmations left out, after which a search is over whatever comes of them."""
        growth = math.ceil(math.log(self.most / self.least) / math.log(self.factor) - 1e-9) + 1
        # Rounding may cost a halving.
        halvings = math.ceil(math.log2(max(1.0, math.log(self.factor) / math.log(1 + self.precision)))) + 1
        return growth + halvings + REPEATS


@dataclass(frozen=True)
class Search:
    """A search under way. `rate` is to be tried next, as a confirmation if it `confirms`; over when there is an `ending`.

    `held` is the highest rate that held, `failed` the lowest one that the endpoint failed; `found` the rate that was confirmed.
    """

    bounds: Bounds
    rate: float
    confirms: bool = False
    held: float | None = None
    failed: float | None = None
    found: float | None = None
    ending: Ending | None = None
    repeats: int = 0
    confirmations: int = 0
    is_behind: bool = False

    @staticmethod
    def begin(bounds: Bounds) -> Search:
        """Return a search that is about to try the lowest rate."""
        return Search(bounds, bounds.least)

    def after(self, outcome: Outcome) -> Search:
        """Return the search after a trial of its present rate. Raises ValueError when it is over."""
        if self.ending is not None:
            raise ValueError("the search is over")
        if self.confirms:
            return self._after_confirmation(outcome)
        if outcome is Outcome.BEHIND:
            return self._after_behind()
        if outcome is Outcome.FAILED:
            if self.held is None:
                return replace(self, failed=self.rate, ending=Ending.LOWEST)
            return replace(self, failed=self.rate)._approach()
        return replace(self, held=self.rate)._approach()

    def _approach(self) -> Search:
        """Choose the rate of the next trial; `held` is known."""
        held, failed, bounds = self.held or self.bounds.least, self.failed, self.bounds
        if failed is None:
            if held >= bounds.most:
                return self._confirm()
            return replace(self, rate=min(bounds.most, _tidy(held * bounds.factor)))
        middle = _tidy(math.sqrt(held * failed))
        if failed <= held * (1 + bounds.precision) or not held < middle < failed:
            return self._confirm()
        return replace(self, rate=middle)

    def _after_behind(self) -> Search:
        if self.repeats < REPEATS:
            return replace(self, repeats=self.repeats + 1)
        if self.held is None:
            return replace(self, is_behind=True, ending=Ending.GENERATOR)
        return replace(self, is_behind=True)._confirm()

    def _confirm(self) -> Search:
        return replace(self, rate=self.held or self.bounds.least, confirms=True)

    def _after_confirmation(self, outcome: Outcome) -> Search:
        made = replace(self, confirmations=self.confirmations + 1)
        if outcome is Outcome.HELD:
            return replace(made, found=self.rate, ending=self._ending())
        was_behind = outcome is Outcome.BEHIND
        made = replace(made, failed=self.failed if was_behind else self.rate, is_behind=was_behind)
        lower = max(self.bounds.least, _tidy(self.rate / (1 + self.bounds.precision)))
        if made.confirmations >= self.bounds.confirmations or lower >= self.rate:
            return replace(made, ending=Ending.GENERATOR if was_behind else Ending.UNCONFIRMED)
        return replace(made, rate=lower)

    def _ending(self) -> Ending:
        if self.is_behind:
            return Ending.GENERATOR
        return Ending.MAXIMUM if self.failed is None else Ending.ENDPOINT


def search_line(search: Search, probes: Sequence[Probe]) -> SearchLine:
    """Return what a search has found so far, and why it is over, for the record; `probes` are its trials."""
    ending = "unfinished" if search.ending is None else search.ending.value
    at_least = search.ending in {Ending.MAXIMUM, Ending.GENERATOR}
    return SearchLine(search.found or 0.0, at_least and search.found is not None, ending, _reason(search, probes), tuple(probes))


def _reason(search: Search, probes: Sequence[Probe]) -> str:
    failures = [probe for probe in probes if probe.outcome == Outcome.FAILED and probe.rate == search.failed]
    why = f"at {plain(failures[-1].rate)}/s it failed {failures[-1].limit} ({failures[-1].observed})" if failures else ""
    behind = next((f" at {plain(probe.rate)}/s" for probe in reversed(probes) if probe.outcome == Outcome.BEHIND), "")
    rate = plain(search.found or search.rate)
    generator = f"the generator, not the endpoint, is the limit; it fell behind{behind}"
    told = {
        Ending.ENDPOINT: f"the endpoint keeps its limits at {rate}/s; {why}",
        Ending.MAXIMUM: f"at least {rate}/s: the endpoint keeps its limits at the highest rate that was to be tried",
        Ending.GENERATOR: f"{f'at least {rate}/s' if search.found else 'nothing was found'}: {generator}",
        Ending.LOWEST: f"nothing was found: even the lowest rate of interest is too high for the endpoint; {why}",
        Ending.UNCONFIRMED: f"nothing was found: the endpoint did not keep its limits for the length of a confirmation; {why}",
    }
    return told[search.ending] if search.ending is not None else "the run ended before the search was over"


def _tidy(rate: float) -> float:
    """Return a rate with no more digits than anybody reads."""
    return float(f"{rate:.{_DIGITS}g}")
