"""How many jobs may wait is the endpoint's own affair; its users know, or do not."""

from __future__ import annotations

from typing import ClassVar

from harness.server.refusal import Code
from harness.server.variants.codes import OtherCodes
from harness.server.variants.registry import Variant, add

TINY = {"embedded": {"queue_capacity": 8}, "facts": {"queue_capacity": 8, "max_configurations": 8}}


class UnavailableWhenFull(OtherCodes):
    """Answers UNAVAILABLE where there is no room."""

    codes: ClassVar = {Code.RESOURCE_EXHAUSTED: Code.UNAVAILABLE}


add(Variant("queue-tiny", "at most 8 jobs wait", overrides=TINY))
add(
    Variant(
        "queue-tiny-uncounted",
        "at most 8 jobs wait, and the server has no count of its own to show",
        overrides={**TINY, "embedded": {"queue_capacity": 8, "observer": False}},
    )
)
add(
    Variant(
        "queue-tiny-unavailable",
        "at most 8 jobs wait, and a full queue is UNAVAILABLE",
        service=UnavailableWhenFull,
        overrides=TINY,
    )
)
add(
    Variant(
        "queue-tiny-unknown",
        "at most 30 jobs wait, and the profile does not say so",
        overrides={"embedded": {"queue_capacity": 30}, "facts": {"queue_capacity": None, "max_configurations": 20}},
    )
)
