"""SEC: credentials, where the profile has them."""

from __future__ import annotations

import uuid

import pytest

from conformance.kit import Case, NotApplicableError, UnobservableError, covers
from conformance.kit.answers import brief_members, describe, ids_of, status_of
from conformance.kit.hold import held
from conformance.kit.oracles import counted_role, counting, expect_jobs
from conformance.kit.probes import EVERY_READ, EVERY_RPC, NOBODYS, good_request
from harness.call import Call, RpcError
from harness.client import ControllerClient
from harness.history import Rpc

REFUSED = {"UNAUTHENTICATED", "PERMISSION_DENIED"}
MALFORMED = ("Bearer", "Basic dXNlcjpwYXNz", "no-scheme", "Bearer not a token", f"Bearer {uuid.UUID(int=4)}")
"""Authorization headers that nobody was given, all of them legal in HTTP/2 (RFC 9113 section 8.2.1)."""


def needs_credentials(case: Case) -> None:
    """Stop unless the endpoint asks for credentials."""
    if not any(case.endpoint.tokens.values()):
        raise NotApplicableError("the profile has no identity with a token: the endpoint asks for no credentials")


def expired(case: Case) -> ControllerClient:
    """Open a connection with an expired token. Raises UnobservableError when the profile has none."""
    for name, identity in case.profile.identities.items():
        if identity.expired:
            return case.connect("expired", identity=name)
    raise UnobservableError("the profile has no identity whose token is expired")


def call_as(
    client: ControllerClient, case: Case, rpc: Rpc, job_id: str, header: str | None = None, *, role: str = "quick"
) -> Call:
    """Make a call that would succeed with credentials, and return it."""
    metadata = [] if header is None else [("authorization", header)]
    try:
        return client.call(rpc, good_request(case, rpc, job_id, role), metadata=metadata)
    except RpcError as error:
        return error.call


def expect_refused(case: Case, call: Call, who: str) -> None:
    """Expect that a call was refused for its credentials."""
    case.expect(
        "SEC-01", call.code in REFUSED, f"{call.rpc.value} with {who}: UNAUTHENTICATED or PERMISSION_DENIED", describe(call), call
    )


@covers("SEC-01", tier="light")
@EVERY_RPC
def test_no_credential_is_refused(case: Case, rpc: Rpc) -> None:
    """A call without a credential, or with a malformed one, is refused on every RPC."""
    needs_credentials(case)
    (job_id,) = case.submit()
    stranger = case.connect("stranger", identity=None)
    expect_refused(case, call_as(stranger, case, rpc, job_id), "no credential")
    for header in MALFORMED:
        expect_refused(case, call_as(stranger, case, rpc, job_id, header), f"the malformed credential {header!r}")


@covers("SEC-01", tier="light")
@EVERY_RPC
def test_an_expired_credential_is_refused(case: Case, rpc: Rpc) -> None:
    """A call with an expired credential is refused on every RPC."""
    needs_credentials(case)
    (job_id,) = case.submit()
    expect_refused(case, call_as(expired(case), case, rpc, job_id), "an expired credential")


@covers("SEC-01", tier="read-only")
@EVERY_READ
def test_a_read_without_a_good_credential_is_refused(case: Case, rpc: Rpc) -> None:
    """Without a credential, or with a malformed or expired one, nobody is told whether a job exists."""
    needs_credentials(case)
    stranger = case.connect("stranger", identity=None)
    for header in (None, *MALFORMED):
        expect_refused(case, call_as(stranger, case, rpc, NOBODYS, header), f"the credential {header!r}")
    if any(identity.expired for identity in case.profile.identities.values()):
        expect_refused(case, call_as(expired(case), case, rpc, NOBODYS), "an expired credential")


@covers("SEC-02", exclusive=True, tier="light")
@pytest.mark.parametrize("rpc", [Rpc.EXECUTE, Rpc.BATCH], ids=["single", "batch"])
def test_a_refused_submission_queues_nothing(case: Case, rpc: Rpc) -> None:
    """A submission that is refused for its credential queues nothing."""
    needs_credentials(case)
    stranger = case.connect("stranger", identity=None)
    role = counted_role(case)
    with counting(case) as count:
        calls = [call_as(stranger, case, rpc, "", header, role=role) for header in (None, *MALFORMED)]
    accepted = sum(len(ids_of(call)) for call in calls)
    expect_jobs(case, "SEC-02", count, accepted, f"after {len(calls)} submissions with bad credentials")


@covers("SEC-02")
def test_a_refused_cancel_cancels_nothing(case: Case) -> None:
    """A cancel that is refused for its credential cancels nothing."""
    needs_credentials(case)
    stranger = case.connect("stranger", identity=None)
    with held(case):
        ids = case.submit(count=2)
        for job_id in ids:
            call_as(stranger, case, Rpc.CANCEL, job_id)
        seen = {job_id: case.status(job_id) for job_id in ids}
        case.expect("SEC-02", set(seen.values()) == {"QUEUED"}, "the jobs stay QUEUED", dict(seen))


@covers("SEC-03")
def test_observe_a_second_identity(case: Case) -> None:
    """Whether a second identity can read, replay and cancel the first one's jobs."""
    first = case.profile.default_identity
    others = [name for name, item in case.profile.identities.items() if name != first and not item.expired]
    if not others:
        raise NotApplicableError("the profile has no second identity")
    other = case.connect("second identity", identity=others[0])
    with held(case):
        request = case.requests.execute(count=2, key=case.key())
        mine = case.attempt(request)
        status = case.attempt(case.requests.status(ids_of(mine)[0]), client=other)
        case.observe(
            "SEC-03", f"another identity reads a job's status: {status_of(status) if status.error is None else describe(status)}"
        )
        replay = case.attempt(request, client=other)
        kind = "the original ids" if ids_of(replay) == ids_of(mine) else f"not the original: {brief_members(replay)}"
        case.observe("SEC-03", f"another identity with the first one's key gets {kind}")
        case.cancel(ids_of(mine)[:1], client=other)
        after = case.status(ids_of(mine)[0])
        case.observe("SEC-03", f"a queued job that another identity cancels is {after}")
