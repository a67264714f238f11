"""Plain lines for people: whoever reads them may leave early, and no text from outside can forge one."""

from __future__ import annotations

import io
import os
import sys

import click

from harness.recorder import unwritable


def say(text: str) -> None:
    """Print on standard output. Does nothing when nobody reads any more; raises HarnessError when it cannot be written."""
    try:
        click.echo(text)
    except OSError as error:
        give_up(error)


def complain(text: str) -> None:
    """Print one line on standard error, if there is one."""
    try:
        click.echo(f"controller-harness: {visible(text)}", err=True)
    except OSError:
        mute()


def give_up(error: OSError) -> None:
    """Print nothing more on standard output. Raises HarnessError unless its reader has left, as `head` does."""
    mute()
    if not isinstance(error, BrokenPipeError):
        raise unwritable("standard output", error) from None


def mute() -> None:
    """Send what is printed from now on, and what is still buffered, nowhere: Python would complain at its exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def visible(text: str) -> str:
    """Return text as one line without control characters."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in " ".join(text.split()))


def be_lenient() -> None:
    """Have letters that the encoding of the terminal lacks shown as escapes, instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
