"""The pytest plugin that runs the checks against a profile, on as many lanes as it has targets, and reports them in order.

pytest goes from check to check as ever; the lanes run ahead of it, and it waits for each check's verdict.
"""

from __future__ import annotations

import os
import random
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import pytest

from conformance.judging import Check, Judging
from conformance.kit import Case
from conformance.lanes import Lanes
from conformance.run import Run
from conformance.selection import COLLECTED, check_not_empty, is_marked, name_of, requirements_of, stop
from harness.errors import ExitCode, HarnessError
from harness.record import CheckLine

_RUN = pytest.StashKey[Run]()
_LANES = pytest.StashKey[Lanes]()
_JUDGINGS = pytest.StashKey[list[Judging]]()
_PLACES = pytest.StashKey[dict[str, int]]()
"""Where a check stands among the judgings, by node id."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker that ties a check to its requirements."""
    config.addinivalue_line("markers", "covers(*requirements, exclusive, alone, long, tier): requirements of a check")


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Say that a suite could not be read, even when pytest's reporter is off."""
    if report.failed:
        sys.stderr.write(f"{report.longreprtext}\n")


def pytest_internalerror(excrepr: object) -> None:
    """Say what broke even when pytest's reporter is off."""
    sys.stderr.write(f"{excrepr}\n")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Open the endpoint and the record once it is known which checks run."""
    if session.config.option.collectonly:
        return
    check_not_empty(session)
    config = session.config
    seed = config.getoption("--seed")
    record = session.config.getoption("--record")
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    command = ("pytest", *session.config.invocation_params.args)
    try:
        run = Run(
            session.config.getoption("--profile"),
            Path(record) if record else None,
            seed,
            command,
            checks=config.stash[COLLECTED],
            tier=config.getoption("--tier"),
            strict=config.getoption("--strict-should"),
            lanes=config.getoption("--lanes"),
        )
    except HarnessError as error:
        stop(error)
    session.config.stash[_RUN] = run
    _line_up(session, run)
    try:
        run.start([name_of(item) for item in session.items])
    except HarnessError as error:
        run.close()
        del session.config.stash[_RUN]
        stop(error)


def _line_up(session: pytest.Session, run: Run) -> None:
    """Prepare the lanes; they start with the first check."""
    option = session.config.getoption
    company = len(run.lanes) > 1

    def make_case(check: Check, lane: int) -> Case:
        made = Case(run.lanes[lane], spending=run.account(check.name), seed=f"{run.seed}:{check.name}", origin_ns=run.origin_ns)
        made.examples, made.profile_name = option("--examples"), option("--profile")
        return made

    items = [item for item in session.items if isinstance(item, pytest.Function) and "case" in item.fixturenames]
    judgings = [Judging(_check_of(item), run, make_case, company=company) for item in items]
    session.config.stash[_JUDGINGS] = judgings
    session.config.stash[_PLACES] = {item.nodeid: place for place, item in enumerate(items)}
    session.config.stash[_LANES] = Lanes(judgings, len(run.lanes), lambda: bool(run.gone))


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say what the run is going to take, where pytest's own reporter is on."""
    return [f"{config.stash[_RUN].plan['text']}; seed {config.stash[_RUN].seed}"] if _RUN in config.stash else []


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    """Give a check its access to the endpoint; what it leaves queued is cleaned up."""
    config, place = request.config, request.config.stash[_PLACES][request.node.nodeid]
    judging = config.stash[_JUDGINGS][place]
    if judging.ahead:
        # The check gets its case in its lane; nobody looks at this one.
        yield cast("Case", None)
        return
    config.stash[_LANES].reach(place)
    config.stash[_LANES].wait_idle()
    yield judging.open(0)
    judging.close()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Wait for the verdict of a check, put it on record and tell pytest."""
    stash = pyfuncitem.config.stash
    if _RUN not in stash or "case" not in pyfuncitem.funcargs:
        return None
    run, lanes, place = stash[_RUN], stash[_LANES], stash[_PLACES][pyfuncitem.nodeid]
    judging = stash[_JUDGINGS][place]
    run.begin(judging.check.name, judging.check.title)
    lanes.reach(place)
    if judging.ahead:
        lanes.wait(place)
    else:
        judging.judge(
            cast("Case", pyfuncitem.funcargs["case"]), {name: pyfuncitem.funcargs[name] for name in _argument_names(pyfuncitem)}
        )
    if run.gone:
        pyfuncitem.session.shouldstop = run.gone
    line, judging.line = judging.line, None
    if line is None:
        pytest.skip(f"not run: {run.gone}")
    line = run.add(line)
    _tell_pytest(run, line)
    return True


def _check_of(item: pytest.Function) -> Check:
    parameters = dict(item.callspec.params) if hasattr(item, "callspec") else {}
    return Check(
        name=name_of(item),
        title=(item.function.__doc__ or item.name).strip().splitlines()[0],
        requirements=requirements_of(item),
        function=item.obj,
        arguments=parameters,
        alone=is_marked(item, "alone"),
        ahead=_is_plain(item, parameters),
        long=is_marked(item, "long"),
    )


def _is_plain(item: pytest.Function, parameters: Mapping[str, object]) -> bool:
    """Whether a check takes nothing but `case` and parameters, so that it can run without what pytest would set up for it."""
    marks = list(item.iter_markers("parametrize"))
    named = {
        name.strip() for mark in marks for name in (mark.args[0].split(",") if isinstance(mark.args[0], str) else mark.args[0])
    }
    direct = set(parameters) <= named and not any(mark.kwargs.get("indirect") for mark in marks)
    other = set(item.fixturenames) - {"case", "request"} - set(parameters)
    return direct and not other and not any(item.get_closest_marker(name) for name in ("skip", "skipif", "xfail", "usefixtures"))


def _argument_names(item: pytest.Function) -> tuple[str, ...]:
    return tuple(item._fixtureinfo.argnames)


def _tell_pytest(run: Run, line: CheckLine) -> None:
    if line.verdict == "fail":
        text = "\n".join(
            f"{d.requirement}: expected {d.expected}; observed {d.observed}" for d in line.discrepancies if not d.known
        )
        if run.fails(line):
            pytest.fail(text, pytrace=False)
        warnings.warn(text, stacklevel=1)
    elif line.reason_kind == "crashed":
        pytest.fail(line.traceback, pytrace=False)
    elif line.verdict != "pass":
        pytest.skip(f"{line.verdict}: {line.reason}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Say that a fixture broke, which is outside of any verdict, even when pytest's reporter is off."""
    if report.failed and report.when != "call" and os.environ.get("CONTROLLER_HARNESS_PROGRESS") == "json":
        sys.stderr.write(f"{report.longreprtext}\n")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """End the record and give pytest the harness's exit code."""
    run = session.config.stash.get(_RUN, None)
    if run is None:
        return
    session.config.stash[_LANES].close()
    unjudged = session.testsfailed - sum(run.fails(line) or line.reason_kind == "crashed" for line in run.verdicts)
    # What lanes have found ahead of an interruption is found.
    for judging in session.config.stash[_JUDGINGS]:
        if judging.line is not None:
            run.add(judging.line)
    code = run.finish(interrupted=exitstatus == pytest.ExitCode.INTERRUPTED and not run.gone, unjudged=max(0, unjudged))
    if exitstatus == pytest.ExitCode.INTERNAL_ERROR:
        code = ExitCode.NOT_VALID
    session.exitstatus = int(code)
