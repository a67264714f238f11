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


def covers(*requirements: str, exclusive: bool = False) -> Callable[[F], F]:
    """Tie a check to the ids of the requirements that it covers.

    `exclusive` says that nothing else may run on the target meanwhile.
    """

    def mark(function: F) -> F:
        marked: F = pytest.mark.covers(*requirements, exclusive=exclusive)(function)
        return marked

    return mark
