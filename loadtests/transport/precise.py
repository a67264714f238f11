"""A timer of gevent's loop that is exact to some microseconds: the loop's own are rounded to milliseconds.

On Linux the kernel's timer is a file that becomes readable when the time has come (`timerfd_create(2)`); elsewhere the loop's
own timer has to do. Knows gevent only.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from gevent import get_hub

_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1
_FLAGS = os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)
_LEAST = 1e-9


class _Spec(ctypes.Structure):
    """The `itimerspec` of the kernel: seconds and nanoseconds of the interval, then those of the first expiry."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class PreciseTimer:
    """Calls `ring` in the hub at a time of the monotonic clock. One time at once: a new one takes the place of the last."""

    def __init__(self, ring: Callable[[], object]) -> None:
        self._ring = ring
        self._due = 0.0
        self._closed = False
        self._file = _open_timer()
        self._watcher: Any = None

    def at(self, due: float) -> None:
        """Ring at a time in seconds; at once if that is past. Once closed, it does not ring."""
        if self._closed:
            return
        self._due = due
        if self._file is None:
            self._wait_by_loop()
            return
        if self._watcher is None:
            self._watcher = get_hub().loop.io(self._file, 1)
            self._watcher.start(self._read)
        _set_timer(self._file, max(due, _LEAST))

    def close(self) -> None:
        """Do not ring any more; the timer is of no further use."""
        self._closed = True
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _wait_by_loop(self) -> None:
        if self._watcher is not None:
            self._watcher.close()
        self._watcher = get_hub().loop.timer(max(0.0, self._due - time.monotonic()))
        self._watcher.start(self._look, update=True)

    def _look(self) -> None:
        # The loop's clock is rounded: it may be a little early.
        if time.monotonic() < self._due:
            self._wait_by_loop()
        else:
            self._ring()

    def _read(self) -> None:
        if self._file is None:
            return
        try:
            os.read(self._file, 8)
        except BlockingIOError:
            return  # set anew since it rang
        self._ring()


def _open_timer() -> int | None:
    """Return the file of a kernel timer, or None where there are none."""
    if not sys.platform.startswith("linux"):
        return None
    file = _library().timerfd_create(_CLOCK_MONOTONIC, _FLAGS)
    return file if file >= 0 else None


def _set_timer(file: int, due: float) -> None:
    fraction, seconds = math.modf(due)
    nanoseconds = min(999_999_999, math.ceil(fraction * 1e9))
    spec = _Spec(0, 0, int(seconds), max(1, nanoseconds))
    if _library().timerfd_settime(file, _ABSOLUTE, ctypes.byref(spec), None):
        raise OSError(ctypes.get_errno(), "the kernel's timer cannot be set")


_loaded: list[Any] = []


def _library() -> Any:
    if not _loaded:
        with contextlib.suppress(OSError):
            _loaded.append(ctypes.CDLL(None, use_errno=True))
    return _loaded[0]
