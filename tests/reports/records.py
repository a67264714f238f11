"""Synthetic run records: what the tests of reports and gates judge instead of the records of real runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.histogram import Histogram
from harness.history import Failed, Ok, Operation, Outcome, Rpc, Unknown
from harness.record import (
    Arrivals,
    CheckLine,
    Discrepancy,
    Footer,
    Header,
    Interval,
    Latency,
    Ledger,
    Line,
    Observation,
    Probe,
    Record,
    RequirementLine,
    SearchLine,
    SectionEnd,
    SectionStart,
    ThresholdLine,
)

STARTED, ENDED = "2026-01-15T09:30:00.000Z", "2026-01-15T09:31:12.500Z"

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "]]>",
    "a|b\n| c `d` [x](http://evil.example) **e** @f",
    "\x00\x01\x1b[31m\x7f\x85 \u202e reversed \ud800 \ufffe",
    "{{ 7 * 7 }} {% raw %} &amp; &#60;",
    "x" * 20_000,
)
"""Text that an endpoint may send to break a report."""


def header(**changes: Any) -> Header:
    fields: dict[str, Any] = {
        "run_id": "8c5d0b52-7a51-4d39-9f0f-0a4f4c1f9a11",
        "started": STARTED,
        "command": ("controller-harness", "run", "--profile", "my profile.yaml", "--seed", "7"),
        "tool_version": "0.1.0",
        "python": "3.11.7",
        "packages": {"grpcio": "1.85.1", "protobuf": "7.35.1"},
        "machine": {"system": "Linux 6.1", "processor": "a processor", "cores": 2, "memory_mib": 7954},
        "endpoint": "127.0.0.1:50051",
        "profile": {"name": "my-controller", "identities": {"main": {"token": "***"}}, "facts": {"executors": 1}},
        "seed": 7,
    }
    return Header(**fields | changes)


def requirement(identifier: str, level: str = "MUST", **changes: Any) -> RequirementLine:
    fields: dict[str, Any] = {
        "chapter": identifier.partition("-")[0],
        "statement": f"What {identifier} asks for holds.",
        "passages": ("ExecuteControllerJobRequest#2.2",),
        "implied": False,
        "unobservable": "",
        "mutants": (f"{identifier.lower()}-broken", f"{identifier.lower()}-broken-from-8"),
    }
    return RequirementLine(id=identifier, level=level, **fields | changes)


def operation(number: int, outcome: Outcome | None = None, rpc: Rpc = Rpc.STATUS, **changes: Any) -> Operation:
    fields: dict[str, Any] = {
        "client": "main",
        "identity": "owner",
        "request_id": f"00000000-0000-4000-8000-{number:012}",
        "started_ns": number * 40_000_000,
        "ended_ns": number * 40_000_000 + 3_456_789,
        "request": {"job_id": f"job-{number}", "quantum_processor_id": "qpu-1"},
        "command": f'grpcurl -plaintext -d \'{{"job_id":"job-{number}"}}\' 127.0.0.1:50051 services.controller.Controller/{rpc}',
    }
    return Operation(number=number, rpc=rpc, outcome=outcome or Ok({"status": "QUEUED"}), **fields | changes)


def check(name: str, *requirements: str, verdict: str = "pass", **changes: Any) -> CheckLine:
    fields: dict[str, Any] = {"title": f"Check {name}", "reason": "", "reason_kind": "", "seconds": 0.25, "calls_made": 3}
    return CheckLine(check=name, requirements=requirements, verdict=verdict, **fields | changes)


def failed(name: str, *requirements: str, breaks: Sequence[str] = (), **changes: Any) -> CheckLine:
    """Return a failed check whose discrepancies name `breaks` (by default all its requirements)."""
    found = tuple(Discrepancy(item, f"expected of {item}", f"observed for {item}", (2, 3)) for item in breaks or requirements)
    calls = (
        operation(1),
        operation(2, Failed("NOT_FOUND", "no such job")),
        operation(3, Unknown("DEADLINE_EXCEEDED", ""), Rpc.EXECUTE),
    )
    return check(name, *requirements, **{"verdict": "fail", "discrepancies": found, "calls": calls, **changes})


def conformance(*lines: Line, outcome: str = "completed", reason: str = "", exit_code: int = 0) -> tuple[Line, ...]:
    start = SectionStart("conformance", STARTED, sum(isinstance(line, CheckLine) for line in lines))
    return (start, *lines, SectionEnd("conformance", ENDED, outcome, reason, exit_code))


def histogram(values: Iterable[int]) -> Histogram:
    made = Histogram()
    for value in values:
        made.add(value)
    return made


def latency(name: str, code: str = "OK", count: int = 100, base: int = 4000, kind: str = "rpc") -> Latency:
    return Latency(kind, name, code, histogram(base + place * place for place in range(count)))


def interval(
    second: int, rpc: str = "GetControllerJobStatus", errors: Mapping[str, int] | None = None, **changes: Any
) -> Interval:
    wave = 1 + 0.25 * math.sin(second / 5)
    fields: dict[str, Any] = {
        "count": round(100 * wave),
        "p50": round(4000 * wave),
        "p95": round(9000 * wave),
        "p99": round(15000 * wave * (3 if second % 29 == 17 else 1)),
        "largest": 90_000,
        "users": 10,
    }
    return Interval(second=second, rpc=rpc, errors=errors or {}, **fields | changes)


def open_load() -> tuple[Line, ...]:
    """Return an open load with a warm-up of 50 calls and 100 measured ones."""
    warm_up = [replace(line, stage="warm-up", measured=False) for line in (latency("A", count=50), latency("to_result", "", 50))]
    steady = (latency("A"), latency("A", base=1000, kind="service"), latency("start", "", base=10, kind="scheduling"))
    return load(*warm_up, *steady, starts("warm-up", measured=False), starts("steady"), ledger(), threshold())


def starts(stage: str, *, measured: bool = True) -> Arrivals:
    """Return what became of 103 starts, of which three were dropped."""
    return Arrivals(stage, measured, 10.0, 103, 100, 5, 2, 3, 1, 0.02, 0.05)


def staged_load(seconds: int = 30) -> tuple[Line, ...]:
    """Return an open load of a warm-up and two stages of a third of the time each, with calls of three RPCs by second."""
    rpcs, third = ("ExecuteControllerJob", "GetControllerJobStatus", "GetControllerJobResults"), seconds / 3
    stages = (("warm-up", 20.0, False), ("steady", 20.0, True), ("peak", 60.0, True))
    lines: list[Line] = [
        interval(second, rpc, {"UNAVAILABLE": 1} if not place and second % 10 == 3 else None, count=20 + 40 * place)
        for second in range(seconds)
        for place, rpc in enumerate(rpcs)
    ]
    for stage, _, measured in stages:
        times = [latency(rpc, base=3000 + 2000 * place, count=300) for place, rpc in enumerate(rpcs)]
        times += [replace(line, kind="service", histogram=histogram([2500] * 300)) for line in times]
        times += [latency(rpcs[0], "UNAVAILABLE", 1), latency("start", "", base=10, kind="scheduling")]
        times += [latency(phase, "", kind="lifecycle", base=20_000) for phase in ("queued", "running", "post_processing")]
        times += [latency("queued", "", kind="lifecycle_error", base=2_000)]
        lines += [replace(line, stage=stage, measured=measured) for line in times]
    lines += [
        Arrivals(stage, measured, third, round(rate * third) + 3, round(rate * third), 5, 2, 3, 1, 0.02, 0.05)
        for stage, rate, measured in stages
    ]
    planned = [{"name": name, "duration": third, "rate": rate, "measured": measured} for name, rate, measured in stages]
    detail = {"name": "staged", "executor": "ramping-arrival-rate", "start_rate": 10.0, "stages": planned}
    start, *rest = load(*lines, ledger(), threshold(), planned=seconds)
    return (replace(start, detail=detail) if isinstance(start, SectionStart) else start, *rest)


def search() -> tuple[Line, ...]:
    """Return a search of 4 trials, whose confirmation is measured."""
    probes = (
        Probe("probe-1 (10/s)", 10.0, False, "held", "", "", 100, 0, 0),
        Probe("probe-2 (20/s)", 20.0, False, "failed", "rpc_duration: p(99) < 1s", "3.2s", 200, 0, 7),
        Probe("probe-3 (14.14/s)", 14.14, False, "behind", "", "", 141, 77, 0),
        Probe("confirmation-4 (10/s)", 10.0, True, "held", "", "", 103, 0, 0),
    )
    found = SearchLine(10.0, True, "generator", "at least 10/s: the generator is the limit", probes)
    return (*open_load()[:-1], found, open_load()[-1])


def ledger(violations: Sequence[Discrepancy] = (), **changes: Any) -> Ledger:
    fields: dict[str, Any] = {
        "submissions": 1200,
        "acknowledged_jobs": 3600,
        "finished": 3500,
        "canceled": 60,
        "failed": 40,
        "unfinished": 0,
        "unknown_submissions": 2,
        "replays": 30,
        "violation_count": len(violations),
        "attempted_jobs": 3690,
        "unknown_jobs": 90,
        "not_followed": 100,
    }
    return Ledger(violations=tuple(violations), **fields | changes)


def threshold(held: bool = True, expression: str = "GetControllerJobStatus p99 < 20ms") -> ThresholdLine:
    return ThresholdLine(expression, "14.2 ms" if held else "31.7 ms", held, "" if held else "above the limit")


def load(*lines: Line, outcome: str = "completed", reason: str = "", exit_code: int = 0, planned: int = 60) -> tuple[Line, ...]:
    start = SectionStart("load", STARTED, planned, {"scenario": "steady", "executor": "constant-arrival-rate", "stages": [1, 2]})
    return (start, *lines, SectionEnd("load", ENDED, outcome, reason, exit_code))


def busy_load(seconds: int = 60, errors: Mapping[str, int] | None = None) -> tuple[Line, ...]:
    """Return the lines of a load run on three RPCs; `errors` happen in every tenth second of one of them."""
    rpcs = ("GetControllerJobStatus", "ExecuteControllerJob", "GetControllerJobResults")
    lines: list[Line] = [
        interval(second, rpc, errors if place == 0 and second % 10 == 3 else None, count=60 + 40 * place + second % 7)
        for second in range(seconds)
        for place, rpc in enumerate(rpcs)
    ]
    lines += [latency(rpc, base=3000 + 2000 * place) for place, rpc in enumerate(rpcs)]
    lines += [latency(rpcs[0], code, count) for code, count in (errors or {}).items()]
    lines += [latency("queued", kind="lifecycle", base=20_000), latency("running", kind="lifecycle")]
    lines.append(latency("queued", kind="lifecycle_error", base=2_000))
    return (*lines, ledger(), threshold())


def record(*lines: Line, exit_code: int = 0, incomplete: str = "", **changes: Any) -> Record:
    """Return a record of these lines, with its footer unless it is `incomplete`."""
    first = header(**changes)
    end = () if incomplete else (Footer(ENDED, exit_code, len(lines) + 1),)
    return Record("runs/one/record.jsonl", first, (first, *lines, *end), incomplete)


def catalogue() -> tuple[Line, ...]:
    return (
        requirement("UUID-01"),
        requirement("UUID-08", "SHOULD"),
        requirement("EXEC-01", implied=True, passages=("ExecuteControllerJobRequest#2.2", "RFC 9562 section 4.2")),
        requirement("EXEC-02"),
        requirement("EXEC-10", "SHOULD"),
        requirement("IDEM-13", "INFO"),
        requirement("IDEM-14", "INFO", unobservable="no session call is in this API"),
        requirement("SEC-01"),
        requirement("SEC-02"),
    )


def passing() -> Record:
    observed = (Observation("IDEM-13", "The same key with another request replays the first response."),)
    checks = (
        check("uuid", "UUID-01", "UUID-08"),
        check("exec", "EXEC-01", "EXEC-02", "EXEC-10", oracles=("observer",), mutants=("exec-01-broken", "other")),
        check("idem", "IDEM-13", observations=observed),
        check("sec", "SEC-01", "SEC-02", verdict="not_applicable", reason="the profile has no credentials"),
    )
    return record(*conformance(*catalogue(), *checks))


def failing() -> Record:
    checks = (
        check("uuid", "UUID-01"),
        failed("codes", "UUID-08"),
        failed(
            "ids",
            "EXEC-01",
            "EXEC-02",
            breaks=("EXEC-01", "EXEC-01"),
            repeat="controller-harness conformance --check ids --seed 7",
            commands=(
                "controller-harness replay plans/generated-1.json --profile mine.yaml",
                "controller-harness judge histories/ids.jsonl",
            ),
        ),
        check("room", "EXEC-10", verdict="inconclusive", reason="the queue never filled", reason_kind="disturbed"),
        check(
            "idem", "IDEM-13", verdict="inconclusive", reason="KeyError: 'x'", reason_kind="crashed", traceback="Traceback ..."
        ),
        failed("sec", "SEC-01", verdict="known_failure", reason="ticket 12"),
        check("sec2", "SEC-02", verdict="skipped", reason="beyond the budget"),
    )
    return record(*conformance(*catalogue(), *checks, exit_code=3), exit_code=3)


def loaded() -> Record:
    return record(*load(*busy_load(errors={"UNAVAILABLE": 7, "RESOURCE_EXHAUSTED": 2})))


def incomplete() -> Record:
    return record(*conformance(*catalogue(), check("uuid", "UUID-01"))[:-1], incomplete="the footer is missing")


def interrupted() -> Record:
    lines: tuple[Line, ...] = (*(interval(second) for second in range(5)), ledger())
    return record(*load(*lines, outcome="interrupted", reason="interrupted by the user", exit_code=130), exit_code=130)


def hostile(text: str) -> Record:
    """Return a record with the text in every place that an endpoint, a profile or a user can fill."""
    call = operation(
        1,
        Failed("INTERNAL", text),
        client=text,
        identity=text,
        request_id=text,
        request={text: [text]},
        command=text,
    )
    bad = Discrepancy("EXEC-01", text, text, (1,))
    checks = (
        check(
            text,
            *("EXEC-01", text),
            verdict="fail",
            title=text,
            discrepancies=(bad,),
            calls=(call,),
            oracles=(text,),
            repeat=text,
            commands=(text,),
        ),
        check("b", "EXEC-02", verdict="inconclusive", reason=text, reason_kind="crashed", traceback=text),
        check("c", "IDEM-13", observations=(Observation("IDEM-13", text), Observation(text, text))),
        check("d", "SEC-01", verdict="known_failure", reason=text),
    )
    odd = requirement(text, statement=text, passages=(text,), chapter=text)
    lines = (
        interval(0, text, {text: 1}),
        interval(1, text),
        latency(text),
        latency(text, text),
        latency(text, kind="lifecycle"),
        latency(text, kind="lifecycle_error"),
        ledger((Discrepancy(text, text, text),)),
        ThresholdLine(text, text, False, text),
        SearchLine(1.0, False, "endpoint", text, (Probe(text, 1.0, False, "failed", text, text, 1, 0, 0),)),
    )
    return record(
        *conformance(*catalogue(), odd, *checks, reason=text),
        *load(*lines, reason=text),
        run_id=text,
        command=(text,),
        endpoint=text,
        profile={"name": text, text: {text: [text]}},
        machine={text: text},
        packages={text: text},
    )


def everything() -> dict[str, Record]:
    """Return one record of each kind by name."""
    return {
        "passing": passing(),
        "failing": failing(),
        "loaded": loaded(),
        "incomplete": incomplete(),
        "interrupted": interrupted(),
        "searched": record(*search()),
        "empty": record(),
        "nothing judged": record(*conformance()),
        "nothing measured": record(*load()),
        "header only": record(incomplete="line 2 is cut off or damaged"),
        "unreachable": record(*conformance(reason="no answer", outcome="crashed", exit_code=5), exit_code=5),
        **{f"hostile {place}": hostile(text) for place, text in enumerate(HOSTILE)},
    }
