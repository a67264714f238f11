"""The profile: one endpoint and everything that is known of it, as frozen values.

Whoever writes a profile decides what the suite can see: fixtures say which jobs exist, facts open oracles, the budget caps
every run. Pure: `load_profile` takes text; files and environment variables are resolved by the edge (`harness.endpoint`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from harness.config import load, option
from harness.errors import ConfigError
from harness.facts import TARGET, Budget, Embedded, Facts
from harness.fixtures import ROLES, Correlation, Job
from harness.known import KnownFailure

EMBEDDED = "embedded"
"""The address that means: start our own reference Controller and talk to that."""


@dataclass(frozen=True)
class Tls:
    """Transport security; present means that the connection is encrypted."""

    roots: str | None = option(
        "PEM file with the accepted certificate authorities; unset: the system's", default=None, example="ca.pem"
    )
    certificate: str | None = option("PEM file with our own certificate chain (mTLS)", default=None, example="client.pem")
    key: str | None = option("PEM file with our own private key (mTLS)", default=None, example="client.key")
    server_name: str | None = option(
        "name expected in the server's certificate, if not the address", default=None, example="controller.example"
    )

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together; give both or neither")


@dataclass(frozen=True)
class Identity:
    """One caller: at most one source of a bearer token, and what the caller may do."""

    token: str | None = option(
        "bearer token in clear; prefer one of the two below",
        default=None,
        secret=True,
        example="secret",
        excludes=("token_env", "token_file"),
    )
    token_env: str | None = option(
        "environment variable that holds the bearer token",
        default=None,
        example="CONTROLLER_TOKEN",
        excludes=("token", "token_file"),
    )
    token_file: str | None = option(
        "file that holds the bearer token", default=None, example="token.txt", excludes=("token", "token_env")
    )
    expired: bool = option("whether the token is one that has expired (checks try it, nothing else does)", default=False)
    may_bypass_settings_protection: bool | None = option(
        "whether this caller has the authority to change protected settings; unset: not known", default=None, example="true"
    )

    def __post_init__(self) -> None:
        if sum(source is not None for source in (self.token, self.token_env, self.token_file)) > 1:
            raise ValueError("give one of token, token_env and token_file, not several")


@dataclass(frozen=True)
class Target:
    """Where a gateway sends the request; at most one of the two."""

    quantum_processor_id: str | None = option(
        "processor that runs the jobs", default=None, example="qpu-1", excludes=("endpoint_id",)
    )
    endpoint_id: str | None = option(
        "endpoint that runs the jobs", default=None, example="endpoint-1", excludes=("quantum_processor_id",)
    )

    def __post_init__(self) -> None:
        if self.quantum_processor_id is not None and self.endpoint_id is not None:
            raise ValueError("give quantum_processor_id or endpoint_id, not both")

    @property
    def name(self) -> str:
        """The processor or the endpoint that is named; empty without a target."""
        return self.quantum_processor_id or self.endpoint_id or ""


@dataclass(frozen=True)
class Deadlines:
    """How long calls and states may take before they count as unknown or missed."""

    call: float = option("deadline of status and cancel calls", kind="duration", default=10.0, minimum=0.001)
    submit: float = option("deadline of submissions", kind="duration", default=30.0, minimum=0.001)
    results: float = option(
        "deadline of results calls, beyond the job's expected time", kind="duration", default=30.0, minimum=0.001
    )
    state: float = option(
        "how long a job may take to reach a state, beyond its expected time and that of the jobs ahead of it",
        kind="duration",
        default=20.0,
        minimum=0.001,
    )


@dataclass(frozen=True)
class Profile:
    """One endpoint and what is known of it."""

    name: str = option("what reports call this endpoint", example="my-controller")
    address: str = option("host:port of the endpoint, or `embedded` for the reference Controller", example="127.0.0.1:50051")
    jobs: Mapping[str, Job] = option("job fixtures by role; a check without its fixture is inconclusive", entries=ROLES)
    tls: Tls | None = option("transport security; unset: plaintext", default=None)
    identities: Mapping[str, Identity] = option("callers by name; none: calls carry no credentials", default={}, example="main")
    identity: str | None = option(
        "name of the caller that most calls are made as; unset: the first", default=None, example="main"
    )
    metadata: Mapping[str, str] = option("headers sent with every call", default={}, secret=True, example="x-tenant: lab")
    authority: str | None = option(
        "name that calls are addressed to (`:authority`), if not the address", default=None, example="controller.example"
    )
    compression: str = option("compression of requests", default="none", choices=("none", "gzip"))
    target: Target = option("where a gateway sends the request", default=Target())
    lanes: tuple[Target, ...] = option(
        "further targets, equal to `target` and independent of it: checks run on all of them at the same time, one on each",
        default=(),
    )
    deadlines: Deadlines = option("how long calls and states may take", default=Deadlines())
    correlation: Correlation | None = option("how results show their configuration", default=None)
    facts: Facts = option("what is known beyond the spec", default=Facts())
    budget: Budget = option("what no run may exceed", default=Budget())
    known_failures: tuple[KnownFailure, ...] = option(
        "what is known not to hold; an entry of which everything holds is an error", default=()
    )
    embedded: Embedded = option("how to start the reference Controller (address `embedded` only)", default=Embedded())

    def __post_init__(self) -> None:
        if self.identity is not None and self.identity not in self.identities:
            raise ValueError(
                f"identity: {self.identity!r} is not among identities ({', '.join(self.identities) or 'none given'})"
            )
        if "quick" not in self.jobs:
            raise ValueError("jobs: the role 'quick' is needed; every check starts from it")
        if self.address != EMBEDDED:
            _check_address(self.address)

    @property
    def default_identity(self) -> str | None:
        """Name of the caller that most calls are made as; None without credentials."""
        return self.identity or next(iter(self.identities), None)

    @property
    def targets(self) -> tuple[Target, ...]:
        """All targets that checks run on, the profile's own first."""
        return (self.target, *self.lanes)

    def aimed(self, target: Target) -> Profile:
        """Return the profile of one lane: its only target is `target`, and the observer counts the jobs of that target."""
        observer = self.facts.observer
        facts = self.facts if observer is None else dataclasses.replace(self.facts, observer=observer.aimed(target.name))
        return dataclasses.replace(self, target=target, lanes=(), facts=facts)


def load_profile(text: str, source: str) -> Profile:
    """Decode a profile from YAML text; `source` names it in errors. Raises ConfigError."""
    return load(text, Profile, source)


def _check_address(address: str) -> None:
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"address: {address!r} is not host:port; write for example 127.0.0.1:50051")


def check_lanes(profile: Profile) -> None:
    """Raise ConfigError unless checks can run on all targets at once, each with a count of its own."""
    problem = hint = ""
    observer = profile.facts.observer
    if any(not target.name for target in profile.targets):
        problem, hint = "a lane is a target of its own", "give `target` and every lane a quantum_processor_id or an endpoint_id"
    elif len(set(profile.targets)) < len(profile.targets):
        problem, hint = "two are the same", "the targets must differ from `target` and from one another"
    elif profile.address == EMBEDDED and any(target.quantum_processor_id is None for target in profile.targets):
        problem, hint = "the reference Controller has one processor for each", "name them by quantum_processor_id"
    elif observer is not None and not observer.tells_targets_apart:
        problem = "facts.observer counts the jobs of all targets together"
        hint = f"put {TARGET} where it names the target, for example in a label"
    if profile.lanes and problem:
        raise ConfigError(problem, key="lanes", hint=hint)
