"""Everything that can be set on the reference Controller, as one frozen value.

Pure. Sizes are bytes, times are seconds; `ServerSettings` converts none of them.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.errors import ConfigError
from harness.server.tokens import Token, parse_tokens

MIB = 1 << 20
EDGES = ("grpcio", "wire")
"""What can carry the calls: gRPC's own library, or `ngh2`; both serve the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How one reference Controller is set up.

    Raises ConfigError on values that no server could run with.
    """

    host: str = "127.0.0.1"
    port: int = 0
    """0 lets the system choose; the chosen one is announced."""
    observer_port: int | None = 0
    """Port of the Prometheus page, 0 lets the system choose, None for no page."""
    edge: str = "grpcio"
    """One of `EDGES`."""
    processors: tuple[str, ...] = ("qpu-1", "qpu-2")
    endpoint_ids: Mapping[str, str] = field(default_factory=lambda: {"endpoint-1": "qpu-1", "endpoint-2": "qpu-2"})
    """Endpoint id to processor id."""
    require_target: bool = True
    """True: a gateway, for which a missing or unknown target is an error. False: such calls go to the first processor."""
    executors: int = 1
    """Jobs that one processor runs at a time."""
    queue_capacity: int = 2000
    """Waiting (QUEUED) jobs that one processor holds."""
    default_timeout: float = 60.0
    """For jobs with neither a timeout nor an estimate."""
    max_timeout: float = 3600.0
    """Larger timeouts are cut down to this."""
    default_duration: float = 0.010
    """Time on the hardware of a payload that does not say."""
    retention: float = 3600.0
    """How long a finished job stays known."""
    max_finished: int = 1_000_000
    """How many finished jobs stay known; beyond it the oldest are forgotten first."""
    tls_cert: str | None = None
    tls_key: str | None = None
    client_ca: str | None = None
    """With it, callers must present a certificate signed by this CA (mutual TLS)."""
    tokens: tuple[Token, ...] = ()
    """With any, every Controller call needs one of them."""
    anonymous_may_bypass: bool = False
    """Whether callers may change protected settings where there are no tokens."""
    store: str | None = None
    """SQLite file; None keeps everything in memory."""
    mutant: str | None = None
    """Name of a deliberate defect, see `harness.server.mutants`."""
    reached: str | None = None
    """File to which each change of the mutant is added by name when it runs for the first time; None: nobody asks."""
    variant: str | None = None
    """Name of a legal oddity, see `harness.server.variants`; not together with a mutant."""
    max_message: int = 250 * MIB
    accept_gzip: bool = True
    decorated: bool = False
    """Whether responses are compressed, and come with headers and trailers that nobody asked for."""
    connection_age: float = 0.0
    """After how long a connection is closed, with grace for the calls on it; zero for never."""
    drain: float = 5.0
    """How long calls in flight may go on after a stop signal."""

    def __post_init__(self) -> None:
        for name in ("executors", "queue_capacity", "max_message"):
            if getattr(self, name) < 1:
                raise ConfigError(f"must be at least 1, got {getattr(self, name)}", key=name)
        for name in ("default_timeout", "max_timeout", "default_duration"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"must be above zero, got {getattr(self, name)}", key=name)
        for name in ("retention", "max_finished", "drain", "connection_age"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"must not be negative, got {getattr(self, name)}", key=name)
        for name in ("port", "observer_port"):
            if getattr(self, name) is not None and not 0 <= getattr(self, name) <= 65535:
                raise ConfigError(f"must be within 0..65535, got {getattr(self, name)}", key=name)
        if self.default_timeout > self.max_timeout:
            raise ConfigError("is above max_timeout", key="default_timeout")
        self._check_names()

    def _check_names(self) -> None:
        if self.edge not in EDGES:
            raise ConfigError(f"must be one of {', '.join(EDGES)}, got {self.edge!r}", key="edge")
        if self.mutant is not None and self.variant is not None:
            raise ConfigError("exclude each other, give one", key="mutant and variant")
        if not self.processors or len(set(self.processors)) != len(self.processors) or "" in self.processors:
            raise ConfigError("needs one or more distinct, non-empty names", key="processors")
        for endpoint, processor in self.endpoint_ids.items():
            if processor not in self.processors:
                raise ConfigError(f"leads to {processor!r}, which is not one of the processors", key=f"endpoint_ids.{endpoint}")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ConfigError("go together, give both or neither", key="tls_cert and tls_key")
        if self.client_ca is not None and self.tls_cert is None:
            raise ConfigError("needs tls_cert and tls_key as well", key="client_ca")


def parse_settings(raw: Mapping[str, Any], *, source: str = "settings") -> ServerSettings:
    """Build settings from plain data (as read from JSON); unknown keys and values of a wrong type are ConfigErrors."""
    known = {f.name: f for f in dataclasses.fields(ServerSettings)}
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            raise ConfigError("unknown key", source=source, key=key, hint=f"did you mean {near[0]}?" if near else "")
        values[key] = _typed(key, value, source)
    # Without a map of its own, a server with other processors has no endpoints rather than endpoints that lead nowhere.
    if "processors" in values and "endpoint_ids" not in values:
        values["endpoint_ids"] = {}
    return ServerSettings(**values)


_KINDS: Mapping[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
    "str | None": (str, type(None)),
    "int | None": (int, type(None)),
}


def _typed(key: str, value: Any, source: str) -> Any:
    if key == "tokens":
        return parse_tokens(value, source=source)
    if key == "processors":
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
    elif key == "endpoint_ids":
        if isinstance(value, dict) and all(isinstance(item, str) for pair in value.items() for item in pair):
            return value
    else:
        annotation = str(ServerSettings.__annotations__[key])
        kinds = _KINDS[annotation]
        if isinstance(value, kinds) and (not isinstance(value, bool) or bool in kinds):
            return value
    raise ConfigError(f"cannot be {value!r}", source=source, key=key)
