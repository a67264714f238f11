"""`validate`, `conformance` and `load`: the commands that make a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from conformance.trace import verify_known_failures
from harness.cli.options import check_options, earlier_record, example_arguments, run_options, selection_arguments
from harness.cli.output import say
from harness.cli.runs import Run, conduct
from harness.endpoint import read_profile, read_text
from harness.errors import ExitCode
from harness.record import failed_checks
from harness.recorder import load_record
from harness.scenario import Scenario, load_scenario
from loadtests.runner import DEFAULT_SCENARIO, scenario_path


@click.command()
@run_options
@check_options
def conformance(
    *,
    profile_name: str,
    out: Path | None,
    seed: int | None,
    examples: int | None,
    last_failed: str | None,
    **chosen: Any,
) -> int:
    """Check the promises of the spec against an endpoint, and write record and report."""
    arguments = _arguments(profile_name, last_failed, examples, chosen)
    if arguments is None:
        return ExitCode.OK
    return conduct(
        profile_name=profile_name, out=out, seed=seed, kind="conformance", parts=lambda run: run.conformance(arguments)
    )


_PROCESSES = "Have the load made by N processes of this machine [default: by one, without a master over it]."


@click.command()
@click.argument("scenario", default=DEFAULT_SCENARIO)
@run_options
@click.option("--processes", type=click.IntRange(1, 1000), metavar="N", help=_PROCESSES)
def load(*, scenario: str, profile_name: str, out: Path | None, processes: int | None) -> int:
    """Put an endpoint under the load of SCENARIO: a YAML file, or the name of a built-in one.

    The seed of its random choices is part of the scenario.
    """
    path, plan = _read(scenario)
    return conduct(
        profile_name=profile_name, out=out, seed=plan.seed, kind="load", parts=lambda run: run.load(path, plan, processes)
    )


@click.command()
@run_options
@check_options
@click.option("--scenario", default=DEFAULT_SCENARIO, show_default=True, help="Load scenario: a YAML file or a built-in one.")
def validate(
    *,
    profile_name: str,
    out: Path | None,
    seed: int | None,
    examples: int | None,
    last_failed: str | None,
    scenario: str,
    **chosen: Any,
) -> int:
    """Validate an endpoint: conformance, then a short load, then the report."""
    arguments = _arguments(profile_name, last_failed, examples, chosen)
    path, plan = _read(scenario)

    def parts(run: Run) -> None:
        if arguments is not None:
            run.conformance(arguments)
        if run.may_go_on:
            run.load(path, plan)

    return conduct(profile_name=profile_name, out=out, seed=seed, kind="validate", parts=parts)


def _arguments(profile_name: str, last_failed: str | None, examples: int | None, chosen: Mapping[str, Any]) -> list[str] | None:
    """Return the chosen checks as arguments for pytest; None when those that failed last are none.

    Raises ConfigError for a choice that makes no sense, and for known failures of checks that do not exist.
    """
    profile, _ = read_profile(profile_name)
    arguments = [*selection_arguments(**chosen), *example_arguments(examples)]
    if profile.known_failures:
        verify_known_failures(profile)
    if last_failed is None:
        return arguments
    record = earlier_record(last_failed, profile)
    if not failed_checks(load_record(record).lines):
        say(f"{record}: no check failed or stayed open; there is nothing to run again")
        return None
    return [*arguments, "--failed-in", str(record)]


def _read(scenario: str) -> tuple[Path, Scenario]:
    path = scenario_path(scenario)
    return path, load_scenario(read_text(path), str(path))
