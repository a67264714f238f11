"""What a person sees while many trials go on: a bar in a terminal, one line per trial elsewhere, bad news only in CI."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from harness.cli.screen import Screen, plain


class Tally:
    """Counts trials as they end. Use it as a context manager around them."""

    def __init__(self, screen: Screen, what: str, total: int) -> None:
        self._screen = screen
        self._total = total
        self._done = 0
        self._quiet = os.environ.get("CI", "").lower() not in {"", "0", "false"}
        self._live = screen.is_terminal and not screen.is_dumb_terminal and not self._quiet
        columns = (
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[note]}"),
        )
        self._progress = Progress(*columns, console=screen, transient=True, disable=not self._live, speed_estimate_period=600)
        self._task = self._progress.add_task(what, total=total, note="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def done(self, text: str, *, bad: bool) -> None:
        """Count a trial and tell what came of it."""
        self._done += 1
        self._progress.update(self._task, completed=self._done, note=plain(text[:60]))
        if bad:
            self._screen.say(f"[red]{plain(text)}[/]")
        elif not self._live and not self._quiet:
            self._screen.say(f"  {self._done:>3}/{self._total}  {plain(text)}")
