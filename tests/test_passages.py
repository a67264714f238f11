"""Locators and passages on a made-up service (the real spec is not part of the project)."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ConfigError
from harness.passages import MAX_CHARACTERS, declaration_of, digest, extract, is_locator

KITCHEN = """\
kitchen 1.0

Not part of the source
syntax = "proto3"; // the header says so
package kitchen;
import "google/protobuf/duration.proto";
option java_package = "org.kitchen";

// This one stands alone.

// An order. It has
//   one dish or more.
//
// Paid by the `Bill.total`, i.e. at once! "Soon" is no answer.
message Order {

    // Which dishes
    repeated .kitchen.Dish dishes = 1 [deprecated = true, (rule) = { max: 9 }];
    map<string, int32> extras = 2; // how many of each

    oneof place {
        // Where it is eaten.

        string table = 101;
        /* Brought to
         * the door.
         */
        string address = 102;
    }
    reserved 3, 4 to 6;
    // Gone since last year.
    reserved "tip";
    enum State { NEW = 0; PAID = 1; }
    option (note) = { text: "a } in quotes; // and no comment" };
    message Line { string text = 1; }
}
message Empty {}

service Kitchen {
    // Cook it.
    rpc Cook(Order) returns (stream .kitchen.Order);
    rpc Stop(Empty) returns (Empty) {
    }
}
"""


@pytest.mark.parametrize(
    ("locator", "passage"),
    [
        ("Order#1", "An order. It has one dish or more."),
        ("Order#1.1", "An order."),
        ("Order#1.2", "It has one dish or more."),
        ("Order#2.1", "Paid by the `Bill.total`, i.e. at once!"),
        ("Order#2.2", '"Soon" is no answer.'),
        ("Order.dishes", "Which dishes"),
        ("Order.extras", "how many of each"),
        ("Order.place", "Where it is eaten."),
        ("Order.table", "string table = 101 ;"),
        ("Order.address#1.1", "Brought to the door."),
        ("Order.reserved", "Gone since last year."),
        ("Order.State", "enum State { NEW = 0 ; PAID = 1 ; }"),
        ("Order.State.PAID", "PAID = 1 ;"),
        ("Order.Line.text", "string text = 1 ;"),
        ("Empty", "message Empty { }"),
        ("Kitchen.Cook", "Cook it."),
        ("Kitchen.Stop", "rpc Stop ( Empty ) returns ( Empty ) { }"),
    ],
)
def test_a_locator_finds_its_passage(locator: str, passage: str) -> None:
    assert extract(KITCHEN)[locator] == passage


def test_a_whole_comment_is_its_paragraphs_together() -> None:
    passages = extract(KITCHEN)
    assert passages["Order"] == f"{passages['Order#1']} {passages['Order#2']}"
    assert "Order#3" not in passages
    assert "Order#2.3" not in passages


def test_detached_comments_and_nameless_statements_are_no_passages() -> None:
    passages = extract(KITCHEN)
    assert not any("alone" in passage or "header" in passage for passage in passages.values())
    assert {declaration_of(locator).split(".")[0] for locator in passages} == {"Order", "Empty", "Kitchen"}


def test_all_locators_of_a_text_are_well_formed() -> None:
    assert all(is_locator(locator) for locator in extract(KITCHEN))


@pytest.mark.parametrize("text", ["", "A.", ".A", "A#", "A#0", "A#1.0", "A#1.2.3", "A b", "A#x", "1A", "A#1\n", "Ä"])
def test_other_texts_are_no_locators(text: str) -> None:
    assert not is_locator(text)


def test_layout_does_not_count() -> None:
    airy = KITCHEN.replace("{ NEW = 0; PAID = 1; }", "{\n\n  NEW=0;\n  PAID   = 1;\n}").replace("//   one", "// one")
    assert extract(airy) == extract(KITCHEN)


def test_a_changed_word_changes_only_its_passages() -> None:
    before, after = extract(KITCHEN), extract(KITCHEN.replace("one dish or more", "any number of dishes"))
    assert {at for at in before if before[at] != after[at]} == {"Order", "Order#1", "Order#1.2"}


def test_reservations_of_one_message_are_one_passage() -> None:
    text = 'syntax = "proto3"; message A { reserved 1; reserved 2; }'
    assert extract(text)["A.reserved"] == "reserved 1 ; reserved 2 ;"


def test_the_digest_is_that_of_the_folded_text() -> None:
    assert digest("  one\n two ") == digest("one two") == hashlib.sha256(b"one two").hexdigest()
    assert digest("one two") != digest("onetwo")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("hello", "not a .proto source"),
        ("message A {}", "not a .proto source"),
        ('syntax = "proto3";\nmessage A {', "ends in the middle"),
        ('syntax = "proto3";\n}', "spec:2: unexpected '}'"),
        ('syntax = "proto3";\nmessage A { int32 }', "spec:2: unexpected '}'"),
        ('syntax = "proto3";\n\nnonsense;', "spec:3: not understood: 'nonsense ;'"),
        ('syntax = "proto3";\nfruit Apple {}', "spec:2: not understood"),
        ('syntax = "proto3";\n/* for ever', "spec:2: a comment or a text"),
        ('syntax = "proto3;\n', "spec:1: a comment or a text"),
        ('syntax = "proto3";' + "message A {" * 40 + "}" * 40, "not understood"),
        ('syntax = "proto3";' + " " * MAX_CHARACTERS, "longer than"),
    ],
)
def test_what_is_no_source_is_refused_in_one_line(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        extract(text)
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


@given(
    st.lists(
        st.sampled_from(["message", "A", "{", "}", ";", "=", "1", "// c\n", "/* d */", "\n", "[", "]", "rpc", "'", "option"])
    )
)
def test_any_tokens_are_read_or_refused(words: list[str]) -> None:
    try:
        passages = extract('syntax = "proto3";\n' + " ".join(words))
    except ConfigError:
        return
    assert all(is_locator(locator) for locator in passages)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        passages = extract(f'syntax = "proto3";\n{text}')
    except ConfigError:
        return
    assert all(passages.values())
