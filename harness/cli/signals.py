"""Ctrl-C, SIGTERM and a terminal that goes away all end a command in the same way: as KeyboardInterrupt in the main thread.

Only the first one: whatever has to be stopped and written then is brought to its end.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt_on_signals() -> None:
    """Raise KeyboardInterrupt for the first of the signals, but for those that this process was started to ignore."""
    for number in _NUMBERS:
        # Ignored as under nohup; by a handler, because children would inherit that a signal is ignored, and miss ours.
        ignored = signal.getsignal(number) is signal.SIG_IGN
        signal.signal(number, _ignore if ignored else _interrupt)


@contextlib.contextmanager
def on_signals(action: Callable[[], None]) -> Iterator[None]:
    """Do something else for each of the signals during the block."""

    def act(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of signal handlers
        action()

    before = [(number, signal.signal(number, act)) for number in _NUMBERS]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def nothing() -> None:
    """Do nothing: what has to be brought to its end, and soon is, is not interrupted."""


def end_with_the_terminal() -> None:
    """Take a terminal that goes away for SIGTERM, unless this process was started to survive it."""
    if signal.getsignal(signal.SIGHUP) is _interrupt:
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - the signature of signal handlers
    for other in _NUMBERS:
        signal.signal(other, _ignore)
    raise KeyboardInterrupt


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing."""
