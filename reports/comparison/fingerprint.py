"""Which records may be compared: runs that are valid, of one scenario, one profile and one machine. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from harness.errors import ExitCode
from harness.gates import outcomes_of
from harness.record import Record, SectionStart
from reports.comparison.values import DIFFERENCES, Refusal
from reports.text import one_line, shortened

_NOT_VALID = (ExitCode.NOT_VALID, ExitCode.UNREACHABLE, ExitCode.INTERRUPTED)
_PLACES = ("observer", "restart_command")
"""Facts that hold addresses and paths of one build; that there is one counts, not what it is."""
_NAMED_AT_MOST = 3
_LONGEST_VALUE = 60

Fingerprint = Mapping[str, Any]


def invalid(record: Record) -> Refusal | None:
    """Return why a run says nothing that could be compared; None if it does."""
    reasons = [reason for code, reason in outcomes_of(record) if code in _NOT_VALID]
    return Refusal("invalid", f"{record.source}: {' '.join(reasons)}") if reasons else None


def different(records: Sequence[Record], allowed: Iterable[str] = ()) -> tuple[Refusal, ...]:
    """Return in what the records differ from the first one, once per kind of difference that is not allowed."""
    return tuple(
        refusal for kind in DIFFERENCES if kind not in set(allowed) and (refusal := _difference(kind, records)) is not None
    )


def fingerprints(record: Record) -> Mapping[str, Fingerprint]:
    """Return what has to be the same by kind of difference; the scenario of a record without load is empty."""
    return {"scenario": scenario_of(record), "profile": profile_of(record), "machine": record.header.machine}


def key_of(fingerprint: Mapping[str, Fingerprint]) -> str:
    """Return a text that is the same for the same fingerprints."""
    return json.dumps(fingerprint, sort_keys=True, default=str)


def scenario_of(record: Record) -> Fingerprint:
    """Return the scenario of the load in a record, one by one if there are several."""
    loads = [line.detail for line in record.lines if isinstance(line, SectionStart) and line.section == "load"]
    return loads[0] if len(loads) == 1 else {str(place): detail for place, detail in enumerate(loads, start=1)}


def profile_of(record: Record) -> Fingerprint:
    """Return the profile without what only says which build it was and where: two builds cannot have one address at a time."""
    profile = {name: value for name, value in record.header.profile.items() if name != "address"}
    facts, embedded = profile.get("facts"), profile.get("embedded")
    if isinstance(facts, Mapping):
        profile["facts"] = {name: value is not None if name in _PLACES else value for name, value in facts.items()}
    if isinstance(embedded, Mapping):
        profile["embedded"] = {name: value for name, value in embedded.items() if name not in {"mutant", "variant"}}
    return profile


def differing_keys(first: Fingerprint, second: Fingerprint) -> tuple[str, ...]:
    """Return the keys, dotted, under which two fingerprints do not hold the same, each with both values."""
    one, two = dict(_leaves("", first)), dict(_leaves("", second))
    return tuple(
        f"{name} ({one.get(name, 'nothing')} against {two.get(name, 'nothing')})"
        for name in dict.fromkeys((*one, *two))
        if one.get(name) != two.get(name)
    )


def _leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield the values below a key by their dotted keys."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(f"{name}.{key}" if name else str(key), item)
    else:
        yield name, shortened(one_line(json.dumps(value, ensure_ascii=False, default=str)), _LONGEST_VALUE)


def _difference(kind: str, records: Sequence[Record]) -> Refusal | None:
    compared = [record for record in records if kind != "scenario" or scenario_of(record)]
    for record in compared[1:]:
        first, second = fingerprints(compared[0])[kind], fingerprints(record)[kind]
        if key_of(first) == key_of(second):
            continue
        keys = differing_keys(first, second) or ("the order of their keys",)
        rest = len(keys) - _NAMED_AT_MOST
        named = ", ".join(keys[:_NAMED_AT_MOST]) + (f" and {rest:,} more" if rest > 0 else "")
        return Refusal(kind, f"the {kind}s of {compared[0].source} and {record.source} differ in {named}")
    return None
