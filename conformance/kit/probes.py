"""A good request of each RPC, for checks that hold for all of them."""

from __future__ import annotations

import uuid

import pytest
from google.protobuf.message import Message

from conformance.kit.case import Case
from harness.history import Rpc

EVERY_RPC = pytest.mark.parametrize("rpc", list(Rpc), ids=[rpc.name.lower() for rpc in Rpc])
"""Runs a check once for each RPC."""

EVERY_READ = pytest.mark.parametrize("rpc", [Rpc.RESULTS, Rpc.STATUS], ids=["results", "status"])
"""Runs a check once for each RPC that changes nothing."""
NOBODYS = str(uuid.UUID(int=5))
"""The id of a job that does not exist."""


def good_request(case: Case, rpc: Rpc, job_id: str, role: str = "quick") -> Message:
    """Return a request that has to succeed for a job that is known; `role` is that of jobs that it submits."""
    requests = case.requests
    made: dict[Rpc, Message] = {
        Rpc.EXECUTE: requests.execute(role),
        Rpc.BATCH: requests.batch([requests.execute(role)]),
        Rpc.RESULTS: requests.results(job_id),
        Rpc.CANCEL: requests.cancel([job_id]),
        Rpc.STATUS: requests.status(job_id),
    }
    return made[rpc]
