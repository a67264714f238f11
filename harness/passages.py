"""Name passages of a `.proto` text, and fingerprint them, so that a requirement can say what it rests on without quoting it.

A locator is the path of a declaration, optionally with a paragraph and a sentence of its comment, both counted from 1:

    Uuid                                             the comment of a message
    ExecuteControllerJobRequest.idempotency_key#2    the second paragraph of a field's comment
    ExecuteControllerJobRequest.idempotency_key#2.1  the first sentence of that paragraph
    GetControllerJobStatusResponse.Status            a declaration without a comment: the declaration itself
    ExecutionOptions.reserved                        the reserved numbers and names of a message

Paths follow the nesting of the text, except that the members of a oneof belong to its message. A comment belongs to what
follows it on the next line; if a blank line follows, to what it follows (protoc's rule). White space never counts. Pure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.errors import ConfigError

MAX_CHARACTERS = 1_000_000
"""Longest text that is looked at."""
MAX_DEPTH = 32
"""Deepest nesting that is looked at."""

_LOCATOR = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?:#[1-9]\d{0,3}(?:\.[1-9]\d{0,3})?)?", re.ASCII)
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_SYNTAX = re.compile(r"^[ \t]*syntax\s*=", re.MULTILINE)
_GAP = re.compile(r"(?:\s|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_COMMENT = re.compile(r"//[^\n]*|/\*(.*?)\*/", re.DOTALL)
_TOKEN = re.compile(r""""(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\.?\w+(?:\.\w+)*|[^\s\w"'/]""")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9`\"'(])")
_OPENERS = frozenset({"message", "enum", "service", "oneof", "rpc"})
_NAMELESS = frozenset({"syntax", "edition", "package", "import", "option", "extensions"})


def is_locator(text: str) -> bool:
    """Whether `text` has the form of a locator (see the module's docstring)."""
    return _LOCATOR.fullmatch(text) is not None


def declaration_of(locator: str) -> str:
    """Return the path of the declaration that a locator points into."""
    return locator.partition("#")[0]


def digest(passage: str) -> str:
    """Return the SHA-256 of a passage as 64 hexadecimal digits; white space is folded first."""
    return hashlib.sha256(" ".join(passage.split()).encode()).hexdigest()


def extract(text: str, source: str = "spec") -> Mapping[str, str]:
    """Return every passage of a `.proto` text by its locator, white space folded; text before `syntax` is passed over.

    A comment appears as a whole, by paragraph and by sentence. Raises ConfigError for a text that is no `.proto` source.
    """
    if len(text) > MAX_CHARACTERS:
        raise ConfigError(f"longer than {MAX_CHARACTERS:,} characters", source=source, hint="is this the right file?")
    start = _SYNTAX.search(text)
    if start is None:
        raise ConfigError("not a .proto source: no line says which syntax it has", source=source)
    return {
        locator: passage
        for declaration in _Reader(source).read(_tokens(text, start.start(), source))
        for locator, passage in declaration.passages()
    }


@dataclass
class _Declaration:
    """A declaration while it is read: its path, its tokens, and the lines of the comments that belong to it."""

    path: str
    tokens: list[str]
    comment: list[str] = field(default_factory=list)

    def passages(self) -> Iterator[tuple[str, str]]:
        paragraphs = _paragraphs(self.comment)
        yield self.path, " ".join(paragraphs or self.tokens)
        for number, paragraph in enumerate(paragraphs, start=1):
            yield f"{self.path}#{number}", paragraph
            for place, sentence in enumerate(_SENTENCE_END.split(paragraph), start=1):
                yield f"{self.path}#{number}.{place}", sentence


class _Token(NamedTuple):
    """A word or sign ("" at the end); `leading` comments belong to it, `trailing` ones to what stands before it."""

    text: str
    line: int
    leading: list[str]
    trailing: list[str]


class _Block(NamedTuple):
    """An open brace: what it belongs to, and the scope of the names inside."""

    declaration: _Declaration
    scope: str


class _Reader:
    """Turns tokens into declarations, statement by statement."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._found: dict[str, _Declaration] = {}
        self._open: list[_Block] = []

    def read(self, tokens: Iterator[_Token]) -> list[_Declaration]:
        """Return all declarations, in the order of the text."""
        statement: list[_Token] = []
        nested = 0
        last: _Declaration | None = None
        for token in tokens:
            if last is not None:
                last.comment += token.trailing
                last = None
            if token.text == "":
                break
            for block in self._open:
                block.declaration.tokens.append(token.text)
            nested += _nesting(token.text, statement)
            if nested == 0 and token.text == "}" and not _is_option(statement):
                self._close(token, statement)
            elif nested == 0 and token.text in {";", "{"}:
                last = self._declare(token, [*statement, token])
                statement = []
            else:
                statement.append(token)
        if self._open or statement:
            raise ConfigError("ends in the middle of a declaration", source=self._source)
        return list(self._found.values())

    def _close(self, token: _Token, statement: list[_Token]) -> None:
        if statement or not self._open:
            raise ConfigError("unexpected '}'", source=self._source, line=token.line)
        self._open.pop()

    def _declare(self, end: _Token, statement: list[_Token]) -> _Declaration | None:
        words = [token.text for token in statement]
        scope = self._open[-1].scope if self._open else ""
        name = _name_of(words)
        if name is None or len(self._open) >= MAX_DEPTH:
            raise ConfigError(f"not understood: {' '.join(words)[:60]!r}", source=self._source, line=end.line)
        if not name:
            return None
        path = f"{scope}.{name}" if scope else name
        declaration = self._found.setdefault(path, _Declaration(path, []))
        declaration.tokens += words
        declaration.comment += ["", *statement[0].leading] if declaration.comment else statement[0].leading
        if end.text == "{":
            self._open.append(_Block(declaration, scope if words[0] == "oneof" else path))
        return declaration


def _nesting(text: str, statement: list[_Token]) -> int:
    """Return by how much a sign changes the depth of brackets inside a statement (values of options may have braces)."""
    if text not in {"[", "]", "{", "}"}:
        return 0
    if text in {"{", "}"} and not (_is_option(statement) or any(token.text == "[" for token in statement)):
        return 0
    return 1 if text in {"[", "{"} else -1


def _is_option(statement: list[_Token]) -> bool:
    return bool(statement) and statement[0].text == "option"


def _name_of(words: list[str]) -> str | None:
    """Return the name that a statement declares, "" for one without, None when it is none."""
    if words[-1] == "{":
        name = words[1] if words[0] in _OPENERS else ""
    elif words[0] in _NAMELESS or words == [";"]:
        return ""
    elif words[0] == "reserved":
        return "reserved"
    elif words[0] == "rpc":
        name = words[1]
    else:
        name = words[words.index("=") - 1] if "=" in words else ""
    return name if _NAME.fullmatch(name) else None


def _tokens(text: str, start: int, source: str) -> Iterator[_Token]:
    """Yield the tokens of the text, and an empty one at its end, with the comments between them sorted."""
    place, line = start, text.count("\n", 0, start) + 1
    while True:
        gap = _GAP.match(text, place)
        between = gap[0] if gap else ""
        trailing, leading = _sort_comments(between)
        place += len(between)
        line += between.count("\n")
        if place == len(text):
            yield _Token("", line, [], trailing)
            return
        match = _TOKEN.match(text, place)
        if match is None:
            raise ConfigError("a comment or a text in quotes is not closed", source=source, line=line)
        yield _Token(match[0], line, leading, trailing)
        place = match.end()


def _sort_comments(gap: str) -> tuple[list[str], list[str]]:
    """Split the comment lines between two tokens into those of the first and those of the second."""
    lines = [line.strip() for line in _COMMENT.sub(_as_line_comments, gap).split("\n")]
    trailing = lines[:1] if lines[0] else []
    rest = lines[1:] if lines[-1] else lines[1:-1]
    if "" not in rest:
        return _words(trailing), _words(rest)
    first, last = rest.index(""), len(rest) - rest[::-1].index("")
    return _words(trailing + rest[:first]), _words(rest[last:])


def _as_line_comments(match: re.Match[str]) -> str:
    if match[1] is None:
        return match[0]
    return "\n".join(f"//{line.strip().removeprefix('*')}" for line in match[1].split("\n"))


def _words(lines: list[str]) -> list[str]:
    return [line.removeprefix("//").strip() for line in lines]


def _paragraphs(lines: list[str]) -> list[str]:
    """Join comment lines into paragraphs, which are separated by empty lines, with white space folded."""
    joined = "\n".join(" ".join(line.split()) for line in lines)
    return [" ".join(part.split()) for part in re.split(r"\n{2,}", joined.strip("\n")) if part]
