"""The Locust user: a thin shell that lets a `Driver` work and rests in between."""

from __future__ import annotations

from typing import ClassVar, Protocol

from locust import User, task
from locust.exception import StopUser

from harness.errors import HarnessError
from loadtests.driver import Driver


class Employer(Protocol):
    """Where a user gets its work from."""

    def hire(self) -> Driver:
        """Return the work of one more user."""

    def give_up(self, error: HarnessError) -> None:
        """End the run early, and say why."""


class ControllerUser(User):
    """Submits jobs one after the other, as the scenario says. `employer` is set before the first run."""

    employer: ClassVar[Employer]

    def on_start(self) -> None:
        """Get to work."""
        self._driver = self.employer.hire()

    def wait_time(self) -> float:
        """Return the rest between two submissions, in seconds."""
        return self._driver.pause()

    @task
    def submit_and_follow(self) -> None:
        """Make one submission and see it through."""
        try:
            self._driver.step()
        except HarnessError as error:
            self.employer.give_up(error)
            raise StopUser from None
