"""Make the Python stubs from the `.proto` sources; `--check` says whether the committed ones are up to date.

The sources lie flat in this folder and are compiled under the virtual path `harness/stubs`, so that the generated
modules import each other by the package they really live in and add no top-level name of their own. The descriptor set
lets `grpcurl -protoset` repeat a call on an endpoint without reflection.
"""

from __future__ import annotations

import argparse
import filecmp
import shutil
import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
SUFFIXES = {".py", ".pyi", ".protoset"}
TARGET = HERE.parent / "harness" / "stubs"
PACKAGE = "harness/stubs"
HEADER = '"""Generated from protos/ by protos/generate.py; do not edit."""\n'


def generate(out: Path) -> list[Path]:
    """Compile every source below `out` and return the generated files, sorted."""
    sources = sorted(f"{PACKAGE}/{path.name}" for path in HERE.glob("*.proto"))
    beside = Path(sys.executable).parent
    well_known = resources.files("grpc_tools") / "_proto"
    arguments = [
        "protoc",
        f"-I{PACKAGE}={HERE}",
        f"-I{well_known}",
        *(f"--plugin={beside / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")),
        f"--python_out={out}",
        f"--mypy_out={out}",
        f"--grpc_python_out={out}",
        f"--mypy_grpc_out={out}",
        f"--descriptor_set_out={out / PACKAGE / 'controller.protoset'}",
        "--include_imports",
    ]
    (out / PACKAGE).mkdir(parents=True, exist_ok=True)
    if protoc.main([*arguments, *sources]) != 0:
        raise SystemExit("protoc failed, see above")
    stubs = out / PACKAGE
    for empty in stubs.glob("*_pb2_grpc.py*"):
        if "service" not in empty.name:
            empty.unlink()
    (stubs / "__init__.py").write_text(HEADER, encoding="utf-8")
    return sorted(path for path in stubs.iterdir() if path.suffix in SUFFIXES)


def main() -> int:
    """Write the stubs, or with `--check` compare them: 0 equal, 1 drifted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed stubs, write nothing")
    check: bool = parser.parse_args().check
    with tempfile.TemporaryDirectory() as scratch:
        fresh = generate(Path(scratch))
        if not check:
            TARGET.mkdir(exist_ok=True)
            for path in fresh:
                shutil.copyfile(path, TARGET / path.name)
            return 0
        committed = {path.name for path in TARGET.iterdir() if path.suffix in SUFFIXES}
        drifted = sorted(
            committed.symmetric_difference(path.name for path in fresh)
            | {p.name for p in fresh if p.name in committed and not filecmp.cmp(p, TARGET / p.name, shallow=False)}
        )
    if drifted:
        print(f"generated stubs have drifted: {', '.join(drifted)}; run `make stubs`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
