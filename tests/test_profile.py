"""Profiles: the built-in one loads, and whatever cannot be meant is refused before anything is called."""

from __future__ import annotations

from importlib import resources

import pytest

from harness.errors import ConfigError
from harness.fixtures import ROLES, Job, MemoryValue
from harness.profile import EMBEDDED, Identity, Profile, load_profile

SMALLEST = "name: x\naddress: 127.0.0.1:50051\njobs: {quick: {text: hello}}\n"


def with_lines(*lines: str) -> Profile:
    return load_profile(SMALLEST + "\n".join(lines), "p.yaml")


def test_the_built_in_profile_describes_every_role_of_the_reference_server() -> None:
    text = (resources.files("harness") / "profiles" / "reference.yaml").read_text(encoding="utf-8")
    profile = load_profile(text, "reference.yaml")
    assert profile.address == EMBEDDED
    assert set(profile.jobs) == set(ROLES)
    assert profile.default_identity == "main"
    assert profile.correlation is not None


def test_the_smallest_profile_has_defaults_for_everything_else() -> None:
    profile = with_lines()
    assert profile.default_identity is None
    assert profile.compression == "none"
    assert profile.deadlines.submit == 30.0
    assert profile.facts.max_message == 4 << 20
    assert profile.budget.jobs is None


def test_the_first_identity_is_the_default_unless_one_is_named() -> None:
    two = "identities: {a: {token: t}, b: {token_env: T}}"
    assert with_lines(two).default_identity == "a"
    assert with_lines(two, "identity: b").default_identity == "b"


@pytest.mark.parametrize(
    ("job", "payload"),
    [(Job(text="grüße"), "grüße".encode()), (Job(base64="AAE="), b"\x00\x01"), (Job(file="job.bin"), None), (Job(text=""), b"")],
)
def test_payloads(job: Job, payload: bytes | None) -> None:
    assert job.inline_payload() == payload


def test_a_job_knows_its_course_and_nonce() -> None:
    job = Job(text="a", duration=0.25, post_processing=0.5, nonce="AAE=")
    assert job.total == 0.75
    assert job.nonce_octets() == b"\x00\x01"
    assert MemoryValue(binary="AAE=").binary_octets() == b"\x00\x01"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("adress: x",), "p.yaml:4: adress: unknown key; did you mean 'address'?"),
        (("tls: {certificate: a.pem}",), "p.yaml:4: tls: certificate and key belong together"),
        (("tls: {key: a.pem}",), "p.yaml:4: tls: certificate and key belong together"),
        (("identities: {a: {token: t, token_env: T}}",), "p.yaml:4: identities.a: give one of token, token_env"),
        (("identity: nobody",), "p.yaml:1: identity: 'nobody' is not among identities (none given)"),
        (("target: {quantum_processor_id: a, endpoint_id: b}",), "p.yaml:4: target: give quantum_processor_id or endpoint_id"),
        (("compression: zstd",), "p.yaml:4: compression: expected one of none, gzip, got 'zstd'"),
        (("facts: {executors: 0}",), "p.yaml:4: facts.executors: expected at least 1"),
        (("facts: {max_message: 4MB}",), "p.yaml:4: facts.max_message: expected a size such as 64KiB"),
        (("deadlines: {call: 10}",), "p.yaml:4: deadlines.call: expected a duration such as 20ms"),
        (("deadlines: {call: 0s}",), "p.yaml:4: deadlines.call: expected at least 1ms"),
        (("correlation: {}",), "p.yaml:4: correlation.region: missing"),
        (("budget: {jobs: -1}",), "p.yaml:4: budget.jobs: expected at least 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(lines: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        with_lines(*lines)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ("{}", "p.yaml:3: jobs.quick: give exactly one of text, base64 and file"),
        ("{text: a, file: b}", "p.yaml:3: jobs.quick: give exactly one of text, base64 and file"),
        ("{base64: '###'}", "p.yaml:3: jobs.quick: base64: not base64"),
        ("{text: a, nonce: é}", "p.yaml:3: jobs.quick: nonce: not base64"),
        ("{text: a, duration: -1s}", "p.yaml:3: jobs.quick.duration: expected a duration"),
        ("{text: a, memory: {r: {}}}", "p.yaml:3: jobs.quick.memory.r: give exactly one of integer, real and binary"),
        ("{text: a, memory: {r: {integer: [1], real: [1]}}}", "p.yaml:3: jobs.quick.memory.r: give exactly one"),
        ("{text: a, memory: {r: {binary: '?'}}}", "p.yaml:3: jobs.quick.memory.r: binary: not base64"),
        (f"{{text: a, memory: {{r: {{integer: [{2**63}]}}}}}}", "p.yaml:3: jobs.quick.memory.r.integer[0]: expected at most"),
        (f"{{text: a, memory: {{r: {{integer: [{-(2**63) - 1}]}}}}}}", "p.yaml:3: jobs.quick.memory.r.integer[0]: expected at"),
    ],
)
def test_a_job_that_cannot_be_sent_is_refused(job: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_profile(SMALLEST.replace("{text: hello}", job), "p.yaml")
    assert str(raised.value).startswith(message)


def test_the_quick_role_is_needed_and_others_must_be_known() -> None:
    with pytest.raises(ConfigError, match="the role 'quick' is needed"):
        load_profile(SMALLEST.replace("quick", "slow"), "p.yaml")
    with pytest.raises(ConfigError, match=r"^p.yaml:3: jobs.quikc: unknown key; did you mean 'quick'\?"):
        load_profile(SMALLEST.replace("quick", "quikc"), "p.yaml")


@pytest.mark.parametrize("address", ["localhost:1", "[::1]:50051", "controller.example:65535", EMBEDDED])
def test_addresses(address: str) -> None:
    assert load_profile(SMALLEST.replace("127.0.0.1:50051", f"'{address}'"), "p.yaml").address == address


@pytest.mark.parametrize(
    "address", ["localhost", ":1", "localhost:", "localhost:0", "localhost:65536", "localhost:x", "", "embeded"]
)
def test_an_address_without_host_or_port_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="is not host:port; write for example"):
        load_profile(SMALLEST.replace("127.0.0.1:50051", f"'{address}'"), "p.yaml")


def test_a_token_of_the_wrong_type_is_not_shown() -> None:
    with pytest.raises(ConfigError) as raised:
        with_lines("identities: {a: {token: 20251123}}")
    assert "20251123" not in str(raised.value)


def test_an_identity_may_have_no_token_at_all() -> None:
    assert Identity().token is None
