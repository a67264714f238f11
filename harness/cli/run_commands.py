"""`validate`, `conformance` and `load`: the commands that make a run."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import check_options, run_options, selection_arguments
from harness.cli.runs import Run, conduct
from harness.endpoint import read_text
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
    chapters: tuple[str, ...],
    requirements: tuple[str, ...],
    keyword: str | None,
) -> int:
    """Check the promises of the spec against an endpoint, and write record and report."""
    arguments = selection_arguments(chapters, requirements, keyword)
    return conduct(
        profile_name=profile_name, out=out, seed=seed, kind="conformance", parts=lambda run: run.conformance(arguments)
    )


@click.command()
@click.argument("scenario", default=DEFAULT_SCENARIO)
@run_options
def load(*, scenario: str, profile_name: str, out: Path | None) -> int:
    """Put an endpoint under the load of SCENARIO: a YAML file, or the name of a built-in one.

    The seed of its random choices is part of the scenario.
    """
    path, plan = _read(scenario)
    return conduct(profile_name=profile_name, out=out, seed=plan.seed, kind="load", parts=lambda run: run.load(path, plan))


@click.command()
@run_options
@check_options
@click.option("--scenario", default=DEFAULT_SCENARIO, show_default=True, help="Load scenario: a YAML file or a built-in one.")
def validate(
    *,
    profile_name: str,
    out: Path | None,
    seed: int | None,
    chapters: tuple[str, ...],
    requirements: tuple[str, ...],
    keyword: str | None,
    scenario: str,
) -> int:
    """Validate an endpoint: conformance, then a short load, then the report."""
    arguments = selection_arguments(chapters, requirements, keyword)
    path, plan = _read(scenario)

    def parts(run: Run) -> None:
        run.conformance(arguments)
        if run.may_go_on:
            run.load(path, plan)

    return conduct(profile_name=profile_name, out=out, seed=seed, kind="validate", parts=parts)


def _read(scenario: str) -> tuple[Path, Scenario]:
    path = scenario_path(scenario)
    return path, load_scenario(read_text(path), str(path))
