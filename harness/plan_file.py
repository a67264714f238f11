"""Plans as small JSON files, with what is known of the run that they come from. Pure: text in, text out."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.config import decode, option
from harness.errors import ConfigError
from harness.plan import KINDS, AnyStep, Plan
from harness.yamltree import Node, parse

FORMAT = "controller-harness plan"
"""What the first key of a file says."""
VERSION = 1
"""Version of the format."""

_PAIR = re.compile(r"\\\\|\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}")
_KIND_OF = {cls: name for name, cls in KINDS.items()}


@dataclass(frozen=True)
class Origin:
    """Where a plan comes from; nothing of it changes what the plan does."""

    tool: str = option("version of the tool that wrote the file", default="")
    profile: str = option("name of the profile that it was run against", default="")
    seed: str = option("seed of the check that generated it", default="")
    violated: tuple[str, ...] = option("requirements that it violated", default=())
    reproduced: str = option("how often it violated them again", default="")


@dataclass(frozen=True)
class StoredPlan:
    """A plan and its origin."""

    plan: Plan
    origin: Origin = field(default_factory=Origin)


def encode_plan(stored: StoredPlan) -> str:
    """Return the text of a file, one step per line; `decode_plan` reads it back."""
    head: dict[str, Any] = {"format": FORMAT, "version": VERSION, **_given(stored.origin)}
    lines = [f"  {_json(key)}: {_json(value)}" for key, value in head.items()]
    steps = [f"    {_json({'do': _KIND_OF[type(step)], **_given(step)})}" for step in stored.plan.steps]
    body = "[\n" + ",\n".join(steps) + "\n  ]" if steps else "[]"
    return "{\n" + ",\n".join([*lines, f'  "steps": {body}']) + "\n}\n"


def decode_plan(text: str, source: str) -> StoredPlan:
    """Read a file. Raises ConfigError naming file, line and key for anything that is no plan."""
    root = parse(text, source)
    members = root.value if isinstance(root.value, Mapping) else {}
    if "format" not in members or members["format"].value != FORMAT:
        hint = f'a plan begins with {{"format": "{FORMAT}", "version": {VERSION}'
        raise ConfigError("not a plan", source=source, line=root.line, hint=hint)
    version = members.get("version", root)
    if type(version.value) is not int or version.value != VERSION:
        hint = f"this tool reads version {VERSION}"
        raise ConfigError("not a version that is supported", source=source, line=version.line, key="version", hint=hint)
    steps = members.get("steps")
    if steps is None or not isinstance(steps.value, tuple):
        raise ConfigError("missing, or not a list", source=source, line=(steps or root).line, key="steps")
    origin = decode(_without(root, "format", "version", "steps"), Origin, source)
    found = tuple(_step(node, source, f"steps[{place}]") for place, node in enumerate(steps.value))
    try:
        return StoredPlan(Plan(found), origin)
    except ValueError as error:
        raise ConfigError(str(error), source=source, line=steps.line) from None


def _step(node: Node, source: str, path: str) -> AnyStep:
    kind = node.value.get("do") if isinstance(node.value, Mapping) else None
    if kind is None or not isinstance(kind.value, str) or kind.value not in KINDS:
        hint = f"a step is a mapping whose `do` is one of {', '.join(KINDS)}"
        raise ConfigError("not a step", source=source, line=(kind or node).line, key=path, hint=hint)
    return decode(_without(node, "do"), KINDS[kind.value], source, path)


def _without(node: Node, *keys: str) -> Node:
    assert isinstance(node.value, Mapping)  # noqa: S101 - both callers have looked
    return dataclasses.replace(node, value={key: item for key, item in node.value.items() if key not in keys})


def _json(value: Any) -> str:
    # What is beyond 16 bits stands as it is: YAML, in whose words files are read for their lines, knows no surrogate pairs.
    return _PAIR.sub(lambda match: match[0] if len(match[0]) == 2 else str(json.loads(f'"{match[0]}"')), json.dumps(value))


def _given(value: Any) -> dict[str, Any]:
    """Return the fields that differ from their default, in the order in which people read them."""
    fields = sorted(dataclasses.fields(value), key=lambda item: item.name not in {"name", "of", "job", "jobs"})
    found = {item.name: getattr(value, item.name) for item in fields}
    return {item.name: found[item.name] for item in fields if found[item.name] != item.default}
