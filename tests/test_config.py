"""Decoding: what is right round trips, and whatever is wrong is named with file, line and key."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.config import (
    fields_of,
    format_duration,
    format_size,
    load,
    nested_class,
    option,
    parse_duration,
    parse_size,
)
from harness.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    """A nested class."""

    depth: int = option("how deep", minimum=1, maximum=9)
    note: str | None = option("remark", default=None)


@dataclass(frozen=True)
class Outer:
    """One field of every form."""

    name: str = option("its name")
    ratio: float = option("share", default=0.5, minimum=0, maximum=1)
    wait: float = option("pause", kind="duration", default=1.0, minimum=0.001)
    room: int = option("space", kind="size", default=1024, maximum=1 << 30)
    enabled: bool = option("switch", default=True)
    mode: str = option("mode", default="slow", choices=("slow", "fast"))
    numbers: tuple[int, ...] = option("numbers", default=())
    inner: Inner = option("nested", default=Inner(depth=1))
    maybe: Inner | None = option("nested or not", default=None)
    parts: tuple[Inner, ...] = option("several", default=())
    named: Mapping[str, Inner] = option("by name", default={})
    labels: Mapping[str, str] = option("texts by name", default={})
    roles: Mapping[str, str] = option("by role", default={}, entries={"first": "", "second": ""})
    password: str | None = option("secret", default=None, secret=True)

    def __post_init__(self) -> None:
        if self.name == "forbidden":
            raise ValueError("name: must not be forbidden")


KEYS = [key for key, _, _, _ in fields_of(Outer)]
FULL: dict[str, Any] = {
    "name": "x",
    "ratio": 0.25,
    "wait": "20ms",
    "room": "1MiB",
    "enabled": False,
    "mode": "fast",
    "numbers": [1, 2],
    "inner": {"depth": 3, "note": "n"},
    "maybe": {"depth": 4},
    "parts": [{"depth": 5}, {"depth": 6}],
    "named": {"a": {"depth": 7}},
    "labels": {"k": "v"},
    "roles": {"second": "s"},
    "password": "hunter2",
}


def test_every_form_is_decoded() -> None:
    assert load(yaml.safe_dump(FULL), Outer, "f") == Outer(
        name="x",
        ratio=0.25,
        wait=0.02,
        room=1 << 20,
        enabled=False,
        mode="fast",
        numbers=(1, 2),
        inner=Inner(3, "n"),
        maybe=Inner(4),
        parts=(Inner(5), Inner(6)),
        named={"a": Inner(7)},
        labels={"k": "v"},
        roles={"second": "s"},
        password="hunter2",
    )


def test_what_is_left_out_has_its_default() -> None:
    assert load("name: x", Outer, "f") == Outer(name="x")


def flow(value: object) -> str:
    """Return a value as YAML on one line."""
    return yaml.safe_dump([value], default_flow_style=True, width=1000)[1:-2]


@given(st.sampled_from(KEYS), st.data())
def test_any_misspelt_key_is_refused_with_its_line(key: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(key) - 1))
    letter = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz_"))
    middle = data.draw(st.sampled_from(["", key[place] + letter, letter]))
    wrong = key[:place] + middle + key[place + 1 :]
    assume(wrong not in KEYS)
    lines = [f"{wrong if each == key else each}: {flow(FULL[each])}" for each in KEYS]
    with pytest.raises(ConfigError) as raised:
        load("\n".join(lines), Outer, "f.yaml")
    assert raised.value.key == wrong
    assert str(raised.value).startswith(f"f.yaml:{KEYS.index(key) + 1}: {wrong}: unknown key; ")


@pytest.mark.parametrize("key", [key for key in KEYS if len(key) > 3])
def test_the_nearest_key_is_suggested(key: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean '{key}'"):
        load(f"name: x\n{key}x: 1", Outer, "f")


WRONG: dict[str, list[Any]] = {
    "name": [1, 1.5, True, None, [], {}],
    "ratio": ["a", True, None, [], -0.1, 1.1],
    "wait": [1, 0.5, "1", "1 day", "-1s", "", None, True, [], "0s"],
    "room": ["1MB", "x", "-1", -1, 1.5, True, None, "2GiB"],
    "enabled": ["maybe", 1, None],
    "mode": ["fsat", 1, None],
    "numbers": [1, "a", [1, "a"], [True], [1.5], None, {}],
    "inner": [1, None, [], {"depth": 0}, {"depth": 10}, {}],
    "maybe": [1, [], {}, {"depth": "x"}],
    "parts": [1, {}, [1], [None], [{"depth": 1, "dept": 1}]],
    "named": [1, [], {"a": 1}, {"a": None}],
    "labels": [1, [], {"a": 1}, {"a": None}],
    "roles": [1, {"third": "x"}],
    "password": [1, [], {}],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in WRONG.items() for value in values])
def test_a_wrong_value_is_refused_with_its_line_and_key(key: str, value: object) -> None:
    text = "\n".join(["# line 1", "" if key == "name" else "name: x", f"{key}: {flow(value)}"])
    with pytest.raises(ConfigError) as raised:
        load(text, Outer, "f.yaml")
    assert str(raised.value).startswith(f"f.yaml:3: {key}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ratio: 1", "f:1: name: missing; its name"),
        ("- 1", "f:1: expected a mapping, got a list"),
        ("name: 5", "f:1: name: expected text (put it in quotes), got 5; its name"),
        ("name: forbidden", "f:1: name: must not be forbidden"),
        ("name: x\nnumbers:\n  - 1\n  - b", "f:4: numbers[1]: expected a whole number, got 'b'; numbers"),
        ("name: x\nnamed:\n  a:\n    depht: 1", "f:4: named.a.depht: unknown key; did you mean 'depth'?"),
        ("name: x\nparts:\n  - depth: 1\n  - note: a", "f:4: parts[1].depth: missing; how deep"),
        ("name: x\nroles: {frist: a}", "f:2: roles.frist: unknown key; did you mean 'first'?"),
        ("name: x\nroles: {a: a}", "f:2: roles.a: unknown key; known keys: first, second"),
        ("name: x\nmode: fats", "f:2: mode: expected one of slow, fast (did you mean fast?), got 'fats'; mode"),
        ("name: x\nratio: 1.0e+999", "f:2: ratio: expected a finite number, got inf; share"),
        ("name: x\nwait: 0.5ms", "f:2: wait: expected at least 1ms, got '0.5ms'; pause"),
        ("name: x\nroom: 2GiB", "f:2: room: expected at most 1GiB, got '2GiB'; space"),
        ("name: x\npassword: 12345", "f:2: password: expected text (put it in quotes), got something else (not shown); secret"),
        ('name: x\n"a\\nb": 1', "f:2: 'a\\nb'...: unknown key; known keys: " + ", ".join(KEYS)),
    ],
)
def test_messages(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(text, Outer, "f")
    assert str(raised.value) == message


@given(st.floats(0, 1e14))
def test_durations_round_trip(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(1, 10**6), st.sampled_from(["us", "ms", "s", "min", "h"]))
def test_whole_durations_stay_short(count: int, unit: str) -> None:
    text = format_duration(parse_duration(f"{count}{unit}"))
    assert parse_duration(text) == parse_duration(f"{count}{unit}")
    assert len(text) <= 20


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("20ms", 0.02), ("5s", 5.0), ("2min", 120.0), ("1.5h", 5400.0), ("7us", 7e-06), (" 1 s ", 1.0), ("0s", 0.0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.02, "20ms"), (60, "1min"), (90, "90s"), (0, "0s"), (1e-9, "0.000000001s"), (3600, "1h")]
)
def test_durations_are_written_short(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.text() | st.from_regex(r"[0-9.e+\-]{0,8}(us|ms|s|min|h|B|KiB|d)?", fullmatch=True))
def test_any_text_is_a_measure_or_refused(text: str) -> None:
    for reader in (parse_duration, parse_size):
        try:
            value = reader(text)
        except ValueError as error:
            value, shown = 0, str(error)
        else:
            shown = repr(text)
        assert value >= 0
        assert math.isfinite(value)
        assert repr(text) in shown


@given(st.integers(0, 10**14))
def test_sizes_round_trip(octets: int) -> None:
    assert parse_size(format_size(octets)) == octets


@pytest.mark.parametrize(("text", "octets"), [("250MiB", 250 << 20), ("64 KiB", 1 << 16), ("7", 7), ("0B", 0), ("1GiB", 1 << 30)])
def test_sizes(text: str, octets: int) -> None:
    assert parse_size(text) == octets


def test_sizes_may_be_plain_numbers() -> None:
    assert load("name: x\nroom: 4096", Outer, "f").room == 4096


def test_fields_tell_defaults_from_missing_ones() -> None:
    defaults = {key: default for key, _, _, default in fields_of(Outer)}
    assert defaults["name"] is MISSING
    assert defaults["labels"] == {}
    assert defaults["maybe"] is None


def test_nested_classes_are_found_inside_any_hint() -> None:
    found = {key: nested_class(hint) for key, hint, _, _ in fields_of(Outer)}
    assert {key for key, cls in found.items() if cls is Inner} == {"inner", "maybe", "parts", "named"}


def test_defaults_are_not_shared() -> None:
    assert load("name: x", Outer, "f").labels is not load("name: y", Outer, "f").labels
