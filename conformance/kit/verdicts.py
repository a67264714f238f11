"""How a check says that it cannot say, and which requirements it speaks about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

F = TypeVar("F", bound=Callable[..., Any])


class UnobservableError(Exception):
    """The profile offers no way to observe what the check is about: inconclusive."""


class DisturbedError(Exception):
    """The situation that the check needs did not come about, or did not last: tried again, then inconclusive."""


class NotApplicableError(Exception):
    """The requirement does not concern this endpoint."""


def covers(
    *requirements: str, exclusive: bool = False, alone: bool = False, long: bool = False, tier: str = "full"
) -> Callable[[F], F]:
    """Tie a check to the ids of the requirements that it covers.

    `exclusive`: the check needs its target for itself. Lanes never run two checks on one target, so this says what others
    must not do, such as a load beside it. `alone`: it needs the whole endpoint, because it restarts it, may well stop it,
    takes up all its bandwidth, may queue on whatever target, or looks for what shows only once in so many calls; no other
    check runs on any lane meanwhile, and it runs after those that share. `long`: lanes begin with it, for it takes many times
    as long as others. `tier` is the smallest tier (`conformance.costs`) that the check is part of; parameters may have one of
    their own: `pytest.param(1, marks=pytest.mark.covers(tier="light"))`.
    """

    def mark(function: F) -> F:
        marked: F = pytest.mark.covers(*requirements, exclusive=exclusive, alone=alone, long=long, tier=tier)(function)
        return marked

    return mark
