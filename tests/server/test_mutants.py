"""Every mutant is a working server, and those that no suite could see by one call do what their summary says."""

from __future__ import annotations

import contextlib
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from harness.errors import ConfigError
from harness.ids import IdempotencyKey
from harness.requirements import builtin_catalogue
from harness.server.mutants import LOAD_MUTANTS, MUTANTS, UNBREAKABLE, Mutant, find
from harness.server.mutants.registry import add
from harness.server.settings import EDGES
from harness.server.tokens import Token
from harness.stubs import service_pb2

ACCEPTED = 'controller_jobs_accepted_total{processor="qpu-1"}'


@pytest.fixture(params=EDGES)
def edge(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("name", [*MUTANTS, *LOAD_MUTANTS])
def test_serves_a_plain_submission(support: Any, name: str) -> None:
    client = support.serve(mutant=name)
    assert len(client.submit("controller-job duration=1ms")) == 1
    assert client.metrics()[ACCEPTED] == 1


def test_every_requirement_that_can_be_judged_has_a_mutant_or_a_reason() -> None:
    broken = {mutant.requirement for mutant in MUTANTS.values()}
    judged = {item.id for item in builtin_catalogue() if item.level != "INFO" and not item.unobservable}
    assert judged - broken == set(UNBREAKABLE)
    assert all(builtin_catalogue()[name].level != "MUST" and reason for name, reason in UNBREAKABLE.items())
    assert len(MUTANTS) >= 80


def test_changes_are_noted_when_they_run_first(support: Any, tmp_path: Path) -> None:
    reached = tmp_path / "reached.txt"
    client = support.serve(mutant="exec-swaps-two-ids-1-in-20", reached=str(reached))
    client.submit(numbers=(1,))
    assert reached.read_text(encoding="utf-8") == "_accept\n"
    for _ in range(20):
        client.submit(numbers=(1, 2))
    assert reached.read_text(encoding="utf-8") == "_accept\ntamper\n"
    assert find("exec-swaps-two-ids-1-in-20").changes == ("_accept", "tamper")


def test_settings_are_reached_as_soon_as_the_server_runs(support: Any, tmp_path: Path) -> None:
    reached = tmp_path / "reached.txt"
    support.serve(mutant="wire-no-gzip", reached=str(reached))
    assert reached.read_text(encoding="utf-8") == "settings\n"
    assert find("wire-no-gzip").changes == ("settings",)


@pytest.mark.parametrize("mutant", [*MUTANTS.values(), *LOAD_MUTANTS.values()], ids=[*MUTANTS, *LOAD_MUTANTS])
def test_is_named_after_its_chapter_and_says_what_it_does(mutant: Mutant) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", mutant.name)
    assert mutant.name.split("-")[0].upper() == mutant.requirement.split("-")[0]
    assert mutant.summary
    assert "\n" not in mutant.summary


def test_an_unknown_name_lists_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown mutant 'can-nevr'; did you mean can-never"):
        find("can-nevr")
    with pytest.raises(ConfigError, match="see the list"):
        find("####")


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="exists already"):
        add(replace(find("can-never")))


# Jobs that a mutant queues behind its caller's back are real, and the observer counts them.


def ghosts(client: Any, call: Any) -> float:
    before = client.metrics()[ACCEPTED]
    with contextlib.suppress(grpc.RpcError):
        call()
    return float(client.metrics()[ACCEPTED] - before)


def test_ghosts_of_refused_submissions_are_counted(support: Any) -> None:
    client = support.serve(mutant="uuid-rejected-enqueues")
    assert ghosts(client, lambda: client.submit(numbers=(1, 2), key=IdempotencyKey(0, 0))) == 2
    client = support.serve(mutant="exec-partial-when-full", queue_capacity=2)
    assert ghosts(client, lambda: client.submit("controller-job duration=1000s", range(9))) == 3
    client = support.serve(mutant="exec-failure-enqueues-first")
    assert ghosts(client, lambda: client.submit("controller-job touches-settings=yes", range(3))) == 1
    client = support.serve(mutant="batch-partial-on-failure")
    members = [support.submission(numbers=(1, 2)), support.submission(numbers=()), support.submission()]
    assert ghosts(client, lambda: client.batch(members)) == 2
    client = support.serve(mutant="sec-refused-enqueues", tokens=(Token("t", "s"),))
    assert ghosts(client, client.submit) == 1


def test_ghosts_of_replays_are_counted(support: Any, key: IdempotencyKey) -> None:
    client = support.serve(mutant="idem-replay-enqueues")
    first = client.submit(key=key)
    assert ghosts(client, lambda: client.submit(key=key)) == 1
    assert client.submit(key=key) == first


# Mutants that show only under concurrency, after a restart, or on the transport


def test_concurrent_replays_are_new_submissions_but_later_ones_are_not(support: Any, key: IdempotencyKey) -> None:
    client = support.serve(mutant="idem-concurrent-replays")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: client.submit(key=key), range(4)))
    assert len({tuple(ids) for ids in answers}) > 1
    assert client.submit(key=key) == client.submit(key=key) in answers


def test_a_lost_response_loses_the_key(support: Any, key: IdempotencyKey) -> None:
    client = support.serve(mutant="idem-lost-response-loses-key")
    call = client.stub.ExecuteControllerJob.future(support.submission(key=key), timeout=support.DEADLINE)
    support.wait_for(lambda: client.metrics()[ACCEPTED] == 1)
    call.cancel()
    name = 'controller_requests_total{code="CANCELLED",rpc="ExecuteControllerJob"}'
    support.wait_for(lambda: client.metrics().get(name) == 1)
    first = client.submit(key=key)
    assert client.metrics()[ACCEPTED] == 2
    assert client.submit(key=key) == first


def test_a_key_per_connection(support: Any, key: IdempotencyKey) -> None:
    client = support.serve(mutant="idem-key-per-connection")
    options = [("grpc.use_local_subchannel_pool", 1)]
    other = support.client(client.bound, grpc.insecure_channel(client.bound.address, options=options))
    assert client.submit(key=key) == client.submit(key=key) != other.submit(key=key)


def test_a_neighbours_result_under_concurrency(support: Any) -> None:
    client = support.serve(mutant="res-neighbour-under-concurrency")
    ids = client.submit("controller-job duration=50ms", range(4))
    calls = [
        client.stub.GetControllerJobResults.future(
            service_pb2.GetControllerJobResultsRequest(job_execution_id=one, quantum_processor_id="qpu-1"),
            timeout=support.DEADLINE,
        )
        for one in ids
    ]
    found = [call.result().result.memory_values["n"].integer.data[0] for call in calls]
    assert found != [0, 1, 2, 3]
    assert [client.results(one).memory_values["n"].integer.data[0] for one in ids] == [0, 1, 2, 3]


@pytest.mark.parametrize(("mutant", "replays"), [(None, True), ("idem-restart-forgets-keys", False)])
def test_a_restart_that_forgets_keys(
    support: Any, tmp_path: Path, key: IdempotencyKey, mutant: str | None, replays: bool
) -> None:
    settings = {"store": str(tmp_path / "store"), "observer_port": None}
    first = support.spawn(**settings)
    ids = support.client(first.bound).submit(key=key)
    assert first.end(signal.SIGTERM) == 0
    second = support.client(support.spawn(**settings, mutant=mutant).bound)
    assert second.phase(ids[0])
    assert (second.submit(key=key) == ids) is replays


def test_transport_limits(support: Any) -> None:
    bound = support.serve(mutant="wire-no-gzip").bound
    zipped = support.client(bound, grpc.insecure_channel(bound.address, compression=grpc.Compression.Gzip))
    with pytest.raises(grpc.RpcError) as caught:
        zipped.submit("controller-job\n" + "x" * 1000)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    client = support.serve(mutant="wire-4-mib-only")
    with pytest.raises(grpc.RpcError) as caught:
        client.submit("controller-job\n" + "x" * (5 << 20))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
