"""Where the lines of a load section go: into a record that somebody else began, into one of our own, or nowhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.record import Header, Line
from harness.recorder import RecordWriter


class Sink:
    """Takes the lines of one load section. `header` describes the run; it is asked for when the record is our own."""

    def __init__(self, path: Path | None, header: Callable[[], Header] | None) -> None:
        """Open the record: create it if there is a `header`, else append. Raises HarnessError."""
        self._owned = header is not None
        self._writer: RecordWriter | None = None
        if path is not None:
            self._writer = RecordWriter.append_to(path) if header is None else RecordWriter.create(path, header())

    def write(self, line: Line) -> None:
        """Append a line. Raises HarnessError."""
        if self._writer is not None:
            self._writer.write(line)

    def close(self, exit_code: int) -> None:
        """Close the record, with its footer if it is our own. Raises HarnessError."""
        if self._writer is None:
            return
        if self._owned:
            self._writer.finish(exit_code)
        else:
            self._writer.close()
