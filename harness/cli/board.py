"""A live display: a bar with its counts and times, and lines below it that are cut at the width of the terminal."""

from __future__ import annotations

import os
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import OverflowMethod, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
from rich.text import Text

from harness.cli.screen import Screen

_WIDEST, _NARROWEST = 30, 4
_OTHERS = 48
"""Columns that everything but the bar takes."""


class Board:
    """Shows how one thing goes on, if the screen is a terminal and nobody asked for quiet. Use it as a context manager.

    `quiet` says that little is to be told (`CI` is set), `live` that there is a display: without one, lines are all there is.
    """

    def __init__(self, screen: Screen, what: str, total: float | None, *columns: ProgressColumn) -> None:
        self.quiet = os.environ.get("CI", "").lower() not in {"", "0", "false"}
        self.live = screen.is_terminal and not screen.is_dumb_terminal and not self.quiet
        # A letter that the terminal lacks is written as several, and the row would wrap.
        self._overflow: OverflowMethod = "ellipsis" if screen.encoding.lower().startswith("utf") else "crop"
        self._progress = _Lines(screen, columns, live=self.live)
        self._task = self._progress.add_task(what, total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def show(self, *, done: float | None = None, total: float | None = None, lines: Iterable[str] | None = None) -> None:
        """Show what has changed: how much is done, of how much, and the lines (as markup) below the bar."""
        if lines is not None:
            self._progress.lines = tuple(Text.from_markup(f"  {line}", overflow=self._overflow) for line in lines)
        self._progress.update(self._task, completed=done, total=total)

    def rename(self, what: str) -> None:
        """Show the bar under another name."""
        self._progress.update(self._task, description=what)


class _Lines(Progress):
    def __init__(self, screen: Screen, columns: Iterable[ProgressColumn], *, live: bool) -> None:
        self.lines: tuple[Text, ...] = ()
        self._screen = screen
        self._bar = BarColumn(bar_width=_WIDEST)
        title = TextColumn("[bold]{task.description}")
        super().__init__(title, self._bar, *columns, console=screen, transient=True, disable=not live, speed_estimate_period=600)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield the bar and the lines, each one row high whatever the width: rows that wrapped could not be wiped."""
        self._bar.bar_width = max(_NARROWEST, min(_WIDEST, self._screen.width - _OTHERS))
        yield from super().get_renderables()
        for line in self.lines:
            line.no_wrap = True
            yield line
