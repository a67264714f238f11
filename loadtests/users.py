"""The Locust user: a thin shell around a `Worker`."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from gevent.event import Event
from locust import User, task
from locust.exception import StopUser

from harness.errors import HarnessError
from loadtests.workers import Worker


class Employer(Protocol):
    """Where a user gets its work from."""

    def hire(self) -> Worker:
        """Return the work of one more user."""

    def give_up(self, error: HarnessError) -> None:
        """End the run early, and say why."""


class ControllerUser(User):
    """Submits jobs as the scenario says. `employer` is set before the first run.

    It works in one task without end, and stops itself when asked to: Locust would kill a user that rests between tasks, at
    times just when it has woken up and made a call, which then nobody counts.
    """

    employer: ClassVar[Employer]

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._asked_to_stop = Event()

    def stop(self, force: bool = False) -> bool:
        """Ask the user to stop after its present submission, or (`force`) kill it; return whether it is gone."""
        if force:
            return bool(super().stop(force=True))
        self._asked_to_stop.set()
        return False

    @task
    def work(self) -> None:
        """Make submissions and see them through, until asked to stop."""
        try:
            self.employer.hire().work(self._asked_to_stop)
        except HarnessError as error:
            self.employer.give_up(error)
        raise StopUser
