"""One reference Controller for all tests of the client side that do not need one of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.client import ControllerClient
from harness.endpoint import Endpoint
from harness.server.embedded_thread import background_server
from harness.server.run import Bound
from harness.server.settings import ServerSettings
from tests.edge.endpoints import Spy, endpoint, spy_server


@pytest.fixture(scope="session")
def bound() -> Iterator[Bound]:
    with background_server(ServerSettings()) as found:
        yield found


@pytest.fixture(scope="session")
def served(bound: Bound) -> Endpoint:
    return endpoint(bound.address)


@pytest.fixture
def client(served: Endpoint) -> Iterator[ControllerClient]:
    with ControllerClient(served) as found:
        yield found


@pytest.fixture
def spy() -> Iterator[Spy]:
    with spy_server() as found:
        yield found
