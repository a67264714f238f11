"""Ctrl-C, SIGTERM and a terminal that goes away all end a command in the same way: as KeyboardInterrupt in the main thread."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt_on_signals() -> None:
    """Raise KeyboardInterrupt for each of the signals, but for those that this process was started to ignore."""
    for number in _NUMBERS:
        # Ignored as under nohup; by a handler, because children would inherit that a signal is ignored, and miss ours.
        ignored = signal.getsignal(number) is signal.SIG_IGN
        signal.signal(number, _ignore if ignored else _interrupt)


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """Ignore the signals during the block, for what has to be brought to its end and soon is."""
    before = [(number, signal.signal(number, _ignore)) for number in _NUMBERS]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - the signature of signal handlers
    raise KeyboardInterrupt


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing."""
