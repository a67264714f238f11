"""What a person sees while many trials go on: a bar in a terminal, one line per trial elsewhere, bad news only in CI."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.progress import MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from harness.cli.board import Board
from harness.cli.screen import Screen, plain


class Tally:
    """Counts trials as they end. Use it as a context manager around them."""

    def __init__(self, screen: Screen, what: str, total: int) -> None:
        self._screen = screen
        self._total = total
        self._done = 0
        self._bad = 0
        columns = (MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn())
        self._board = Board(screen, what, total, *columns)

    def __enter__(self) -> Self:
        self._board.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._board.__exit__(kind, error, trace)

    def done(self, text: str, *, bad: bool) -> None:
        """Count a trial and tell what came of it."""
        self._done += 1
        self._bad += bad
        self._board.show(done=self._done, lines=(plain(text), *([f"[red]{self._bad} bad[/]"] if self._bad else [])))
        if bad:
            self._screen.say(f"[red]{plain(text)}[/]")
        elif not self._board.live and not self._board.quiet:
            self._screen.say(f"  {self._done:>3}/{self._total}  {plain(text)}")
