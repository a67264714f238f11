"""What a profile knows of the endpoint beyond the spec, what no run may cost, and how to start our own. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.config import option


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
