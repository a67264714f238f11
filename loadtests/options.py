"""The load run's own options of Locust's command line, and what they name, read and checked."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path

from harness.embedded import HANDOVER, endpoint_for
from harness.endpoint import Endpoint, read_profile, read_text
from harness.errors import ConfigError
from harness.profile import EMBEDDED, Profile
from harness.scenario import Scenario, load_scenario
from harness.workload import Workload
from loadtests.payloads import region_of
from loadtests.runner import DEFAULT_SCENARIO, PROFILE_VARIABLE, RECORD_VARIABLE, SCENARIO_VARIABLE, scenario_path


@dataclass(frozen=True)
class Plan:
    """What to run against what, and where to write it down; `fingerprint` tells one scenario's text from another's."""

    endpoint: Endpoint
    scenario: Scenario
    record: Path | None
    fingerprint: str

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
    profile, base = read_profile(options.endpoint_profile)
    path = scenario_path(options.scenario or DEFAULT_SCENARIO)
    text = read_text(path)
    scenario = load_scenario(text, str(path))
    _check_jobs(scenario.workload, profile, str(path))
    endpoint = _resolve(_moved(profile, options.host) if options.host else profile, base)
    # The master alone writes the record.
    record = Path(options.record) if options.record and not options.worker else None
    return Plan(endpoint, scenario, record, hashlib.sha256(text.encode()).hexdigest())


def _check_jobs(workload: Workload, profile: Profile, source: str) -> None:
    """Check that the profile has the jobs of a workload, and memory for its values. Raises ConfigError."""
    for role in workload.roles:
        if role not in profile.jobs:
            hint, key = f"the profile has {', '.join(profile.jobs)}", f"workload.{'jobs' if workload.jobs else 'job'}"
            raise ConfigError(f"the profile has no job {role!r}", source=source, key=key, hint=hint)
        if workload.memory_values_per_configuration is not None:
            try:
                region_of(workload, profile, role)
            except ValueError as error:
                raise ConfigError(str(error), source=source, key="workload.memory_region") from None


def _moved(profile: Profile, address: str) -> Profile:
    # The profile's observer counts the jobs of the profile's endpoint.
    facts = profile.facts if address == profile.address else dataclasses.replace(profile.facts, observer=None)
    try:
        return dataclasses.replace(profile, address=address, facts=facts)
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
