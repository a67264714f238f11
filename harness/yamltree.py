"""Read YAML into a tree that still knows its lines, and refuse what YAML allows but a configuration should not hold.

No anchors, aliases, tags, merge keys, duplicate keys or several documents; a size limit bounds time and memory.
Pure: the text comes in, the caller reads the file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from harness.errors import ConfigError

MAX_CHARACTERS = 1_000_000
"""Longest configuration text that is looked at."""
MAX_DEPTH = 32
"""Deepest nesting that is looked at."""

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the document, and the line (counted from 1) on which it begins."""

    value: Scalar | tuple[Node, ...] | Mapping[str, Node]
    line: int
    key_lines: Mapping[str, int]


def parse(text: str, source: str) -> Node:
    """Return the tree of a YAML document; `source` names it in errors.

    Raises ConfigError with the line of the first thing that is wrong.
    """
    if len(text) > MAX_CHARACTERS:
        raise ConfigError(f"longer than {MAX_CHARACTERS:,} characters", source=source, hint="is this the right file?")
    try:
        _refuse_extras(text, source)
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
        if root is None:
            raise ConfigError("empty document", source=source, line=1)
        return _convert(root, source, 0)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        raise ConfigError(f"not valid YAML: {error.problem or error.context}", source=source, line=line) from None
    except yaml.reader.ReaderError as error:
        raise ConfigError(f"not text: {error.reason}", source=source, hint="YAML files are UTF-8 text") from None
    except UnicodeEncodeError:
        raise ConfigError("not text: it holds half of a surrogate pair", source=source) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"not valid YAML: {error}", source=source) from None
    except RecursionError:
        raise ConfigError(f"nested deeper than {MAX_DEPTH} levels", source=source) from None


def _refuse_extras(text: str, source: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else None
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ConfigError("anchors and aliases are not allowed", source=source, line=line, hint="write the value out")
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise ConfigError(f"the tag {tag!r} is not allowed", source=source, line=line, hint="leave it out")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise ConfigError(f"nested deeper than {MAX_DEPTH} levels", source=source, line=line)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _convert(node: yaml.Node, source: str, depth: int) -> Node:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return Node(tuple(_convert(item, source, depth + 1) for item in node.value), line, {})
    if isinstance(node, yaml.MappingNode):
        members: dict[str, Node] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            key_line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError("keys must be plain text", source=source, line=key_line)
            key = key_node.value
            if key in members:
                raise ConfigError(f"given twice, first on line {lines[key]}", source=source, line=key_line, key=key)
            members[key] = _convert(value_node, source, depth + 1)
            lines[key] = key_line
        return Node(members, line, lines)
    return Node(_scalar(node), line, {})


def _scalar(node: yaml.Node) -> Scalar:
    kind = node.tag.rpartition(":")[2]  # resolved from the text alone: explicit tags were refused
    text: str = node.value
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() in {"true", "yes", "on"}
    with contextlib.suppress(ValueError):
        if kind == "int":
            return int(text.replace("_", ""), 0)
        if kind == "float":
            return float(text.replace("_", ""))
    return text
