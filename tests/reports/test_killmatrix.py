from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.killmatrix import Fate, Matrix
from reports.killmatrix import KIND_NAMES, About, as_json, render_matrix
from tests.matrices import LINES, fates, holding, mutant, trial

ABOUT = About("1.0", "2026-01-02T03:04:05Z", 61.4, 4, 7, "runs/x")
SCHEMA = json.loads((resources.files("reports") / "schemas" / "killmatrix.schema.json").read_text(encoding="utf-8"))


class Page(HTMLParser):
    """The ids of a page, its links and tags, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            if name in {"href", "src"}:
                self.links.append(str(value))

    def handle_data(self, data: str) -> None:
        self.text += data


def page(matrix: Matrix) -> Page:
    return Page(render_matrix(matrix, ABOUT)["matrix.html"].decode())


@settings(max_examples=30)
@given(st.lists(fates(), max_size=4, unique_by=lambda item: item.subject.name), st.booleans())
def test_the_json_is_as_published(found: list[Fate], interrupted: bool) -> None:
    matrix = replace(holding(), fates=tuple(found), interrupted=interrupted)
    data = json.loads(render_matrix(matrix, ABOUT)["matrix.json"])
    jsonschema.validate(data, SCHEMA)
    assert data == json.loads(json.dumps(as_json(matrix, ABOUT)))
    assert data["exit_code"] == matrix.exit_code
    assert [item["fate"] for item in data["mutants"]] == [item.fate for item in found]


@settings(max_examples=15)
@given(st.lists(fates(), max_size=4, unique_by=lambda item: item.subject.name))
def test_every_link_of_the_page_leads_somewhere_on_it(found: list[Fate]) -> None:
    shown = page(replace(holding(), fates=tuple(found)))
    assert {link.removeprefix("#") for link in shown.links if link != "data:,"} <= set(shown.ids)
    assert len(shown.ids) == len(set(shown.ids))
    assert not shown.tags & {"script", "img", "iframe", "object"}


def test_the_page_says_what_it_amounts_to() -> None:
    good = page(holding())
    assert "The suites hold" in good.text
    assert "all 3 mutants are killed by checks of the requirement that they break" in good.text
    assert "nobody can see it" in good.text
    assert "controller-harness conformance --profile runs/x/trials/can-01-broken/profile.yaml --seed 7" in good.text
    survivor = mutant("CAN-01", "lives-on")
    bad = page(replace(holding(), fates=(*holding().fates, Fate(survivor, (trial(survivor, scope=("CAN",)), trial(survivor))))))
    assert "The suites fall short" in bad.text
    assert "#m-lives-on" in bad.links
    assert "no check noticed that CAN-01 is broken" in bad.text
    assert "trials/lives-on/profile.yaml --chapter CAN --seed 7" in bad.text
    assert "trials/lives-on/whole/profile.yaml --seed 7" in bad.text


def test_cells_are_marked_and_lead_to_their_mutant() -> None:
    html = render_matrix(holding(), ABOUT)["matrix.html"].decode()
    assert '<td class="own"><a href="#m-can-01-broken"' in html
    assert html.count('<td class="own">') == 3
    assert html.count('<td class="held">') == 3 * len(LINES) - 3


def test_text_from_outside_stays_text() -> None:
    subject = replace(mutant("CAN-01"), summary="<b>\x1b[31m")
    shown = replace(trial(subject, "CAN-01"), broken="</style><script>")
    html = render_matrix(replace(holding(), fates=(Fate(subject, (shown,)),)), ABOUT)["matrix.html"].decode()
    assert "<script>" not in html
    assert "<b>\\x1b" not in html
    assert "\x1b" not in html


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_every_kind_of_finding_has_a_colour(kind: str) -> None:
    css = (resources.files("reports") / "templates" / "killmatrix.css").read_text(encoding="utf-8")
    assert f".fate-{kind}" in css


def test_without_mutants_the_page_is_about_variants() -> None:
    shown = page(replace(holding(), fates=(), control=None))
    assert "grid" not in shown.ids
    assert "v-order-lifo" in shown.ids
    assert "1 odd but right server raised no false alarm in 2 runs" in shown.text.lower()
