"""What a person sees while a run goes on: a live display in a terminal, plain lines elsewhere, little in CI."""

from __future__ import annotations

import os
import time
from collections import Counter
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from harness.cli.children import Event

_MARKS = {"fail": "[red]FAIL[/]", "inconclusive": "[yellow]open[/]", "skipped": "[yellow]skip[/]"}


class Display:
    """Shows progress events of the children. Use it as a context manager around one part of a run."""

    def __init__(self, console: Console, what: str, total: int | None) -> None:
        self._console = console
        self._what = what
        self._live = console.is_terminal and not console.is_dumb_terminal
        self._quiet = bool(os.environ.get("CI"))
        self._counts: Counter[str] = Counter()
        self._chapter = ""
        self._last = time.monotonic()
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
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
        name = str(event["check"])
        if event["event"] == "begin":
            self._begin(name, event)
            return
        verdict = str(event["verdict"])
        self._counts[verdict] += 1
        self._progress.update(self._task, completed=int(event["done"]), total=int(event["planned"]))
        if verdict == "fail":
            mark = _MARKS["fail"] if event["failed_must"] else "[yellow]warn[/]"
            self._say(f"{mark} {' '.join(event['requirements'])}  {event['title']}  [dim]({name})[/]")
        elif self._live and verdict in _MARKS:
            self._say(f"{_MARKS[verdict]} {' '.join(event['requirements'])}  {event['title']}  [dim]({name})[/]")

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
            self._say(f"  {now['elapsed']:.0f} s  {note}")

    def _begin(self, name: str, event: Event) -> None:
        chapter = name.partition(".py")[0].removeprefix("test_").upper()
        self._progress.update(self._task, total=int(event["planned"]), note=f"[cyan]{chapter}[/] {event['title']}"[:90])
        if chapter != self._chapter:
            self._chapter = chapter
            if not self._live and not self._quiet:
                self._say(f"  {event['done']:>3}/{event['planned']}  {chapter}")

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)
