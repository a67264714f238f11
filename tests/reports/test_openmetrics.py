"""OpenMetrics text: what a parser of it reads, and that the series of two runs line up."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from harness.record import Record, SectionStart
from reports import build_view, render
from tests.reports import records as make

RECORDS = {**make.everything(), "open": make.record(*make.open_load())}
PREFIX = "controller_harness_"


def text_of(*records: Record) -> str:
    return render(build_view(records), ["openmetrics"])["metrics.txt"].decode()


def parsed(text: str) -> dict[str, Metric]:
    found: Iterable[Metric] = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    return {metric.name: metric for metric in found}


def samples(*records: Record) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return all values by name, without the prefix, and labels."""
    return {
        (sample.name.removeprefix(PREFIX), tuple(sorted(sample.labels.items()))): sample.value
        for metric in parsed(text_of(*records)).values()
        for sample in metric.samples
    }


def assert_valid(text: str) -> None:
    """Hold a text against the rules of OpenMetrics, also those that the parser does not know."""
    assert text.endswith("\n# EOF\n")
    found = parsed(text)
    for name, metric in found.items():
        assert re.fullmatch(r"controller_harness_[a-z0-9_]+", name)
        assert metric.type != "unknown"
        assert metric.documentation.endswith(".")
        assert name.endswith(metric.unit)
        assert metric.unit in {"", "seconds", "ratio"}
        assert all(re.fullmatch(r"[a-z_]+", label) for sample in metric.samples for label in sample.labels)
        keys = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in metric.samples]
        assert len(set(keys)) == len(keys)
    for line in text.splitlines():
        # As GitLab reads it: without comments, split like a command line.
        assert len(shlex.split(re.sub("#.*$", "", line))) in ({0} if line.startswith("#") else {2})
    lines = [line.split(" ")[1:3] for line in text.splitlines() if line.startswith("# ") and line != "# EOF"]
    for name in found:
        described = [word for word, about in lines if about == name]
        assert described == (["TYPE", "UNIT", "HELP"] if found[name].unit else ["TYPE", "HELP"])


@pytest.mark.parametrize("name", RECORDS)
def test_every_report_is_valid(name: str) -> None:
    assert_valid(text_of(RECORDS[name]))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=40)
@given(st.text(st.characters(codec=None), min_size=1, max_size=60))
def test_hostile_text_leaves_it_valid(text: str) -> None:
    assert_valid(text_of(make.hostile(text)))


def test_text_comes_out_as_it_went_in() -> None:
    text = 'a\\b "c"\nd \\n {e="f"} \'g, 1'
    found = {dict(labels).get("threshold") for name, labels in samples(make.hostile(text)) if name == "threshold_held"}
    assert found == {" ".join(text.split())}
    codes = {dict(labels)["code"] for name, labels in samples(make.hostile(text)) if name == "load_calls_total"}
    assert codes == {"OK", text}


def test_a_number_sign_does_not_end_a_line_for_gitlab() -> None:
    found = {dict(labels).get("threshold") for name, labels in samples(make.hostile("ticket #1")) if name == "threshold_held"}
    assert found == {"ticket \N{FULLWIDTH NUMBER SIGN}1"}


def test_verdict_and_completeness() -> None:
    found = samples(make.failing(), make.incomplete())
    verdict = f"{PREFIX}verdict"
    kinds = {dict(labels)[verdict]: value for (name, labels), value in found.items() if name == "verdict"}
    assert [kind for kind, value in kinds.items() if value] == ["violated"]
    assert len(kinds) == 8
    assert found["exit_code", ()] == 3
    assert (found["run_complete", (("run", "1"),)], found["run_complete", (("run", "2"),)]) == (1, 0)


def test_versions_are_an_info_metric() -> None:
    metrics = parsed(text_of(make.passing()))
    (run,) = metrics[f"{PREFIX}run"].samples
    assert (run.labels["version"], run.labels["python"], run.labels["profile"]) == ("0.1.0", "3.11.7", "my-controller")
    assert {item.labels["package"]: item.labels["version"] for item in metrics[f"{PREFIX}package"].samples} == {
        "grpcio": "1.85.1",
        "protobuf": "7.35.1",
    }
    assert metrics[f"{PREFIX}run_start_time_seconds"].samples[0].value == 1768469400


def test_requirements_are_counted_by_level_and_verdict() -> None:
    found = samples(make.failing())
    counts = {
        (dict(labels)["level"], dict(labels)["verdict"]): value
        for (name, labels), value in found.items()
        if name == "requirements"
    }
    assert len(counts) == 3 * 8
    assert {key: value for key, value in counts.items() if value} == {
        ("MUST", "pass"): 1,
        ("MUST", "fail"): 1,
        ("MUST", "inconclusive"): 1,
        ("MUST", "known_failure"): 1,
        ("MUST", "skipped"): 1,
        ("SHOULD", "fail"): 1,
        ("SHOULD", "inconclusive"): 1,
        ("INFO", "inconclusive"): 1,
        ("INFO", "not_observable"): 1,
    }
    assert found["check_calls", ()] == 21
    assert found["checks", (("verdict", "fail"),)] == 2


def test_load_in_base_units() -> None:
    found = samples(make.loaded())
    row = ("load", "load"), ("rpc", "GetControllerJobStatus")
    assert found["load_latency_seconds", (row[0], ("quantile", "0.5"), row[1])] == 0.005403
    assert found["load_latency_seconds", (row[0], ("quantile", "1.0"), row[1])] == 0.012801
    assert found["load_latency_seconds_count", row] == 100
    assert found["load_latency_seconds_sum", row] == pytest.approx(0.62835)
    assert found["load_calls_total", (("code", "UNAVAILABLE"), *row)] == 7
    assert found["load_calls_total", (("code", "OK"), *row)] == 100
    assert found["load_errors_ratio", row] == pytest.approx(9 / 109)
    assert found["load_calls_per_second", (("load", "load"), ("rpc", ""))] == pytest.approx(309 / 60, abs=1e-6)
    assert found["load_job_phase_seconds_count", (("load", "load"), ("phase", "queued"))] == 100
    assert found["ledger_jobs", (("load", "load"), ("state", "acknowledged"))] == 3600
    assert found["ledger_violations", (("load", "load"),)] == 0


def test_thresholds_and_starts_of_an_open_load() -> None:
    lines = (*make.open_load()[:-1], make.threshold(held=False, expression="p99 < 1ms"), make.open_load()[-1])
    found = samples(make.record(*lines))
    held = {dict(labels)["threshold"]: value for (name, labels), value in found.items() if name == "threshold_held"}
    assert held == {"GetControllerJobStatus p99 < 20ms": 1, "p99 < 1ms": 0}
    assert found["load_starts", (("load", "load"), ("stage", "steady"), ("state", "dropped"))] == 3
    assert found["load_valid", (("load", "load"),)] == 1
    assert found["load_service_latency_seconds_count", (("load", "load"),)] == 100
    warm_up = ("load", "load"), ("measured", "false"), ("rpc", "A"), ("stage", "warm-up")
    assert found["load_stage_latency_seconds_count", warm_up] == 50


def test_a_search_tells_the_highest_rate() -> None:
    assert samples(make.record(*make.search()))["load_highest_rate", (("load", "load"),)] == 10


def test_two_runs_of_the_same_have_the_same_series() -> None:
    lines = make.loaded().lines[1:-1]
    later = make.record(*lines, run_id="another", started="2027-01-01T00:00:00Z", seed=9)
    assert list(samples(make.record(*lines))) == list(samples(later))


def test_two_loads_of_one_scenario_are_told_apart() -> None:
    start, *rest = make.load(make.interval(0), make.latency("A"))
    assert isinstance(start, SectionStart)
    named = (dataclasses.replace(start, detail={"name": "quick"}), *rest)
    found = samples(make.record(*named, *named))
    assert [dict(labels)["load"] for name, labels in found if name == "load_valid"] == ["quick", "quick (2)"]
