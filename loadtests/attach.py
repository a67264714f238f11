"""Sets everything up when Locust is ready for it: reads the plan, probes the endpoint, and chooses the session for this process.

Imported before `--processes` forks: nothing here may exist before `attach` is called.
"""

from __future__ import annotations

import sys
from typing import Any

from locust.env import Environment
from locust.runners import DistributedRunner, MasterRunner, WorkerRunner

from harness.errors import ConfigError, HarnessError
from loadtests.distributed import MasterSession, WorkerSession, decline
from loadtests.options import read_plan
from loadtests.quiet import complain
from loadtests.session import Session
from loadtests.transport.probing import probe_by
from loadtests.users import ControllerUser

PROBE_PATIENCE = 5.0
"""Seconds that the endpoint has to accept a connection before anything starts."""


def attach(environment: Environment, **_: Any) -> None:
    """Set up a session; whatever is wrong with the plan ends the process in one line."""
    try:
        session = _session(environment)
    except HarnessError as error:
        if isinstance(environment.runner, DistributedRunner):
            decline(environment.runner, error)
        complain(error)
        sys.exit(int(error.exit_code))
    ControllerUser.employer = session
    session.listen()


def _session(environment: Environment) -> Session:
    assert environment.parsed_options is not None  # noqa: S101 - Locust was started by its command line
    plan = read_plan(environment.parsed_options)
    if plan.scenario.is_search and isinstance(environment.runner, DistributedRunner):
        hint = "run it in one process, or try rates yourself"
        raise ConfigError(f"{plan.scenario.executor} goes with one process only", key="executor", hint=hint)
    if isinstance(environment.runner, MasterRunner):
        # Its workers make the calls; whether the endpoint is within their reach is theirs to find out.
        return MasterSession(environment, plan)
    session = Session if not isinstance(environment.runner, WorkerRunner) else WorkerSession
    made = session(environment, plan)
    probe_by(plan.scenario.transport, plan.endpoint, PROBE_PATIENCE)
    return made


def has_session() -> bool:
    """Whether there is a session: until then, an exit code is Locust's own."""
    return hasattr(ControllerUser, "employer")
