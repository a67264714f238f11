"""What a person sees while a run goes on: a live display in a terminal, plain lines elsewhere, little in CI (`CI` is set)."""

from __future__ import annotations

import time
from collections import Counter
from types import TracebackType
from typing import Self

from rich.progress import MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from harness.cli.board import Board
from harness.cli.children import Event
from harness.cli.screen import Screen, plain

_MARKS = {"fail": "[red]FAIL[/]", "inconclusive": "[yellow]open[/]", "skipped": "[yellow]skip[/]"}
_COUNTED = {"fail": "[red]{} failed[/]", "inconclusive": "[yellow]{} open[/]", "skipped": "{} skipped"}
_STOPPING = "interrupted: waiting for what was gathered to be written; once more, and it ends at once"


class Display:
    """Shows progress events of the children. Use it as a context manager around one part of a run.

    Given `seconds`, the part is one that lasts so long, or at most so long if it `may_end_sooner`.
    """

    def __init__(self, screen: Screen, what: str, seconds: float | None = None, *, may_end_sooner: bool = False) -> None:
        self._screen = screen
        self._what = what
        timed = (_Clock(), _Left(may_end_sooner=may_end_sooner))
        counted = (MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn())
        self._board = Board(screen, what, seconds, *(counted if seconds is None else timed))
        self._verdicts: Counter[str] = Counter()
        self._chapter = ""
        self._running = ""
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._board.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._board.__exit__(kind, error, trace)

    def stopping(self) -> None:
        """Say that the part was interrupted and is about to end."""
        self._board.rename(f"{self._what}, stopping")
        self._screen.say(_STOPPING)

    def check_event(self, event: Event) -> None:
        """Show an event of a conformance run."""
        match event["event"]:
            case "plan":
                self._screen.say(plain(str(event["text"])))
            case "begin":
                self._begin(event)
            case _:
                self._end(event)

    def load_event(self, event: Event) -> None:
        """Show a second of a load run."""
        if "progress" not in event:
            return
        now = event["progress"]
        lines = _pace(now), _figures(now)
        self._board.show(done=now["elapsed"], lines=lines)
        every = 5 if now["elapsed"] < 60 else 30
        if not self._board.live and not self._board.quiet and time.monotonic() - self._said >= every:
            self._said = time.monotonic()
            self._screen.say(f"  {now['elapsed']:.0f}/{now['total']:.0f} s  {'  '.join(lines)}")

    def _begin(self, event: Event) -> None:
        chapter = str(event["check"]).partition(".py")[0].removeprefix("test_").upper()
        self._running = f"[cyan]{plain(chapter)}[/] {plain(str(event['title']))}"
        self._show_checks(event)
        if chapter != self._chapter:
            self._chapter = chapter
            if not self._board.live and not self._board.quiet:
                self._screen.say(f"  {event['done']:>3}/{event['planned']}  {plain(chapter)}")

    def _end(self, event: Event) -> None:
        verdict = str(event["verdict"])
        self._verdicts[verdict] += 1
        self._show_checks(event)
        if verdict == "fail":
            self._finding(_MARKS["fail"] if event["failed_must"] else "[yellow]warn[/]", event)
        elif self._board.live and verdict in _MARKS:
            self._finding(_MARKS[verdict], event)

    def _show_checks(self, event: Event) -> None:
        counts = [text.format(self._verdicts[verdict]) for verdict, text in _COUNTED.items() if self._verdicts[verdict]]
        lines = (self._running, *([", ".join(counts)] if counts else []))
        self._board.show(done=int(event["done"]), total=int(event["planned"]), lines=lines)

    def _finding(self, mark: str, event: Event) -> None:
        requirements = " ".join(event["requirements"])
        self._screen.say(f"{mark} {plain(requirements)}  {plain(event['title'])}  [dim]({plain(event['check'])})[/]")


def _pace(now: Event) -> str:
    """Say at what rate things go: the stage, calls, and of an open load the starts that are due and those nobody made."""
    words = [f"[cyan]{plain(str(now['stage']))}[/]"] if now["stage"] else []
    words += ["finishing"] if now["elapsed"] > now["total"] else []
    words.append(f"{now['rps']:,} calls/s")
    if now["offered"] is not None:
        words += [f"{now['offered']:,} starts/s due", _alarming(now["dropped"], "dropped"), _alarming(now["late"], "late")]
    return "  ".join(words)


def _figures(now: Event) -> str:
    words = [f"p50 {now['p50']:.1f}  p95 {now['p95']:.1f}  p99 {now['p99']:.1f} ms", _alarming(now["errors"], "errors")]
    words += [f"{now['in_flight']:,} in flight", f"{now['users']:,} users"]
    return "  ".join([*words, *([_alarming(now["violations"], "violations")] if now["violations"] else [])])


def _alarming(count: int, what: str) -> str:
    return f"[red]{count:,} {what}[/]" if count else f"0 {what}"


class _Clock(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Return the seconds that have passed, of those that were planned."""
        return Text(f"{min(task.completed, task.total or 0):.0f}/{task.total or 0:.0f} s")


class _Left(ProgressColumn):
    def __init__(self, *, may_end_sooner: bool) -> None:
        super().__init__()
        self._word = "ETA at most" if may_end_sooner else "ETA"

    def render(self, task: Task) -> Text:
        """Return the time that is left until nothing new is started."""
        minutes, seconds = divmod(max(0, round((task.total or 0) - task.completed)), 60)
        hours, minutes = divmod(minutes, 60)
        return Text(f"{self._word} {hours}:{minutes:02}:{seconds:02}")
