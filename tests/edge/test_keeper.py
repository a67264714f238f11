"""The keeper: a server that was killed on purpose comes back where it was, one that died of itself stays dead."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.kit.waiting import Patience
from harness import restart
from harness.keeper import Keeper


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    command = [sys.executable, "-P", "-m", "harness.cli", "serve", "--json", "--store", str(tmp_path / "store.sqlite")]
    made = Keeper(command, tmp_path)
    yield made
    made.stop()


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_server_killed_on_purpose_comes_back_on_its_ports(keeper: Keeper, capsys: pytest.CaptureFixture[str]) -> None:
    bound = keeper.start()
    pids = [int(keeper.pid_file.read_text(encoding="utf-8"))]
    for _ in range(2):
        assert restart.main([str(keeper.pid_file)]) == 0
        pids.append(int(keeper.pid_file.read_text(encoding="utf-8")))
    assert bound["pid"] == pids[0]
    assert len(set(pids)) == 3
    assert [alive(pid) for pid in pids] == [False, False, True]
    keeper.stop()
    assert not alive(pids[-1])
    assert capsys.readouterr().err == ""


def test_a_server_that_dies_of_itself_stays_dead(keeper: Keeper) -> None:
    keeper.start()
    pid = int(keeper.pid_file.read_text(encoding="utf-8"))
    os.kill(pid, signal.SIGKILL)
    patience = Patience(5)
    while keeper._watcher.is_alive() and not patience.is_over():
        patience.pause()
    assert not keeper._watcher.is_alive()
    assert int(keeper.pid_file.read_text(encoding="utf-8")) == pid


def test_without_a_successor_the_restart_fails(
    keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(restart, "PATIENCE", 0.1)
    keeper.start()
    lonely = tmp_path / "other.pid"
    lonely.write_text(keeper.pid_file.read_text(encoding="utf-8"), encoding="utf-8")
    assert restart.main([str(lonely)]) == 1
    assert "no successor" in capsys.readouterr().err
