"""A server that is killed at any moment has lost nothing that it acknowledged."""

from __future__ import annotations

import random
import signal
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest

from harness.ids import IdempotencyKey, random_key

RANK = {"QUEUED": 0, "RUNNING": 1, "POST_PROCESSING": 2, "SUCCEEDED": 3, "FAILED": 3, "CANCELED": 3}
TEXTS = [
    "controller-job duration=2ms",
    "controller-job duration=1ms post=300ms",
    "controller-job duration=20ms outcome=user-failure",
    "controller-job duration=400ms",
]


class Load:
    """Submits, cancels and reads until the server is gone, and keeps what was acknowledged."""

    def __init__(self, client: Any, seed: int) -> None:
        self.client = client
        self.chance = random.Random(seed)  # noqa: S311
        self.keys: list[tuple[IdempotencyKey, str, list[str]]] = []
        self.shown: dict[str, str] = {}
        self.enough = threading.Event()

    def run(self) -> None:
        try:
            while True:
                self.step()
        except grpc.RpcError:
            self.enough.set()

    def step(self) -> None:
        key, text = random_key(self.chance), self.chance.choice(TEXTS)
        self.keys.append((key, text, self.client.submit(text, range(self.chance.randint(1, 3)), key=key)))
        if self.chance.random() < 0.3:
            self.client.cancel([self.keys[-1][2][-1]])
        for job_id in self.chance.choice(self.keys)[2]:
            self.shown[job_id] = self.client.Status_name(self.client.phase(job_id))
        if len(self.keys) == 12:
            self.enough.set()


@pytest.mark.parametrize("seed", range(3))
def test_nothing_acknowledged_is_lost(support: Any, tmp_path: Path, seed: int) -> None:
    settings = {"store": str(tmp_path / "store"), "processors": ["qpu-1"], "observer_port": None}
    first = support.spawn(**settings)
    client = support.client(first.bound)
    client.Status_name = support.Status.Status.Name
    load = Load(client, seed)
    thread = threading.Thread(target=load.run)
    thread.start()
    assert load.enough.wait(support.DEADLINE)
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    thread.join(support.DEADLINE)
    assert load.keys

    second = support.client(support.spawn(**settings).bound)
    for key, text, ids in load.keys:
        assert second.submit(text, range(len(ids)), key=key) == ids
    for job_id, before in load.shown.items():
        after = support.Status.Status.Name(second.phase(job_id))
        assert RANK[after] >= RANK[before]
        assert RANK[before] < 3 or after == before
    for _, _, ids in load.keys:
        for number, job_id in enumerate(ids):
            result = second.results(job_id)
            assert list(result.memory_values["n"].integer.data) == [number]


def test_waiting_jobs_keep_their_order(support: Any, tmp_path: Path) -> None:
    settings = {"store": str(tmp_path / "store"), "observer_port": None}
    first = support.spawn(**settings)
    ids = support.client(first.bound).submit("controller-job duration=150ms", range(4))
    first.end(signal.SIGKILL)
    second = support.client(support.spawn(**settings).bound)
    assert second.phase(ids[0]) == support.Status.RUNNING
    for job_id in ids:
        second.results(job_id)
        # Looked at from the last to the first: behind one that is done, all are done by then.
        done = [second.phase(one) == support.Status.SUCCEEDED for one in reversed(ids)]
        assert done == sorted(done)


def test_a_server_that_is_asked_to_stop_loses_nothing_either(support: Any, tmp_path: Path) -> None:
    settings = {"store": str(tmp_path / "store"), "observer_port": None}
    first = support.spawn(**settings)
    ids = support.client(first.bound).submit("controller-job duration=5ms", range(3))
    assert first.end(signal.SIGTERM) == 0
    second = support.client(support.spawn(**settings).bound)
    assert [second.results(job_id).status for job_id in ids] == [1, 1, 1]
