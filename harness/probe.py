"""Is anybody there, and do they let us in? Asked before a run, so that a dead endpoint ends it in one line."""

from __future__ import annotations

import uuid

from harness.call import RpcError
from harness.client import ControllerClient
from harness.endpoint import Endpoint
from harness.errors import UnreachableError
from harness.requests import Requests

PATIENCE = 10.0
"""Seconds that an endpoint has to accept a connection."""


def probe(endpoint: Endpoint, patience: float = PATIENCE) -> None:
    """Ask for the status of a job that does not exist; any answer of the service will do.

    Raises UnreachableError when nothing answers within `patience` seconds, or the credentials are refused.
    """
    with ControllerClient(endpoint, name="probe") as client:
        client.wait_ready(patience)
        try:
            client.status(Requests(endpoint).status(str(uuid.uuid4())), timeout=patience)
        except RpcError as error:
            judge(endpoint, error.code, error.details)


def judge(endpoint: Endpoint, code: str, details: str) -> None:
    """Raise UnreachableError unless a status call that failed with `code` shows a Controller that lets us in."""
    address = endpoint.address
    if code in {"UNAUTHENTICATED", "PERMISSION_DENIED"}:
        identity = endpoint.profile.default_identity
        caller = f"the credentials of identity {identity!r}" if identity is not None else "calls without credentials"
        raise UnreachableError(f"{address} refuses {caller}: {details}", hint="check identities in the profile")
    if code == "UNIMPLEMENTED":
        raise UnreachableError(f"{address} does not serve the Controller service: {details}", hint="is the address right?")
    if code in {"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"}:
        raise UnreachableError(f"{address} does not answer a status call: {code}: {details}")
