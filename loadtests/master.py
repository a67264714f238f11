"""One load run at the master of several worker processes: gives each its share, adds up what they send, and concludes.

Each worker makes calls and counts them as a run in one process does (`loadtests.collect`). Their seconds are written once all
have told theirs; what a worker told before it was lost is kept, and the run is not valid then. Knows gevent, but not Locust:
how messages are sent is passed in.
"""

from __future__ import annotations

import dataclasses
import itertools
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gevent
from gevent.event import Event

from harness.endpoint import Endpoint
from harness.errors import ExitCode, HarnessError, NotValidError, worst
from harness.scenario import Scenario
from loadtests.collect import LEAST_AUDIT, grace_of
from loadtests.conclude import Conclusion
from loadtests.crew import BEGIN, SHARE, STOP, Crew, error_of
from loadtests.observed import Watch
from loadtests.parcels import Parcel, added, together, unpack
from loadtests.recording import SecondOfCalls
from loadtests.run import INTERRUPTED_PATIENCE
from loadtests.runner import Progress
from loadtests.sink import Sink
from loadtests.workers import Worker

LAST_WORD = 10.0
"""Seconds that a worker has, when its users are gone and its audit is through, to send its last figures."""

Send = Callable[[str, dict[str, Any], str], object]
"""Sends a message of a kind to one worker."""


@dataclass
class _Post:
    """A worker's place in a run. `ended`: its last figures are in, or it is `lost` (why, and when)."""

    index: int
    name: str
    figures: Parcel | None = None
    parcels: int = 0
    hired: int = 0
    short: int = 0
    over: bool = False
    ended: bool = False
    lost: str = ""


class MasterRun:
    """A run in progress, number `number` of this master. `cut_short` ends it, `send` reaches the workers `clients`.

    `on_lost` hears of workers that are lost.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        scenario: Scenario,
        sink: Sink,
        *,
        crew: Crew,
        clients: Sequence[str],
        number: int,
        send: Send,
        cut_short: Callable[[], None],
        on_lost: Callable[[str], None],
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._scenario = scenario
        self._crew = crew
        self._number = number
        self._send = send
        self._cut_short = cut_short
        self._on_lost = on_lost
        self._posts = {client: _Post(index, crew.name(client)) for index, client in enumerate(clients)}
        self._conclusion = Conclusion(scenario, sink, on_progress, Watch(endpoint))
        self._open: dict[tuple[int, str], SecondOfCalls] = {}
        self._users: Counter[int] = Counter()
        self._begun = False
        self._wanted = scenario.preallocated_users or 0
        self._origin = time.monotonic()
        self._stopping = False
        self._hurried = False
        self._all_ended = Event()
        self._interrupted = False
        self._error: HarnessError | None = None
        self._ending = threading.Lock()
        self._exit_code: ExitCode | None = None
        self.grace = grace_of(endpoint, scenario)

    def begin(self) -> None:
        """Start the section of the record, tell the workers their shares, and start the clock. Raises HarnessError."""
        self._conclusion.begin([post.name for post in self._posts.values()])
        # Their own hash is by far the cheaper one to tell ids apart by.
        key = b"" if self._crew.hash_alike(self._posts) else secrets.token_bytes(32)
        share = {"run": self._number, "of": len(self._posts), "key": key}
        for client, post in self._posts.items():
            self._crew.heard(client)
            self._send(SHARE, {**share, "index": post.index}, client)
        self._ticker = gevent.spawn(self._tick)

    def hire(self) -> Worker:
        """No user ever comes to a master for work."""
        raise AssertionError("a master has no users")

    def pool(self) -> int | None:
        """Return how many users the pool of an open load is to have, at all workers; None: the schedule is over."""
        present = self._present()
        if self._begun and all(post.over for post in present):
            return None
        short = sum(post.short for post in present)
        for post in present:
            post.short = 0
        most = self._scenario.max_users or self._scenario.preallocated_users or 0
        self._wanted = min(most, max(self._wanted, sum(post.hired for post in present) + short))
        return self._wanted

    def hired(self, client: str, message: Mapping[str, Any]) -> None:
        """Note how many users have come to a worker; with all of an open load's pool, its schedule begins everywhere."""
        post = self._of(client, message)
        if post is None:
            return
        post.hired = max(post.hired, message["hired"])
        filled = sum(post.hired for post in self._posts.values()) >= (self._scenario.preallocated_users or 0)
        if self._scenario.is_open and filled and not self._begun:
            self._begun = True
            for other in self._posts:
                self._send(BEGIN, {"run": self._number}, other)

    def received(self, client: str, message: Mapping[str, Any]) -> None:
        """Take in the figures of a worker."""
        post = self._of(client, message)
        if post is None:
            return
        post.parcels += 1
        if message["number"] != post.parcels:
            self._lose(client, "figures of it were lost on the way")
            return
        self.hired(client, message)
        post.short += message["short"]
        post.over = message["over"]
        if message["parcel"] is not None:
            self._take(client, post, message["parcel"])
        if message["problem"] is not None:
            code, text = message["problem"]
            self.give_up(error_of(code, f"worker {post.name}: {text}"))
        if message["last"]:
            self._end(post)
            if not (self._stopping or self._hurried):
                self.give_up(NotValidError(f"worker {post.name} left the run {self._elapsed:.0f} s after its start"))

    def give_up(self, error: HarnessError) -> None:
        """End the run early because of an error; the first one is told."""
        if self._error is None:
            self._error = error
            self._cut_short()

    def hurry(self) -> None:
        """Have the workers drop what their users are at."""
        self._hurried = True
        self._order_stop(0.0)

    def stopping(self, *, interrupted: bool) -> float:
        """Have all workers end, and wait for their last figures, as long as that can take. Nothing is left to do then."""
        if not self._stopping:
            self._stopping = True
            interrupted = interrupted and not self._conclusion.is_aborted
            self._interrupted = interrupted
            patience = INTERRUPTED_PATIENCE if interrupted else self._scenario.follow.deadline
            self._order_stop(patience)
            limit = (patience if interrupted else self.grace) + LEAST_AUDIT + LAST_WORD
            if not self._all_ended.wait(limit):
                for client in self._posts:
                    self._lose(client, f"it did not end within {limit:.0f} s")
        self._all_ended.wait()
        return 0.0

    def finish(self) -> ExitCode:
        """Write down what came together, once, and return what the run amounts to."""
        with self._ending:
            if self._exit_code is None:
                self._ticker.kill()
                self._put_together(None)
                self._exit_code = self._conclusion.close(self._trouble(), interrupted=self._interrupted)
            return self._exit_code

    def _order_stop(self, patience: float) -> None:
        for client, post in self._posts.items():
            if not post.ended:
                self._send(STOP, {"run": self._number, "patience": patience}, client)

    def _of(self, client: str, message: Mapping[str, Any]) -> _Post | None:
        """Return the place of a worker that still takes part in this run."""
        self._crew.heard(client)
        post = self._posts.get(client)
        return post if post is not None and not post.ended and message["run"] == self._number else None

    def _take(self, client: str, post: _Post, octets: bytes) -> None:
        try:
            parcel = unpack(octets)
        except ValueError as error:
            self._lose(client, f"its figures make no sense ({error})")
            return
        begun = 0 if post.figures is None else post.figures.closed
        post.figures = parcel if post.figures is None else parcel.after(post.figures)
        for second in range(begun, parcel.closed):
            self._users[second] += parcel.users
        for item in parcel.seconds:
            before = self._open.get((item.second, item.rpc))
            self._open[item.second, item.rpc] = item if before is None else added(before, item)

    def _present(self) -> list[_Post]:
        return [post for post in self._posts.values() if not post.ended]

    def _end(self, post: _Post) -> None:
        post.ended = True
        if not self._present():
            self._all_ended.set()

    def _lose(self, client: str, why: str) -> None:
        post = self._posts[client]
        if post.ended:
            return
        post.lost = f"worker {post.name} was lost {self._elapsed:.0f} s after the start: {why}"
        self._crew.put_away(client)
        self._on_lost(client)
        self._end(post)
        if not self._present() or (self._scenario.is_open and not self._begun):
            self._cut_short()

    def _trouble(self) -> HarnessError | None:
        """Return what went wrong, all in one: the error that ended the run, and which workers were lost."""
        lost = [post.lost for post in self._posts.values() if post.lost]
        if not lost:
            return self._error
        hint = "what it told until then is counted, the rest of its load was never made"
        if self._error is None:
            return NotValidError("; ".join(lost), hint=hint)
        return error_of(int(worst((self._error.exit_code, ExitCode.NOT_VALID))), "; ".join((str(self._error), *lost, hint)))

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._origin

    def _tick(self) -> None:
        for second in itertools.count(1):
            gevent.sleep(max(0.0, second - self._elapsed))
            for client, post in self._posts.items():
                why = "" if post.ended else self._crew.why_gone(client)
                if why:
                    self._lose(client, why)
            present = self._present()
            self._put_together(min((post.figures.closed if post.figures else 0 for post in present), default=0))
            self._conclusion.tell(self._elapsed)
            if self._conclusion.is_broken():
                self._cut_short()

    def _put_together(self, before: int | None) -> None:
        """Conclude from all figures, with the seconds below `before` (None: all)."""
        whole = together([post.figures for post in self._posts.values() if post.figures is not None])
        ready = sorted(key for key in self._open if before is None or key[0] < before)
        try:
            for second, keys in itertools.groupby(ready, key=lambda key: key[0]):
                seconds = tuple(self._open.pop(key) for key in keys)
                self._conclusion.take(dataclasses.replace(whole, seconds=seconds, users=self._users.pop(second, 0)))
            if not ready:
                self._conclusion.take(dataclasses.replace(whole, seconds=()))
        except HarnessError as error:
            self.give_up(error)
