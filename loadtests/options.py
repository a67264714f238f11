"""The load run's own options of Locust's command line, and what they name, read and checked."""

from __future__ import annotations

import dataclasses
import os
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path

from harness.embedded import HANDOVER, endpoint_for
from harness.endpoint import Endpoint, read_profile, read_text
from harness.errors import ConfigError
from harness.profile import EMBEDDED, Profile
from harness.scenario import Scenario, load_scenario
from loadtests.runner import DEFAULT_SCENARIO, PROFILE_VARIABLE, RECORD_VARIABLE, SCENARIO_VARIABLE, scenario_path


@dataclass(frozen=True)
class Plan:
    """What to run against what, and where to write it down."""

    endpoint: Endpoint
    scenario: Scenario
    record: Path | None

    def endpoint_at(self, address: str | None) -> Endpoint:
        """Return the endpoint at another address, if one is given. Raises ConfigError."""
        if not address or address == self.endpoint.address:
            return self.endpoint
        return dataclasses.replace(self.endpoint, profile=_moved(self.endpoint.profile, address), address=address)


def add_options(parser: ArgumentParser) -> None:
    """Add the options to Locust's parser."""
    group = parser.add_argument_group("Controller harness")
    for flag, variable, text in (
        ("--endpoint-profile", PROFILE_VARIABLE, "Profile (YAML file) of the endpoint under load"),
        ("--scenario", SCENARIO_VARIABLE, f"Scenario: a YAML file, or the name of a built-in one (default: {DEFAULT_SCENARIO})"),
        ("--record", RECORD_VARIABLE, "Run record to write, or to append to if the file exists"),
    ):
        group.add_argument(flag, default=os.environ.get(variable), help=f"{text}. Environment: {variable}")


def read_plan(options: Namespace) -> Plan:
    """Read and check everything that the options name. Raises ConfigError."""
    if not options.endpoint_profile:
        raise ConfigError("no profile is given", hint=f"use --endpoint-profile FILE or set {PROFILE_VARIABLE}")
    if options.master or options.worker or options.processes:
        raise ConfigError("a load run is one process", hint="leave out --master, --worker and --processes")
    profile, base = read_profile(options.endpoint_profile)
    path = scenario_path(options.scenario or DEFAULT_SCENARIO)
    scenario = load_scenario(read_text(path), str(path))
    if scenario.workload.job not in profile.jobs:
        hint = f"the profile has {', '.join(profile.jobs)}"
        raise ConfigError(f"the profile has no job {scenario.workload.job!r}", source=str(path), key="workload.job", hint=hint)
    endpoint = _resolve(_moved(profile, options.host) if options.host else profile, base)
    return Plan(endpoint, scenario, Path(options.record) if options.record else None)


def _moved(profile: Profile, address: str) -> Profile:
    try:
        return dataclasses.replace(profile, address=address)
    except ValueError as error:
        raise ConfigError(str(error), key="--host") from None


def _resolve(profile: Profile, base: Path) -> Endpoint:
    if profile.address == EMBEDDED and HANDOVER not in os.environ:
        raise ConfigError(
            f"the profile {profile.name!r} asks for the embedded Controller, which a plain locust does not start",
            hint="use `controller-harness load`, or start `controller-harness serve` and give its address with --host",
        )
    with endpoint_for(profile, base) as endpoint:
        return endpoint
