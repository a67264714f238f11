"""What users choose to do: within the scenario's limits, the same again for the same seed, but never with the same keys."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.draws import Counts, Sizes
from harness.history import Rpc
from harness.workload import Follow, Pause, Workload
from loadtests.workload import RETRY_MAX, RETRY_MIN, Chooser

counts = st.tuples(st.integers(1, 20), st.integers(0, 20)).map(lambda pair: Counts(min=pair[0], max=sum(pair))) | st.integers(
    1, 20
)
pauses = st.tuples(st.floats(0, 5), st.floats(0, 5)).map(lambda pair: Pause(min=pair[0], max=sum(pair)))
shares = st.floats(0, 1)
workloads = st.builds(
    Workload,
    single=st.floats(0.1, 10),
    batch=st.floats(0, 10),
    requests_per_batch=counts,
    configurations_per_request=counts,
    jobs=st.dictionaries(st.sampled_from(["quick", "slow"]), st.floats(0.1, 9)),
    memory_values_per_configuration=st.none() | counts,
    payload_size=st.none() | st.just(Sizes(min=10, max=99)),
    cancelled=shares,
    replayed=shares,
    followed=shares,
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
        assert submission.job in workload.roles
        assert within(workload.requests_per_batch if submission.rpc is Rpc.BATCH else 1, len(submission.sizes))
        assert all(within(workload.configurations_per_request, size) for size in submission.sizes)
        assert submission.jobs == sum(submission.sizes)
        if workload.memory_values_per_configuration is None:
            assert submission.memory == ()
        else:
            assert tuple(map(len, submission.memory)) == submission.sizes
            assert all(within(workload.memory_values_per_configuration, n) for request in submission.memory for n in request)
        assert len(submission.payloads) == (0 if workload.payload_size is None else len(submission.sizes))
        assert all(10 <= size <= 99 for size in submission.payloads)
        assert workload.pause.min <= source.pause() <= workload.pause.max


def within(asked: int | Counts, number: int) -> bool:
    return number == asked if isinstance(asked, int) else asked.min <= number <= asked.most


@given(workloads, seeds, st.integers(0, 1000), st.integers(1001, 2000))
def test_a_seed_repeats_every_choice_but_no_key(workload: Workload, seed: int, keys: int, other_keys: int) -> None:
    one, two = chooser(workload, seed=seed, keys=keys), chooser(workload, seed=seed, keys=other_keys)
    for first, second in ((one.submission(), two.submission()) for _ in range(10)):
        assert first.key != second.key
        assert first._replace(key=second.key) == second


def test_roles_come_as_often_as_their_weights_say() -> None:
    source = chooser(Workload(jobs={"quick": 9, "slow": 1, "long": 0}))
    found = Counter(source.submission().job for _ in range(4000))
    assert set(found) == {"quick", "slow"}
    assert found["slow"] == pytest.approx(400, rel=0.2)
    assert chooser(Workload(job="slow")).submission().job == "slow"


def test_jobs_are_followed_as_often_as_the_scenario_says() -> None:
    source = chooser(Workload(followed=0.2))
    assert sum(source.submission().followed for _ in range(4000)) == pytest.approx(800, rel=0.15)
    assert all(chooser(Workload()).submission().followed for _ in range(20))


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


@pytest.mark.parametrize("follow", [Follow(poll_min=0), Follow(poll_min=0.01, jitter=0)])
def test_polls_that_leave_nothing_to_chance_draw_nothing(follow: Follow) -> None:
    choices = random.Random(1)  # noqa: S311 - nothing secret
    before = choices.getstate()
    waits = list(itertools.islice(Chooser(Workload(), follow, choices, random.Random(2)).polls(), 100))  # noqa: S311
    assert choices.getstate() == before
    assert waits[0] == follow.poll_min
    assert max(waits) == (follow.poll_max if follow.poll_min else 0)


@given(seeds)
def test_retries_back_off_and_never_stop_coming(seed: int) -> None:
    waits = list(itertools.islice(chooser(Workload(), seed=seed).retries(), 30))
    assert RETRY_MIN / 2 <= waits[0] <= RETRY_MIN
    assert all(RETRY_MIN / 2 <= wait <= RETRY_MAX for wait in waits)
    assert min(waits[10:]) >= RETRY_MAX / 2
