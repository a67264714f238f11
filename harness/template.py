"""Write a configuration class out: as a commented YAML template, and as plain values with its secrets masked.

Everything comes from the metadata of `harness.config.option`, so a key cannot be forgotten, and its text not drift. In a
template a `#` and a space begin an explanation; a `#` right before a key has commented it out. Pure.
"""

from __future__ import annotations

import dataclasses
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING
from typing import Any

import yaml

from harness.config import Rule, fields_of, format_duration, format_size, nested_class
from harness.profile import Profile

_WIDTH = 100
_STEP = "  "
_TYPE_NAMES = {str: "text", int: "whole number", float: "number", bool: "true or false"}

HOW_TO = """\
Keys that are needed are set, with examples for values. All others are commented out and show their default,
or an example where there is none. A '#' with a space after it explains; delete any other '#' to set its key
(and the '#' of the key that it stands under). Durations have a unit: us, ms, s, min or h; sizes too: B, KiB,
MiB or GiB."""
"""How to use a template, for people; stands at its top."""


def template(cls: type, heading: str = "") -> str:
    """Return a YAML document with every key of a configuration class, which loads as it is.

    `heading` is explained at the top, before how to use the file. Keys that are needed, or `shown`, are active.
    """
    top = [f"# {line}".rstrip() for text in (heading, HOW_TO) if text for line in text.splitlines()]
    return "\n".join([*top, *_members(cls, "", active=True, brief=False)]) + "\n"


def profile_template() -> str:
    """Return the commented profile that `controller-harness profile init` writes."""
    return template(Profile, "A profile: one endpoint of the Controller service, and what is known of it.")


def masked(configuration: Any) -> dict[str, Any]:
    """Return a decoded configuration as plain JSON values by key, secrets as `*** (N characters)`; durations are seconds."""
    return {key: _json(getattr(configuration, key), secret=rule.secret) for key, _, rule, _ in fields_of(type(configuration))}


def _json(value: Any, *, secret: bool) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return masked(value)
    if isinstance(value, Mapping):
        return {key: _json(item, secret=secret) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_json(item, secret=secret) for item in value]
    return f"*** ({len(str(value))} characters)" if secret and value is not None else value


def _members(cls: type, indent: str, *, active: bool, brief: bool) -> Iterator[str]:
    """Yield the lines of all keys of a class; `brief` leaves out those that need not be set."""
    for key, hint, rule, default in fields_of(cls):
        needed = default is MISSING or rule.shown
        if brief and not needed:
            continue
        if not indent:
            yield ""
        if not brief:
            yield from _comment(_explained(rule, hint, default), indent)
        yield from _key(key, hint, rule, default, indent, active=active and needed)


def _key(key: str, hint: Any, rule: Rule, default: Any, indent: str, *, active: bool) -> Iterator[str]:
    """Yield the lines of one key and of everything under it."""
    mark = "" if active else "#"
    inner = nested_class(hint)
    outer = typing.get_origin(_unwrapped(hint))
    if inner is None and outer is not None and issubclass(outer, Mapping):
        yield f"{indent}{mark}{key}:"
        members = default if isinstance(default, Mapping) else {}
        for line in [f"{name}: {_plain(value, rule)}" for name, value in members.items()] or [rule.example]:
            yield f"{indent}{_STEP}{mark}{line}"
    elif inner is None:
        yield f"{indent}{mark}{key}: {_shown_value(rule, default)}"
    else:
        yield f"{indent}{mark}{key}:"
        yield from _nested(inner, outer, rule, indent + _STEP, active=active)


def _nested(inner: type, outer: Any, rule: Rule, indent: str, *, active: bool) -> Iterator[str]:
    """Yield the lines below a key that holds a class, a list of them (`outer` is tuple) or a mapping to them."""
    if outer is None:
        yield from _members(inner, indent, active=active, brief=False)
        return
    if outer is tuple:
        yield f"{indent}{'' if active else '#'}-"
        yield from _members(inner, indent + _STEP, active=active, brief=False)
        return
    first = True
    for name, doc in (rule.entries or {rule.example: ""}).items():
        yield from _comment(doc, indent)
        yield f"{indent}{'' if active and first else '#'}{name}:"
        yield from _members(inner, indent + _STEP, active=active and first, brief=not first)
        first = False


def _unwrapped(hint: Any) -> Any:
    """Return the type inside an optional one."""
    if typing.get_origin(hint) in {types.UnionType, typing.Union}:
        return next(part for part in typing.get_args(hint) if part is not type(None))
    return hint


def _explained(rule: Rule, hint: Any, default: Any) -> str:
    """Return a key's documentation with its type, limits, default, and what it stands instead of."""
    facts = [_type_name(rule, hint)]
    if rule.minimum is not None:
        facts.append(f"at least {_plain(rule.minimum, rule)}")
    if rule.maximum is not None:
        facts.append(f"at most {_plain(rule.maximum, rule)}")
    if default is MISSING:
        facts.append("needed")
    elif default not in (None, "", ()) and not isinstance(default, Mapping) and not dataclasses.is_dataclass(default):
        facts.append(f"default {_plain(default, rule)}")
    if rule.excludes:
        facts.append(f"not together with {' or '.join(rule.excludes)}")
    known = "; ".join(fact for fact in facts if fact)
    return f"{rule.doc} ({known})" if known else rule.doc


def _type_name(rule: Rule, hint: Any) -> str:
    if rule.kind:
        return rule.kind
    if rule.choices:
        return f"one of {', '.join(rule.choices)}"
    inner = _unwrapped(hint)
    if typing.get_origin(inner) is tuple and nested_class(inner) is None:
        return f"list of {_TYPE_NAMES[typing.get_args(inner)[0]]}s"
    return _TYPE_NAMES.get(inner, "")


def _shown_value(rule: Rule, default: Any) -> str:
    """Return the YAML text of the value that the template shows."""
    if rule.example or default is MISSING or default is None:
        return rule.example or (rule.choices[0] if rule.choices else "")
    return _plain(default, rule)


def _plain(value: Any, rule: Rule) -> str:
    if rule.kind == "duration":
        return format_duration(value)
    if rule.kind == "size":
        return format_size(int(value))
    listed = [list(value)] if isinstance(value, tuple) else [value]
    return yaml.safe_dump(listed, default_flow_style=True, width=1 << 16, allow_unicode=True)[1:-2]


def _comment(text: str, indent: str) -> Iterator[str]:
    for line in textwrap.wrap(text, max(40, _WIDTH - len(indent))):
        yield f"{indent}# {line}"
