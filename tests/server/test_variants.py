"""Every variant is a working server, is as odd as its summary says, and its profile is one that loads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

import harness
from harness.errors import ConfigError
from harness.ids import IdempotencyKey
from harness.profile import load_profile
from harness.server.settings import EDGES, ServerSettings
from harness.server.variants import VARIANTS, Variant, find
from harness.server.variants.registry import add

REFERENCE = Path(harness.__file__).parent / "profiles" / "reference.yaml"
KEY = IdempotencyKey(0x0123456789AB4DEF, 0x8123456789ABCDEF)


@pytest.fixture(params=EDGES)
def edge(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def tree() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(REFERENCE.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", VARIANTS)
def test_takes_and_knows_a_job(support: Any, name: str) -> None:
    client = support.serve(variant=name)
    (job_id,) = client.submit("controller-job duration=1ms")
    assert job_id
    assert client.phase(job_id)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=list(VARIANTS))
def test_its_profile_loads_and_starts_it(variant: Variant) -> None:
    before = tree()
    profile = load_profile(yaml.safe_dump(variant.profile_tree(before)), variant.name)
    assert before == tree()
    assert profile.embedded.variant == variant.name
    assert profile.embedded.mutant is None
    assert "quick" in profile.jobs


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=list(VARIANTS))
def test_says_what_is_odd(variant: Variant) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", variant.name)
    assert variant.summary
    assert "\n" not in variant.summary


def test_there_are_enough_of_them() -> None:
    assert len(VARIANTS) >= 20


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"facts": {"executors": None}}, {"name": "x", "facts": {"gateway": True}}),
        ({"facts": None}, {"name": "x"}),
        ({"facts": {"executors": 4}}, {"name": "x", "facts": {"gateway": True, "executors": 4}}),
        (
            {"jobs": {"quick": {"text": "t"}}},
            {"name": "x", "facts": {"gateway": True, "executors": 1}, "jobs": {"quick": {"text": "t"}}},
        ),
    ],
)
def test_overrides_are_laid_over_a_profile(overrides: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    found = Variant("a-b", "odd", overrides=overrides).profile_tree({"name": "x", "facts": {"gateway": True, "executors": 1}})
    assert found == {**expected, "embedded": {"variant": "a-b"}}


def test_an_unknown_name_lists_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown variant 'order-lfo'; did you mean order-lifo"):
        find("order-lfo")
    with pytest.raises(ConfigError, match="list-variants"):
        find("####")


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="exists already"):
        add(replace(find("order-lifo")))


def test_a_variant_and_a_mutant_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        ServerSettings(mutant="can-never", variant="order-lifo")


def test_ids_are_odd(support: Any) -> None:
    assert support.serve(variant="ids-decimal").submit(numbers=(1, 2, 3)) == ["1", "2", "3"]
    assert {len(job_id) for job_id in support.serve(variant="ids-long").submit(numbers=(1, 2))} == {200}
    assert all("/" in job_id and "%" in job_id for job_id in support.serve(variant="ids-unprintable").submit(numbers=(1, 2)))


def test_codes_are_odd(support: Any) -> None:
    client = support.serve(variant="codes-precondition", queue_capacity=1)
    with pytest.raises(grpc.RpcError) as caught:
        client.submit(numbers=())
    assert caught.value.code() is grpc.StatusCode.OUT_OF_RANGE
    with pytest.raises(grpc.RpcError) as caught:
        client.submit("controller-job duration=1000s", numbers=range(9))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_result_is_fetched_once_and_takes_its_key_along(support: Any) -> None:
    client = support.serve(variant="results-once")
    (job_id,) = client.submit(key=KEY)
    client.results(job_id)
    with pytest.raises(grpc.RpcError) as caught:
        client.results(job_id)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert client.submit(key=KEY) != [job_id]


def test_the_last_job_runs_first(support: Any) -> None:
    client = support.serve(variant="order-lifo")
    client.submit("controller-job duration=300ms")
    first, last = (client.submit("controller-job duration=100ms")[0] for _ in range(2))
    client.results(last)
    assert client.phase(first) in {1, 2}


def test_an_empty_batch_is_answered(support: Any) -> None:
    assert support.serve(variant="empty-batch-accepted").batch([]) == []


def test_half_of_the_queued_jobs_are_cancelled(support: Any) -> None:
    client = support.serve(variant="cancel-half")
    client.submit("controller-job duration=1000s")
    ids = client.submit(numbers=range(60))
    client.cancel(ids)
    assert 0 < sum(client.phase(job_id) == 5 for job_id in ids) < 60
