"""A comparison and a history in all their forms: the same bytes again, within the schema, and no markup from a record."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from html.parser import HTMLParser
from importlib import resources
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness.record import Record
from reports.comparison import Comparison, Settings, compare
from reports.comparison.render import comparison_files, history_files
from reports.comparison.text import comparison_text, history_text
from reports.comparison.trend import History
from tests.reports import records
from tests.reports.comparisons import RPC, run, runs
from tests.reports.test_comparison_trend import history_of, slower_from, started


def schema(name: str) -> Any:
    return json.loads((resources.files("reports") / "schemas" / f"{name}.schema.json").read_text("utf-8"))


def slower() -> Comparison:
    return compare(runs(0, 5), runs(5, 5, level=6500))


COMPARISONS: Mapping[str, Callable[[], Comparison]] = {
    "slower": slower,
    "faster": lambda: compare(runs(5, 5, level=6500), runs(0, 5)),
    "single": lambda: compare([run(1, seconds=20)], [run(2, seconds=20)]),
    "short": lambda: compare([run(1, seconds=3)], [run(2, seconds=3)]),
    "refused": lambda: compare([run(1)], [run(2, machine={"cores": 9})]),
    "allowed": lambda: compare([run(1)], [run(2, machine={"cores": 9})], Settings(allowed=("machine",))),
    "verdicts": lambda: compare([records.passing()], [records.failing()]),
    "nothing": lambda: compare([records.passing()], [records.passing()]),
    "hostile": lambda: compare([hostile(0)], [hostile(3)]),
}


def hostile(place: int) -> Record:
    """Return a load run whose RPC is called something odd."""
    return run(place, rpcs=(records.HOSTILE[0], records.HOSTILE[3]), seconds=9)


class Tags(HTMLParser):
    """Collects what would make a page act or load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in {"script", "iframe", "object", "embed", "img"} or any(name.startswith("on") for name in values):
            self.found.append(tag)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.links += [values["href"] or ""] if "href" in values else []


def check_page(page: bytes) -> None:
    tags = Tags()
    tags.feed(page.decode())
    assert tags.found == []
    assert len(tags.ids) == len(set(tags.ids))
    assert all(link == "data:," or (link.startswith("#") and link[1:] in tags.ids) for link in tags.links)


@pytest.mark.parametrize("name", list(COMPARISONS))
def test_a_comparison_in_all_forms(name: str) -> None:
    comparison = COMPARISONS[name]()
    files = comparison_files(comparison)
    assert sorted(files) == ["comparison.html", "comparison.json", "comparison.md"]
    assert files == comparison_files(COMPARISONS[name]())
    Draft202012Validator(schema("comparison")).validate(json.loads(files["comparison.json"]))
    check_page(files["comparison.html"])
    assert len(files["comparison.html"]) < 200_000
    assert json.loads(files["comparison.json"])["regressed"] is comparison.regressed
    assert not re.search(rb"(?<!\\)<script", files["comparison.md"])
    assert "\x1b" not in comparison_text(comparison)


HISTORIES: Mapping[str, Callable[[], History]] = {
    "slower": lambda: history_of(slower_from(16, 8), {"a.jsonl": "a.jsonl:1: not a run record"}, Settings()),
    "one run": lambda: history_of([run(1)], {}, Settings()),
    "hostile": lambda: history_of([hostile(0), hostile(1)], {records.HOSTILE[0]: records.HOSTILE[1]}, Settings()),
    "checks": lambda: history_of([started(0, records.passing()), started(1, records.failing())], {}, Settings()),
    "nothing": lambda: history_of([records.incomplete()], {}, Settings()),
}


@pytest.mark.parametrize("name", list(HISTORIES))
def test_a_history_in_all_forms(name: str) -> None:
    files = history_files(HISTORIES[name]())
    assert sorted(files) == ["history.html", "history.json"]
    assert files == history_files(HISTORIES[name]())
    Draft202012Validator(schema("history")).validate(json.loads(files["history.json"]))
    check_page(files["history.html"])
    assert "\x1b" not in history_text(HISTORIES[name]())


@pytest.mark.parametrize("name", ["comparison", "history"])
def test_the_schemas_are_strict(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))

    def objects(part: Any) -> Iterable[dict[str, Any]]:
        if isinstance(part, dict):
            if isinstance(part.get("properties"), dict):
                yield part
            for item in part.values():
                yield from objects(item)
        elif isinstance(part, list):
            for item in part:
                yield from objects(item)

    found = list(objects(schema(name)))
    assert found
    for part in found:
        assert part["additionalProperties"] is False
        assert sorted(part["required"]) == sorted(part["properties"])


def test_the_text_ends_with_the_verdict() -> None:
    text = comparison_text(slower())
    assert text.splitlines()[-1].startswith(f"Regression: Worse: latency of all calls, p50 of {RPC}, ")
    assert f"  p50 of {RPC} " in text
    assert comparison_text(COMPARISONS["verdicts"]()).splitlines()[-1].startswith("Regression: Worse: UUID-08, EXEC-01.")
    assert comparison_text(COMPARISONS["nothing"]()).endswith("\nNo regression: No verdict changed.")
    assert comparison_text(COMPARISONS["short"]()).splitlines()[-1].startswith("Inconclusive: ")


def test_the_page_draws_what_gates() -> None:
    page = comparison_files(slower())["comparison.html"].decode()
    assert page.count("<svg ") == 1
    assert f">p50 of {RPC}</text>" in page
    assert "Effects with their intervals" not in comparison_files(COMPARISONS["verdicts"]())["comparison.html"].decode()


def test_the_history_draws_change_points() -> None:
    page = history_files(HISTORIES["slower"]())["history.html"].decode()
    (group,) = HISTORIES["slower"]().groups
    drawn = [trend for trend in group.trends if any(value for _, value in trend.points)]
    assert page.count("<svg ") == len(drawn) == len(group.trends) - 1, "no call failed, so there is nothing to draw of that"
    assert page.count('stroke-dasharray="5,3"') == sum(len(trend.changes) for trend in group.trends) > 0


def test_a_terminal_is_not_flooded_with_skipped_files() -> None:
    text = history_text(history_of([], {f"{number}.jsonl": f"{number}.jsonl: no record" for number in range(30)}, Settings()))
    assert text.count("skipped: ") == 21
    assert "skipped: 10 more, which the page names" in text


def test_the_text_of_a_history_says_when_it_changed() -> None:
    text = history_text(HISTORIES["slower"]())
    assert "since 2026-01-01 08:00:00 UTC (runs/8/record.jsonl): rate of all calls" not in text
    assert "  since 2026-01-01 08:00:00 UTC (runs/8/record.jsonl): latency of all calls worse: " in text
    assert "skipped: a.jsonl:1: not a run record" in text
    assert text.splitlines()[-1].startswith("16 runs, 1 group, ")
