"""The style sheet of reports: readable in both modes, on paper and on a phone, and whole in itself."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from tests.reports import records as make
from tests.reports.pages import page_of

CSS = (resources.files("reports") / "templates" / "report.css").read_text("utf-8")
MODES = ("light", "dark")
ENOUGH, ENOUGH_FOR_LINES = 4.5, 3.0
"""Contrasts that WCAG 2.2 level AA asks of text, and of what has to be seen."""

TEXTS = (
    *(("text", ground) for ground in ("bg", "panel", "good-bg", "bad-bg", "warn-bg", "unsure-bg")),
    *(("dim", ground) for ground in ("bg", "panel", "warn-bg")),
    *(("link", ground) for ground in ("bg", "panel", "warn-bg")),
    *((tone, f"{tone}-bg") for tone in ("good", "bad", "warn", "unsure", "mute")),
    *((tone, "bg") for tone in ("good", "bad", "warn", "unsure", "mute", "axis")),
    ("bad", "panel"),
    *(("bg", tone) for tone in ("bad", "warn")),
)
LINES = (*(f"c{place}" for place in range(1, 9)), "q50", "q95", "q99", "axis")


def colours(mode: str) -> dict[str, str]:
    """Return the colours of a mode by name."""
    light, dark = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light))
    return found | (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", dark)) if mode == "dark" else {})


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour, as WCAG defines it."""
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, from 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_computed_as_wcag_does() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("text", "ground"), TEXTS)
def test_text_stands_out_from_its_ground(mode: str, text: str, ground: str) -> None:
    found = colours(mode)
    assert contrast(found[text], found[ground]) >= ENOUGH


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("line", LINES)
def test_lines_of_charts_stand_out(mode: str, line: str) -> None:
    found = colours(mode)
    assert contrast(found[line], found["bg"]) >= ENOUGH_FOR_LINES


def test_both_modes_have_all_colours() -> None:
    light, dark = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    assert set(re.findall(r"--([\w-]+): #", light)) == set(re.findall(r"--([\w-]+): #", dark))


def test_every_colour_and_class_of_a_drawing_is_known_to_the_style() -> None:
    assert set(re.findall(r"var\(--([\w-]+)\)", CSS)) <= {*colours("light"), "mono", "chip", "chip-bg", "tone", "tint"}
    page = page_of(make.record(*make.staged_load()))
    drawn = {name for node in page.nodes if "svg" in node.path for name in str(node.attributes.get("class", "")).split()}
    assert drawn
    assert all(f".{name} {{" in CSS for name in drawn)


def test_colours_are_named_in_one_place() -> None:
    rest = re.sub(r":root \{.*?\}", "", CSS, flags=re.DOTALL)
    assert not re.search(r"#[0-9a-fA-F]{3,8}\b|rgba?\(|hsla?\(", rest)


def test_paper_and_phones_are_thought_of() -> None:
    assert "@media print" in CSS
    assert "@media (max-width: 44rem)" in CSS
    assert not re.search(r"url\(|@import|@font-face|expression\(", CSS)
