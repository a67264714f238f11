"""The observer's page: every figure true at the moment it is read."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from typing import Any

import grpc
import pytest

from harness.errors import ConfigError
from harness.ids import IdempotencyKey
from harness.server.settings import ServerSettings


def jobs(page: dict[str, float], processor: str = "qpu-1") -> dict[str, float]:
    """Return the figures of one processor by short names."""
    found = {
        name: page[f'controller_jobs_{name}{{processor="{processor}"}}']
        for name in ("accepted_total", "queued", "running", "post_processing")
    }
    for status in ("succeeded", "failed", "canceled"):
        found[status] = page[f'controller_jobs_finished_total{{processor="{processor}",status="{status}"}}']
    return found


def test_counts_where_every_job_is(support: Any) -> None:
    client = support.serve()
    for text in ("controller-job duration=1ms", "controller-job duration=1ms outcome=user-failure"):
        client.results(client.submit(text)[0])
    ids = client.submit("controller-job duration=1ms post=1000s") + client.submit("controller-job duration=1000s", range(4))
    client.wait_phase(ids[1], {support.Status.RUNNING})
    client.cancel(ids[3:])
    assert jobs(client.metrics()) == {
        "accepted_total": 7, "queued": 1, "running": 1, "post_processing": 1, "succeeded": 1, "failed": 1, "canceled": 2,
    }  # fmt: skip
    assert set(jobs(client.metrics(), "qpu-2").values()) == {0}


def test_a_page_includes_every_submission_that_was_answered(support: Any) -> None:
    client = support.serve()
    for number in range(1, 31):
        client.submit()
        assert jobs(client.metrics())["accepted_total"] == number


def test_replays_and_refusals_add_no_jobs(support: Any, key: IdempotencyKey) -> None:
    client = support.serve(queue_capacity=2)
    client.submit("controller-job duration=1000s", range(3), key=key)
    client.submit("controller-job duration=1000s", range(3), key=key)
    with pytest.raises(grpc.RpcError):
        client.submit()
    page = client.metrics()
    assert jobs(page)["accepted_total"] == 3
    assert page["controller_replays_total"] == 1
    assert page['controller_requests_total{code="OK",rpc="ExecuteControllerJob"}'] == 2
    assert page['controller_requests_total{code="RESOURCE_EXHAUSTED",rpc="ExecuteControllerJob"}'] == 1


def test_a_job_that_is_over_by_now_is_counted_as_over(support: Any) -> None:
    client = support.serve()
    client.submit("controller-job duration=50us", range(20))
    support.wait_for(lambda: jobs(client.metrics())["succeeded"] == 20)


def fetch(url: str, **details: Any) -> Any:
    return urllib.request.urlopen(urllib.request.Request(url, **details), timeout=5)  # noqa: S310  (loopback)


def test_speaks_plain_http(support: Any) -> None:
    url = support.serve().bound.metrics_url
    with fetch(url) as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        length = int(response.headers["Content-Length"])
        assert len(response.read()) == length
    with fetch(url, method="HEAD") as response:
        assert response.read() == b""
    for path, data, code in (("x", None, 404), ("", b"x", 405)):
        with pytest.raises(urllib.error.HTTPError) as caught:
            fetch(url + path, data=data)
        caught.value.close()
        assert caught.value.code == code


def test_nonsense_does_not_stop_it(support: Any) -> None:
    client = support.serve()
    for nonsense in (b"\x00" * 100_000, b"GET", b"\r\n\r\n"):
        with socket.create_connection((client.bound.host, client.bound.observer_port), timeout=5) as connection:
            connection.sendall(nonsense)
    assert jobs(client.metrics())["accepted_total"] == 0


def test_its_port_may_be_taken(support: Any) -> None:
    taken = support.serve().bound.observer_port
    with pytest.raises(ConfigError, match="observer cannot listen"):
        support.background(ServerSettings(observer_port=taken))


def test_can_be_left_out(support: Any) -> None:
    bound = support.serve(observer_port=None).bound
    assert (bound.observer_port, bound.metrics_url) == (None, None)
