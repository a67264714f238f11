"""The committed stubs are what `protos/generate.py` makes of the sources, and drift is noticed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def generate(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = root / "protos" / "generate.py"
    return subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, timeout=120, check=False)


def drift_in(done: subprocess.CompletedProcess[str]) -> str:
    """Return the line that names drifted files; protoc's plugins write lines of their own."""
    return next((line for line in done.stderr.splitlines() if line.startswith("generated stubs have drifted")), "")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the sources and their stubs, to be changed."""
    shutil.copytree(ROOT / "protos", tmp_path / "protos")
    shutil.copytree(ROOT / "harness" / "stubs", tmp_path / "harness" / "stubs")
    return tmp_path


def test_the_committed_stubs_are_up_to_date() -> None:
    done = generate(ROOT, "--check")
    assert (done.returncode, drift_in(done)) == (0, "")


def test_a_changed_source_is_noticed_and_generating_again_settles_it(copy: Path) -> None:
    source = copy / "protos" / "job.proto"
    source.write_text(source.read_text(encoding="utf-8").replace("string key_id = 1;", "string key_id = 9;"), encoding="utf-8")

    drifted = generate(copy, "--check")
    assert drifted.returncode == 1
    assert "job_pb2.py" in drift_in(drifted)
    assert "readout_pb2.py" not in drift_in(drifted)

    assert generate(copy).returncode == 0
    assert generate(copy, "--check").returncode == 0


@pytest.mark.parametrize("lost", ["service_pb2_grpc.py", "job_pb2.pyi", "controller.protoset"])
def test_a_missing_stub_is_noticed(copy: Path, lost: str) -> None:
    (copy / "harness" / "stubs" / lost).unlink()
    done = generate(copy, "--check")
    assert done.returncode == 1
    assert lost in drift_in(done)


def test_a_stub_without_a_source_is_noticed(copy: Path) -> None:
    (copy / "harness" / "stubs" / "old_pb2.py").write_text("", encoding="utf-8")
    done = generate(copy, "--check")
    assert done.returncode == 1
    assert "old_pb2.py" in drift_in(done)
