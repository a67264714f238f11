"""The YAML reader: lines are kept, extras are refused, and no text whatsoever gets anything but a ConfigError."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ConfigError
from harness.yamltree import MAX_CHARACTERS, MAX_DEPTH, Node, parse

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
PIECES = [
    *("a: ", "- ", "? ", ": ", "{", "}", "[", "]", ",", "&x ", "*x", "!!str ", "!t ", "|", ">", "'", '"', "#", "\n", "  ", "\t"),
    *(
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "<<: ",
        "~",
        "yes",
        "0x1f",
        "1_000",
        "1:30",
        ".inf",
        "2024-01-01",
        "\x00",
        "\ufeff",
        "=",
        "é",
    ),
]


def plain(node: Node) -> object:
    """Return the values of a tree without its lines."""
    if isinstance(node.value, Mapping):
        return {key: plain(value) for key, value in node.value.items()}
    if isinstance(node.value, tuple):
        return [plain(item) for item in node.value]
    return node.value


@given(PLAIN, st.booleans())
def test_what_is_written_is_read_back(value: object, flow: bool) -> None:
    text = yaml.safe_dump(value, default_flow_style=flow)
    assert plain(parse(text, "f")) == value


@given(st.text() | st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        tree = parse(text, "f")
    except ConfigError as error:
        message = str(error)
    else:
        message = f"f:{tree.line}"
        assert 1 <= tree.line <= len(text)
    assert message.startswith("f")
    assert message.isprintable()


@given(st.lists(st.text("abcdefgh", min_size=1), unique=True, min_size=1, max_size=8), st.integers(0, 3))
def test_every_key_knows_its_line(keys: list[str], gap: int) -> None:
    text = ("\n" * gap).join(f"{key}: 'x'\n" for key in keys)
    tree = parse(text, "f")
    assert dict(tree.key_lines) == {f"{key}": 1 + n * (gap + 1) for n, key in enumerate(keys)}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1_000", 1000),
        ("0x1F", 31),
        ("0123", "0123"),
        ("1:30", "1:30"),
        ("yes", True),
        ("Off", False),
        ("~", None),
        ("1.5", 1.5),
        (".inf", ".inf"),
        ("2024-01-01", "2024-01-01"),
        ("'1'", "1"),
        ("=", "="),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_scalars(text: str, value: object) -> None:
    node = parse(f"a: {text}", "f").value
    assert isinstance(node, Mapping)
    assert node["a"].value == value
    assert type(node["a"].value) is type(value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "f:1: empty document"),
        ("# only a comment\n", "f:1: empty document"),
        ("a: 1\nb: &x 2", "f:2: anchors and aliases"),
        ("a: 1\nb: *x", "f:2: anchors and aliases"),
        ("a: 1\nb: !!binary AA==", "f:2: the tag 'tag:yaml.org,2002:binary' is not allowed"),
        ("a: !!python/object/apply:os.getcwd []", "f:1: the tag"),
        ("a: !!set {x}", "f:1: the tag"),
        ("a: ! 1", "f:1: the tag '!'"),
        ("!!str a: 1", "f:1: the tag"),
        ("a: 1\n\na: 2", "f:3: a: given twice, first on line 1"),
        ("a: 1\n--- \nb: 2", "f:2: not valid YAML"),
        ("a: [1,\n", "f:2: not valid YAML"),
        ("a: b: c", "f:1: not valid YAML"),
        ("? [x]\n: 1", "f:1: keys must be plain text"),
        ("a: \x00", "f"),
        ("a: \ud800", "f: not text"),
        ("[" * (MAX_DEPTH + 1), "f:1: nested deeper"),
        ("[" * 100_000, "f:1: nested deeper"),
        ("x" * (MAX_CHARACTERS + 1), "f: longer than"),
    ],
)
def test_what_a_configuration_should_not_hold_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(text, "f")
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_deepest_nesting_that_is_allowed_is_read() -> None:
    assert plain(parse("[" * MAX_DEPTH + "]" * MAX_DEPTH, "f")) is not None
