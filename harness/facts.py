"""What a profile knows of the endpoint beyond the spec, what no run may cost, and how to start our own. Pure values."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass

from harness.config import option

DEFAULT_METRIC = "controller_jobs_accepted_total"
"""What an observer's page calls the count of accepted jobs, unless the profile says otherwise."""
TARGET = "{target}"
"""Stands for the name of the target (its processor or endpoint) in what an observer is asked for."""
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*")


@dataclass(frozen=True)
class Observer:
    """An endpoint's own count of the jobs it accepted: where it is read, and as what. It must be up to date when it is read."""

    url: str | None = option("HTTP address to read", default=None, example="http://127.0.0.1:9464/metrics", excludes=("command",))
    command: tuple[str, ...] | None = option(
        "command (a list of words) whose output is read; it has ten seconds",
        default=None,
        example="[./count-accepted-jobs]",
        excludes=("url",),
    )
    metric: str | None = option(
        "counter of accepted jobs in a text for Prometheus; its samples are added up. Unset, and no json either: "
        f"{DEFAULT_METRIC} at a url, one number and nothing else from a command",
        default=None,
        example=DEFAULT_METRIC,
        excludes=("json",),
    )
    json: str | None = option(
        "place of the number in a JSON document, as a JSON Pointer (RFC 6901)",
        default=None,
        example="/queues/qpu-1/accepted",
        excludes=("metric",),
    )
    labels: Mapping[str, str] = option(
        f"labels that a sample must carry to count (Prometheus only). Here, and in url, command and json, {TARGET} stands for "
        "the name of the target that the check runs on; with lanes, it must stand somewhere",
        default={},
        example=f"processor: '{TARGET}'",
    )

    def __post_init__(self) -> None:
        if self.json is not None and self.metric is not None:
            raise ValueError("give json or metric, not both")
        if (self.url is None) == (self.command is None):
            raise ValueError("give exactly one of url and command")
        if self.url is not None and not self.url.startswith(("http://", "https://")):
            raise ValueError(f"url: {self.url!r} does not begin with http:// or https://")
        if self.command is not None and not (self.command and self.command[0]):
            raise ValueError("command: needs at least one word, the program to run")
        if self.json is not None and not _POINTER.fullmatch(self.json):
            raise ValueError(f"json: {self.json!r} is no JSON Pointer; write for example /queues/qpu-1/accepted")

    @property
    def tells_targets_apart(self) -> bool:
        """Whether what is asked for depends on the target."""
        return any(TARGET in text for text in (self.url or "", self.json or "", *(self.command or ()), *self.labels.values()))

    def aimed(self, target: str) -> Observer:
        """Return the observer of one target."""

        def filled(text: str) -> str:
            return text.replace(TARGET, target)

        return dataclasses.replace(
            self,
            url=None if self.url is None else filled(self.url),
            json=None if self.json is None else filled(self.json),
            command=None if self.command is None else tuple(map(filled, self.command)),
            labels={name: filled(value) for name, value in self.labels.items()},
        )

    @property
    def counter(self) -> str | None:
        """The metric to look for; None when what is read is no text for Prometheus."""
        return DEFAULT_METRIC if self.metric is None and self.json is None and self.url is not None else self.metric


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
    exclusive: bool = option(
        "nobody else uses the target during a check or a load run (needed to count queued jobs)", default=True
    )
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
    edge: str = option("what carries its calls, they are served alike", default="grpcio", choices=("grpcio", "wire"))
    store: bool = option("whether jobs and keys are kept in a file, so that the server can be restarted", default=False)
    observer: bool = option("whether checks may read the server's own count of jobs", default=True)
    mutant: str | None = option(
        "named fault to switch on (see `controller-harness serve --list-mutants`)",
        default=None,
        example="can-never",
        excludes=("variant",),
    )
    variant: str | None = option(
        "legal oddity to switch on (see `controller-harness serve --list-variants`)",
        default=None,
        example="order-lifo",
        excludes=("mutant",),
    )

    def __post_init__(self) -> None:
        if self.mutant is not None and self.variant is not None:
            raise ValueError("give mutant or variant, not both")
