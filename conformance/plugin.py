"""The pytest plugin that runs the checks against a profile and turns what they find into verdicts.

Attempts, verdicts and evidence are decided here, so that a check only says what it expects.
"""

from __future__ import annotations

import difflib
import os
import random
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn, cast

import pytest

from conformance.kit import Case, DisturbedError, NotApplicableError, UnobservableError
from conformance.run import Run
from harness.budget import BudgetExceededError
from harness.call import RpcError
from harness.endpoint import BUILTIN
from harness.errors import ConfigError, ExitCode, HarnessError
from harness.evidence import save_history, save_requests
from harness.history import Operation
from harness.record import CheckLine
from harness.requirements import builtin_catalogue

ATTEMPTS = 3
"""How often a check is tried when the situation that it needs does not come about."""
_EVIDENCE_CALLS = 24
_RUN = pytest.StashKey[Run]()
_LOST = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of a conformance run."""
    group = parser.getgroup("controller-harness", "conformance of a Controller endpoint")
    group.addoption("--profile", default=BUILTIN, help=f"profile of the endpoint: a YAML file, or {BUILTIN!r} (the default)")
    group.addoption("--record", default=None, help="run record to write, or to append to when it exists")
    group.addoption("--requirement", action="append", default=[], metavar="ID", help="only checks that cover ID (repeatable)")
    group.addoption("--chapter", action="append", default=[], metavar="NAME", help="only checks of a chapter (repeatable)")
    group.addoption("--seed", type=int, default=None, help="seed of everything that is drawn at random; printed when not given")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker that ties a check to its requirements."""
    config.addinivalue_line("markers", "covers(*requirements, exclusive): requirement ids that the check covers")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse a selection that names nothing before anything is collected."""
    _selection(session.config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the checks that are asked for, in the order of the catalogue's chapters, whatever plugins did to it."""
    ids, chapters = _selection(config)
    if ids or chapters:
        wanted = [item for item in items if any(n in ids or n.partition("-")[0] in chapters for n in _requirements(item))]
        config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
        items[:] = wanted
    order = ("uuid", "exec", "batch", "idem", "opt", "res", "can", "sta", "est", "race", "wire", "sec")
    rank = {f"test_{name}.py": number for number, name in enumerate(order)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


def _selection(config: pytest.Config) -> tuple[set[str], set[str]]:
    ids, chapters = set(config.getoption("--requirement")), set(config.getoption("--chapter"))
    known = {item.id: item.chapter for item in builtin_catalogue()}
    for given, allowed, what in ((ids, set(known), "requirement"), (chapters, set(known.values()), "chapter")):
        for name in sorted(given - allowed):
            near = difflib.get_close_matches(name, sorted(allowed), 1)
            hint = f"did you mean {near[0]}?" if near else "see `controller-harness requirements`"
            _stop(ConfigError(f"no such {what}: {name}", hint=hint))
    return ids, chapters


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Say that a suite could not be read, even when pytest's reporter is off."""
    if report.failed:
        sys.stderr.write(f"{report.longreprtext}\n")


def pytest_internalerror(excrepr: object) -> None:
    """Say what broke even when pytest's reporter is off."""
    sys.stderr.write(f"{excrepr}\n")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Open the endpoint and the record once it is known which checks run."""
    if session.config.option.collectonly:
        return
    seed = session.config.getoption("--seed")
    record = session.config.getoption("--record")
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    command = ("pytest", *session.config.invocation_params.args)
    try:
        run = Run(session.config.getoption("--profile"), Path(record) if record else None, seed, command)
    except HarnessError as error:
        _stop(error)
    session.config.stash[_RUN] = run
    try:
        run.start(len(session.items))
    except HarnessError as error:
        run.close()
        del session.config.stash[_RUN]
        _stop(error)


def _stop(error: HarnessError) -> NoReturn:
    sys.stderr.write(f"{error}\n")
    sys.stderr.flush()
    raise pytest.exit.Exception(str(error), returncode=int(error.exit_code))


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    """Give a check its access to the endpoint; what it leaves queued is cleaned up."""
    run = request.config.stash[_RUN]
    seed = f"{run.seed}:{_name(request.node)}"
    held = Case(run.endpoint, spending=run.spending, seed=seed, origin_ns=run.origin_ns)
    yield held
    held.close()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a check, several times if it is disturbed, put its verdict on record and tell pytest."""
    if _RUN not in pyfuncitem.config.stash or "case" not in pyfuncitem.funcargs:
        return None
    run = pyfuncitem.config.stash[_RUN]
    case = cast("Case", pyfuncitem.funcargs["case"])
    name = _name(pyfuncitem)
    title = (pyfuncitem.function.__doc__ or name).strip().splitlines()[0]
    run.begin(name, title)
    begun = time.monotonic()
    verdict, reason, kind, trace, _ = _judge(pyfuncitem, case)
    if any(call.code in _LOST for call in case.calls) and not run.check_alive() and verdict != "fail":
        verdict, reason, kind = "inconclusive", run.gone, "disturbed"
    line = CheckLine(
        check=name,
        title=title,
        requirements=_requirements(pyfuncitem),
        verdict=verdict,
        reason=reason,
        reason_kind=kind,
        seconds=round(time.monotonic() - begun, 3),
        calls_made=len(case.calls),
        oracles=tuple(dict.fromkeys(case.oracles)),
        discrepancies=tuple(case.discrepancies[:20]) if verdict == "fail" else (),
        observations=tuple(case.observations),
        calls=_evidence(case, run.folder) if verdict in {"fail", "inconclusive"} else (),
        traceback=trace,
    )
    if case.history and run.folder is not None:
        save_history(run.folder, name, case.history)
    run.add(line)
    if run.gone:
        pyfuncitem.session.shouldstop = run.gone
    elif verdict != "skipped":
        case.clean_up()
    _tell_pytest(run, line)
    return True


class _Finding(NamedTuple):
    verdict: str
    reason: str = ""
    kind: str = ""
    trace: str = ""
    again: bool = False


def _judge(item: pytest.Function, case: Case) -> _Finding:
    """Run the check until it says something, a few times at most."""
    arguments = {name: item.funcargs[name] for name in item._fixtureinfo.argnames}
    for _ in range(ATTEMPTS - 1):
        found = _attempt(item, arguments)
        if not found.again:
            break
        case.forget()
    else:
        found = _attempt(item, arguments)
    if case.discrepancies and not found.again:
        return _Finding("fail", _first(case))
    return found


def _attempt(item: pytest.Function, arguments: dict[str, object]) -> _Finding:
    try:
        item.obj(**arguments)
    except Exception as error:
        return _finding_of(error)
    return _Finding("pass")


def _finding_of(error: Exception) -> _Finding:
    match error:
        case DisturbedError():
            found = _Finding("inconclusive", f"{error} ({ATTEMPTS} attempts)", "disturbed", again=True)
        case UnobservableError():
            found = _Finding("inconclusive", str(error), "unobservable")
        case NotApplicableError():
            found = _Finding("not_applicable", str(error))
        case BudgetExceededError():
            found = _Finding("skipped", str(error))
        case RpcError():
            found = _Finding("inconclusive", f"the endpoint refused what the check needs: {error}", "disturbed")
        case _:
            trace = "".join(traceback.format_exception(error))
            found = _Finding("inconclusive", f"the check broke: {type(error).__name__}: {error}", "crashed", trace)
    return found


def _first(case: Case) -> str:
    first = case.discrepancies[0]
    more = len(case.discrepancies) - 1
    return f"expected {first.expected}, observed {first.observed}" + (f" (and {more} more)" if more else "")


def _evidence(case: Case, folder: Path | None) -> tuple[Operation, ...]:
    wanted = {number for item in case.discrepancies[:20] for number in item.calls}
    named = [call for call in case.calls if call.number in wanted][:_EVIDENCE_CALLS]
    calls = named or case.calls[-8:]
    if folder is not None:
        save_requests(folder, calls)
    return tuple(call.to_operation() for call in calls)


def _name(item: pytest.Item) -> str:
    """Return a check's name, the same wherever the suites are installed."""
    return f"{item.path.name}::{item.name}"


def _requirements(item: pytest.Item) -> tuple[str, ...]:
    marker = item.get_closest_marker("covers")
    return tuple(marker.args) if marker is not None else ()


def _tell_pytest(run: Run, line: CheckLine) -> None:
    if line.verdict == "fail":
        text = "\n".join(f"{d.requirement}: expected {d.expected}; observed {d.observed}" for d in line.discrepancies)
        if any(run.level(item.requirement) == "MUST" for item in line.discrepancies):
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
    code = run.finish(interrupted=exitstatus == pytest.ExitCode.INTERRUPTED and not run.gone)
    if exitstatus == pytest.ExitCode.INTERNAL_ERROR:
        code = ExitCode.NOT_VALID
    session.exitstatus = int(code)
