"""The reference as seen by people who know less of it, or have it elsewhere than behind a gateway."""

from __future__ import annotations

from dataclasses import replace

from harness.server.variants.registry import Variant, add

ROLES = ("slow", "post_processed", "user_failure", "correlated", "protected")

add(
    Variant(
        "no-gateway",
        "there is no gateway: targets do not matter, and requests have none",
        settings=lambda settings: replace(settings, require_target=False),
        overrides={"target": None, "lanes": None, "facts": {"gateway": False}},
    )
)
add(
    Variant(
        "known-by-its-quick-job",
        "the profile knows a quick job and nothing else, not even a caller",
        overrides={
            "identities": None,
            "target": {"quantum_processor_id": "qpu-1"},
            "jobs": dict.fromkeys(ROLES),
            "correlation": None,
            "facts": None,
            "embedded": {"store": False, "observer": False},
        },
    )
)
add(
    Variant(
        "known-by-its-jobs",
        "the profile knows the jobs, and no fact",
        overrides={"facts": None, "embedded": {"store": False, "observer": False}},
    )
)
