"""`replay`: run a stored plan again, and judge what comes of it."""

from __future__ import annotations

import dataclasses
import json
import random
import time
from pathlib import Path
from typing import Any

import click
from google.protobuf.message import Message

from conformance.kit import Case
from conformance.kit.answers import describe
from conformance.kit.plans import PlanRun, Stage
from harness.budget import BudgetExceededError, Spending
from harness.call import message_json
from harness.cli.output import say, visible
from harness.embedded import endpoint_for
from harness.endpoint import BUILTIN, Endpoint, read_profile, read_text
from harness.errors import ExitCode, NotValidError, worst
from harness.plan import Plan, descriptions
from harness.plan_file import StoredPlan, decode_plan
from harness.probe import probe
from reports.text import shortened

_LONGEST = 400
"""How many characters of a message are shown; `--json` holds more."""
_LOST = frozenset({"UNAVAILABLE"})


@click.command()
@click.argument("plan", type=click.Path(path_type=Path))
@click.option("--profile", "profile_name", default=BUILTIN, show_default=True, metavar="FILE", help="Profile of the endpoint.")
@click.option("--times", type=click.IntRange(1, 10_000), default=1, show_default=True, help="How often to run the plan.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def replay(plan: Path, *, profile_name: str, times: int, as_json: bool) -> int:
    """Run PLAN, a file with a sequence of calls, against an endpoint: whether its answers could be those of a right one."""
    stored = decode_plan(read_text(plan), str(plan))
    profile, base = read_profile(profile_name)
    with endpoint_for(profile, base) as endpoint:
        probe(endpoint)
        runs = _run(endpoint, stored.plan, times)
        if any(_is_lost(run) for run in runs):
            probe(endpoint)
    codes = [_code(run) for run in runs]
    if as_json:
        say(json.dumps(_as_json(stored, endpoint, runs, codes), indent=2))
    else:
        _print(stored.plan, runs, codes)
    return worst(codes)


def _run(endpoint: Endpoint, plan: Plan, times: int) -> list[PlanRun]:
    """Run the plan until it was run often enough, or broke a requirement. Raises NotValidError when the budget forbids it."""
    seed = str(random.SystemRandom().getrandbits(32))
    case = Case(endpoint, spending=Spending(endpoint.profile.budget), seed=seed, origin_ns=time.monotonic_ns())
    stage = Stage(case)
    runs: list[PlanRun] = []
    try:
        while len(runs) < times and not (runs and _code(runs[-1]) is ExitCode.VIOLATION):
            runs.append(stage.run(plan))
            stage.tidy()
    except BudgetExceededError as error:
        raise NotValidError(f"run {len(runs) + 1} of {times} was not made: {error}") from None
    finally:
        case.clean_up()
        case.close()
    return runs


def _code(run: PlanRun) -> ExitCode:
    if any(item.level == "MUST" for item in run.violations):
        return ExitCode.VIOLATION
    return ExitCode.OK if run.accepted else ExitCode.NOT_VALID


def _is_lost(run: PlanRun) -> bool:
    return bool(run.calls) and all(call.code in _LOST for call in run.calls)


def _print(plan: Plan, runs: list[PlanRun], codes: list[ExitCode]) -> None:
    say("The plan:")
    for place, text in enumerate(descriptions(plan), start=1):
        say(visible(f"{place}. {text}"))
    last = runs[-1]
    say(f"The calls of run {len(runs)}:")
    places = {call.number: place for place, call in enumerate(last.calls, start=1)}
    for call in last.calls:
        milliseconds = (call.ended_ns - call.started_ns) / 1e6
        text = (
            f"{places[call.number]}. {call.client}: {call.rpc.value}: {describe(call)} ({milliseconds:.1f} ms, {call.request_id})"
        )
        say(visible(text))
        say(visible(f"request: {_brief(call.request)}"))
        if call.response is not None:
            say(visible(f"response: {_brief(call.response)}"))
    for item in last.violations:
        numbers = ", ".join(str(places.get(number, "?")) for number in item.operations)
        say(visible(f"{item.requirement} ({item.level}) calls {numbers}: expected {item.expected}; observed {item.observed}"))
    words = {ExitCode.OK: "legal", ExitCode.VIOLATION: "illegal"}
    runs_made = f"{len(runs)} run{'s' * (len(runs) != 1)}"
    reason = ": no submission was accepted, so nothing could be judged" if worst(codes) is ExitCode.NOT_VALID else ""
    say(f"{words.get(worst(codes), 'unknown')} after {runs_made}{reason}")


def _brief(message: Message) -> str:
    return shortened(json.dumps(message_json(message)), _LONGEST)


def _as_json(stored: StoredPlan, endpoint: Endpoint, runs: list[PlanRun], codes: list[ExitCode]) -> dict[str, Any]:
    return {
        "origin": dataclasses.asdict(stored.origin),
        "endpoint": endpoint.address,
        "plan": descriptions(stored.plan),
        "exit_code": int(worst(codes)),
        "runs": [
            {
                "calls": [call.to_operation().to_json() for call in run.calls],
                "violations": [{**dataclasses.asdict(item), "level": item.level} for item in run.violations],
            }
            for run in runs
        ],
    }
