"""Write run records to disk, one line at a time, so that whatever ends a run leaves what was gathered.

A record has one writer at a time: the command line creates it and closes it with the footer, the processes that it starts
append their sections in between.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import platform
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness import __version__
from harness.errors import ConfigError, HarnessError, NotValidError
from harness.record import Footer, Header, Line, Record, encode, read_record

_PACKAGES = ("grpcio", "protobuf", "locust", "gevent", "pytest")


class RecordWriter:
    """Appends lines to a record; every line is flushed before `write` returns. Use it as a context manager."""

    def __init__(self, path: Path, mode: str) -> None:
        self.path = path
        try:
            self._file = path.open(mode, encoding="utf-8", newline="\n")
        except OSError as error:
            raise unwritable(path, error) from None

    @classmethod
    def create(cls, path: Path, header: Header) -> Self:
        """Start a new record with its header; an existing file is replaced. Raises HarnessError."""
        writer = cls(path, "w")
        writer.write(header)
        return writer

    @classmethod
    def append_to(cls, path: Path) -> Self:
        """Go on with a record that somebody else started; a last line that was cut off is dropped. Raises HarnessError."""
        try:
            _drop_partial_line(path)
        except OSError as error:
            raise unwritable(path, error) from None
        return cls(path, "a")

    def write(self, line: Line) -> None:
        """Append one line. Raises HarnessError when the disk does not take it."""
        try:
            self._file.write(encode(line) + "\n")
            self._file.flush()
        except OSError as error:
            raise unwritable(self.path, error) from None

    def finish(self, exit_code: int) -> None:
        """Append the footer and close. Raises HarnessError."""
        try:
            with self.path.open("rb") as file:
                lines = sum(1 for _ in file)
        except OSError as error:
            raise unwritable(self.path, error) from None
        self.write(Footer(ended=now_text(), exit_code=exit_code, lines=lines))
        self.close()

    def close(self) -> None:
        """Close the file; without a footer the record stays incomplete."""
        # What could not be written was told when it was written.
        with contextlib.suppress(OSError):
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def load_record(path: Path) -> Record:
    """Read a record file. Raises ConfigError."""
    try:
        with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
            return read_record(file, str(path))
    except OSError as error:
        raise ConfigError(f"cannot be read: {(error.strerror or str(error)).lower()}", source=str(path)) from None


def make_header(*, command: Sequence[str], endpoint: str, profile: Mapping[str, Any], seed: int) -> Header:
    """Describe a run that begins now. `profile` must have its secrets masked already."""
    return Header(
        run_id=str(uuid.uuid4()),
        started=now_text(),
        command=tuple(command),
        tool_version=__version__,
        python=platform.python_version(),
        packages={name: metadata.version(name) for name in _PACKAGES},
        machine=machine(),
        endpoint=endpoint,
        profile=profile,
        seed=seed,
    )


def machine() -> dict[str, Any]:
    """Return the facts that make two runs comparable: system, processor, cores and memory (MiB)."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else (os.cpu_count() or 1),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
    }


def now_text() -> str:
    """Return the time in UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_atomically(path: Path, data: bytes) -> None:
    """Write a whole file beside its place and rename it there: readers see the old one or the new one. Raises HarnessError."""
    beside = path.parent / f".{os.getpid()}.{threading.get_ident()}.part"
    try:
        beside.write_bytes(data)
        beside.replace(path)
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, unless it is there. Raises HarnessError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from None


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder during the block: two of them would mix their lines. Raises ConfigError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConfigError("another run writes here", source=str(folder), hint="choose another place") from None
    except OSError:
        # Not every file system can lock.
        pass
    try:
        yield
    finally:
        os.close(descriptor)


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOMEM}


def unwritable(path: Path | str, error: OSError) -> HarnessError:
    """Say that something cannot be written: NotValidError when the disk is at fault, ConfigError when the place is."""
    text = f"cannot be written: {(error.strerror or str(error)).lower()}"
    if error.errno in _FULL:
        return NotValidError(f"{path}: {text}", hint="make room, or choose another place")
    return ConfigError(text, source=str(path), hint="choose another place")


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


_BLOCK = 1 << 16


def _drop_partial_line(path: Path) -> None:
    """Cut a file after its last line break: a writer that was killed leaves half a line, and nothing may be glued to it."""
    if not path.is_file():
        return
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - _BLOCK)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                file.truncate(start + found + 1)
                return
            end = start
        file.truncate(0)
