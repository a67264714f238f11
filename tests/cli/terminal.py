"""A terminal to look at: runs a command in a pseudo-terminal, and shows the screens that a person would see."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cli.commands import CLEAN, PATIENCE

_PIECES = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


class Terminal:
    """Understands what a live display does: text, line feeds, moving up, wiping lines, and hiding the cursor.

    `screens` holds what was to be seen each time that something was about to be wiped, and at the end.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.rows: list[str] = [""]
        self.row = 0
        self.column = 0
        self.hidden = False
        self.screens: list[str] = []

    @property
    def screen(self) -> str:
        """What is to be seen now."""
        return "\n".join(row.rstrip() for row in self.rows).rstrip()

    def feed(self, text: str) -> None:
        """Take in output of a command; what this terminal does not know fails the test."""
        place = 0
        for match in _PIECES.finditer(text):
            assert match.start() == place, repr(text[place : match.start()])
            place = match.end()
            if match[2]:
                self._control(match[1], match[2])
            elif match[3]:
                self.column = 0
                self._down(1 if match[3] == "\n" else 0)
            else:
                self._write(match[4])
        assert place == len(text), repr(text[place:])
        self.screens.append(self.screen)

    def _control(self, argument: str, kind: str) -> None:
        if kind == "A":
            self.row = max(0, self.row - int(argument or 1))
        elif kind == "K":
            if self.rows[self.row]:
                self.screens.append(self.screen)
            self.rows[self.row] = ""
        elif (argument, kind) in {("?25", "l"), ("?25", "h")}:
            self.hidden = kind == "l"
        else:
            assert kind == "m", (argument, kind)

    def _down(self, rows: int) -> None:
        self.row += rows
        self.rows += [""] * (self.row + 1 - len(self.rows))

    def _write(self, text: str) -> None:
        for letter in text:
            if self.column == self.width:
                self.column = 0
                self._down(1)
            before = self.rows[self.row].ljust(self.column)
            self.rows[self.row] = before[: self.column] + letter + before[self.column + 1 :]
            self.column += 1


@dataclass(frozen=True)
class Seen:
    """What a command in a terminal ended with, and the terminal."""

    code: int
    terminal: Terminal

    def once(self, pattern: str) -> re.Match[str]:
        """Return the first match of a pattern on any screen."""
        for screen in self.terminal.screens:
            found = re.search(pattern, screen, re.MULTILINE)
            if found:
                return found
        raise AssertionError(f"{pattern!r} was never to be seen; at last:\n{self.terminal.screens[-1]}")


def run_in_terminal(command: Sequence[str], folder: Path, *, width: int = 80, env: Mapping[str, str] | None = None) -> Seen:
    """Run a command to its end in a pseudo-terminal of 40 rows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    environment = {**CLEAN, "TERM": "xterm-256color", **(env or {})}
    with subprocess.Popen(command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        pieces: list[bytes] = []
        # Linux says EIO when nobody has the other end open any more.
        with contextlib.suppress(OSError):
            while piece := os.read(ours, 1 << 16):
                pieces.append(piece)
        code = process.wait(PATIENCE)
    os.close(ours)
    terminal = Terminal(width)
    terminal.feed(b"".join(pieces).decode())
    return Seen(code, terminal)
