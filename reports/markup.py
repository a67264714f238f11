"""Markdown that GitLab and GitHub render alike: text that stays text, tables, folded parts, and a bounded length. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from harness.gates import plural
from reports.text import clean, one_line, shortened

MOST_ROWS = 30
"""How many rows a table has at most."""
LONGEST_DOCUMENT = 60_000
"""How many octets a document has at most: comments on GitHub end at 65,536 characters, and tools add some of their own."""

_ACTIVE = re.compile(r"[\\`*\[\]|~<>$&]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|^(?:[-+#=/]|\d+(?=[.)](?: |$)))")
_MENTION = re.compile(r"@(?=\w)")
_REFERENCE = re.compile(r"(?<=[#!%])(?=\d)")
_BLANKS = re.compile(r"\n{3,}")
_LONGEST = 300
_FOLD_END = "</details>"


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, on one line: no markup, link, HTML or end of a cell; nobody is notified."""
    safe = _ACTIVE.sub(_escaped, one_line(clean(shortened(text, _LONGEST))))
    return _REFERENCE.sub("\N{WORD JOINER}", _MENTION.sub("@\N{WORD JOINER}", safe))


def _escaped(match: re.Match[str]) -> str:
    text = match[0]
    return f"{text}\N{WORD JOINER}" if text.isdecimal() else f"\\{text}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], align: str = "") -> Iterator[str]:
    """Yield a table with a blank line around it; with `align` '>' all columns but the first are set to the right."""
    cells = [tuple(map(escape, row)) for row in rows]
    yield ""
    yield f"| {' | '.join(map(escape, head))} |\n|---|{('---:|' if align else '---|') * (len(head) - 1)}"
    for row in cells[:MOST_ROWS]:
        yield f"| {' | '.join(row)} |"
    yield ""
    if len(cells) > MOST_ROWS:
        yield f"{len(cells) - MOST_ROWS:,} more are in the full report."
        yield ""


def folded(title: str, content: Iterable[str]) -> Iterator[str]:
    """Yield a part that is shown when a reader opens it; its title is Markdown already."""
    yield ""
    yield f"<details>\n<summary>{title}</summary>\n"
    yield from content
    yield ""
    yield _FOLD_END
    yield ""


def joined(parts: Iterable[str], end: Iterable[str] = (), limit: int = LONGEST_DOCUMENT) -> str:
    """Return parts (lines, and what must stay together) as one document of at most so many octets, cut with a word about it.

    `end` comes last in any case.
    """
    body, tail = list(parts), "\n".join(("", *end))
    whole = _document([*body, tail])
    if len(whole.encode()) <= limit:
        return whole
    room, kept, is_open = limit - len(tail.encode()) - 400, list[str](), False
    for part in body:
        room -= len(part.encode()) + 1
        if room < 0:
            break
        kept.append(part)
        is_open = part.startswith("<details>") or (is_open and part != _FOLD_END)
    closing = ["", _FOLD_END] if is_open else []
    return _document([*kept, *closing, "", _left_out(body[len(kept) :]), tail])


def _document(parts: Iterable[str]) -> str:
    return _BLANKS.sub("\n\n", "\n".join(parts).strip() + "\n")


def _left_out(parts: Sequence[str]) -> str:
    rows = sum(part.startswith("| ") and "\n" not in part for part in parts)
    lines = sum(bool(part.strip()) and not part.startswith("| ") for part in parts)
    return f"**Cut for its length:** {plural(rows, 'row')} of tables and {plural(lines, 'other line')}; the full report has all."
