"""Read an endpoint's own count of accepted jobs as the profile says: a page, or what a command prints.

Reading is bounded in time and size. What cannot be read, or is no finite number, is one UnreadableError.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import os
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO

from prometheus_client.parser import text_string_to_metric_families

from harness.facts import Observer

SECONDS = 10.0
"""How long one reading may take."""
MOST = 16 << 20
"""Octets that one reading may bring."""


class UnreadableError(Exception):
    """A count cannot be read; the text says why, in a line."""


def read_observer(observer: Observer) -> float:
    """Return the observer's count as of now. Raises UnreadableError when it cannot be read."""
    try:
        octets = _page(observer.url) if observer.url is not None else _output(observer.command or ())
        return _finite(_value(octets.decode(), observer))
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise UnreadableError(f"the observer {_name(observer)} cannot be read: {error}") from None


def json_number(text: str, pointer: str) -> int | float:
    """Return the number to which a JSON Pointer (RFC 6901) leads in a document. Raises ValueError."""
    try:
        place = json.loads(text)
    except RecursionError:
        raise ValueError("the JSON document is nested too deeply") from None
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(place, list) and _is_index(key) and int(key) < len(place):
            place = place[int(key)]
        elif isinstance(place, dict) and key in place:
            place = place[key]
        else:
            raise ValueError(f"{pointer!r} leads nowhere: there is no {key!r}")
    if isinstance(place, bool) or not isinstance(place, int | float):
        raise ValueError(f"{pointer!r} leads to {json.dumps(place)[:60]}, not to a number")  # noqa: TRY004 - of the document
    return place


def metric_sum(text: str, metric: str, labels: Mapping[str, str]) -> float:
    """Return the sum of a metric's samples that carry the labels, in a text for Prometheus. Raises ValueError."""
    samples = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == metric and labels.items() <= sample.labels.items()
    ]
    if not samples:
        raise ValueError(f"there is no metric {metric!r} with the profile's labels")
    return math.fsum(samples)


def _value(text: str, observer: Observer) -> float:
    if observer.json is not None:
        return json_number(text, observer.json)
    if observer.counter is not None:
        return metric_sum(text, observer.counter, observer.labels)
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"it says {text.strip()[:60]!r}, which is not one number") from None


def _is_index(key: str) -> bool:
    return key.isascii() and key.isdecimal() and len(key) < 10 and (key == "0" or not key.startswith("0"))


def _finite(number: float) -> float:
    if not -(1 << 53) < number < 1 << 53:
        raise ValueError(f"{str(number)[:30]} is no count of jobs")
    return float(number)


def _name(observer: Observer) -> str:
    return observer.url if observer.url is not None else repr(" ".join(observer.command or ()))


def _page(url: str) -> bytes:
    end = time.monotonic() + SECONDS
    found = bytearray()
    with urllib.request.urlopen(url, timeout=SECONDS) as page:  # noqa: S310 - the profile's own address
        while part := page.read1(1 << 16):
            found += part
            if len(found) > MOST:
                raise ValueError(f"it is longer than {MOST} octets")
            if time.monotonic() > end:
                raise TimeoutError(f"it takes longer than {SECONDS:g} s")
    return bytes(found)


def _output(command: Sequence[str]) -> bytes:
    with _started(command) as process, ThreadPoolExecutor(2) as pool:
        end = time.monotonic() + SECONDS
        timer = threading.Timer(SECONDS, _kill, (process,))
        timer.start()
        try:
            printed, complaint = pool.map(_all_of, (process.stdout, process.stderr))
            code = process.wait()
        finally:
            timer.cancel()
    if time.monotonic() > end:
        raise TimeoutError(f"it takes longer than {SECONDS:g} s, or prints more than {MOST} octets")
    if code != 0:
        raise ValueError(f"it ended with code {code}: {complaint.decode(errors='replace').strip()[-200:]}")
    if len(printed) > MOST:
        raise ValueError(f"it printed more than {MOST} octets")
    return printed


@contextlib.contextmanager
def _started(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a process group of its own, none of which outlives the block."""
    with subprocess.Popen(  # noqa: S603 - the profile's own command
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _all_of(pipe: IO[bytes] | None) -> bytes:
    return b"" if pipe is None else pipe.read(MOST + 1)
