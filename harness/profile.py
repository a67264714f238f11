"""The profile: one endpoint and everything that is known of it, as frozen values.

Whoever writes a profile decides what the suite can see: fixtures say which jobs exist, facts open oracles, the budget caps
every run. Pure: `load_profile` takes text; files and environment variables are resolved by the edge (`harness.credentials`).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from harness.config import load, option

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
class MemoryValue:
    """What one memory region of a job starts with; exactly one representation."""

    integer: tuple[int, ...] | None = option(
        "signed 64-bit integers",
        default=None,
        minimum=-(1 << 63),
        maximum=(1 << 63) - 1,
        example="[1, 2]",
        shown=True,
        excludes=("real", "binary"),
    )
    real: tuple[float, ...] | None = option(
        "double-precision reals", default=None, example="[0.5]", excludes=("integer", "binary")
    )
    binary: str | None = option("octets in base64", default=None, example="AAE=", excludes=("integer", "real"))

    def __post_init__(self) -> None:
        if sum(value is not None for value in (self.integer, self.real, self.binary)) != 1:
            raise ValueError("give exactly one of integer, real and binary")
        self.binary_octets()

    def binary_octets(self) -> bytes:
        """Return the decoded octets of `binary` (empty for the other representations)."""
        return _octets(self.binary or "", "binary")


@dataclass(frozen=True)
class Job:
    """A job that the endpoint can run, and what is known of its course."""

    text: str | None = option(
        "payload as text (UTF-8)",
        default=None,
        example="controller-job duration=2ms",
        shown=True,
        excludes=("base64", "file"),
    )
    base64: str | None = option("payload in base64", default=None, example="AAE=", excludes=("text", "file"))
    file: str | None = option("file that holds the payload", default=None, example="job.bin", excludes=("text", "base64"))
    key_id: str = option("key that decrypts the payload", default="", example="key-1")
    nonce: str = option("nonce of the encryption, in base64", default="", example="AAECAwQFBgcICQoL")
    memory: Mapping[str, MemoryValue] = option("memory regions that every run needs, by name", default={}, example="theta")
    duration: float = option("expected time on the hardware", kind="duration", default=0.01, minimum=0)
    post_processing: float = option("expected time between the hardware and the result", kind="duration", default=0.0, minimum=0)

    def __post_init__(self) -> None:
        if sum(source is not None for source in (self.text, self.base64, self.file)) != 1:
            raise ValueError("give exactly one of text, base64 and file")
        _octets(self.nonce, "nonce")
        if self.base64 is not None:
            _octets(self.base64, "base64")

    @property
    def total(self) -> float:
        """Expected seconds from the start on the hardware to the result."""
        return self.duration + self.post_processing

    def inline_payload(self) -> bytes | None:
        """Return the payload, or None when it is in a file."""
        if self.text is not None:
            return self.text.encode()
        return None if self.base64 is None else _octets(self.base64, "base64")

    def nonce_octets(self) -> bytes:
        """Return the decoded nonce."""
        return _octets(self.nonce, "nonce")


ROLES: Mapping[str, str] = {
    "quick": "a job that succeeds within milliseconds; most checks use it",
    "slow": "a job that succeeds and runs long enough to be watched (about a second); holds an executor busy",
    "post_processed": "a job that succeeds and spends about a second in post-processing",
    "user_failure": "a job that fails because of its program",
    "correlated": "a job whose result shows its configuration (see correlation)",
    "protected": "a job that changes protected settings",
}
"""The roles that checks ask for, and what a fixture in that role has to be."""


@dataclass(frozen=True)
class Correlation:
    """How the result of a `correlated` job shows which configuration it ran with."""

    region: str = option("memory region that the harness fills with a number of its own", example="tag")
    shown_in: str = option(
        "part of the result that shows the number", default="readout_values", choices=("readout_values", "memory_values")
    )
    shown_as: str | None = option("channel or region in that part; unset: the same name", default=None, example="tag")


@dataclass(frozen=True)
class Observer:
    """An endpoint's own count of the jobs it accepted, in Prometheus text form."""

    url: str = option("HTTP address of the metrics page", example="http://127.0.0.1:9464/metrics")
    metric: str = option("counter of accepted jobs; its samples are added up", default="controller_jobs_accepted_total")
    labels: Mapping[str, str] = option("labels that a sample must carry to count", default={}, example="processor: qpu-1")


@dataclass(frozen=True)
class Facts:
    """What is known of the endpoint beyond the spec; each fact opens an oracle or widens a check."""

    gateway: bool | None = option(
        "whether a target is required and unknown ones are refused; unset: not known", default=None, example="true"
    )
    executors: int | None = option(
        "jobs that run at the same time on the target", default=None, minimum=1, maximum=64, example="1"
    )
    queue_capacity: int | None = option(
        "jobs that can wait on the target before RESOURCE_EXHAUSTED", default=None, minimum=1, example="2000"
    )
    exclusive: bool = option("nobody else uses the target while a check runs (needed by observer and capacity)", default=True)
    observer: Observer | None = option("the endpoint's own count of accepted jobs", default=None)
    restart_command: tuple[str, ...] | None = option(
        "command (a list of words) that crashes and restarts the endpoint, and returns when it has",
        default=None,
        example="[./restart.sh]",
    )
    max_configurations: int = option("most configurations that one request may hold", default=1000, minimum=1)
    clock_tolerance: float = option(
        "largest difference between the endpoint's clock and ours", kind="duration", default=2.0, minimum=0
    )
    settle: float = option("how long an acknowledged cancel may take to show", kind="duration", default=2.0, minimum=0)
    max_message: int = option("largest request that the endpoint accepts", kind="size", default=4 << 20, minimum=1024)


@dataclass(frozen=True)
class Budget:
    """What no run may exceed; a check or a call beyond it does not start and says so."""

    jobs: int | None = option("jobs submitted in one run", default=None, minimum=0, example="100000")
    calls: int | None = option("calls made in one run", default=None, minimum=0, example="100000")


@dataclass(frozen=True)
class Embedded:
    """How to start the reference Controller when the address is `embedded`."""

    queue_capacity: int = option("waiting jobs per processor", default=2000, minimum=1)
    executors: int = option("executors per processor", default=1, minimum=1, maximum=64)
    store: bool = option("whether jobs and keys are kept in a file, so that the server can be restarted", default=False)
    observer: bool = option("whether checks may read the server's own count of jobs", default=True)
    mutant: str | None = option(
        "named fault to switch on (see `controller-harness serve --list-mutants`)", default=None, example="drops-last-job"
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
    compression: str = option("compression of requests", default="none", choices=("none", "gzip"))
    target: Target = option("where a gateway sends the request", default=Target())
    deadlines: Deadlines = option("how long calls and states may take", default=Deadlines())
    correlation: Correlation | None = option("how results show their configuration", default=None)
    facts: Facts = option("what is known beyond the spec", default=Facts())
    budget: Budget = option("what no run may exceed", default=Budget())
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


def load_profile(text: str, source: str) -> Profile:
    """Decode a profile from YAML text; `source` names it in errors. Raises ConfigError."""
    return load(text, Profile, source)


def _check_address(address: str) -> None:
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"address: {address!r} is not host:port; write for example 127.0.0.1:50051")


def _octets(text: str, key: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{key}: not base64") from None
