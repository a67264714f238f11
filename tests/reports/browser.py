"""Reports as a real browser shows them: `python -m tests.reports.browser REPORT.html... [--out FOLDER]`, by hand.

Opens each page in headless Chromium in four ways (light, dark, as a phone, on paper) and checks that nothing is logged, nothing
is requested, every link leads to something that can be seen, and nothing sticks out at the side. With `--out`, it leaves
pictures to look at. The tests that run everywhere hold the page's text against the same rules without a browser.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 30.0
"""Seconds that the browser may take for one step."""

VIEWS: Mapping[str, tuple[int, str, str]] = {
    "light": (1200, "light", "screen"),
    "dark": (1200, "dark", "screen"),
    "phone": (390, "light", "screen"),
    "phone-dark": (390, "dark", "screen"),
    "print": (794, "light", "print"),
}
"""Width in CSS pixels, colour scheme and medium of each way to look at a page."""

_LINKS = """[...new Set([...document.querySelectorAll('a')].map(link => link.getAttribute('href')))].map(place => {
  const name = decodeURIComponent(place.slice(1)), target = document.getElementById(name);
  if (!target) return name + ': leads nowhere';
  location.hash = '#' + name;
  return target.getClientRects().length ? '' : name + ': is not shown';
}).filter(text => text)"""
_WIDE = """[...document.querySelectorAll('body *')].filter(node => !node.closest('.scroll, .skip, svg, pre'))
  .filter(node => node.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(node => node.tagName + ' ' + node.className + ': sticks out').slice(0, 5)"""
_SIZE = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"


@dataclass
class Browser:
    """A browser that takes commands (Chrome DevTools Protocol) through a pair of pipes; `events` are what it told by itself."""

    writing: int
    reading: int
    events: list[dict[str, Any]] = field(default_factory=list)
    _number: int = 0
    _rest: bytes = b""

    def call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result. Raises RuntimeError when the browser refuses, or takes too long."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self.writing, json.dumps(message).encode() + b"\0")
        answer = self._until(lambda told: told.get("id") == self._number, method)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def wait_for(self, event: str) -> None:
        """Wait until the browser tells of an event."""
        if not any(told["method"] == event for told in self.events):
            self._until(lambda told: told.get("method") == event, event)

    def evaluate(self, session: str, expression: str) -> Any:
        """Return what an expression is in the page."""
        return self.call("Runtime.evaluate", session, expression=expression, returnByValue=True)["result"].get("value")

    def _until(self, wanted: Any, what: str) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while True:
            head, found, rest = self._rest.partition(b"\0")
            if not found:
                ready, _, _ = select.select([self.reading], [], [], max(0.0, deadline - time.monotonic()))
                octets = os.read(self.reading, 1 << 20) if ready else b""
                if not octets:
                    raise RuntimeError(f"no answer from the browser: {what}")
                self._rest += octets
                continue
            self._rest = rest
            told: dict[str, Any] = json.loads(head)
            if "id" not in told:
                self.events.append(told)
            if wanted(told):
                return told


@contextmanager
def browser() -> Iterator[Browser]:
    """Run a headless browser around the block. Raises RuntimeError when there is none on this machine."""
    program = next((path for name in NAMES if (path := shutil.which(name))), None)
    if program is None:
        raise RuntimeError(f"no browser found: install one of {', '.join(NAMES)}")
    to_browser, from_browser = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe"]
        # Links are followed faster than people do.
        options.append("--disable-ipc-flooding-protection")
        pipes = f'exec "$@" 3<&{to_browser[0]} 4>&{from_browser[1]}'
        process = subprocess.Popen(
            ["sh", "-c", pipes, "sh", program, *options, f"--user-data-dir={profile}"],
            pass_fds=(to_browser[0], from_browser[1]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser[0])
        os.close(from_browser[1])
        try:
            yield Browser(to_browser[1], from_browser[0])
        finally:
            process.terminate()
            process.wait(PATIENCE)
            os.close(to_browser[1])
            os.close(from_browser[0])


def complaints(opened: Browser, page: Path, view: str, out: Path | None) -> list[str]:
    """Show a page in one way, keep a picture of it, and return all that is wrong with it."""
    width, scheme, medium = VIEWS[view]
    opened.events.clear()
    target = opened.call("Target.createTarget", url="about:blank")["targetId"]
    session = opened.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Runtime", "Log", "Network"):
        opened.call(f"{domain}.enable", session)
    opened.call("Emulation.setDeviceMetricsOverride", session, width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
    scheme_feature = {"name": "prefers-color-scheme", "value": scheme}
    opened.call("Emulation.setEmulatedMedia", session, media=medium, features=[scheme_feature])
    opened.call("Page.navigate", session, url=page.resolve().as_uri())
    opened.wait_for("Page.loadEventFired")
    found = [*_told(opened, page), *opened.evaluate(session, _WIDE)]
    size = opened.evaluate(session, _SIZE)
    if size[0] > width:
        found.append(f"the page is {size[0]} pixels wide on a screen of {width}")
    if out is not None:
        _picture(opened, session, out / f"{page.parent.name}-{page.stem}-{view}", width, size[1])
    if medium == "screen":
        found += opened.evaluate(session, _LINKS)
    found += [text for text in _told(opened, page) if text not in found]
    opened.call("Target.closeTarget", targetId=target)
    return [f"{page} ({view}): {text}" for text in found]


def _told(opened: Browser, page: Path) -> list[str]:
    """Return what was logged, thrown or requested, but for the page itself."""
    found = []
    for told in opened.events:
        parameters = told.get("params", {})
        if told["method"] in {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}:
            found.append(f"{told['method']}: {json.dumps(parameters)[:300]}")
        if told["method"] == "Network.requestWillBeSent":
            url = parameters["request"]["url"]
            if not url.startswith((page.resolve().as_uri(), "about:", "data:")):
                found.append(f"requests {url}")
    return found


def _picture(opened: Browser, session: str, stem: Path, width: int, height: int) -> None:
    if stem.name.endswith("-print"):
        data = opened.call("Page.printToPDF", session, printBackground=False, paperWidth=8.27, paperHeight=11.69)["data"]
        stem.with_name(stem.name + ".pdf").write_bytes(base64.b64decode(data))
        return
    clip = {"x": 0, "y": 0, "width": width, "height": min(height, 16_000), "scale": 1}
    data = opened.call("Page.captureScreenshot", session, captureBeyondViewport=True, clip=clip)["data"]
    stem.with_name(stem.name + ".png").write_bytes(base64.b64decode(data))


def main() -> int:
    """Check the pages that the command line names; 1 if anything is wrong with one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, help="folder for pictures")
    options = parser.parse_args()
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
    missing = [str(page) for page in options.pages if not page.is_file()]
    if missing:
        parser.error(f"no such file: {', '.join(missing)}")
    found: list[str] = []
    with browser() as opened:
        for page in options.pages:
            for view in VIEWS:
                found += complaints(opened, page, view, options.out)
    sys.stdout.write(
        "".join(f"{text}\n" for text in found) or f"{len(options.pages)} pages in {len(VIEWS)} ways: nothing wrong\n"
    )
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
