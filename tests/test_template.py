"""Templates load as written and with every key set; masking hides secrets and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass

import pytest

from harness.config import fields_of, load, nested_class, option
from harness.fixtures import ROLES, Job, MemoryValue
from harness.profile import Identity, Profile, load_profile
from harness.template import masked, profile_template, template

_KEY = re.compile(r"^(\s*)#?([\w-]+):")
_COMMENTED = re.compile(r"^(\s*)#(?! )")


def classes_of(cls: type) -> Iterator[type]:
    """Yield a configuration class and all classes below it."""
    yield cls
    for _, hint, _, _ in fields_of(cls):
        if (inner := nested_class(hint)) is not None:
            yield from classes_of(inner)


def groups_of(cls: type) -> set[tuple[str, ...]]:
    """Return the groups of keys that exclude each other, anywhere below a class."""
    return {
        tuple(sorted((key, *rule.excludes))) for each in classes_of(cls) for key, _, rule, _ in fields_of(each) if rule.excludes
    }


def uncommented(text: str, cls: type, choice: int) -> str:
    """Set every key of a template; where keys of one block exclude each other, only the member number `choice`."""
    lines = text.splitlines()
    keys = [_KEY.match(line) for line in lines]
    chosen = {key: group[choice % len(group)] for group in groups_of(cls) for key in group}
    kept = []
    for number, (line, key) in enumerate(zip(lines, keys, strict=True)):
        if key is None or chosen.get(key[2], key[2]) not in block_of(keys, number) - {key[2]}:
            kept.append(_COMMENTED.sub(r"\1", line))
    return "\n".join(kept)


def block_of(keys: list[re.Match[str] | None], number: int) -> set[str]:
    """Return the keys that stand in the same block as that of line `number`."""
    here = keys[number]
    assert here is not None
    block: set[str] = set()
    for part in (keys[number:], keys[number::-1]):
        for key in part:
            if key is not None and len(key[1]) < len(here[1]):
                break
            if key is not None and key[1] == here[1]:
                block.add(key[2])
    return block


def test_the_template_loads_as_written() -> None:
    profile = load_profile(profile_template(), "template")
    assert list(profile.jobs) == ["quick"]
    assert profile.identities == {}
    assert profile.tls is None


@pytest.mark.parametrize("choice", [0, 1, 2])
def test_the_template_loads_with_every_key_set(choice: int) -> None:
    profile = load_profile(uncommented(profile_template(), Profile, choice), "template")
    assert set(profile.jobs) == set(ROLES)
    assert profile.tls is not None
    assert profile.facts.observer is not None
    assert list(profile.identities) == ["main"]
    assert (profile.target.quantum_processor_id is None) is (choice % 2 == 0)


def test_every_choice_among_excluding_keys_was_made() -> None:
    assert max(len(group) for group in groups_of(Profile)) == 3
    assert len(groups_of(Profile)) == 8


def test_every_key_appears_with_its_documentation() -> None:
    text = profile_template()
    words = " ".join(line.strip(" #") for line in text.splitlines())
    for cls in classes_of(Profile):
        for key, _, rule, _ in fields_of(cls):
            assert re.search(rf"^\s*#?{key}:", text, re.MULTILINE), f"{cls.__name__}.{key}"
            assert rule.doc in words, f"{cls.__name__}.{key}"


@pytest.mark.parametrize("role", ROLES)
def test_every_role_appears(role: str) -> None:
    assert re.search(rf"^  #?{role}:", profile_template(), re.MULTILINE)


def test_every_line_fits_and_ends_cleanly() -> None:
    assert all(len(line) <= 120 and line == line.rstrip() for line in profile_template().splitlines())
    assert profile_template().endswith("\n")


@pytest.mark.parametrize("cls", sorted(set(classes_of(Profile)), key=str))
def test_what_is_said_to_exclude_each_other_does(cls: type) -> None:
    rules = {key: rule for key, _, rule, _ in fields_of(cls)}
    for key, rule in rules.items():
        for other in rule.excludes:
            assert key in rules[other].excludes
            with pytest.raises(ValueError, match=key):
                cls(**{key: _value(cls, key), other: _value(cls, other)}, **_needed(cls))


def _needed(cls: type) -> dict[str, object]:
    """Return the other keys that a class cannot do without."""
    return {key: "x" for key, _, _, default in fields_of(cls) if default is MISSING}


def _value(cls: type, key: str) -> object:
    return (1,) if cls is MemoryValue and key in {"integer", "real"} else "AAE="


@dataclass(frozen=True)
class Stage:
    """A made-up part of a scenario."""

    rate: float = option("calls per second", example="5")
    duration: float = option("how long", kind="duration", default=1.5, minimum=0.1)


@dataclass(frozen=True)
class Plan:
    """A made-up scenario, with all that a profile does not use."""

    stages: tuple[Stage, ...] = option("one after the other")
    kind: str = option("executor", choices=("constant", "ramp"))
    name: str = option("with: colon", default="it's: tricky")
    tags: tuple[str, ...] = option("tags", default=("a", "b: c"))
    weights: Mapping[str, int] = option("mix", default={"submit": 1, "status": 2})
    again: tuple[Stage, ...] = option("afterwards", default=())
    size: int = option("payload", kind="size", default=1 << 20)
    on: bool = option("switch", default=False)


def test_other_classes_have_templates_too() -> None:
    text = template(Plan, "A plan.")
    assert text.startswith("# A plan.\n# ")
    plan = load(text, Plan, "t")
    assert plan == Plan(stages=(Stage(rate=5.0),), kind="constant")


def test_defaults_that_are_shown_are_the_defaults() -> None:
    plan = load(uncommented(template(Plan), Plan, 0), Plan, "t")
    assert plan == Plan(stages=(Stage(rate=5.0),), kind="constant", again=(Stage(rate=5.0),))


def test_a_masked_profile_is_json_and_shows_no_secret() -> None:
    profile = load_profile(
        """
name: x
address: 127.0.0.1:1
identities: {main: {token: hunter2hunter2}, other: {token_env: TOKEN}}
metadata: {x-api-key: swordfish}
jobs: {quick: {text: hello, memory: {theta: {integer: [1, 2]}}}}
""",
        "p",
    )
    shown = masked(profile)
    text = json.dumps(shown)
    assert "hunter2" not in text
    assert "swordfish" not in text
    rest = {"token_file": None, "expired": False, "may_bypass_settings_protection": None}
    assert shown["identities"] == {
        "main": {"token": "*** (14 characters)", "token_env": None, **rest},
        "other": {"token": None, "token_env": "TOKEN", **rest},
    }
    assert shown["metadata"] == {"x-api-key": "*** (9 characters)"}
    assert shown["jobs"]["quick"]["memory"]["theta"]["integer"] == [1, 2]
    assert shown["deadlines"]["call"] == 10.0


def test_masking_keeps_every_key() -> None:
    profile = Profile(name="x", address="127.0.0.1:1", jobs={"quick": Job(text="a")}, identities={"a": Identity(token="b")})
    assert set(masked(profile)) == {key for key, _, _, _ in fields_of(Profile)}
