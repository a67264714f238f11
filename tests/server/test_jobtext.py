"""The text form of payloads: what it says is what the job does, and nonsense is the job's fault, never the server's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.server.jobtext import LONGEST, LONGEST_LINE, JobTextError, parse_duration, parse_job
from harness.server.values import MICROSECOND, MILLISECOND, SECOND, JobSpec, ResultStatus

DEFAULT = 7 * MILLISECOND


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("controller-job", JobSpec(DEFAULT)),
        ("controller-job duration=20ms", JobSpec(20 * MILLISECOND)),
        ("controller-job duration=1.5us", JobSpec(1500)),
        ("controller-job\tduration=2s   post=5ms estimate=3s", JobSpec(2 * SECOND, 3 * SECOND, 5 * MILLISECOND)),
        ("controller-job touches-settings=yes", JobSpec(DEFAULT, touches_settings=True)),
        ("controller-job touches-settings=no outcome=success", JobSpec(DEFAULT)),
        ("controller-job readout=theta", JobSpec(DEFAULT, readout="theta")),
        ("controller-job duration=1ms\nwhatever=this is", JobSpec(MILLISECOND)),
        (
            "controller-job outcome=service-failure",
            JobSpec(DEFAULT, outcome=ResultStatus.SERVICE_FAILURE, message="the job text asked for SERVICE_FAILURE"),
        ),
    ],
)
def test_says_what_the_job_does(text: str, spec: JobSpec) -> None:
    assert parse_job(text.encode(), DEFAULT) == spec


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("controller-job durtion=1ms", "durtion=1ms"),
        ("controller-job duration", "duration"),
        ("controller-job duration=", "''"),
        ("controller-job duration=1", "'1'"),
        ("controller-job duration=1m", "'1m'"),
        ("controller-job duration=-1ms", "'-1ms'"),
        ("controller-job duration=0ms", "'0ms'"),
        ("controller-job estimate=0s", "'0s'"),
        ("controller-job duration=0.0001us", "'0.0001us'"),
        ("controller-job duration=86401s", "'86401s'"),
        ("controller-job duration=1ms duration=1ms", "duration"),
        ("controller-job outcome=maybe", "'maybe'"),
        ("controller-job touches-settings=true", "'true'"),
        ("controller-job readout=", "readout"),
        ("controller-job duration=\u0661ms", "'\u0661ms'"),
    ],
)
def test_nonsense_fails_the_job_and_names_the_word(text: str, named: str) -> None:
    spec = parse_job(text.encode(), DEFAULT)
    assert (spec.duration, spec.outcome) == (DEFAULT, ResultStatus.USER_FAILURE)
    assert spec.message.startswith("job text: ")
    assert named in spec.message


@pytest.mark.parametrize("payload", [b"", b"controller", b"controller-jobs duration=x", b"\x00\xff" * 50, b" controller-job x"])
def test_other_bytes_are_opaque_jobs(payload: bytes) -> None:
    assert parse_job(payload, DEFAULT) == JobSpec(DEFAULT)


def test_bytes_that_are_no_text_after_the_word_fail_the_job() -> None:
    assert parse_job(b"controller-job \xff", DEFAULT).message == "job text: the line is not UTF-8"


def test_a_long_line_is_not_read() -> None:
    assert "longer" in parse_job(b"controller-job " + b"x" * LONGEST_LINE, DEFAULT).message
    assert parse_job(b"controller-job duration=1ms\n" + b"x" * 10 * LONGEST_LINE, DEFAULT) == JobSpec(MILLISECOND)


@given(st.binary(max_size=80), st.sampled_from([b"", b"controller-job ", b"controller-job duration="]))
def test_never_fails_and_always_takes_time(payload: bytes, start: bytes) -> None:
    spec = parse_job(start + payload, DEFAULT)
    assert 0 < spec.duration <= LONGEST
    assert spec.post >= 0


@given(st.integers(0, LONGEST))
def test_durations_round_trip(nanoseconds: int) -> None:
    whole, fraction = divmod(nanoseconds, MICROSECOND)
    assert parse_duration(f"{whole // 1000}.{whole % 1000:03}{fraction:03}ms") == nanoseconds
    assert parse_duration(f"{nanoseconds // SECOND}.{nanoseconds % SECOND:09}s") == nanoseconds


def test_a_bad_duration_is_an_error() -> None:
    with pytest.raises(JobTextError, match="not a duration"):
        parse_duration("soon")
