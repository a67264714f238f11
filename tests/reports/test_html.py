"""The HTML report: well-formed, safe, self-contained and accessible."""

from __future__ import annotations

import dataclasses
import itertools
import re
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.history import Failed
from reports import build_view
from reports.html import MOST_TABLE_ROWS, anchors, breakable, series_rows
from reports.judged import conformance_view
from reports.loadvalues import ERROR_BARS
from tests.reports import comparisons
from tests.reports import records as make
from tests.reports.pages import Page, page_of

RECORDS = make.everything() | {"open": make.record(*make.staged_load())}
LOADING = {"src", "srcset", "href", "xlink:href", "action", "formaction", "data", "poster", "background", "ping"}


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
        if "scroll" in str(node.attributes.get("class", "")).split():
            assert node.attributes["tabindex"] == "0"
            assert node.attributes["role"] == "region"
            assert node.attributes["aria-label"]
        if "tabindex" in node.attributes:
            assert node.attributes["tabindex"] == "0"


def test_tables_have_heads_and_drawings_have_words(page: Page) -> None:
    for node in page.all("table"):
        assert node.text.strip()
    assert all(node.attributes.get("scope") in {"row", "col"} for node in page.all("th"))
    charts = [node for node in page.nodes if "chart" in str(node.attributes.get("class", "")).split()]
    assert all(node.attributes["role"] == "img" and node.attributes["aria-label"] for node in charts)
    assert len(charts) == len(list(page.all("figure")))
    assert all("figure" in node.path for node in page.all("svg"))


def test_what_opens_says_what_it_opens(page: Page) -> None:
    assert len(list(page.all("summary"))) == len(list(page.all("details")))
    assert all(node.text.strip() and node.path[-1] == "details" for node in page.all("summary"))
    named = [node.attributes["aria-label"] for node in page.nodes if node.attributes.get("role") == "region"]
    assert len(set(named)) == len(named)


def test_page_has_its_landmarks_and_a_way_past_them(page: Page) -> None:
    assert [node.tag for node in page.all("header", "main", "nav", "footer")] == ["header", "main", "nav", "footer"]
    first = next(page.all("a"))
    assert first.attributes == {"class": "skip", "href": "#verdict"}
    assert next(page.all("html")).attributes["lang"] == "en"


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
        "controller-harness conformance --check ids --seed 7",
        "controller-harness replay plans/generated-1.json --profile mine.yaml",
        "controller-harness judge histories/ids.jsonl",
    ):
        assert text in card.text


def test_findings_lead_to_their_calls() -> None:
    page = page_named("failing")
    key = next(str(node.attributes["id"]) for node in page.all("tr") if "Check ids" in node.text and "id" in node.attributes)
    links = [node.text for node in page.all("a") if str(node.attributes["href"]).startswith(f"#{key}.")]
    assert links == ["2", "3"] * 2
    assert page.by_id(f"{key}.2").tag == "tbody"
    assert "00000000-0000-4000-8000-000000000002" in page.by_id(f"{key}.2").text


def test_parts_come_in_their_order() -> None:
    page = page_of(make.failing(), make.loaded(), baseline=(make.passing(), make.loaded()))
    assert [node.attributes["id"] for node in page.all("h2")] == [
        "verdict",
        "baseline",
        "failures",
        "known-failures",
        "inconclusive",
        "matrix",
        "load-1",
        "checks",
        "environment",
    ]


def test_parts_of_a_load_come_in_their_order() -> None:
    page = page_of(make.record(*make.staged_load()))
    place = next(number for number, node in enumerate(page.nodes) if node.attributes.get("id") == "load-1")
    assert [node.text for node in page.nodes[place:] if node.tag == "h3"] == [
        "Thresholds",
        "Offered and achieved",
        "Percentiles over time",
        "Percentile spectrum",
        "Calls by stage",
        "Calls by RPC",
        "Errors by code",
        "Life of a job",
        "Ledger of jobs",
    ]


def test_what_changed_since_the_baseline_comes_right_after_the_verdict() -> None:
    page = page_of(make.failing(), baseline=(make.passing(),))
    part = next(node for node in page.all("section") if node.attributes["aria-labelledby"] == "baseline")
    assert "Worse: UUID-08, EXEC-01." in part.text
    rows = {node.text.split()[0] for node in page.all("tr") if node.path[-3:] == ("div", "table", "tbody")}
    assert {"UUID-08", "EXEC-01"} <= rows
    assert "Worse than the baseline: UUID-08, EXEC-01." in page.text


def test_a_baseline_that_cannot_be_compared_says_why() -> None:
    page = page_of(make.passing(), baseline=(make.incomplete(),))
    part = next(node for node in page.all("section") if node.attributes["aria-labelledby"] == "baseline")
    assert "Not comparable" in part.text


def test_effects_on_load_are_drawn_and_tabled() -> None:
    page = page_of(*comparisons.runs(1, 5), baseline=tuple(comparisons.runs(11, 5, level=2500.0)))
    part = next(node for node in page.all("section") if node.attributes["aria-labelledby"] == "baseline")
    assert "Latency, throughput and errors" in part.text
    assert "worse" in part.text
    assert any(node.attributes.get("class") == "chart wide" for node in page.nodes)


def test_a_verdict_names_what_it_rests_on_and_the_mutants_that_prove_it() -> None:
    row = page_named("passing").by_id("EXEC-01")
    page = page_named("passing")
    whole = page.nodes[page.nodes.index(row) - 1].text
    assert "Check exec" in whole
    assert "3 calls, 0 jobs, seen through observer" in whole
    assert "2 mutants that its checks have to catch" in whole
    assert "exec-01-broken-from-8" in whole
    assert "seen through observer; proven on exec-01-broken" in whole


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
    assert len(list(page.all("figure"))) == 7
    for text in ("UNAVAILABLE", "queued", "p99.9", "constant-arrival-rate", "GetControllerJobStatus p99 < 20ms", "3,600"):
        assert text in page.text


def test_phases_of_jobs_show_their_error_bars_and_what_they_mean() -> None:
    text = page_named("loaded").text
    assert "22.4 ± 4.40" in text
    assert "29.8 ± 11.8" in text
    assert ERROR_BARS in text
    bare = page_of(make.record(*make.load(make.latency("A"), make.latency("queued", kind="lifecycle"))))
    assert "±" not in bare.text


def test_a_load_whose_figures_do_not_count_says_why() -> None:
    behind = dataclasses.replace(make.starts("steady"), late=90)
    page = page_of(make.record(*make.load(make.latency("A"), behind)))
    assert "figures do not count The generator fell behind" in page.text
    assert "figures do not count" not in page_named("loaded").text


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
    page = page_of(make.hostile(text), baseline=(make.passing(),))
    assert not list(page.all("script", "img"))


def test_a_page_holds_the_evidence_of_the_first_failures_only() -> None:
    answer = Failed("INTERNAL", "x" * 2500)
    checks = [
        make.failed(f"check {number}", "EXEC-01", calls=tuple(make.operation(place, answer) for place in range(20)))
        for number in range(100)
    ]
    page = page_of(make.record(*make.conformance(make.requirement("EXEC-01"), *checks)))
    assert len(page.source) < 1_500_000
    assert page.text.count("Its calls are in the record") > 50
    assert 100 < page.source.count("<tbody id=") < 300
    assert page.text.count("expected of EXEC-01") == 100


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
