"""The store on SQLite: what was acknowledged survives the end of the process, kill -9 included.

Write-ahead log with `synchronous=NORMAL`: a committed transaction has been handed to the operating system, which keeps it when
the process dies at any instant. Only a crash of the machine itself can lose the last moments; a test server need not pay a disk
flush per call for that. The file is locked while the server lives: two engines on one file would contradict each other.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import ConfigError
from harness.server.state import Effects, Job, KeyId, KeyRecord, Processor, Scope
from harness.server.store import Snapshot, StoreError
from harness.server.values import JobSpec, Phase, ResultStatus

APPLICATION_ID = 0x43544C52
"""Marks a SQLite file as ours ("CTLR")."""
SCHEMA_VERSION = 1

_SCHEMA = f"""
BEGIN;
CREATE TABLE keys (
    id INTEGER PRIMARY KEY, subject TEXT NOT NULL, rpc TEXT NOT NULL, processor TEXT NOT NULL,
    high BLOB NOT NULL, low BLOB NOT NULL, groups TEXT NOT NULL,
    UNIQUE (subject, rpc, processor, high, low)
);
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, position INTEGER NOT NULL, processor TEXT NOT NULL, spec TEXT NOT NULL, memory BLOB NOT NULL,
    timeout INTEGER NOT NULL, work_minimum INTEGER NOT NULL, key INTEGER REFERENCES keys (id),
    submitted INTEGER NOT NULL, phase INTEGER NOT NULL, started INTEGER NOT NULL, released INTEGER NOT NULL,
    finished INTEGER NOT NULL, status INTEGER NOT NULL, message TEXT NOT NULL
) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""
_INSERT_JOB = f"INSERT INTO jobs VALUES ({', '.join('?' * 15)})"  # noqa: S608  (question marks only)
_UPDATE_JOB = "UPDATE jobs SET phase = ?, started = ?, released = ?, finished = ?, status = ?, message = ? WHERE id = ?"


class SqliteStore:
    """One file. Opening it raises ConfigError when it is not ours, of a newer version, or in use."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._key_ids: dict[KeyId, int] = {}
        self._next_key_id = 1
        try:
            self._database = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise self._unusable(error) from None
        try:
            self._open()
        except sqlite3.Error as error:
            self._database.close()
            raise self._unusable(error) from None
        except ConfigError:
            self._database.close()
            raise

    def _open(self) -> None:
        database = self._database
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        ours = self._pragma("application_id") == APPLICATION_ID
        if not ours and database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            raise ConfigError("is a database of something else", source=self._path, key="store", hint="name another file")
        version = self._pragma("user_version")
        if ours and version != SCHEMA_VERSION:
            hint = "use the version of the server that wrote it, or another file"
            raise ConfigError(
                f"has schema version {version}, expected {SCHEMA_VERSION}", source=self._path, key="store", hint=hint
            )
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        if not ours:
            database.executescript(_SCHEMA)
        # In exclusive mode the first write takes the lock and keeps it.
        database.execute("BEGIN IMMEDIATE")
        database.execute("COMMIT")

    def _pragma(self, name: str) -> int:
        value: int = self._database.execute(f"PRAGMA {name}").fetchone()[0]
        return value

    def _unusable(self, error: sqlite3.Error) -> ConfigError:
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None and code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return ConfigError(
                "is in use by another server", source=self._path, key="store", hint="stop it, or name another file"
            )
        if code == sqlite3.SQLITE_NOTADB:
            return ConfigError("is not a store of this server", source=self._path, key="store", hint="name another file")
        hint = "the folder must exist and be writable" if not Path(self._path).exists() else ""
        return ConfigError(f"cannot be used: {error}", source=self._path, key="store", hint=hint)

    def load(self, processors: dict[str, Processor]) -> Snapshot:
        """Return what was kept; ConfigError when it does not fit these processors or is damaged."""
        try:
            records = dict(self._load_keys())
            jobs = [
                self._load_job(row, processors, records) for row in self._database.execute("SELECT * FROM jobs ORDER BY position")
            ]
        except (sqlite3.Error, ValueError) as error:
            raise ConfigError(f"is damaged: {error}", source=self._path, key="store") from None
        for name, processor in processors.items():
            running = sum(job.phase is Phase.RUNNING for job in jobs if job.processor is processor)
            if running > processor.executors:
                raise ConfigError(
                    f"has {running} running jobs on {name}, which has {processor.executors} executors now", source=self._path
                )
        return Snapshot(jobs, list(records.values()))

    def _load_keys(self) -> Iterator[tuple[int, KeyRecord]]:
        for row_id, subject, rpc, processor, high, low, groups in self._database.execute("SELECT * FROM keys"):
            key = KeyId(Scope(subject, rpc, processor), int.from_bytes(high), int.from_bytes(low))
            self._key_ids[key] = row_id
            self._next_key_id = max(self._next_key_id, row_id + 1)
            yield row_id, KeyRecord(key, tuple(map(tuple, json.loads(groups))), known=0)

    def _load_job(self, row: tuple[Any, ...], processors: dict[str, Processor], records: dict[int, KeyRecord]) -> Job:
        job_id, position, processor, spec, memory, timeout, least, key, submitted, phase, *times, status, message = row
        if processor not in processors:
            raise ConfigError(f"has jobs of {processor!r}, which is not one of the processors", source=self._path, key="store")
        record = None if key is None else records.get(key)
        if record is not None:
            record.known += 1
        started, released, finished = times
        return Job(
            job_id, position, processors[processor], _spec_from(spec), memory, timeout, least, timeout, record, submitted,
            Phase(phase), started=started, released=released, finished=finished, status=ResultStatus(status), message=message,
        )  # fmt: skip

    def apply(self, effects: Effects) -> None:
        """Keep the effects of one command in one transaction."""
        try:
            with self._transaction():
                self._apply(effects)
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: store: cannot be written: {error}") from error

    def _apply(self, effects: Effects) -> None:
        database = self._database
        # A sound engine never has a key twice; a mutant may, and the later one then counts, as in memory.
        database.executemany("INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?, ?, ?, ?)", map(self._key_row, effects.keys))
        database.executemany(_INSERT_JOB, map(self._job_row, effects.accepted.values()))
        database.executemany(_UPDATE_JOB, map(_move_row, effects.moved.values()))
        database.executemany("DELETE FROM jobs WHERE id = ?", ((job_id,) for job_id in effects.forgotten))
        dropped = [(self._key_ids.pop(record.key),) for record in effects.dropped_keys]
        database.executemany("DELETE FROM keys WHERE id = ?", dropped)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _key_row(self, record: KeyRecord) -> tuple[Any, ...]:
        row_id, self._next_key_id = self._next_key_id, self._next_key_id + 1
        key = record.key
        self._key_ids[key] = row_id
        # SQLite's integers are signed, so the unsigned halves are kept as octets.
        return row_id, *key.scope, key.high.to_bytes(8), key.low.to_bytes(8), json.dumps(record.groups)

    def _job_row(self, job: Job) -> tuple[Any, ...]:
        key = None if job.key is None else self._key_ids[job.key.key]
        return (
            job.id, job.order, job.processor.name, _spec_to(job.spec), job.memory, job.timeout, job.work_minimum, key,
            job.submitted, int(job.phase), job.started, job.released, job.finished, int(job.status), job.message,
        )  # fmt: skip

    def close(self) -> None:
        """Move the log into the file, and unlock it; harmless when done already."""
        self._database.close()


def _move_row(job: Job) -> tuple[Any, ...]:
    return int(job.phase), job.started, job.released, job.finished, int(job.status), job.message, job.id


def _spec_to(spec: JobSpec) -> str:
    return json.dumps(
        [spec.duration, spec.estimate, spec.post, int(spec.outcome), spec.message, spec.touches_settings, spec.readout]
    )


def _spec_from(text: str) -> JobSpec:
    duration, estimate, post, outcome, message, touches_settings, readout = json.loads(text)
    return JobSpec(duration, estimate, post, ResultStatus(outcome), message, touches_settings, readout)
