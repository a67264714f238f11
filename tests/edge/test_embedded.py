"""The embedded reference Controller: there during the block, gone after it, whatever happens in between."""

from __future__ import annotations

import json
import os
import select
import signal
import stat
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.client import ControllerClient
from harness.embedded import HANDOVER, endpoint_for
from harness.endpoint import Endpoint
from harness.errors import ConfigError, ExitCode, HarnessError, UnreachableError
from harness.facts import Embedded
from harness.probe import probe
from harness.profile import EMBEDDED, Identity
from harness.requests import Requests
from tests.edge.endpoints import PATIENCE, profile

CALLERS = {"main": Identity(may_bypass_settings_protection=True), "guest": Identity()}


def server_of(endpoint: Endpoint) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(endpoint.handover[HANDOVER])
    return found


def runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are made; modules that hide the real ones lie in the working folder."""
    (tmp_path / "work" / "harness").mkdir(parents=True)
    (tmp_path / "work" / "harness" / "__init__.py").write_text("raise SystemExit('the wrong one')", encoding="utf-8")
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "temporary"


@pytest.fixture(scope="module")
def embedded() -> Iterator[Endpoint]:
    with endpoint_for(profile(EMBEDDED, identities=CALLERS), Path()) as endpoint:
        yield endpoint


def test_there_during_the_block_and_nothing_left_after_it(folder: Path) -> None:
    with endpoint_for(profile(EMBEDDED, identities=CALLERS), Path()) as endpoint:
        pid = server_of(endpoint)["pid"]
        assert runs(pid)
        (tokens,) = folder.glob("*/tokens.yaml")
        assert stat.S_IMODE(tokens.stat().st_mode) == 0o600
        assert stat.S_IMODE(tokens.parent.stat().st_mode) == 0o700
        probe(endpoint, PATIENCE)
    assert not runs(pid)
    assert list(folder.iterdir()) == []


def test_callers_have_tokens_of_their_own(embedded: Endpoint) -> None:
    assert set(embedded.tokens) == {"main", "guest"}
    assert len(set(embedded.tokens.values())) == 2
    requests = Requests(embedded)
    with ControllerClient(embedded) as client:
        assert client.execute(requests.execute(bypass=True)).job_execution_ids
    with ControllerClient(embedded, identity="guest") as client, pytest.raises(HarnessError, match="PERMISSION_DENIED"):
        client.execute(requests.execute(bypass=True))
    with ControllerClient(embedded, identity=None) as client, pytest.raises(HarnessError, match="UNAUTHENTICATED"):
        client.execute(requests.execute())


def test_the_observer_is_a_fact(embedded: Endpoint) -> None:
    observer = embedded.profile.facts.observer
    assert observer is not None
    assert observer.url is not None
    assert observer.counter is not None
    assert observer.labels == {"processor": "{target}"}
    with urllib.request.urlopen(observer.url, timeout=PATIENCE) as page:  # noqa: S310  (loopback)
        assert observer.counter.encode() in page.read()


def test_a_process_uses_the_server_of_its_parent(embedded: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in embedded.handover.items():
        monkeypatch.setenv(name, value)
    with endpoint_for(profile(EMBEDDED, identities=CALLERS, embedded=Embedded(observer=False)), Path()) as again:
        assert (again.address, again.tokens) == (embedded.address, embedded.tokens)
        assert again.profile.facts.observer is None
        probe(again, PATIENCE)
    assert runs(server_of(embedded)["pid"])
    with pytest.raises(ConfigError, match=r"identities\.other: the server that is running does not know this caller"):
        endpoint_for(profile(EMBEDDED, identities={"other": Identity()}), Path()).__enter__()


@pytest.mark.parametrize("text", ["", "{", "[]", "5", '{"host": "127.0.0.1"}'])
def test_a_handover_that_is_none_is_one_line(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(HANDOVER, text)
    with pytest.raises(ConfigError, match=f"{HANDOVER}: does not describe a server; unset it"):
        endpoint_for(profile(EMBEDDED), Path()).__enter__()


def test_other_addresses_start_nothing(folder: Path) -> None:
    with endpoint_for(profile("127.0.0.1:1"), Path()) as endpoint:
        assert (endpoint.address, endpoint.handover, list(folder.iterdir())) == ("127.0.0.1:1", {}, [])


def test_an_unknown_mutant_is_one_line(folder: Path) -> None:
    wanted = profile(EMBEDDED, embedded=Embedded(mutant="can-nevr"))
    with pytest.raises(HarnessError) as caught:
        endpoint_for(wanted, Path()).__enter__()
    said = str(caught.value)
    assert said.startswith("the reference Controller did not start: mutant: unknown mutant 'can-nevr'; did you mean can-never")
    assert "\n" not in said
    assert caught.value.exit_code is ExitCode.USAGE
    assert list(folder.iterdir()) == []


def test_the_settings_reach_the_server(folder: Path) -> None:
    with endpoint_for(
        profile(EMBEDDED, embedded=Embedded(queue_capacity=2, executors=2, mutant="can-never")), Path()
    ) as endpoint:
        command = Path(f"/proc/{server_of(endpoint)['pid']}/cmdline").read_bytes().decode().split("\0")
        for flag, value in (("--queue-capacity", "2"), ("--executors", "2"), ("--mutant", "can-never")):
            assert command[command.index(flag) + 1] == value
        assert "--tokens" not in command
        assert (endpoint.tokens, len(list(folder.iterdir()))) == ({}, 1)


def test_a_server_that_dies_meanwhile_leaves_nothing(folder: Path) -> None:
    with endpoint_for(profile(EMBEDDED), Path()) as endpoint:
        os.kill(server_of(endpoint)["pid"], signal.SIGKILL)
        with pytest.raises(UnreachableError, match="does not answer"):
            probe(endpoint, 0.5)
    assert list(folder.iterdir()) == []


def test_a_server_that_ignores_sigterm_is_killed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.keeper.STOP_PATIENCE", 0.2)
    with endpoint_for(profile(EMBEDDED), Path()) as endpoint:
        pid = server_of(endpoint)["pid"]
        os.kill(pid, signal.SIGSTOP)
    assert not runs(pid)
    assert list(folder.iterdir()) == []


PARENT = """
import sys
from pathlib import Path
from harness.embedded import endpoint_for
from harness.endpoint import read_profile
with endpoint_for(*read_profile("reference")) as endpoint:
    print(endpoint.handover["CONTROLLER_HARNESS_SERVER"], flush=True)
    sys.stdin.read()
"""


def test_a_parent_that_is_killed_takes_the_server_along() -> None:
    with subprocess.Popen(
        [sys.executable, "-P", "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout is not None
        server = json.loads(parent.stdout.readline())
        watched = os.pidfd_open(server["pid"])
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait(PATIENCE)
    try:
        # A process file descriptor is readable once its process has ended.
        assert _readable(watched, PATIENCE)
    finally:
        os.close(watched)


def _readable(descriptor: int, seconds: float) -> bool:
    return bool(select.select([descriptor], [], [], seconds)[0])
