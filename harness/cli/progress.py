"""What a person sees while a run goes on: a live display in a terminal, plain lines elsewhere, little in CI (`CI` is set)."""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from harness.cli.children import Event
from harness.cli.screen import Screen, plain

_MARKS = {"fail": "[red]FAIL[/]", "inconclusive": "[yellow]open[/]", "skipped": "[yellow]skip[/]"}


class Display:
    """Shows progress events of the children. Use it as a context manager around one part of a run."""

    def __init__(self, screen: Screen, what: str, total: int | None) -> None:
        self._screen = screen
        self._what = what
        self._quiet = os.environ.get("CI", "").lower() not in {"", "0", "false"}
        self._live = screen.is_terminal and not screen.is_dumb_terminal and not self._quiet
        self._chapter = ""
        self._last = time.monotonic()
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=screen,
            transient=True,
            disable=not self._live,
        )
        self._task: TaskID = self._progress.add_task(what, total=total, note="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def check_event(self, event: Event) -> None:
        """Show an event of a conformance run."""
        if event["event"] == "plan":
            self._screen.say(plain(str(event["text"])))
            return
        name = str(event["check"])
        if event["event"] == "begin":
            self._begin(name, event)
            return
        verdict = str(event["verdict"])
        self._progress.update(self._task, completed=int(event["done"]), total=int(event["planned"]))
        if verdict == "fail":
            self._finding(_MARKS["fail"] if event["failed_must"] else "[yellow]warn[/]", event)
        elif self._live and verdict in _MARKS:
            self._finding(_MARKS[verdict], event)

    def load_event(self, event: Event) -> None:
        """Show a second of a load run."""
        if "progress" not in event:
            return
        now = event["progress"]
        note = (
            f"{now['rps']}/s  p50 {now['p50']:.1f}  p95 {now['p95']:.1f}  p99 {now['p99']:.1f} ms"
            f"  errors {now['errors']}  in flight {now['in_flight']}  users {now['users']}"
        )
        self._progress.update(self._task, completed=int(now["elapsed"]), note=note)
        if not self._live and not self._quiet and time.monotonic() - self._last >= 5:
            self._last = time.monotonic()
            self._screen.say(f"  {now['elapsed']:.0f} s  {note}")

    def _begin(self, name: str, event: Event) -> None:
        chapter = name.partition(".py")[0].removeprefix("test_").upper()
        self._progress.update(
            self._task, total=int(event["planned"]), note=f"[cyan]{plain(chapter)}[/] {plain(event['title'][:80])}"
        )
        if chapter != self._chapter:
            self._chapter = chapter
            if not self._live and not self._quiet:
                self._screen.say(f"  {event['done']:>3}/{event['planned']}  {chapter}")

    def _finding(self, mark: str, event: Event) -> None:
        requirements = " ".join(event["requirements"])
        self._screen.say(f"{mark} {plain(requirements)}  {plain(event['title'])}  [dim]({plain(event['check'])})[/]")
