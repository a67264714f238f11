"""Profiles meet the disk and the environment: everything that can be wrong with them is one clear line."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from harness.endpoint import BUILTIN, MAX_TEXT, read_profile, read_text, resolve
from harness.errors import ConfigError
from harness.fixtures import Job
from harness.profile import EMBEDDED, Identity
from tests.edge.endpoints import endpoint, profile

MINIMAL = "name: n\naddress: 127.0.0.1:1\njobs: {quick: {text: x}}\n"


def complaint_of(action: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_built_in_profile() -> None:
    found, base = read_profile(BUILTIN)
    assert found.address == EMBEDDED
    assert resolve(found, base).payloads["quick"].startswith(b"controller-job ")


def test_files_are_looked_up_beside_the_profile(tmp_path: Path) -> None:
    folder = tmp_path / "profiles"
    folder.mkdir()
    (folder / "job.bin").write_bytes(b"\x00\xff")
    (folder / "token.txt").write_text("  tok-1\n", encoding="utf-8")
    text = "name: n\naddress: h:1\njobs: {quick: {file: job.bin}}\nidentities: {main: {token_file: token.txt}, other: {}}\n"
    (folder / "p.yaml").write_text(text, encoding="utf-8")
    found = resolve(*read_profile(str(folder / "p.yaml")))
    assert (found.payloads, found.tokens) == ({"quick": b"\x00\xff"}, {"main": "tok-1", "other": None})
    assert (found.roots, found.certificate, found.key, found.handover) == (None, None, None, {})


def test_a_token_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"main": Identity(token_env="HARNESS_TEST_TOKEN")}
    monkeypatch.setenv("HARNESS_TEST_TOKEN", "tok-env")
    assert endpoint("h:1", identities=known).tokens == {"main": "tok-env"}
    for value in ("", None):
        monkeypatch.delenv("HARNESS_TEST_TOKEN") if value is None else monkeypatch.setenv("HARNESS_TEST_TOKEN", value)
        said = complaint_of(lambda: endpoint("h:1", identities=known))
        assert said.startswith("identities.main.token_env: the environment variable is not set; set HARNESS_TEST_TOKEN")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "token.txt: cannot be read: no such file or directory"),
        (b"", "identities.main.token_file: holds no bearer token: it is empty"),
        (b" \n\n", "identities.main.token_file: holds no bearer token: it is empty"),
        (b"two words", "identities.main.token_file: not a bearer token: it holds spaces"),
        (b"two\nlines", "not a bearer token"),
        (b"\xff\xfe\x00", "not a bearer token"),
        ("töken".encode(), "not a bearer token"),
        (b"x" * 70_000, "token.txt: larger than 65,536 octets"),
    ],
)
def test_token_files(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    if content is not None:
        (tmp_path / "token.txt").write_bytes(content)
    said = complaint_of(lambda: endpoint("h:1", tmp_path, identities={"main": Identity(token_file="token.txt")}))
    assert complaint in said


def test_a_folder_as_token_file(tmp_path: Path) -> None:
    said = complaint_of(lambda: endpoint("h:1", tmp_path, identities={"main": Identity(token_file=".")}))
    assert said == f"{tmp_path}: not a regular file"


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "ä"])
def test_tokens_in_clear_are_checked_too(token: str) -> None:
    assert complaint_of(lambda: endpoint("h:1", identities={"x": Identity(token=token)})).startswith("identities.x.token: ")


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("x tenant", "a", "metadata.x tenant: not the name of a text header; letters"),
        ("", "a", "not the name of a text header"),
        (":path", "a", "not the name of a text header"),
        ("ß", "a", "not the name of a text header"),
        ("grpc-timeout", "1S", "metadata.grpc-timeout: not the name of a text header"),
        ("x-data-bin", "a", "metadata.x-data-bin: not the name of a text header"),
        ("x-tenant", "a\nb", "metadata.x-tenant: not a header value"),
        ("x-tenant", "ä", "metadata.x-tenant: not a header value"),
    ],
)
def test_headers_that_grpc_would_refuse(name: str, value: str, complaint: str) -> None:
    assert complaint in complaint_of(lambda: endpoint("h:1", metadata={name: value}))


@pytest.mark.parametrize(("name", "complaint"), [("gone", "cannot be read: no such file"), (".", "not a regular file")])
def test_payload_files(tmp_path: Path, name: str, complaint: str) -> None:
    assert complaint in complaint_of(lambda: resolve(profile("h:1", jobs={"quick": Job(file=name)}), tmp_path))


def test_a_payload_that_is_too_large(tmp_path: Path) -> None:
    with (tmp_path / "job").open("wb") as file:
        file.truncate((250 << 20) + 1)
    said = complaint_of(lambda: resolve(profile("h:1", jobs={"quick": Job(file="job")}), tmp_path))
    assert said == f"{tmp_path / 'job'}: larger than 262,144,000 octets"


@pytest.mark.parametrize("name", ["", "gone.yaml", "gone/p.yaml", "x" * 5000, "a\0b", "loop"])
def test_profiles_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    said = complaint_of(lambda: read_profile(name))
    assert "no such file; name a profile file, or 'reference' for the built-in one" in said


def test_profiles_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/null")):
        assert complaint_of(partial(read_profile, str(path))) == f"{path}: not a regular file"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", ":1: empty document"),
        (MINIMAL.encode() + b"\x00", "not text"),
        (MINIMAL.encode("utf-16"), "not text; configuration files are UTF-8 text"),
        (MINIMAL.replace("name: n", "name: ä").encode("latin-1"), "not text; configuration files are UTF-8 text"),
        (b"#" * (MAX_TEXT + 1), "larger than 4,000,000 octets"),
        (b"#" * 1_000_001, "longer than 1,000,000 characters"),
        (b"name: [", ":2: not valid YAML"),
        (b"nam: n\n" + MINIMAL.encode(), ":1: nam: unknown key; did you mean 'name'?"),
    ],
)
def test_profiles_that_are_none(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(content)
    said = complaint_of(lambda: read_profile(str(path)))
    assert said.startswith(str(path))
    assert complaint in said


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.encode())
    assert read_profile(str(path))[0].name == "n"


def test_text_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes("a\r\nä".encode())
    assert read_text(tmp_path / "t") == "a\r\nä"
