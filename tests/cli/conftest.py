"""One reference Controller for all commands that need an endpoint but none of their own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.server.embedded_thread import background_server
from harness.server.settings import ServerSettings
from tests.cli.commands import SCENARIO, Cli


@pytest.fixture(scope="session", autouse=True)
def signals_are_heard() -> None:
    """Shells start background jobs with Ctrl-C ignored, which children inherit; a handler they do not."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    (tmp_path / "tiny.yaml").write_text(SCENARIO, encoding="utf-8")
    return Cli(tmp_path)


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    with background_server(ServerSettings()) as bound:
        yield bound.address
