"""The catalogue: complete, well-formed, and tied to the spec by hashes."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import ConfigError
from harness.passages import declaration_of, digest, extract
from harness.requirements import (
    CHAPTERS,
    Catalogue,
    Passage,
    builtin_catalogue,
    load_catalogue,
    uncited_sentences,
    verify_passages,
)

ROOT = Path(__file__).resolve().parents[1]
SIZES = {"UUID": 8, "EXEC": 10, "BATCH": 8, "IDEM": 14, "OPT": 5, "RES": 6, "CAN": 7, "STA": 5, "EST": 4, "WIRE": 8, "SEC": 3}
SHOULD = {
    *("UUID-08", "EXEC-08", "EXEC-09", "EXEC-10", "RES-04", "RES-05", "RES-06", "CAN-06", "STA-03", "STA-05", "EST-03"),
    *("WIRE-02", "WIRE-03", "WIRE-06"),
}
INFO = {"BATCH-07", "BATCH-08", "IDEM-13", "IDEM-14", "OPT-05", "CAN-07", "EST-04", "WIRE-07", "SEC-03"}

SPEC = """\
syntax = "proto3";
// First. Second.
//
// Third.
message A {
  int32 bare = 1;
}
"""


def catalogue_text(passages: str, level: str = "MUST", extra: str = "") -> str:
    entry = f"  - {{id: UUID-01, level: {level}, statement: It works., passages: [{passages}]{extra}}}"
    return f"spec: made up\nrequirements:\n{entry}\n"


def resting_on(*locators: str) -> Catalogue:
    passages = extract(SPEC)
    return load_catalogue(
        catalogue_text(", ".join(f'{{at: "{at}", sha256: {digest(passages[at])}}}' for at in locators)), "c.yaml"
    )


def test_no_line_is_lost_and_every_level_is_as_agreed() -> None:
    catalogue = builtin_catalogue()
    assert {name: len(catalogue.chapter(name)) for name in CHAPTERS} == SIZES
    assert {each.id for each in catalogue if each.level == "SHOULD"} == SHOULD
    assert {each.id for each in catalogue if each.level == "INFO"} == INFO


def test_every_locator_names_a_declaration_of_our_own_source() -> None:
    ours = extract((ROOT / "protos" / "service.proto").read_text(encoding="utf-8"))
    cited = {declaration_of(passage.at) for each in builtin_catalogue() for passage in each.passages if passage.at}
    assert cited <= ours.keys()


def test_the_same_locator_has_the_same_hash_everywhere() -> None:
    pairs = {(passage.at, passage.sha256) for each in builtin_catalogue() for passage in each.passages if passage.at}
    assert len({at for at, _ in pairs}) == len(pairs)


def test_one_sentence_per_hash() -> None:
    pairs = {(passage.at, passage.sha256) for each in builtin_catalogue() for passage in each.passages if passage.at}
    hashes = {sha256 for at, sha256 in pairs if at and "#" in at}
    assert len(hashes) == len([at for at, _ in pairs if at and "#" in at])


def test_what_is_implied_says_from_which_passages_and_how_it_is_judged() -> None:
    implied = [each for each in builtin_catalogue() if each.implied]
    assert {"BATCH-02", "BATCH-03", "STA-01", "STA-04"} <= {each.id for each in implied}
    assert all(each.passages and each.ruling for each in implied)


def test_the_only_line_that_cannot_be_observed_is_about_sessions() -> None:
    unobservable = [each.id for each in builtin_catalogue() if each.unobservable]
    assert unobservable == ["IDEM-14"]


def test_lookup() -> None:
    catalogue = builtin_catalogue()
    assert catalogue["BATCH-03"].chapter == "BATCH"
    assert catalogue["BATCH-03"].number == 3
    assert "BATCH-03" in catalogue
    assert "BATCH-99" not in catalogue
    with pytest.raises(KeyError):
        catalogue["BATCH-99"]
    assert len(catalogue) == sum(SIZES.values()) == len(list(catalogue))


def test_the_fingerprint_is_that_of_the_content() -> None:
    one = resting_on("A#1.1")
    assert one.fingerprint == resting_on("A#1.1").fingerprint
    assert one.fingerprint != resting_on("A#1.2").fingerprint
    assert len(builtin_catalogue().fingerprint) == 64


@pytest.mark.parametrize("locator", ["A", "A#1", "A#2.1", "A.bare"])
def test_an_unchanged_spec_verifies(locator: str) -> None:
    assert verify_passages(resting_on(locator), SPEC) == ()


def test_a_changed_passage_is_found_with_both_hashes() -> None:
    (mismatch,) = verify_passages(resting_on("A#1.1", "A#1.2"), SPEC.replace("Second", "Other"))
    assert (mismatch.requirement, mismatch.at) == ("UUID-01", "A#1.2")
    assert mismatch.expected == digest("Second.")
    assert mismatch.found == digest("Other.")
    assert "UUID-01: A#1.2: the passage has changed" in str(mismatch)


def test_a_lost_passage_is_found() -> None:
    (mismatch,) = verify_passages(resting_on("A#2", "A.bare"), SPEC.replace("int32 bare = 1;", ""))
    assert mismatch.found is None
    assert str(mismatch) == "UUID-01: A.bare: the spec has no such passage"


def test_a_spec_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"^spec\.txt: not a \.proto source"):
        verify_passages(builtin_catalogue(), "hello", "spec.txt")


def test_another_spec_fails_in_every_passage() -> None:
    cited = [passage for each in builtin_catalogue() for passage in each.passages if passage.at]
    assert len(verify_passages(builtin_catalogue(), SPEC)) == len(cited)


@pytest.mark.parametrize(
    ("cited", "left"),
    [
        (("A",), ()),
        (("A#1", "A#2"), ()),
        (("A#1",), ("A#2.1",)),
        (("A#1.2",), ("A#1.1", "A#2.1")),
        (("A.bare",), ("A#1.1", "A#1.2", "A#2.1")),
    ],
)
def test_sentences_that_nothing_rests_on_are_found(cited: tuple[str, ...], left: tuple[str, ...]) -> None:
    assert uncited_sentences(resting_on(*cited), SPEC) == left


GOOD = "{standard: RFC 1}"


@pytest.mark.parametrize(
    ("text", "line", "complaint"),
    [
        (catalogue_text(""), 3, "UUID-01: a MUST names the passages"),
        (catalogue_text(GOOD, level="MAY"), 3, "one of MUST, SHOULD, INFO"),
        (catalogue_text("{at: A}"), 3, "either at and sha256, or standard"),
        (catalogue_text("{}"), 3, "either at and sha256, or standard"),
        (catalogue_text(f"{{at: A, sha256: {'a' * 64}, standard: x}}"), 3, "either at and sha256, or standard"),
        (catalogue_text("{at: A, sha256: abc}"), 3, "64 hexadecimal digits"),
        (catalogue_text(f"{{at: A, sha256: {'A' * 64}}}"), 3, "64 hexadecimal digits"),
        (catalogue_text(f"{{at: A b, sha256: {'a' * 64}}}"), 3, "'A b' is not a locator"),
        (catalogue_text(GOOD, extra=", implied: true"), 3, "an implied requirement names the passages"),
        (catalogue_text(GOOD, extra=", ruling: 1"), 3, "requirements[0].ruling: expected text"),
        (catalogue_text(GOOD, extra=", rulling: x"), 3, "did you mean 'ruling'?"),
        (catalogue_text(GOOD).replace("It works.", '" "'), 3, "the statement is empty"),
        (catalogue_text(GOOD).replace("UUID-01", "UUID-1"), 3, "'UUID-1' is not one of"),
        (catalogue_text(GOOD).replace("UUID-01", "NEW-01"), 3, "'NEW-01' is not one of"),
        (catalogue_text(GOOD).replace("UUID-01", "UUID-02"), 1, "UUID-02: expected UUID-01"),
        ("spec: x\nrequirements: []\n", 1, "requirements: there is none"),
    ],
)
def test_a_damaged_catalogue_is_refused_with_its_line(text: str, line: int, complaint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_catalogue(text, "c.yaml")
    assert str(raised.value).startswith(f"c.yaml:{line}:")
    assert complaint in str(raised.value)


@pytest.mark.parametrize(
    ("ids", "complaint"),
    [
        (("UUID-01", "UUID-01"), "UUID-01: expected UUID-02"),
        (("UUID-01", "UUID-03"), "UUID-03: expected UUID-02"),
        (("UUID-01", "EXEC-02"), "EXEC-02: expected EXEC-01"),
        (("EXEC-01", "UUID-01"), "UUID-01: out of order"),
    ],
)
def test_ids_are_unique_in_order_and_without_gaps(ids: tuple[str, ...], complaint: str) -> None:
    entries = "\n".join(f"  - {{id: {each}, level: INFO, statement: x}}" for each in ids)
    with pytest.raises(ConfigError, match=complaint):
        load_catalogue(f"spec: x\nrequirements:\n{entries}\n", "c.yaml")


def test_a_passage_shows_what_it_names() -> None:
    assert str(Passage(standard="RFC 1")) == "RFC 1"
    assert str(Passage(at="A#1", sha256="0" * 64)) == "A#1"
