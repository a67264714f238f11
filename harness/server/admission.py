"""What a submission has to satisfy before any of its jobs is queued, in the order in which it is checked.

Pure. Each check is a function of its own, so that a refusal says exactly one thing; all raise Refusal.
"""

from __future__ import annotations

from harness.ids import IdempotencyKey
from harness.server.refusal import Code, Refusal, invalid
from harness.server.values import SECOND, Caller, PlannedJob, SubmitRequest

MAX_DURATION_SECONDS = 315_576_000_000
"""Range of google.protobuf.Duration, either way."""


def check_key(key: IdempotencyKey | None) -> None:
    """Refuse a key that is present but no version 4 UUID (UUID-01 to UUID-06); zero is none (spec: `Uuid`)."""
    if key is not None and not key.is_valid:
        raise invalid(f"idempotency_key: {key} is not a version 4 UUID")


def check_jobs(request: SubmitRequest, where: str) -> None:
    """Require one configuration or more, and a job to run them with (EXEC-06, EXEC-08)."""
    if not request.jobs:
        raise invalid(f"{where}execution_configurations: needs at least one")
    if not request.has_job:
        raise invalid(f"{where}job: missing")


def requested_timeout(timeout: tuple[int, int] | None, where: str) -> int | None:
    """Return a Duration (seconds, nanos) in nanoseconds, None if unset; one not above zero or malformed is refused (OPT-05)."""
    if timeout is None:
        return None
    seconds, nanos = timeout
    malformed = abs(seconds) > MAX_DURATION_SECONDS or abs(nanos) >= SECOND or seconds * nanos < 0
    if malformed:
        raise invalid(f"{where}options.timeout: {seconds} s and {nanos} ns are not a valid Duration")
    total = seconds * SECOND + nanos
    if total <= 0:
        raise invalid(f"{where}options.timeout: must be above zero")
    return total


def check_protection(caller: Caller, *, bypass: bool, jobs: tuple[PlannedJob, ...], where: str) -> None:
    """Require option and authority for protected settings (OPT-04); the option alone is refused even for a harmless job."""
    if bypass and not caller.may_bypass:
        raise Refusal(
            Code.PERMISSION_DENIED, f"{where}options.bypass_settings_protection: {caller.subject} has no authority for it"
        )
    if not bypass and any(job.spec.touches_settings for job in jobs):
        raise Refusal(
            Code.FAILED_PRECONDITION, f"{where}job: changes protected settings, which needs options.bypass_settings_protection"
        )
