"""The HTML report: well-formed, safe, self-contained and accessible."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.record import Record
from reports import build_view, render
from reports.html import MOST_TABLE_ROWS, anchors, breakable, series_rows
from reports.judged import conformance_view
from reports.values import ERROR_BARS
from tests.reports import records as make

RECORDS = make.everything()
VOID = {"meta", "link", "br", "wbr", "img", "input", "hr"}
LOADING = {"src", "srcset", "href", "xlink:href", "action", "formaction", "data", "poster", "background", "ping"}


@dataclass
class Node:
    """One element: its name, attributes, and the text that it holds in all."""

    tag: str
    attributes: dict[str, str | None]
    text: str = ""
    path: tuple[str, ...] = ()


@dataclass
class Page(HTMLParser):
    """A page as read by a parser that insists on every element being closed in its turn."""

    source: str
    nodes: list[Node] = field(default_factory=list)
    open: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        node = Node(tag, dict(attrs), path=tuple(item.tag for item in self.open))
        self.nodes.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.nodes.append(Node(tag, dict(attrs), path=tuple(item.tag for item in self.open)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for node in self.open:
            node.text += data

    def all(self, *tags: str) -> Iterator[Node]:
        return (node for node in self.nodes if node.tag in tags)

    @property
    def text(self) -> str:
        return next(self.all("body")).text


def page_of(*records: Record) -> Page:
    return Page(render(build_view(records), ["html"])["report.html"].decode())


@cache
def page_named(name: str) -> Page:
    return page_of(RECORDS[name])


@pytest.fixture(params=list(RECORDS))
def page(request: pytest.FixtureRequest) -> Page:
    """Every record's page in turn."""
    return page_named(request.param)


def test_ids_are_unique_and_anchors_lead_somewhere(page: Page) -> None:
    ids = [node.attributes["id"] for node in page.nodes if "id" in node.attributes]
    assert len(set(ids)) == len(ids)
    named = {node.attributes.get("aria-labelledby") for node in page.nodes} - {None}
    links = {str(node.attributes["href"])[1:] for node in page.all("a")}
    assert named | links <= set(ids)
    assert all(str(node.attributes["href"]).startswith("#") for node in page.all("a"))


def test_nothing_is_loaded_and_nothing_runs(page: Page) -> None:
    assert not list(page.all("script", "iframe", "object", "embed", "img", "base", "form", "foreignobject"))
    for node in page.nodes:
        assert not [name for name in node.attributes if name.startswith("on") or name == "style"]
        for name in LOADING & node.attributes.keys():
            assert re.match(r"#|data:,$", str(node.attributes[name])), (node.tag, name)
    (style,) = page.all("style")
    assert not re.search(r"url\(|@import|@font-face", style.text)
    policy = next(node for node in page.all("meta") if node.attributes.get("http-equiv") == "Content-Security-Policy")
    assert str(policy.attributes["content"]).startswith("default-src 'none'")


def test_headings_are_in_order(page: Page) -> None:
    levels = [int(node.tag[1]) for node in page.all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[:2] == [1, 2]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(node.text.strip() for node in page.all("h1", "h2", "h3"))


def test_what_scrolls_can_be_reached_and_has_a_name(page: Page) -> None:
    for node in page.nodes:
        if node.attributes.get("class") == "scroll":
            assert node.attributes["tabindex"] == "0"
            assert node.attributes["role"] == "region"
            assert node.attributes["aria-label"]
        if "tabindex" in node.attributes:
            assert node.attributes["tabindex"] == "0"


def test_tables_have_heads_and_drawings_have_words(page: Page) -> None:
    for node in page.all("table"):
        assert node.text.strip()
    assert all(node.attributes.get("scope") in {"row", "col"} for node in page.all("th"))
    charts = [node for node in page.nodes if node.attributes.get("class") == "chart"]
    assert all(node.attributes["role"] == "img" and node.attributes["aria-label"] for node in charts)
    assert all("figure" in node.path for node in page.all("svg"))


def test_verdict_comes_first(page: Page) -> None:
    heading = next(page.all("h2"))
    assert heading.attributes["id"] == "verdict"
    title = next(page.all("title")).text
    assert title.startswith(heading.text)


@pytest.mark.parametrize("name", ["incomplete", "header only"])
def test_incomplete_record_says_so(name: str) -> None:
    page = page_named(name)
    assert next(page.all("h2")).text == "Incomplete"
    assert RECORDS[name].incomplete in page.text


def test_failure_is_shown_with_its_evidence() -> None:
    page = page_named("failing")
    card = next(node for node in page.all("article") if node.attributes["aria-labelledby"] == "EXEC-01")
    for text in (
        "What EXEC-01 asks for holds.",
        "RFC 9562 section 4.2",
        "expected of EXEC-01",
        "observed for EXEC-01",
        "NOT_FOUND",
        "no such job",
        "3.46",
        '{"job_id": "job-2", "quantum_processor_id": "qpu-1"}',
        "00000000-0000-4000-8000-000000000002",
        "grpcurl -plaintext -d",
        "DEADLINE_EXCEEDED (undecided)",
    ):
        assert text in card.text
    assert "job-1" not in card.text


def test_parts_come_in_their_order() -> None:
    page = page_of(make.failing(), make.loaded())
    assert [node.attributes["id"] for node in page.all("h2")] == [
        "verdict",
        "failures",
        "known-failures",
        "inconclusive",
        "matrix",
        "load-1",
        "statements",
        "checks",
        "environment",
    ]


def test_matrix_links_every_requirement_to_its_evidence() -> None:
    page = page_named("failing")
    chips = {
        str(node.attributes["href"]): node.attributes["aria-label"] for node in page.all("a") if "aria-label" in node.attributes
    }
    assert len(chips) == 9
    assert chips["#EXEC-01"] == "EXEC-01: fail"
    headings = {node.attributes["id"] for node in page.all("h3") if "id" in node.attributes}
    assert headings == {"EXEC-01", "UUID-08", "SEC-01"}


def test_observed_behaviour_is_shown() -> None:
    assert "The same key with another request replays the first response." in page_named("passing").text


def test_load_is_shown_with_charts_and_tables() -> None:
    page = page_named("loaded")
    assert len(list(page.all("figure"))) == 5
    for text in ("UNAVAILABLE", "queued", "p99.9", "constant-arrival-rate", "GetControllerJobStatus p99 < 20ms", "3,600"):
        assert text in page.text


def test_phases_of_jobs_show_their_error_bars_and_what_they_mean() -> None:
    text = page_named("loaded").text
    assert "22.4 ± 4.40" in text
    assert "29.8 ± 11.8" in text
    assert ERROR_BARS in text
    bare = page_of(make.record(*make.load(make.latency("A"), make.latency("queued", kind="lifecycle"))))
    assert "±" not in bare.text


def test_several_load_runs_are_told_apart() -> None:
    page = page_of(make.loaded(), make.loaded())
    assert {"load-1", "load-2"} <= {node.attributes["id"] for node in page.all("h2")}


def test_environment_repeats_the_run() -> None:
    page = page_named("passing")
    for text in ("controller-harness run --profile 'my profile.yaml' --seed 7", "grpcio 1.85.1", "identities.main.token", "***"):
        assert text in page.text


@pytest.mark.parametrize("place", range(len(make.HOSTILE)))
def test_text_of_an_endpoint_is_text_and_nothing_else(place: int) -> None:
    harmless, hostile = page_of(make.hostile("harmless")), page_named(f"hostile {place}")
    ignored = {"wbr", "p"}
    assert [node.tag for node in hostile.nodes if node.tag not in ignored] == [
        node.tag for node in harmless.nodes if node.tag not in ignored
    ]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=15)
@given(st.text(st.characters(codec=None), min_size=1, max_size=40))
def test_any_text_leaves_the_page_well_formed(text: str) -> None:
    page = page_of(make.hostile(text))
    assert not list(page.all("script", "img"))


def test_anchor_of_a_requirement_is_unique_whatever_its_id() -> None:
    names = ("EXEC-01", "checks", "check-1", "load-1", "a b", "<x>", "EXEC-01 ")
    view = conformance_view(make.conformance(*(make.requirement(name) for name in names)))
    assert view is not None
    found = anchors(view.requirements)
    assert found["EXEC-01"] == "EXEC-01"
    assert len(set(found.values())) == len(names)
    assert not {"checks", "check-1", "load-1"} & set(found.values())


@given(st.text())
def test_breakable_changes_nothing_but_the_breaks(text: str) -> None:
    assert breakable(text).replace("<wbr>", "") == str(breakable("").join([text]))


def test_names_break_between_their_words() -> None:
    assert breakable("CancelControllerJobs") == "Cancel<wbr>Controller<wbr>Jobs"
    assert breakable("DEADLINE_EXCEEDED") == "DEADLINE_<wbr>EXCEEDED"


def test_table_behind_the_charts_is_short() -> None:
    load = build_view([make.record(*make.load(*make.busy_load(3000)))]).loads[0]
    rows = series_rows(load)
    assert 20 <= len(rows) <= MOST_TABLE_ROWS
    assert {row.rpc for row in rows} == {row.rpc for row in load.rpcs}
