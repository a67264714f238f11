"""What users choose to do: within the scenario's limits, the same again for the same seed, but never with the same keys."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.history import Rpc
from harness.scenario import Counts, Follow, Pause, Workload
from loadtests.workload import RETRY_MAX, RETRY_MIN, Chooser

counts = st.tuples(st.integers(1, 20), st.integers(0, 20)).map(lambda pair: Counts(min=pair[0], max=sum(pair)))
pauses = st.tuples(st.floats(0, 5), st.floats(0, 5)).map(lambda pair: Pause(min=pair[0], max=sum(pair)))
shares = st.floats(0, 1)
workloads = st.builds(
    Workload,
    single=st.floats(0.1, 10),
    batch=st.floats(0, 10),
    requests_per_batch=counts,
    configurations_per_request=counts,
    cancelled=shares,
    replayed=shares,
    pause=pauses,
)
follows = st.tuples(st.floats(0.001, 1), st.floats(0, 1), st.floats(1, 5), shares).map(
    lambda drawn: Follow(poll_min=drawn[0], poll_max=drawn[0] + drawn[1], backoff=drawn[2], jitter=drawn[3])
)
seeds = st.integers(0, 2**32)


def chooser(workload: Workload, follow: Follow | None = None, seed: int = 1, keys: int = 2) -> Chooser:
    return Chooser(workload, follow or Follow(), random.Random(seed), random.Random(keys))  # noqa: S311 - nothing secret


@given(workloads, seeds)
def test_submissions_stay_within_the_scenario(workload: Workload, seed: int) -> None:
    source = chooser(workload, seed=seed)
    for submission in (source.submission() for _ in range(20)):
        assert submission.key.is_valid
        assert submission.rpc in {Rpc.EXECUTE, Rpc.BATCH}
        most = workload.requests_per_batch if submission.rpc is Rpc.BATCH else Counts()
        assert most.min <= len(submission.sizes) <= most.max
        sizes = workload.configurations_per_request
        assert all(sizes.min <= size <= sizes.max for size in submission.sizes)
        assert submission.jobs == sum(submission.sizes)
        assert workload.pause.min <= source.pause() <= workload.pause.max


@given(workloads, seeds, st.integers(0, 1000), st.integers(1001, 2000))
def test_a_seed_repeats_every_choice_but_no_key(workload: Workload, seed: int, keys: int, other_keys: int) -> None:
    one, two = chooser(workload, seed=seed, keys=keys), chooser(workload, seed=seed, keys=other_keys)
    for first, second in ((one.submission(), two.submission()) for _ in range(10)):
        assert first.key != second.key
        assert (first.rpc, first.sizes, first.cancelled, first.replayed) == (
            *(second.rpc, second.sizes),
            *(second.cancelled, second.replayed),
        )


@pytest.mark.parametrize(
    ("workload", "batches", "cancelled", "replayed"),
    [
        (Workload(), 0, 0, 0),
        (Workload(single=0, batch=1, cancelled=1, replayed=1), 1, 1, 1),
        (Workload(single=3, batch=1, cancelled=0.5, replayed=0.1), 0.25, 0.5, 0.1),
    ],
)
def test_shares_come_out_as_the_scenario_says(workload: Workload, batches: float, cancelled: float, replayed: float) -> None:
    source = chooser(workload)
    drawn = [source.submission() for _ in range(4000)]
    assert sum(each.rpc is Rpc.BATCH for each in drawn) / 4000 == pytest.approx(batches, abs=0.04)
    assert sum(each.cancelled for each in drawn) / 4000 == pytest.approx(cancelled, abs=0.04)
    assert sum(each.replayed for each in drawn) / 4000 == pytest.approx(replayed, abs=0.04)


@given(follows, seeds)
def test_polls_come_ever_less_often_within_their_limits(follow: Follow, seed: int) -> None:
    waits = list(itertools.islice(chooser(Workload(), follow, seed).polls(), 30))
    plain = follow.poll_min
    for wait in waits:
        assert plain * (1 - follow.jitter) <= wait <= plain * (1 + follow.jitter)
        plain = min(plain * follow.backoff, follow.poll_max)


@given(seeds)
def test_retries_back_off_and_never_stop_coming(seed: int) -> None:
    waits = list(itertools.islice(chooser(Workload(), seed=seed).retries(), 30))
    assert RETRY_MIN / 2 <= waits[0] <= RETRY_MIN
    assert all(RETRY_MIN / 2 <= wait <= RETRY_MAX for wait in waits)
    assert min(waits[10:]) >= RETRY_MAX / 2
