"""Exit codes and the one-line form of errors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ConfigError, ExitCode, HarnessError, NotValidError, UnreachableError, worst

ORDER = [ExitCode.INTERRUPTED, ExitCode.USAGE, ExitCode.UNREACHABLE, ExitCode.VIOLATION, ExitCode.NOT_VALID]


@given(st.lists(st.sampled_from(ExitCode)))
def test_the_worst_code_wins_in_the_documented_order(codes: list[ExitCode]) -> None:
    expected = next((code for code in [*ORDER, ExitCode.BELOW_THRESHOLD] if code in codes), ExitCode.OK)
    assert worst(codes) is expected
    assert worst(reversed(codes)) is expected


def test_the_codes_are_those_that_scripts_rely_on() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0,
        "BELOW_THRESHOLD": 1,
        "USAGE": 2,
        "VIOLATION": 3,
        "NOT_VALID": 4,
        "UNREACHABLE": 5,
        "INTERRUPTED": 130,
    }


@pytest.mark.parametrize(
    ("error", "code"), [(HarnessError("x"), 2), (ConfigError("x"), 2), (UnreachableError("x"), 5), (NotValidError("x"), 4)]
)
def test_each_error_ends_a_command_its_own_way(error: HarnessError, code: int) -> None:
    assert error.exit_code == code


def test_a_configuration_error_says_what_where_and_what_to_do() -> None:
    error = ConfigError("unknown key", source="p.yaml", line=3, key="jobs.quik", hint="did you mean 'quick'?")
    assert str(error) == "p.yaml:3: jobs.quik: unknown key; did you mean 'quick'?"
    assert (error.source, error.line, error.key) == ("p.yaml", 3, "jobs.quik")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConfigError("bad"), "bad"),
        (ConfigError("bad", source="p.yaml"), "p.yaml: bad"),
        (ConfigError("bad", key="name"), "name: bad"),
        (ConfigError("bad", hint="fix it"), "bad; fix it"),
        (ConfigError("bad", key="a\nb"), "'a\\nb'...: bad"),
    ],
)
def test_what_is_not_known_is_left_out(error: ConfigError, text: str) -> None:
    assert str(error) == text


@given(st.text())
def test_whatever_the_key_the_error_is_one_short_line(key: str) -> None:
    text = str(ConfigError("bad", key=key * 50))
    assert text.isprintable()
    assert len(text) < 3000
