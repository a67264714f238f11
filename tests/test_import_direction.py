"""Who may import whom: the architecture of the project as rules that fail the build.

Modules of `harness` are pure unless they are named as an edge below, so a new module that touches the world has to say so.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("harness", "conformance", "loadtests", "reports", "protos")

EDGES = {
    *("harness.budget", "harness.call", "harness.channel", "harness.client", "harness.embedded", "harness.endpoint"),
    *("harness.faultline", "harness.faultproxy", "harness.wire"),
    *(
        "harness.evidence",
        "harness.keeper",
        "harness.observing",
        "harness.restart",
        "harness.probe",
        "harness.recorder",
        "harness.reflection",
        "harness.requests",
    ),
    *("harness.cli", "harness.stubs"),
    *("harness.server.__main__", "harness.server.clock", "harness.server.edge_grpcio", "harness.server.embedded_thread"),
    *(
        "harness.server.observer",
        "harness.server.run",
        "harness.server.service",
        "harness.server.sockets",
        "harness.server.sqlite_store",
    ),
    *("harness.server.edge_wire", "harness.server.listening", "harness.server.wire_connection", "harness.server.wire_services"),
    "harness.server.wire_session",
    *("harness.server.store", "harness.server.translate", "harness.server.mutants", "harness.server.variants"),
}
"""What in `harness` may touch sockets, files, clocks, threads or protobuf; a package stands for all its modules."""

WORLD = {
    *("socket", "ssl", "select", "selectors", "socketserver", "http", "urllib.request", "ftplib", "smtplib"),
    *("threading", "_thread", "asyncio", "concurrent", "multiprocessing", "queue", "sched", "contextvars"),
    *("time", "subprocess", "signal", "os", "pathlib", "shutil", "tempfile", "io", "glob", "sqlite3", "logging"),
    *("importlib.import_module", "runpy", "secrets", "ctypes"),
}
"""The part of the standard library that pure modules do without."""
WORLD_CALLS = {"open", "print", "input", "exec", "eval", "__import__", "breakpoint"}
CLOCK_READINGS = {"now", "utcnow", "today", "uuid1", "uuid4"}

ENGINE_TRIES = {"grpc", "asyncio", "google", "harness.stubs"}
JUDGE = {
    "harness.model",
    "harness.history",
    "harness.checker",
    "harness.joblife",
    "harness.sightings",
    "harness.history_file",
    "conformance",
}
REPORT_LIBRARIES = {"jinja2", "markupsafe", "vl_convert"}


@dataclass(frozen=True)
class Use:
    """Something that a module imports (a dotted name) or calls (the bare name of a built-in or of a clock reading)."""

    name: str
    line: int
    called: bool = False

    def within(self, *packages: str) -> bool:
        return not self.called and any(self.name == package or self.name.startswith(f"{package}.") for package in packages)


@dataclass(frozen=True)
class Rule:
    """Modules for which `applies` holds must not have a use for which `forbids` holds."""

    name: str
    applies: Callable[[str], bool]
    forbids: Callable[[Use], bool]


def inside(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def is_pure(module: str) -> bool:
    return inside(module, "harness") and not inside(module, *EDGES)


def is_stdlib(use: Use) -> bool:
    return use.name.split(".")[0] in sys.stdlib_module_names


def leaves_pure_ground(use: Use) -> bool:
    if use.called:
        return use.name in WORLD_CALLS | CLOCK_READINGS
    if use.within("harness"):
        return not is_pure(use.name)
    return use.within(*WORLD) or not (is_stdlib(use) or use.within("yaml"))


def leaves_report_ground(use: Use) -> bool:
    if use.called:
        return False
    if use.within("harness"):
        return not is_pure(use.name) or use.within("harness.server")
    return not (is_stdlib(use) or use.within("reports", *REPORT_LIBRARIES))


RULES = (
    Rule("pure modules touch nothing but values", is_pure, leaves_pure_ground),
    Rule(
        "the server's engine knows neither gRPC nor protobuf nor asyncio",
        lambda module: is_pure(module) and inside(module, "harness.server"),
        lambda use: use.within(*ENGINE_TRIES),
    ),
    Rule("the server knows no judge", lambda module: inside(module, "harness.server"), lambda use: use.within(*JUDGE)),
    Rule(
        "only its starters know the server",
        lambda module: not inside(module, "harness.server", "harness.cli", "harness.embedded"),
        lambda use: use.within("harness.server"),
    ),
    Rule("reports stand on pure modules", lambda module: inside(module, "reports"), leaves_report_ground),
    Rule("conformance knows no loadtests", lambda module: inside(module, "conformance"), lambda use: use.within("loadtests")),
    Rule("loadtests know no conformance", lambda module: inside(module, "loadtests"), lambda use: use.within("conformance")),
    Rule(
        "only loadtests import Locust and gevent",
        lambda module: not inside(module, "loadtests"),
        lambda use: use.within("locust", "gevent"),
    ),
    Rule("nobody imports the cli", lambda module: not inside(module, "harness.cli"), lambda use: use.within("harness.cli")),
    Rule(
        "the core knows nothing of what is built on it",
        lambda module: inside(module, "harness") and not inside(module, "harness.cli"),
        lambda use: use.within("conformance", "loadtests", "reports"),
    ),
    Rule(
        "making the stubs needs only grpcio-tools",
        lambda module: inside(module, "protos"),
        lambda use: not (use.called or is_stdlib(use) or use.within("grpc_tools")),
    ),
)


def uses_of(module: str, source: str, *, is_package: bool = False) -> Iterator[Use]:
    """Yield all imports of a source, wherever they stand, relative ones resolved, and its calls by bare name or method."""
    home = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Use(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = home[: len(home) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield from (Use(f"{origin}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield Use(node.func.id, node.lineno, called=True)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCK_READINGS:
            yield Use(node.func.attr, node.lineno, called=True)


def broken_rules(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """Return one line per use that a rule forbids."""
    return [
        f"{module}:{use.line}: {rule.name}: {use.name}"
        for rule in RULES
        if rule.applies(module)
        for use in uses_of(module, source, is_package=is_package)
        if rule.forbids(use)
    ]


def sources() -> list[Path]:
    return sorted(
        path
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if "stubs" not in path.parts and "__pycache__" not in path.parts
    )


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_all_folders_are_walked() -> None:
    assert {"harness.config", "harness.server.engine", "protos.generate"} <= {module_of(path) for path in sources()}


def test_imports_go_one_way() -> None:
    broken = [
        line
        for path in sources()
        for line in broken_rules(module_of(path), path.read_text(encoding="utf-8"), is_package=path.name == "__init__.py")
    ]
    assert broken == [], "a module of harness that has to touch the world is named in EDGES"


@pytest.mark.parametrize("edge", sorted(EDGES))
def test_every_edge_exists(edge: str) -> None:
    path = ROOT / Path(*edge.split("."))
    assert path.with_suffix(".py").is_file() or path.is_dir()


@pytest.mark.parametrize(
    ("module", "source", "rule"),
    [
        ("harness.config", "import grpc", "pure modules"),
        ("harness.config", "import socket", "pure modules"),
        ("harness.config", "from urllib.request import urlopen", "pure modules"),
        ("harness.config", "import time as t", "pure modules"),
        ("harness.config", "from concurrent.futures import ThreadPoolExecutor", "pure modules"),
        ("harness.config", "import asyncio.queues", "pure modules"),
        ("harness.config", "def f():\n    import subprocess", "pure modules"),
        ("harness.config", "if TYPE_CHECKING:\n    import threading", "pure modules"),
        ("harness.config", "import pytest", "pure modules"),
        ("harness.config", "from harness import channel", "pure modules"),
        ("harness.config", "from . import channel", "pure modules"),
        ("harness.config", "from .stubs import job_pb2", "pure modules"),
        ("harness.config", "import importlib\nimportlib.import_module\nfrom importlib import import_module", "pure modules"),
        ("harness.config", "open('profile.yaml')", "pure modules"),
        ("harness.config", "datetime.now(UTC)", "pure modules"),
        ("harness.config", "uuid.uuid4()", "pure modules"),
        ("harness.brand_new", "import socket", "pure modules"),
        ("harness.server.engine", "import grpc", "the server's engine"),
        ("harness.server.estimates", "import asyncio", "the server's engine"),
        ("harness.server.state", "from harness.stubs import service_pb2", "the server's engine"),
        ("harness.server.jobtext", "from google.protobuf import message", "the server's engine"),
        ("harness.server.service", "from harness.model import Status", "the server knows no judge"),
        ("harness.server.mutants.status", "import harness.history", "the server knows no judge"),
        ("harness.model", "from harness.server.values import Phase", "only its starters"),
        ("conformance.test_exec", "from harness.server import engine", "only its starters"),
        ("reports.html", "import grpc", "reports stand on pure modules"),
        ("reports.html", "from harness.client import ControllerClient", "reports stand on pure modules"),
        ("reports.html", "from harness import server", "reports stand on pure modules"),
        ("conformance.kit.case", "import loadtests.users", "conformance knows no loadtests"),
        ("loadtests.users", "from conformance import plugin", "loadtests know no conformance"),
        ("harness.cli.load", "import locust", "only loadtests"),
        ("conformance.plugin", "from gevent import monkey", "only loadtests"),
        ("conformance.plugin", "from harness.cli import main", "nobody imports the cli"),
        ("harness.client", "import reports.view", "the core knows nothing"),
        ("protos.generate", "from harness import ids", "making the stubs"),
    ],
)
def test_a_wrong_use_is_reported(module: str, source: str, rule: str) -> None:
    assert any(f": {rule}" in line for line in broken_rules(module, source))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("harness.config", "import json, math\nimport yaml\nfrom harness.errors import ConfigError\nfrom . import yamltree"),
        ("harness.requirements", "from importlib import resources"),
        ("harness.channel", "import grpc\nimport threading\nopen('x')"),
        ("harness.server.engine", "from harness.ids import IdempotencyKey"),
        ("harness.server.edge_grpcio", "import grpc\nimport asyncio"),
        ("harness.cli.serve", "from harness.server.run import run"),
        ("harness.cli.load", "from reports.view import build_view\nfrom harness.cli import main"),
        ("reports.html", "import jinja2\nimport vl_convert\nfrom markupsafe import Markup\nfrom harness.record import Header"),
        ("conformance.plugin", "import pytest\nfrom harness.client import ControllerClient\nfrom conformance.kit import Case"),
        ("loadtests.users", "import gevent\nfrom locust import User\nfrom harness.record import Header"),
        ("harness.modelling", "from harness.config import load"),
    ],
)
def test_a_right_use_is_not(module: str, source: str) -> None:
    assert broken_rules(module, source) == []


def test_relative_imports_of_a_package_start_at_the_package() -> None:
    assert broken_rules("harness.server", "from . import engine", is_package=True) == []
    assert broken_rules("harness.server", "from .. import model", is_package=True) != []
