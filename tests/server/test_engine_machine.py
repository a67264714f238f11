"""Whatever is asked, in whatever order: no job is lost, no move is illegal, nothing is half done, nothing is kept for ever."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from harness.ids import IdempotencyKey, random_key
from harness.server.engine import Engine
from harness.server.lifecycle import EngineConfig
from harness.server.refusal import Refusal
from harness.server.values import (
    SECOND,
    TERMINAL,
    BatchRequest,
    Caller,
    JobSpec,
    Phase,
    PlannedJob,
    ResultStatus,
    SubmitRequest,
    Target,
    TargetKind,
)

RANK = {Phase.QUEUED: 0, Phase.RUNNING: 1, Phase.POST_PROCESSING: 2, Phase.SUCCEEDED: 3, Phase.FAILED: 3, Phase.CANCELED: 3}
KEYS = [random_key(random.Random(seed)) for seed in range(3)]  # noqa: S311
TARGETS = {name: Target(TargetKind.PROCESSOR, name) for name in ("a", "b")}
CALLER = Caller("alice", False)
CAPACITY, EXECUTORS, RETENTION = 5, 2, 1000

SPECS = st.builds(
    JobSpec,
    duration=st.integers(1, 100),
    estimate=st.none() | st.integers(1, 120),
    post=st.integers(0, 20),
    outcome=st.sampled_from([ResultStatus.SUCCESS, ResultStatus.USER_FAILURE]),
)
REQUESTS = st.builds(
    SubmitRequest,
    jobs=st.lists(st.builds(PlannedJob, spec=SPECS, memory=st.just(b"")), max_size=4).map(tuple),
    target=st.sampled_from([*TARGETS.values(), *TARGETS.values(), None]),
    key=st.none() | st.sampled_from(KEYS),
    timeout=st.none() | st.just((0, 60)) | st.just((0, 0)),
)


class EngineMachine(RuleBasedStateMachine):
    """Drives one engine, and knows of every job only what the replies said."""

    @initialize(seed=st.integers(0, 99))
    def start(self, seed: int) -> None:
        config = EngineConfig(("a", "b"), {}, True, EXECUTORS, CAPACITY, 80, 90, RETENTION, 1000)
        self.engines = [Engine(config, random.Random(seed).getrandbits) for _ in range(2)]  # noqa: S311
        self.now = 1_700_000_000 * SECOND
        self.where: dict[str, str] = {}
        self.seen: dict[str, Phase] = {}
        self.answers: dict[tuple[str, str | None, IdempotencyKey], Any] = {}

    @property
    def engine(self) -> Engine:
        return self.engines[0]

    def both(self, command: str, *arguments: Any) -> Any:
        """Give a command to both engines, which must do the same."""
        outcomes = []
        for engine in self.engines:
            try:
                outcomes.append(("ok", getattr(engine, command)(*arguments, self.now)))
            except Refusal as refusal:
                outcomes.append((refusal.code.name, refusal.message))
        assert outcomes[0] == outcomes[1]
        return outcomes[0]

    @rule(request=REQUESTS)
    def submit(self, request: SubmitRequest) -> None:
        self.submitted("single", request.target.name if request.target else None, request.key, [request], request)

    @rule(requests=st.lists(REQUESTS, max_size=3).map(tuple), key=st.none() | st.sampled_from(KEYS))
    def submit_batch(self, requests: tuple[SubmitRequest, ...], key: IdempotencyKey | None) -> None:
        self.submitted("batch", None, key, list(requests), BatchRequest(requests, key))

    def submitted(
        self, rpc: str, scope: str | None, key: IdempotencyKey | None, members: list[SubmitRequest], command: Any
    ) -> None:
        self.both("advance")
        before = self.counts()
        outcome, reply = self.both("submit" if rpc == "single" else "submit_batch", CALLER, command)
        accepted = self.counts()["accepted"] - before["accepted"]
        if outcome != "ok":
            assert self.counts() == before
            return
        groups = [reply] if rpc == "single" else list(reply)
        ids = [job_id for group in groups for job_id in group]
        known = key is not None and any(job_id in self.where for job_id in ids)
        if known:
            assert key is not None
            assert self.answers[rpc, scope, key] == reply
            assert accepted == 0
            return
        assert [len(group) for group in groups] == [len(member.jobs) for member in members]
        assert accepted == len(ids) == len(set(ids))
        for group, member in zip(groups, members, strict=True):
            assert member.target is not None
            self.where.update(dict.fromkeys(group, member.target.name))
        if key is not None:
            self.answers[rpc, scope, key] = reply

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if not self.where:
            return
        ids = data.draw(st.lists(st.sampled_from(sorted(self.where)) | st.just("nobody"), max_size=4))
        self.look()
        self.both("cancel", ids, TARGETS["a"])
        for job_id in set(ids) - {"nobody"}:
            if self.seen.get(job_id) is Phase.QUEUED and self.where[job_id] == "a":
                assert self.both("status", job_id, TARGETS["a"])[1].phase is Phase.CANCELED

    @rule(step=st.integers(1, 120))
    def wait(self, step: int) -> None:
        self.now += step

    @rule()
    def wait_for_the_next_thing(self) -> None:
        wake = self.engine.next_wake()
        if wake is not None:
            self.now = max(self.now, wake)

    def look(self) -> None:
        """Every job that was acknowledged is there until its retention is over, and has only moved forward."""
        for job_id, name in list(self.where.items()):
            outcome, reply = self.both("status", job_id, TARGETS[name])
            before = self.seen.get(job_id)
            if outcome != "ok":
                assert before in TERMINAL
                del self.where[job_id]
                self.seen.pop(job_id, None)
                continue
            if before is not None:
                assert before == reply.phase or (before not in TERMINAL and RANK[before] < RANK[reply.phase])
                assert not (before in {Phase.RUNNING, Phase.POST_PROCESSING} and reply.phase is Phase.CANCELED)
            assert 0 <= reply.minimum <= reply.maximum
            assert (self.both("results", job_id, TARGETS[name])[1] is not None) == (reply.phase in TERMINAL)
            self.seen[job_id] = reply.phase

    @invariant()
    def counts_agree(self) -> None:
        self.look()
        shown = Counter(self.seen[job_id].name for job_id in self.where)
        counts = self.counts()
        assert counts["queued"] == shown["QUEUED"]
        assert counts["running"] == shown["RUNNING"]
        assert counts["post"] == shown["POST_PROCESSING"]
        assert counts["accepted"] == counts["queued"] + counts["running"] + counts["post"] + counts["finished"]
        for processor in self.engine.processors.values():
            assert len(processor.queue) <= CAPACITY
            assert len(processor.running) <= EXECUTORS
            assert not processor.queue or len(processor.running) == EXECUTORS

    def counts(self) -> Counter[str]:
        total: Counter[str] = Counter()
        for processor in self.engine.processors.values():
            counts = processor.counts
            total["accepted"] += counts.accepted
            total["queued"] += len(processor.queue)
            total["running"] += len(processor.running)
            total["post"] += counts.post_processing
            total["finished"] += counts.succeeded + counts.failed + counts.canceled
        return total

    def teardown(self) -> None:
        """At the end of all retention nothing is left in memory."""
        if not hasattr(self, "engines"):
            return
        self.now += 10 * SECOND
        self.both("advance")
        assert (self.engine.known_jobs, self.engine.known_keys, self.engine.next_wake()) == (0, 0, None)


EngineMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestEngine = EngineMachine.TestCase
