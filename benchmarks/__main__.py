"""`python -m benchmarks [--quick | --long] [--only SECTION,...]`: measures this project against its peers and writes the page.

Ends with 0 if every bar held, with 1 if one did not or was not measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

from benchmarks.bars import GHZ, H2LOAD, Bar, bars
from benchmarks.page import WORDS, About, number, page
from benchmarks.processes import ROOT, pin
from benchmarks.sections import BLOCKING, FULL, LONG, QUICK, Bench
from harness.recorder import machine, now_text, write_atomically

PAGE = ROOT / "docs" / "benchmarks.md"
FOLDER = ROOT / "runs" / "benchmarks"
PACKAGES = ("locust", "gevent", "grpcio", "ngh2", "protobuf")


def main() -> int:
    """Measure, write and print; returns the exit code."""
    options = _options()
    sizes = QUICK if options.quick else LONG if options.long else FULL
    begun, date, described = time.monotonic(), now_text(), machine()  # before this process is pinned
    cores = pin()
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(sizes, cores, Path(scratch), lambda line: print(line, flush=True))
        try:
            for name, section in bench.sections.items():
                if name in options.only:
                    section()
        except KeyboardInterrupt:
            print("interrupted; nothing is written", file=sys.stderr)
            return 130
    complete = not options.quick and set(options.only) == set(bench.sections)
    found = bars(bench.results, H2LOAD if shutil.which(H2LOAD) else BLOCKING)
    about = About(
        date, described, versions(), cores.client is not None, dataclasses.asdict(sizes), time.monotonic() - begun, complete
    )
    where = PAGE if complete else FOLDER / "partial.md"
    data = {"about": dataclasses.asdict(about), "bars": [_plain(bar) for bar in found], **dataclasses.asdict(bench.results)}
    for folder in (where.parent, FOLDER):
        folder.mkdir(parents=True, exist_ok=True)
    write_atomically(where, page(about, bench.results, found).encode())
    stored = FOLDER / f"{re.sub('[^0-9TZ]', '', date)}.json"
    write_atomically(stored, json.dumps(data, indent=1).encode())
    print()
    for bar in found:
        measured = "-" if bar.measured is None else f"{number(bar.measured)} {bar.unit}"
        print(f"{WORDS[bar.held].strip('*'):<12} {bar.name}: {measured} (limit {number(bar.limit)})")
    print(f"\nwritten: {where.relative_to(ROOT)}, {stored.relative_to(ROOT)}")
    return int(not all(bar.held for bar in found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").partition("\n")[0])
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="one small round, below a minute on a quiet machine")
    size.add_argument("--long", action="store_true", help="also a run of ten million calls")
    known = ("compare", "open", "paced", "growth", "edges")
    parser.add_argument("--only", default=",".join(known), help="sections, with commas (default: %(default)s)")
    options = parser.parse_args()
    options.only = options.only.split(",")
    if not set(options.only) <= set(known):
        parser.error(f"--only: sections are {', '.join(known)}")
    return options


def versions() -> dict[str, str]:
    """Return the versions of what was compared."""
    found = {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}}
    for tool in (H2LOAD, GHZ):
        path = shutil.which(tool)
        if path is not None:
            said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)  # noqa: S603 - found on the path
            found[tool] = _version_in(said.stdout + said.stderr)
    return found


def _version_in(text: str) -> str:
    found = re.search(r"\d+(\.\d+)+", text)
    return found.group() if found else "unknown"


def _plain(bar: Bar) -> dict[str, object]:
    return {**dataclasses.asdict(bar), "held": bar.held}


if __name__ == "__main__":
    sys.exit(main())
