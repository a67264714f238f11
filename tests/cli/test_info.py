"""`profile`, `requirements` and `report`: what they print and write."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib import resources
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from harness.cli.reporting import SCHEMAS
from harness.endpoint import read_profile
from harness.record import Record, SectionEnd, SectionStart, encode
from harness.recorder import RecordWriter, make_header
from harness.requirements import builtin_catalogue
from harness.server.mutants import MUTANTS
from reports import FORMATS
from tests.cli.commands import COMMAND, PATIENCE, Cli
from tests.reports import records as make

HEADER = make_header(command=("controller-harness", "load"), endpoint="127.0.0.1:1", profile={"name": "n"}, seed=1)
START = SectionStart("load", "2026-01-01T00:00:00.000Z", 1)
END = SectionEnd("load", "2026-01-01T00:00:01.000Z", "completed", "", 0)


def test_a_profile_is_written_and_can_be_read(cli: Cli) -> None:
    done = cli("profile", "init")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("profile.yaml: written; ")
    text = (cli.folder / "profile.yaml").read_text(encoding="utf-8")
    assert stat.S_IMODE((cli.folder / "profile.yaml").stat().st_mode) & 0o600 == 0o600
    assert cli("profile", "init").complaint(2).startswith("profile.yaml: exists already")
    cli.write("profile.yaml", "mine")
    assert cli("profile", "init", "--force").code == 0
    assert (cli.folder / "profile.yaml").read_text(encoding="utf-8") == text
    assert cli("profile", "init", "other name.yaml").code == 0
    found, _ = read_profile(str(cli.folder / "other name.yaml"))
    shown = json.loads(cli("profile", "show", "profile.yaml").out)
    assert (shown["name"], shown["address"]) == (found.name, found.address)


def test_a_profile_is_shown_with_its_secrets_masked(cli: Cli) -> None:
    more = "identities: {main: {token: s3cr3t-t0ken}}\nmetadata: {x-key: s3cr3t-k3y}"
    done = cli("profile", "show", cli.profile("127.0.0.1:1", more))
    assert (done.code, done.err) == (0, "")
    assert "s3cr3t" not in done.out
    assert json.loads(done.out)["metadata"] == {"x-key": "*** (10 characters)"}


def test_the_built_in_profile_is_shown(cli: Cli) -> None:
    assert json.loads(cli("profile", "show").out)["address"] == "embedded"


def test_requirements(cli: Cli) -> None:
    done = cli("requirements")
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("\n78 requirements\n")
    for item in builtin_catalogue():
        assert f"{item.id:<9} {item.level:<7} {item.statement}\n" in done.out


def test_requirements_name_what_proves_their_checks(cli: Cli) -> None:
    (item,) = (each for each in json.loads(cli("requirements", "--json").out) if each["id"] == "UUID-01")
    assert set(item["mutants"]) == {name for name, mutant in MUTANTS.items() if mutant.requirement == "UUID-01"} != set()
    assert f" proven on {len(item['mutants'])} mutants: {', '.join(item['mutants'])}\n" in cli("requirements").out


def test_requirements_as_json_and_chosen(cli: Cli) -> None:
    found = json.loads(cli("requirements", "--json", "--chapter", "sta", "--chapter", "EST", "--level", "must").out)
    expected = [item.id for item in builtin_catalogue() if item.chapter in {"STA", "EST"} and item.level == "MUST"]
    assert [item["id"] for item in found] == expected
    assert set(found[0]) >= {"id", "level", "chapter", "statement", "passages", "implied", "ruling", "unobservable"}


def test_a_spec_that_has_changed(cli: Cli) -> None:
    cli.write("spec.proto", 'syntax = "proto3";\nmessage Small {}\n')
    done = cli("requirements", "--spec", "spec.proto")
    assert done.code == 4
    lines = done.err.splitlines()
    assert all(line.startswith("controller-harness: ") for line in lines)
    assert "passages have changed since the catalogue was made; review their requirements" in lines[-1]


@pytest.fixture
def record(cli: Cli) -> Path:
    folder = cli.folder / "run"
    folder.mkdir()
    with RecordWriter.create(folder / "record.jsonl", HEADER) as writer:
        writer.write(START)
        writer.write(END)
        writer.finish(0)
    return folder / "record.jsonl"


def test_the_same_record_gives_the_same_report(cli: Cli, record: Path) -> None:
    first, second = cli("report", record.parent), cli("report", record, "--out", "a/b")
    names = sorted(FORMATS.values())
    assert sorted(path.name for path in (cli.folder / "a" / "b").iterdir()) == names
    for name in names:
        assert (record.parent / name).read_bytes() == (cli.folder / "a" / "b" / name).read_bytes()
    assert first.code == second.code == 4  # nothing was measured
    assert first.err == ""
    ET.fromstring((record.parent / "junit.xml").read_text(encoding="utf-8"))  # noqa: S314 - our own
    assert json.loads((record.parent / "report.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", ["reporting", "comparison"])
def test_what_is_made_from_records_loads_neither_grpc_nor_pytest(module: str) -> None:
    script = f"import sys, harness.cli.{module}; print(sorted(set(sys.modules) & {{'grpc', '_pytest', 'hypothesis', 'locust'}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_only_the_forms_that_are_asked_for(cli: Cli, record: Path) -> None:
    done = cli("report", record, "--format", "json", "--format", "markdown")
    assert sorted(path.name for path in record.parent.iterdir()) == ["record.jsonl", "report.json", "summary.md"]
    assert done.out.splitlines()[:2] == [str(record.parent / "report.json"), str(record.parent / "summary.md")]


@pytest.mark.parametrize("lost", [1, 40])
def test_a_record_that_was_cut_off(cli: Cli, record: Path, lost: int) -> None:
    data = record.read_bytes()
    footer = data.rstrip(b"\n").rfind(b"\n") + 1
    record.write_bytes(data[: footer + 40 - lost])
    done = cli("report", record)
    assert (done.code, done.err) == (4, "")
    assert "ncomplete" in done.out
    for name in {*FORMATS.values()} - {"metrics.txt", "series.csv"}:
        assert "ncomplete" in (record.parent / name).read_text(encoding="utf-8")
    assert 'controller_harness_run_complete{run="1"} 0' in (record.parent / "metrics.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (make.passing(), 0),
        (make.record(*make.load(make.interval(0), make.latency("A"), make.threshold(held=False))), 1),
        (make.failing(), 3),
        (make.incomplete(), 4),
        (make.everything()["unreachable"], 5),
        (make.interrupted(), 130),
    ],
)
def test_exit_codes_of_reports(cli: Cli, found: Record, code: int) -> None:
    cli.write("record.jsonl", "".join(encode(line) + "\n" for line in found.lines))
    done = cli("report", "record.jsonl", "--format", "csv")
    assert (done.code, done.err) == (code, "")
    assert done.out.startswith("series.csv\n")


def test_several_records_give_one_report(cli: Cli, record: Path) -> None:
    other = record.parent.with_name("other")
    other.mkdir()
    (other / "record.jsonl").write_bytes(record.read_bytes())
    assert "give one with --out" in cli("report", "run", "other").complaint(2)
    done = cli("report", "run", "other", "--out", "both", "--format", "json")
    assert done.out.splitlines()[0] == "both/report.json"
    data = json.loads((cli.folder / "both" / "report.json").read_text(encoding="utf-8"))
    assert [run["source"] for run in data["runs"]] == ["run/record.jsonl", "other/record.jsonl"]
    assert len(data["loads"]) == 2


@pytest.mark.parametrize("text", ["", "{}\n", '{"type":"header"', "no record\n"])
def test_a_file_that_is_no_record(cli: Cli, text: str) -> None:
    cli.write("record.jsonl", text)
    assert "record.jsonl:1: not a run record" in cli("report", "record.jsonl").complaint(2)


def test_every_schema_can_be_printed() -> None:
    folders = {package: resources.files(package) / "schemas" for package in ("harness", "reports")}
    assert set(SCHEMAS.values()) == {(package, item.name) for package, folder in folders.items() for item in folder.iterdir()}


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_printed(cli: Cli, name: str) -> None:
    done = cli("schema", name)
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    Draft202012Validator.check_schema(found)
    assert found["$id"].startswith("urn:controller-harness:")


def test_a_report_keeps_to_the_schema_that_is_printed(cli: Cli, record: Path) -> None:
    cli("report", record, "--format", "json")
    structure = json.loads(cli("schema", "report").out)
    Draft202012Validator(structure).validate(json.loads((record.parent / "report.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize(("name", "complaint"), [("tiny.yaml", "file exists"), ("tiny.yaml/x", "not a directory")])
def test_a_report_that_has_no_place(cli: Cli, record: Path, name: str, complaint: str) -> None:
    assert cli("report", record, "--out", name).complaint(2) == f"{name}: cannot be written: {complaint}; choose another place"


# Standard output that is not what one expects


def test_a_reader_that_leaves_early(cli: Cli) -> None:
    with subprocess.Popen(
        [*COMMAND, "requirements", "--json"], cwd=cli.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("arguments", [["requirements"], ["profile", "show"], ["--help"], ["--version"]])
def test_standard_output_that_is_full(cli: Cli, arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = cli(*arguments, stdout=full)
    assert done.complaint(4).startswith("standard output: cannot be written: no space left on device")


@pytest.mark.parametrize(("encoding", "shown"), [("latin-1", "Z\\xfcrich \\u2603"), ("ascii", "Zürich ☃"), ("utf-8", "Zürich ☃")])
def test_an_encoding_that_lacks_letters(cli: Cli, encoding: str, shown: str) -> None:
    cli.write("p.yaml", "name: Zürich ☃\naddress: h:1\njobs: {quick: {text: x}}\n")
    done = cli("profile", "show", "p.yaml", env={"PYTHONIOENCODING": encoding})
    assert (done.code, done.err) == (0, "")
    # Plain ASCII is taken for an environment that is not set up, and overruled.
    assert f'"name": "{shown}"' in done.out


def test_a_folder_that_is_gone(cli: Cli) -> None:
    (cli.folder / "gone").mkdir()
    script = 'cd gone && rmdir ../gone && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *COMMAND, "profile", "show"],
        cwd=cli.folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
