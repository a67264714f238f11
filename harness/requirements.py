"""The catalogue of what a Controller endpoint has to do, and the means to check that it still rests on the spec.

The catalogue is `harness/requirements.yaml`; its sentences are ours, the spec's own are named by locator and hash. Pure: the
caller reads the spec; only the built-in catalogue, which is part of the package, is read here.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources

from harness.config import load, option
from harness.passages import declaration_of, digest, extract, is_locator

BUILTIN = "requirements.yaml"
"""File name of the built-in catalogue, inside the package."""

LEVELS = ("MUST", "SHOULD", "INFO")
"""What a violation does: fails the endpoint, warns, or is recorded."""

CHAPTERS: Mapping[str, str] = {
    "UUID": "Idempotency keys on the wire",
    "EXEC": "ExecuteControllerJob",
    "BATCH": "BatchExecuteControllerJobs",
    "IDEM": "Idempotency",
    "OPT": "ExecutionOptions",
    "RES": "GetControllerJobResults",
    "CAN": "CancelControllerJobs",
    "STA": "GetControllerJobStatus",
    "EST": "Estimates",
    "WIRE": "The protocol around it",
    "SEC": "Credentials",
}
"""The chapters in their order, and their titles."""

_ID = re.compile(r"([A-Z]+)-(\d\d)", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True)
class Passage:
    """What a requirement rests on: a place in the spec with the hash of what stands there, or a public standard."""

    at: str | None = option("locator of a passage in the spec", default=None, example="Uuid")
    sha256: str | None = option("SHA-256 of that passage", default=None, example="0" * 64)
    standard: str | None = option("public standard and its part", default=None, example="RFC 9562 section 4.2")

    def __post_init__(self) -> None:
        if (self.at is None) == (self.standard is None) or (self.at is None) != (self.sha256 is None):
            raise ValueError("a passage has either at and sha256, or standard")
        if self.at is not None and not is_locator(self.at):
            raise ValueError(f"at: {self.at!r} is not a locator; write Declaration.path, optionally #paragraph.sentence")
        if self.sha256 is not None and _HASH.fullmatch(self.sha256) is None:
            raise ValueError("sha256: needs 64 hexadecimal digits in lower case")

    def __str__(self) -> str:
        return self.at or self.standard or ""


@dataclass(frozen=True)
class Requirement:
    """One line of the catalogue. `implied`: no sentence says it outright. `unobservable`: why no check can see it."""

    id: str = option("chapter and number", example="UUID-01")
    level: str = option("how binding it is", choices=LEVELS)
    statement: str = option("what the endpoint does, or for INFO what is recorded", example="...")
    passages: tuple[Passage, ...] = option("what it rests on", default=())
    implied: bool = option("it follows from the passages together, no sentence says it outright", default=False)
    ruling: str = option("how the suite judges where the spec leaves room", default="")
    unobservable: str = option("why no check can see it", default="")

    def __post_init__(self) -> None:
        match = _ID.fullmatch(self.id)
        if match is None or match[1] not in CHAPTERS:
            raise ValueError(f"id: {self.id!r} is not one of {', '.join(CHAPTERS)}, a hyphen and two digits")
        if not self.statement.strip():
            raise ValueError(f"{self.id}: the statement is empty")
        if self.level == "MUST" and not self.passages:
            raise ValueError(f"{self.id}: a MUST names the passages that it rests on")
        if self.implied and not (self.passages and self.ruling):
            raise ValueError(f"{self.id}: an implied requirement names the passages that it follows from, and its ruling")

    @property
    def chapter(self) -> str:
        """The chapter, a key of `CHAPTERS`."""
        return self.id.partition("-")[0]

    @property
    def number(self) -> int:
        """The number within the chapter, from 1."""
        return int(self.id.partition("-")[2])


@dataclass(frozen=True)
class Catalogue:
    """All requirements, in order: chapters as in `CHAPTERS`, each numbered from 1 without a gap (so that none is lost)."""

    spec: str = option("name and version of the spec that the hashes were taken from", example="controller/service.proto")
    requirements: tuple[Requirement, ...] = option("the requirements, chapter by chapter")

    def __post_init__(self) -> None:
        order = list(CHAPTERS)
        previous: Requirement | None = None
        for each in self.requirements:
            same = previous is not None and previous.chapter == each.chapter
            expected = previous.number + 1 if previous is not None and same else 1
            if previous is not None and order.index(each.chapter) < order.index(previous.chapter):
                raise ValueError(f"{each.id}: out of order, chapter {each.chapter} comes before {previous.chapter}")
            if each.number != expected:
                raise ValueError(f"{each.id}: expected {each.chapter}-{expected:02}, numbers have no gaps and do not repeat")
            previous = each
        if previous is None:
            raise ValueError("requirements: there is none")

    def __iter__(self) -> Iterator[Requirement]:
        return iter(self.requirements)

    def __len__(self) -> int:
        return len(self.requirements)

    def __contains__(self, requirement_id: object) -> bool:
        return any(each.id == requirement_id for each in self.requirements)

    def __getitem__(self, requirement_id: str) -> Requirement:
        """Return a requirement by its id. Raises KeyError."""
        for each in self.requirements:
            if each.id == requirement_id:
                return each
        raise KeyError(requirement_id)

    def chapter(self, name: str) -> tuple[Requirement, ...]:
        """Return the requirements of one chapter."""
        return tuple(each for each in self.requirements if each.chapter == name)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the content (not of the layout): equal exactly if two catalogues say the same."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Mismatch:
    """A passage that is not what it was; `found` is the hash of what stands there now, None if nothing does."""

    requirement: str
    at: str
    expected: str
    found: str | None

    def __str__(self) -> str:
        if self.found is None:
            return f"{self.requirement}: {self.at}: the spec has no such passage"
        return f"{self.requirement}: {self.at}: the passage has changed (sha256 {self.found}, expected {self.expected})"


def load_catalogue(text: str, source: str) -> Catalogue:
    """Decode a catalogue from YAML text; `source` names it in errors. Raises ConfigError."""
    return load(text, Catalogue, source)


@cache
def builtin_catalogue() -> Catalogue:
    """Return the catalogue that comes with the package."""
    text = (resources.files("harness") / BUILTIN).read_text(encoding="utf-8")
    return load_catalogue(text, BUILTIN)


def verify_passages(catalogue: Catalogue, proto_text: str, source: str = "spec") -> tuple[Mismatch, ...]:
    """Compare every hash with the spec's text; empty when all hold. Raises ConfigError if the text is no `.proto` source."""
    now = {at: digest(passage) for at, passage in extract(proto_text, source).items()}
    return tuple(
        Mismatch(each.id, passage.at, passage.sha256 or "", now.get(passage.at))
        for each in catalogue
        for passage in each.passages
        if passage.at is not None and now.get(passage.at) != passage.sha256
    )


def uncited_sentences(catalogue: Catalogue, proto_text: str, source: str = "spec") -> tuple[str, ...]:
    """Return the locators of the spec's sentences that no requirement rests on: what a newer spec has added.

    A requirement that names a whole comment or paragraph rests on every sentence of it. Raises ConfigError as `extract` does.
    """
    cited = {passage.at for each in catalogue for passage in each.passages}
    return tuple(
        at
        for at in extract(proto_text, source)
        if "." in at.partition("#")[2] and cited.isdisjoint({at, at.rpartition(".")[0], declaration_of(at)})
    )
