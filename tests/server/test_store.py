"""What the store was told comes back: the engine that is restored from it goes on as the one before would have."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ConfigError
from harness.ids import random_key
from harness.server.engine import Engine
from harness.server.lifecycle import EngineConfig
from harness.server.sqlite_store import APPLICATION_ID, SCHEMA_VERSION, SqliteStore
from harness.server.store import StoreError
from harness.server.values import (
    SECOND,
    BatchRequest,
    Caller,
    JobSpec,
    Phase,
    PlannedJob,
    ResultStatus,
    SubmitRequest,
    Target,
    TargetKind,
)

A = Target(TargetKind.PROCESSOR, "a")
ALICE = Caller("alice", False)
NOW = 1_700_000_000 * SECOND
KEYS = [random_key(random.Random(seed)) for seed in range(4)]  # noqa: S311


def engine(seed: int = 1, **changes: Any) -> Engine:
    settings: dict[str, Any] = {
        "processors": ("a",), "endpoints": {}, "require_target": True, "executors": 1, "capacity": 100, "default_timeout": 300,
        "max_timeout": 400, "retention": 1000, "max_finished": 100,
    }  # fmt: skip
    return Engine(EngineConfig(**(settings | changes)), random.Random(seed).getrandbits)  # noqa: S311


def keep(subject: Engine, store: SqliteStore) -> None:
    effects = subject.take_effects()
    if effects is not None:
        store.apply(effects)


def reopened(path: Path, now: int) -> Engine:
    store = SqliteStore(str(path))
    subject = engine(seed=2)
    snapshot = store.load(subject.processors)
    subject.restore(snapshot.jobs, snapshot.keys, now)
    store.close()
    return subject


def request(*durations: int, key: int | None = None, **spec: Any) -> SubmitRequest:
    jobs = tuple(PlannedJob(JobSpec(duration, **spec), f"memory {duration}".encode()) for duration in durations)
    return SubmitRequest(jobs, A, None if key is None else KEYS[key])


def test_every_phase_is_restored_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store, subject = SqliteStore(str(path)), engine()
    ids = [
        *subject.submit(ALICE, request(10, 20, post=50, key=0), NOW),
        *subject.submit(ALICE, request(40, outcome=ResultStatus.USER_FAILURE, message="why", readout="r"), NOW),
        *subject.submit(ALICE, request(100, 200, 300, key=1), NOW),
    ]
    keep(subject, store)
    subject.cancel([ids[4]], A, NOW + 71)
    keep(subject, store)
    store.close()
    found = reopened(path, NOW + 75)
    phases = [found.status(job_id, A, NOW + 75).phase for job_id in ids]
    assert phases == [Phase.SUCCEEDED, Phase.POST_PROCESSING, Phase.FAILED, Phase.RUNNING, Phase.CANCELED, Phase.QUEUED]
    for job_id in (ids[0], ids[2], ids[4]):
        assert found.results(job_id, A, NOW + 75) == subject.results(job_id, A, NOW + 75)
    assert found.submit(ALICE, request(1, key=0), NOW + 75) == tuple(ids[:2])
    assert found.submit(ALICE, request(1, key=1), NOW + 75) == tuple(ids[3:])
    counts = found.processors["a"].counts
    assert (counts.accepted, counts.succeeded, counts.failed, counts.canceled, counts.post_processing) == (6, 1, 1, 1, 1)


def test_post_processing_goes_on_and_running_starts_again(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store, subject = SqliteStore(str(path)), engine()
    ids = subject.submit(ALICE, request(10, 20, 30, post=50), NOW)
    subject.advance(NOW + 15)
    keep(subject, store)
    store.close()
    found = reopened(path, NOW + 55)
    assert [found.status(job_id, A, NOW + 59).phase for job_id in ids] == [Phase.POST_PROCESSING, Phase.RUNNING, Phase.QUEUED]
    assert found.status(ids[0], A, NOW + 60).phase is Phase.SUCCEEDED
    assert found.status(ids[1], A, NOW + 55 + 19).phase is Phase.RUNNING
    assert [found.status(job_id, A, NOW + 55 + 20).phase for job_id in ids[1:]] == [Phase.POST_PROCESSING, Phase.RUNNING]


def test_a_clock_that_went_back_between_two_runs_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store, subject = SqliteStore(str(path)), engine()
    (job_id,) = subject.submit(ALICE, request(10), NOW)
    subject.advance(NOW + 10)
    keep(subject, store)
    store.close()
    found = reopened(path, NOW - SECOND)
    assert found.status(job_id, A, NOW - SECOND).now >= NOW + 10


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("submit"), st.integers(0, 3), st.lists(st.integers(1, 90), max_size=3)),
            st.tuples(st.just("batch"), st.integers(0, 3), st.lists(st.integers(1, 90), min_size=1, max_size=3)),
            st.tuples(st.just("cancel"), st.integers(0, 30), st.just([])),
            st.tuples(st.just("wait"), st.integers(1, 700), st.just([])),
        ),
        max_size=25,
    )
)
def test_a_restored_engine_agrees_with_the_one_that_lived_on(steps: list[tuple[str, int, list[int]]]) -> None:
    store, subject, now = SqliteStore(":memory:"), engine(), NOW
    known: list[str] = []
    for step, number, durations in steps:
        if step == "submit" and durations:
            known.extend(subject.submit(ALICE, request(*durations, key=number, post=5), now))
        elif step == "batch":
            batch = BatchRequest(tuple(request(duration) for duration in durations), KEYS[number])
            known.extend(job_id for group in subject.submit_batch(ALICE, batch, now) for job_id in group)
        elif step == "cancel" and known:
            subject.cancel([known[number % len(known)]], A, now)
        elif step == "wait":
            now += number
        subject.advance(now)
        keep(subject, store)
    other = engine(seed=2)
    snapshot = store.load(other.processors)
    other.restore(snapshot.jobs, snapshot.keys, now)
    store.close()
    assert (other.known_jobs, other.known_keys) == (subject.known_jobs, subject.known_keys)
    assert [job.id for job in other.processors["a"].queue] == [job.id for job in subject.processors["a"].queue]
    for job_id in known:
        if job_id in subject._jobs:
            assert other.status(job_id, A, now).phase is subject.status(job_id, A, now).phase
            assert other.results(job_id, A, now) == subject.results(job_id, A, now)


def test_what_is_forgotten_leaves_the_file(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store, subject = SqliteStore(str(path)), engine()
    subject.submit(ALICE, request(10, key=0), NOW)
    keep(subject, store)
    subject.advance(NOW + 1010)
    keep(subject, store)
    store.close()
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM keys)").fetchone() == (0, 0)


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        SqliteStore(str(path))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: store: ")
    return caught.value.message.removeprefix(f"{path}: store: ")


def test_only_one_server_at_a_time(tmp_path: Path) -> None:
    first = SqliteStore(str(tmp_path / "store"))
    assert refused(tmp_path / "store") == "is in use by another server"
    first.close()
    SqliteStore(str(tmp_path / "store")).close()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database, but long enough to have a header of one" * 20)
    assert refused(tmp_path / "text") == "is not a store of this server"


def test_a_database_of_something_else(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other") as database:
        database.execute("CREATE TABLE t (x)")
    assert refused(tmp_path / "other") == "is a database of something else"


def test_a_newer_store(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "newer") as database:
        database.executescript(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION + 1};")
    assert refused(tmp_path / "newer") == f"has schema version {SCHEMA_VERSION + 1}, expected {SCHEMA_VERSION}"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert "unable to open" in refused(tmp_path / "nowhere" / "store")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"processors": ("b",)}, "has jobs of 'a', which is not one of the processors"),
        ({}, "has 2 running jobs on a, which has 1"),
    ],
)
def test_settings_that_do_not_fit_what_is_stored(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    store, subject = SqliteStore(str(tmp_path / "store")), engine(executors=2)
    subject.submit(ALICE, request(10, 10), NOW)
    keep(subject, store)
    with pytest.raises(ConfigError, match=message):
        store.load(engine(**changes).processors)
    store.close()


def test_a_store_that_cannot_write_says_so() -> None:
    store, subject = SqliteStore(":memory:"), engine()
    subject.submit(ALICE, request(10), NOW)
    store.close()
    effects = subject.take_effects()
    assert effects is not None
    with pytest.raises(StoreError, match="store: cannot be written"):
        store.apply(effects)
