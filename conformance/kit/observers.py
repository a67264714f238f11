"""The endpoint's own count of accepted jobs, for checks: without it, what they would look at cannot be seen."""

from __future__ import annotations

from conformance.kit.verdicts import UnobservableError
from harness import observing
from harness.facts import Observer


def read_observer(observer: Observer) -> float:
    """Return the observer's count as of now. Raises UnobservableError when it cannot be read."""
    try:
        return observing.read_observer(observer)
    except observing.UnreadableError as error:
        raise UnobservableError(str(error)) from None
