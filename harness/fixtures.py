"""What a profile knows of jobs: the fixtures by role, and how a result shows its configuration. Pure values."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from harness.config import option


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
    "long": "a job like `slow`, but some times as long; holds an executor where `slow` has been too short, on a busy machine",
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


def _octets(text: str, key: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{key}: not base64") from None
