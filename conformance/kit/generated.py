"""Draw plans with Hypothesis: what real callers do, and how it may go wrong, in short sequences over a few connections.

Only the drawing is Hypothesis's: plans are run, confirmed and shrunk by `hunt`, because an endpoint need not fail twice alike.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

from harness.plan import NONSENSE, STRANGER, AnyStep, Batch, Cancel, Plan, Replay, Results, Status, Submit, Wait, names

BLOCK = 50
"""How many plans are drawn at a time."""

_KINDS = ("submit",) * 3 + ("replay",) * 5 + ("status",) * 4 + ("results",) * 4 + ("wait",) * 2 + ("cancel",) * 2 + ("batch",)
_ROLES = ("quick",) * 3 + ("correlated",) * 3 + ("user_failure",)
_COUNTS = (1, 1, 2, 2, 3, 8, 9, 12)
_HANG_UPS = (None,) * 7 + (0.3, 1.0, 3.0)
_DEADLINES = (1000.0, 1000.0, 20.0, 3.0)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Draw a plan of 4 to 14 steps; about every twentieth one begins with a job that holds an executor busy."""
    connections = st.integers(1, draw(st.integers(2, 4)))
    naming = names()
    steps: list[AnyStep] = []
    known: list[str] = []
    held = draw(st.integers(0, 19)) == 7
    if held:
        known.append(next(naming))
        steps.append(Submit(name=known[0], role="slow", on=draw(connections)))
        steps += [Status(job="a.0", on=draw(connections)) for _ in range(draw(st.integers(0, 2)))]
        steps += [Cancel(jobs=("a.0",), on=draw(connections))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(4, 14))):
        kind = draw(st.sampled_from(_KINDS)) if known else "submit"
        beside = draw(st.integers(0, 3)) == 3
        if kind in {"submit", "batch"}:
            known.append(next(naming))
        steps.append(draw(_step(kind, known, draw(connections), beside)))
    # What became of the job that ran all along.
    steps += [Status(job="a.0")] if held else []
    return Plan(tuple(steps))


def generate(number: int, examples: int) -> Iterator[Plan]:
    """Yield so many plans; the same seed `number` yields the same ones."""
    for block, begun in enumerate(range(0, examples, BLOCK)):
        yield from _block(number + block, min(BLOCK, examples - begun))


@st.composite
def _step(draw: st.DrawFn, kind: str, known: list[str], on: int, beside: bool) -> AnyStep:
    latest = draw(st.booleans())
    name = known[-1] if latest or kind in {"submit", "batch"} else draw(st.sampled_from(known))
    job = f"{name}.{draw(st.integers(0, 3))}"
    where: dict[str, Any] = {"on": on, "beside": beside}
    match kind:
        case "submit" | "batch":
            return draw(_submission(kind, name, where))
        case "replay":
            return Replay(of=name, hang_up=draw(st.sampled_from(_HANG_UPS)), **where)
        case "cancel":
            more = draw(st.lists(st.sampled_from([f"{name}.0", f"{name}.1", f"{name}.7", STRANGER, NONSENSE]), max_size=3))
            return Cancel(jobs=(*more, job), **where)
        case "status":
            return Status(job=job, **where)
        case "results":
            return Results(job=job, deadline=draw(st.sampled_from(_DEADLINES)), **where)
        case _:
            return Wait(of=name, **where)


@st.composite
def _submission(draw: st.DrawFn, kind: str, name: str, where: dict[str, Any]) -> AnyStep:
    how: dict[str, Any] = {
        "role": draw(st.sampled_from(_ROLES)),
        "key": draw(st.integers(0, 3)) > 0,
        "hang_up": draw(st.sampled_from(_HANG_UPS)),
    }
    if kind == "submit":
        return Submit(name=name, count=draw(st.sampled_from(_COUNTS)), **how, **where)
    return Batch(name=name, counts=tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=9))), **how, **where)


def _block(number: int, examples: int) -> list[Plan]:
    found: list[Plan] = []

    @seed(number)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=False,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(plans())
    def collect(plan: Plan) -> None:
        found.append(plan)

    # Hypothesis keeps notes about the modules that it sees; the folder where we happen to be is no place for them.
    with tempfile.TemporaryDirectory(prefix="controller-harness-") as folder:
        set_hypothesis_home_dir(folder)
        try:
            collect()
        finally:
            set_hypothesis_home_dir(None)
    return found
