"""Which checks run: the options that choose them, their order, and what the chosen tier lets them do.

Filters of one kind widen the choice (OR), filters of different kinds narrow it (AND): two chapters and the level MUST choose
the checks of a MUST of one of the two. One requirement of a check has to fit chapter, id and level together.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from conformance.costs import TIERS
from conformance.kit.case import EXAMPLES
from harness.endpoint import BUILTIN
from harness.errors import ConfigError, HarnessError
from harness.known import is_named
from harness.record import failed_checks
from harness.recorder import load_record
from harness.requirements import LEVELS, builtin_catalogue

COLLECTED = pytest.StashKey[Mapping[str, tuple[str, ...]]]()
"""All checks that were collected, chosen or not, with the requirements that they cover."""
_ORDER = ("uuid", "exec", "batch", "idem", "opt", "res", "can", "sta", "est", "race", "plans", "wire", "sec")
_RANK = {f"test_{name}.py": number for number, name in enumerate(_ORDER)}


@dataclass(frozen=True)
class Filters:
    """What was asked for; an empty set asks for nothing in particular."""

    requirements: frozenset[str]
    chapters: frozenset[str]
    levels: frozenset[str]
    checks: tuple[str, ...]
    failed: frozenset[str] | None
    tier: str

    def fits(self, name: str, requirements: Iterable[str], tier: str) -> bool:
        """Whether a check is among those that were asked for."""
        return (
            TIERS.index(tier) <= TIERS.index(self.tier)
            and (not self.checks or any(is_named(pattern, name) for pattern in self.checks))
            and (self.failed is None or name in self.failed)
            and any(self._fits(requirement) for requirement in requirements)
        )

    def _fits(self, requirement: str) -> bool:
        return (
            requirement in (self.requirements or {requirement})
            and requirement.partition("-")[0] in (self.chapters or {requirement.partition("-")[0]})
            and (not self.levels or _level(requirement) in self.levels)
        )

    @property
    def narrows(self) -> bool:
        """Whether anything at all was asked for."""
        return bool(self.requirements or self.chapters or self.levels or self.checks) or self.failed is not None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of a conformance run."""
    group = parser.getgroup("controller-harness", "conformance of a Controller endpoint")
    group.addoption("--profile", default=BUILTIN, help=f"profile of the endpoint: a YAML file, or {BUILTIN!r} (the default)")
    group.addoption("--record", default=None, help="run record to write, or to append to when it exists")
    group.addoption("--requirement", action="append", default=[], metavar="ID", help="only checks that cover ID (repeatable)")
    group.addoption("--chapter", action="append", default=[], metavar="NAME", help="only checks of a chapter (repeatable)")
    group.addoption("--level", action="append", default=[], choices=LEVELS, help="only checks of this level (repeatable)")
    group.addoption("--check", action="append", default=[], metavar="NAME", help="only checks of this name or pattern")
    group.addoption("--failed-in", default=None, metavar="RECORD", help="only checks that failed or stayed open in a run record")
    group.addoption("--tier", default="full", choices=TIERS, help="how much the endpoint may be made to do (default: full)")
    group.addoption("--strict-should", action="store_true", help="fail for a SHOULD as for a MUST")
    group.addoption("--examples", type=int, default=EXAMPLES, metavar="N", help=f"generated plans to run (default: {EXAMPLES})")
    group.addoption(
        "--lanes",
        type=int,
        default=None,
        metavar="N",
        help="checks at once, each with a target of its own [default: one per target of the profile]",
    )
    group.addoption("--seed", type=int, default=None, help="seed of everything that is drawn at random; printed when not given")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse a selection that names nothing before anything is collected."""
    filters_of(session.config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the checks that are asked for, in the order of the catalogue's chapters, whatever plugins did to it.

    Those that need the endpoint for themselves come last: lanes are emptied once, and what may stop the endpoint hides nothing.
    """
    config.stash[COLLECTED] = {name_of(item): requirements_of(item) for item in items}
    filters = filters_of(config)
    wanted = [item for item in items if _fits(filters, item)]
    if len(wanted) < len(items):
        chosen = set(wanted)
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = wanted
    items.sort(key=lambda item: (is_marked(item, "alone"), _RANK.get(item.path.name, len(_RANK))))


def _fits(filters: Filters, item: pytest.Item) -> bool:
    if not requirements_of(item):
        return not filters.narrows and filters.tier == "full"
    return filters.fits(name_of(item), requirements_of(item), tier_of(item))


def filters_of(config: pytest.Config) -> Filters:
    """Return what the options ask for; a name that means nothing ends the run."""
    catalogue = {item.id: item.chapter for item in builtin_catalogue()}
    ids, chapters = config.getoption("--requirement"), config.getoption("--chapter")
    for given, allowed, what in ((ids, set(catalogue), "requirement"), (chapters, set(catalogue.values()), "chapter")):
        for name in sorted(set(given) - allowed):
            near = difflib.get_close_matches(name, sorted(allowed), 1)
            hint = f"did you mean {near[0]}?" if near else "see `controller-harness requirements`"
            stop(ConfigError(f"no such {what}: {name}", hint=hint))
    return Filters(
        requirements=frozenset(ids),
        chapters=frozenset(chapters),
        levels=frozenset(config.getoption("--level")),
        checks=tuple(config.getoption("--check")),
        failed=_failed(config.getoption("--failed-in")),
        tier=config.getoption("--tier"),
    )


def check_not_empty(session: pytest.Session) -> None:
    """End the run when the selection leaves no check; a suite that could not be read says so itself."""
    if not session.items and not session.testsfailed:
        stop(ConfigError("no check fits the selection", hint="filters of different kinds narrow each other"))


def _failed(record: str | None) -> frozenset[str] | None:
    if record is None:
        return None
    try:
        return frozenset(failed_checks(load_record(Path(record)).lines))
    except HarnessError as error:
        stop(error)


def _level(requirement: str) -> str:
    return builtin_catalogue()[requirement].level


def name_of(item: pytest.Item) -> str:
    """Return a check's name, the same wherever the suites are installed."""
    return f"{item.path.name}::{item.name}"


def requirements_of(item: pytest.Item) -> tuple[str, ...]:
    """Return the requirements that a check covers."""
    return tuple(dict.fromkeys(name for marker in item.iter_markers("covers") for name in marker.args))


def is_marked(item: pytest.Item, flag: str) -> bool:
    """Whether a check's `covers` sets a flag."""
    return any(marker.kwargs.get(flag) for marker in item.iter_markers("covers"))


def tier_of(item: pytest.Item) -> str:
    """Return the smallest tier that a check belongs to: that of its parameters, else that of `covers`, else full."""
    named = (str(marker.kwargs["tier"]) for marker in item.iter_markers("covers") if "tier" in marker.kwargs)
    return next(named, TIERS[-1])


def stop(error: HarnessError) -> NoReturn:
    """End the run with one line and the exit code of the error."""
    sys.stderr.write(f"{error}\n")
    sys.stderr.flush()
    raise pytest.exit.Exception(str(error), returncode=int(error.exit_code))
