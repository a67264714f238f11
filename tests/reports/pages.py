"""A page of a report as its tests read it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

from harness.record import Record
from reports import build_view, render

VOID = {"meta", "link", "br", "wbr", "img", "input", "hr"}


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

    def by_id(self, name: str) -> Node:
        """Return the one element with an id."""
        (found,) = (node for node in self.nodes if node.attributes.get("id") == name)
        return found


def page_of(*records: Record, baseline: tuple[Record, ...] = ()) -> Page:
    return Page(render(build_view(records, baseline=baseline), ["html"])["report.html"].decode())
