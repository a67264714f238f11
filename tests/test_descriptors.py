"""The comparison of descriptors: nothing for equal ones, one line for one change, and nothing invented."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.descriptors import Contract, Enum, Field, Message, Method, Value, differences, merged, needed

NAMES = st.text("abcdef", min_size=1, max_size=4)
TYPES = st.sampled_from(["int64", "string", "message b.Other", "enum b.State"])
LABELS = st.sampled_from(["singular", "optional", "repeated"])
RANGES = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), max_size=3).map(merged)
FRESH = "fresh"
"""A name that is never drawn."""


@st.composite
def fields(draw: st.DrawFn) -> tuple[Field, ...]:
    names = draw(st.lists(NAMES, unique=True, max_size=5))
    numbers = draw(st.permutations(range(1, 20)))
    return tuple(
        Field(name, number, draw(TYPES), draw(LABELS), draw(st.sampled_from(["", "one"])))
        for name, number in zip(names, numbers, strict=False)
    )


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    names = draw(st.lists(NAMES, unique=True, min_size=1, max_size=4))
    reserved = st.frozensets(NAMES, max_size=2)
    values = st.lists(NAMES, unique=True, max_size=4).map(lambda found: tuple(Value(each, at) for at, each in enumerate(found)))
    return Contract(
        "a.S",
        tuple(
            Method(name, f"m.{draw(st.sampled_from(names))}", "m.x", draw(st.sampled_from(["unary", "both"]))) for name in names
        ),
        tuple(Message(f"m.{name}", draw(fields()), draw(RANGES), draw(reserved)) for name in names),
        tuple(
            Enum(f"e.{name}", draw(values), draw(RANGES), draw(reserved))
            for name in draw(st.lists(NAMES, unique=True, max_size=2))
        ),
    )


def with_message(contract: Contract, changed: Message) -> Contract:
    return replace(contract, messages=tuple(changed if each.name == changed.name else each for each in contract.messages))


def change_of_a_field(draw: st.DrawFn, contract: Contract, message: Message) -> tuple[Contract, str]:
    """Change one part of one field, lose it, or add one."""
    free = next(number for number in range(1, 40) if number not in {each.number for each in message.fields})
    if not message.fields or draw(st.booleans()):
        more = Field(FRESH, free, "bool", "singular")
        changed = replace(message, fields=(more, *message.fields))
        return with_message(contract, changed), f"field {FRESH} = {free} of {message.name}: additional"
    field = draw(st.sampled_from(message.fields))
    title = f"field {field.name} of {message.name}"
    new: dict[str, tuple[Field | None, str]] = {
        "name": (replace(field, name=FRESH), f"{title}: name {FRESH}, ours {field.name}"),
        "number": (replace(field, number=free), f"{title}: number {free}, ours {field.number}"),
        "type": (replace(field, type="bool"), f"{title}: type bool, ours {field.type}"),
        "label": (replace(field, label="required"), f"{title}: label required, ours {field.label}"),
        "oneof": (replace(field, oneof="two"), f"{title}: oneof two, ours {field.oneof or 'none'}"),
        "lost": (None, f"field {field.name} = {field.number} of {message.name}: missing"),
    }
    put, said = new[draw(st.sampled_from(sorted(new)))]
    kept = [each if each is not field else put for each in message.fields]
    return with_message(contract, replace(message, fields=tuple(each for each in kept if each is not None))), said


def change_of_a_method(draw: st.DrawFn, contract: Contract) -> tuple[Contract, str]:
    method = draw(st.sampled_from(contract.methods))
    rest = tuple(each for each in contract.methods if each is not method)
    return draw(
        st.sampled_from(
            [
                (replace(contract, methods=rest), f"method {method.name}: missing"),
                (replace(contract, methods=(*contract.methods, Method(FRESH, "x", "y"))), f"method {FRESH}: additional"),
                (
                    replace(contract, methods=(*rest, replace(method, streaming="server"))),
                    f"method {method.name}: streaming server, ours {method.streaming}",
                ),
                (
                    replace(contract, methods=(*rest, replace(method, output="m.z"))),
                    f"method {method.name}: output m.z, ours {method.output}",
                ),
                (
                    replace(contract, methods=(replace(method, input="m.z"), *rest)),
                    f"method {method.name}: input m.z, ours {method.input}",
                ),
            ]
        )
    )


@st.composite
def changes(draw: st.DrawFn) -> tuple[Contract, Contract, str]:
    """Return a contract, the same with one change, and what has to be said of it."""
    contract = draw(contracts())
    message = draw(st.sampled_from(contract.messages))
    what = draw(st.sampled_from(["field", "method", "service", "message lost", "message more", "reserved name", "enum more"]))
    if what == "field":
        return contract, *change_of_a_field(draw, contract, message)
    if what == "method":
        return contract, *change_of_a_method(draw, contract)
    rest = tuple(each for each in contract.messages if each is not message)
    names = frozenset({FRESH}) | message.reserved_names
    own = ", ".join(sorted(message.reserved_names)) or "none"
    told = f"message {message.name}: reserved names {', '.join(sorted(names))}, ours {own}"
    return contract, *{
        "service": (replace(contract, service="a.T"), "service: a.T, ours a.S"),
        "message lost": (replace(contract, messages=rest), f"message {message.name}: missing"),
        "message more": (replace(contract, messages=(*contract.messages, Message("m.more"))), "message m.more: additional"),
        "reserved name": (with_message(contract, replace(message, reserved_names=names)), told),
        "enum more": (replace(contract, enums=(Enum("e.more"), *contract.enums)), "enum e.more: additional"),
    }[what]


@given(contracts())
def test_a_contract_does_not_differ_from_itself_in_any_order(contract: Contract) -> None:
    shuffled = replace(
        contract,
        methods=contract.methods[::-1],
        messages=tuple(replace(each, fields=each.fields[::-1]) for each in contract.messages[::-1]),
        enums=contract.enums[::-1],
    )
    assert list(differences(contract, contract)) == []
    assert list(differences(contract, shuffled)) == []


@given(changes())
def test_one_change_is_exactly_one_difference(change: tuple[Contract, Contract, str]) -> None:
    ours, theirs, said = change
    assert list(differences(ours, theirs)) == [said]


@given(contracts(), contracts())
def test_two_contracts_differ_in_the_same_places_either_way(one: Contract, other: Contract) -> None:
    there, back = list(differences(one, other)), list(differences(other, one))
    assert (there == []) == (back == [])
    assert sum(line.endswith(": missing") for line in there) == sum(line.endswith(": additional") for line in back)


STATE = Enum("e.State", (Value("ZERO", 0), Value("ONE", 1), Value("TWO", 2)), ((5, 9),))


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        (replace(STATE, values=(*STATE.values, Value("THREE", 3))), ["value THREE = 3 of e.State: additional"]),
        (replace(STATE, values=STATE.values[:2]), ["value TWO = 2 of e.State: missing"]),
        (replace(STATE, values=(*STATE.values[:2], Value("DEUX", 2))), ["value TWO of e.State: name DEUX, ours TWO"]),
        (replace(STATE, values=(*STATE.values[:2], Value("TWO", 4))), ["value TWO of e.State: number 4, ours 2"]),
        (
            replace(STATE, values=(*STATE.values[:2], Value("TWO", 1), Value("UNO", 1))),
            ["value TWO of e.State: number 1, ours 2", "value UNO = 1 of e.State: additional"],
        ),
        (
            replace(STATE, values=(*STATE.values, Value("A", 7), Value("B", 7))),
            ["value A = 7 of e.State: additional", "value B = 7 of e.State: additional"],
        ),
        (replace(STATE, reserved=((5, 5), (7, 9))), ["enum e.State: reserved numbers 5, 7 to 9, ours 5 to 9"]),
        (replace(STATE, reserved=()), ["enum e.State: reserved numbers none, ours 5 to 9"]),
    ],
)
def test_enums(theirs: Enum, said: list[str]) -> None:
    assert list(differences(Contract("s", enums=(STATE,)), Contract("s", enums=(theirs,)))) == said


def test_values_that_swap_numbers_are_told_one_by_one() -> None:
    swapped = replace(STATE, values=(Value("ZERO", 0), Value("ONE", 2), Value("TWO", 1)))
    assert list(differences(Contract("s", enums=(STATE,)), Contract("s", enums=(swapped,)))) == [
        "value ONE of e.State: number 2, ours 1",
        "value TWO of e.State: number 1, ours 2",
    ]


@given(st.lists(st.tuples(st.integers(-5, 30), st.integers(-5, 30)), max_size=6))
def test_merged_ranges_hold_the_same_numbers_once(ranges: list[tuple[int, int]]) -> None:
    found = merged(ranges)
    assert [number for first, last in found for number in range(first, last + 1)] == sorted(
        {number for first, last in ranges for number in range(first, last + 1)}
    )
    assert all(earlier[1] + 1 < later[0] for earlier, later in itertools.pairwise(found))


def test_what_no_method_needs_does_not_count() -> None:
    loop = Message("m.Loop", (Field("again", 1, "message m.Loop", "optional"), Field("at", 2, "enum e.State", "singular")))
    contract = Contract("s", (Method("M", "m.Loop", "m.Gone"),), (loop, Message("m.Alone")), (STATE, Enum("e.Alone")))
    assert needed(contract) == replace(contract, messages=(loop,), enums=(STATE,))
