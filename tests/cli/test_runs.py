"""`conformance`, `load` and `validate`: exit codes, the files that they leave, and what they say."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from harness.errors import ExitCode
from harness.record import CheckLine, SectionEnd, SectionStart
from harness.recorder import alone_in
from harness.server.embedded_thread import background_server
from harness.server.settings import ServerSettings
from harness.server.tokens import Token
from tests.cli.commands import COMMAND, PATIENCE, SCENARIO, Cli, Ended, alive

EMBEDDED = "embedded"


def test_the_embedded_reference_keeps_its_promises(cli: Cli) -> None:
    done = cli("conformance", "--chapter", "sta", "--out", "a/b", "--seed=7")
    assert (done.code, done.err) == (0, "")
    first, *_, last = done.out.splitlines()
    assert first.startswith("reference-controller at 127.0.0.1:")
    assert first.endswith(", seed 7, results in a/b")
    assert last == "report: a/b/report.html"
    record = cli.record("a/b")
    assert (record.incomplete, record.header.seed) == ("", 7)
    assert record.header.command == ("controller-harness", "conformance", "--chapter", "sta", "--out", "a/b", "--seed=7")
    checks = [line for line in record.lines if isinstance(line, CheckLine)]
    assert len(checks) >= 10
    assert all(any(name.startswith("STA-") for name in check.requirements) for check in checks)


def test_a_mutant_is_found_out(cli: Cli) -> None:
    more = "embedded: {mutant: uuid-accepts-zero}"
    done = cli("conformance", "--profile", cli.profile(EMBEDDED, more), "--requirement", "uuid-02", "--out", "o")
    assert (done.code, done.err) == (3, "")
    assert "FAIL UUID-02" in done.out
    record = cli.record("o")
    assert record.footer is not None
    assert record.footer.exit_code == ExitCode.VIOLATION
    for name in ("summary.md", "junit.xml", "report.html"):
        assert "UUID-02" in (cli.folder / "o" / name).read_text(encoding="utf-8")
    suite = ET.parse(cli.folder / "o" / "junit.xml").getroot()  # noqa: S314 - our own
    failed = [case for case in suite.iter("testcase") if case.find("failure") is not None]
    assert "UUID-02" in "".join(ET.tostring(case, "unicode") for case in failed)
    evidence = [call.command for line in record.lines if isinstance(line, CheckLine) for call in line.calls]
    assert evidence
    assert all(command.startswith("grpcurl -protoset controller.protoset ") for command in evidence)
    assert (cli.folder / "o" / "controller.protoset").is_file()


def test_a_record_can_be_reported_again_without_the_endpoint(cli: Cli, address: str) -> None:
    assert cli("conformance", "--profile", cli.profile(address), "--requirement", "UUID-02", "--out", "o").code == 0
    made = {path.name: path.read_bytes() for path in (cli.folder / "o").glob("*.*") if path.suffix != ".protoset"}
    done = cli("report", "o", "--out", "again")
    assert done.code == 0
    for path in (cli.folder / "again").iterdir():
        assert path.read_bytes() == made[path.name]


@pytest.mark.parametrize("value", ["true", "1"])
def test_in_ci_little_is_said(cli: Cli, address: str, value: str) -> None:
    arguments = ("conformance", "--profile", cli.profile(address), "--requirement", "UUID-02")
    quiet = cli(*arguments, "--out", "q", env={"CI": value, "FORCE_COLOR": "1"})
    assert (quiet.code, quiet.err) == (0, "")
    assert len(quiet.out.splitlines()) == 5
    assert quiet.out.splitlines()[1].startswith("tier full: ")
    assert "\x1b[?25l" not in quiet.out  # no live display, which hides the cursor


# Ends before anything begins


def unreachable(cli: Cli, done: Ended) -> str:
    said = done.complaint(5)
    assert done.out == ""
    assert not (cli.folder / "o").exists()
    return said


def against(cli: Cli, address: str, more: str = "") -> Ended:
    return cli("conformance", "--profile", cli.profile(address, more), "--requirement", "UUID-02", "--out", "o")


def test_nobody_there_and_somebody_who_says_nothing(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent = f"127.0.0.1:{listener.getsockname()[1]}"
        profile = cli.profile(silent).rename(cli.folder / "silent.yaml")
        with cli.started("validate", "--profile", profile, "--out", "o") as started:
            said = unreachable(cli, against(cli, "127.0.0.1:1"))
            assert said.startswith("127.0.0.1:1 does not answer (waited 10 s): ")
            assert unreachable(cli, started.end()).startswith(f"{silent} does not answer (waited 10 s): ")


def test_a_server_without_the_service(cli: Cli) -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        assert f"{address} does not serve the Controller service" in unreachable(cli, against(cli, address))
    finally:
        server.stop(None).wait(PATIENCE)


def test_wrong_tokens(cli: Cli) -> None:
    with background_server(ServerSettings(tokens=(Token("right", "main"),))) as bound:
        said = unreachable(cli, against(cli, bound.address, "identities: {main: {token: wr0ng-t0ken}}"))
        assert f"{bound.address} refuses the credentials of identity 'main'" in said
        assert "wr0ng" not in said
        assert "refuses calls without credentials" in unreachable(cli, against(cli, bound.address))


@pytest.mark.parametrize("out", ["tiny.yaml", "tiny.yaml/o", "/proc/o"])
def test_a_folder_that_cannot_be_made(cli: Cli, address: str, out: str) -> None:
    done = cli("conformance", "--profile", cli.profile(address), "--requirement", "UUID-02", "--out", out)
    assert done.complaint(2).startswith(f"{out}: cannot be written: ")


def test_a_record_that_cannot_be_written(cli: Cli, address: str) -> None:
    (cli.folder / "o" / "record.jsonl").mkdir(parents=True)
    done = cli("conformance", "--profile", cli.profile(address), "--requirement", "UUID-02", "--out", "o")
    assert done.complaint(2).startswith("o/record.jsonl: cannot be written: is a directory")


def test_a_folder_that_another_run_writes_to(cli: Cli, address: str) -> None:
    (cli.folder / "o").mkdir()
    with alone_in(cli.folder / "o"):
        assert against(cli, address).complaint(2) == "o: another run writes here; choose another place"
    assert list((cli.folder / "o").iterdir()) == []
    assert against(cli, address).code == 0


def test_what_the_endpoint_is_called_cannot_break_the_display(cli: Cli, address: str) -> None:
    text = cli.profile(address).read_text(encoding="utf-8").replace("test-endpoint", '"[/] [bold]x\\e[31m\\n"')
    cli.write("odd.yaml", text)
    done = cli("conformance", "--profile", "odd.yaml", "--requirement", "UUID-02", "--out", "[o]")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("[/] [bold]x\\x1b[31m at 127.0.0.1:")
    assert "report: [o]/report.html" in done.out
    cli.record("[o]")


# Ends in the middle


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("kind", ["conformance", "load"])
def test_an_interrupt(cli: Cli, kind: str, number: signal.Signals) -> None:
    cli.write("long.yaml", SCENARIO.replace("duration: 1s", "duration: 10min"))
    arguments = {"conformance": ["conformance", "--chapter", "STA"], "load": ["load", "long.yaml"]}[kind]
    record = cli.folder / "o" / "record.jsonl"
    mark = {"conformance": '"type":"check"', "load": '"type":"interval"'}[kind]
    with cli.started(*arguments, "--out", "o") as started:
        started.until(lambda: record.exists() and mark in record.read_text(encoding="utf-8"))
        offspring = started.offspring()
        assert len(offspring) >= 2
        started.send(number)
        done = started.end()
    assert done.code == 130
    assert "Interrupted" in done.out
    assert alive(offspring) == []
    found = cli.record("o")
    assert found.incomplete == ""
    assert found.footer is not None
    assert found.footer.exit_code == 130
    (end,) = [line for line in found.lines if isinstance(line, SectionEnd)]
    assert (end.section, end.outcome, end.exit_code) == (kind, "interrupted", 130)


def test_many_interrupts_end_it_all_the_same(cli: Cli) -> None:
    record = cli.folder / "o" / "record.jsonl"
    with cli.started("conformance", "--chapter", "STA", "--out", "o") as started:
        started.until(lambda: record.exists() and '"section_start"' in record.read_text(encoding="utf-8"))
        offspring = started.offspring()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            started.send(number)
        done = started.end()
    assert done.code == 130
    assert alive(offspring) == []


def test_an_endpoint_that_dies(cli: Cli) -> None:
    record = cli.folder / "o" / "record.jsonl"
    with cli.started("serve", "--json", "--port", "0", "--no-observer") as server:
        address = f"127.0.0.1:{json.loads(server.line('{'))['port']}"
        with cli.started("conformance", "--profile", cli.profile(address), "--chapter", "STA", "--out", "o") as started:
            started.until(lambda: record.exists() and '"type":"check"' in record.read_text(encoding="utf-8"))
            server.process.kill()
            done = started.end()
    assert (done.code, done.err) == (5, "")
    assert f"Unreachable: {address} does not answer" in done.out
    found = cli.record("o")
    assert found.footer is not None
    assert found.footer.exit_code == 5
    assert "Unreachable" in (cli.folder / "o" / "summary.md").read_text(encoding="utf-8")


def test_a_reader_that_leaves_does_not_end_the_run(cli: Cli, address: str) -> None:
    command = [*COMMAND, "conformance", "--profile", str(cli.profile(address)), "--requirement", "UUID-02", "--out", "o"]
    with subprocess.Popen(command, cwd=cli.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(PATIENCE) == 0
    assert cli.record("o").incomplete == ""


# Load, and everything together


def test_a_threshold_that_is_missed(cli: Cli, address: str) -> None:
    cli.write("strict.yaml", SCENARIO.replace("errors: rate < 1%", "jobs_finished: count > 1000000"))
    done = cli("load", "strict.yaml", "--profile", cli.profile(address), "--out", "o")
    assert (done.code, done.err) == (1, "")
    record = cli.record("o")
    assert record.footer is not None
    assert record.footer.exit_code == ExitCode.BELOW_THRESHOLD
    assert record.header.seed == 1
    assert "jobs_finished" in (cli.folder / "o" / "summary.md").read_text(encoding="utf-8")


def test_several_processes_share_the_load_on_an_embedded_server(cli: Cli) -> None:
    done = cli("load", "tiny.yaml", "--processes", "2", "--out", "o")
    assert (done.code, done.err) == (0, "")
    record = cli.record("o")
    (start,) = (line for line in record.lines if isinstance(line, SectionStart))
    assert len(start.detail["workers"]) == 2
    assert start.detail["workers"][1] in (cli.folder / "o" / "report.html").read_text(encoding="utf-8")


def test_a_job_that_the_profile_lacks_leaves_nothing(cli: Cli, address: str) -> None:
    cli.write("failing.yaml", SCENARIO.replace("single: 1", "job: user_failure, single: 1"))
    done = cli("load", "failing.yaml", "--profile", cli.profile(address), "--out", "o")
    assert "failing.yaml: workload.job: the profile has no job 'user_failure'" in done.complaint(2)
    assert not (cli.folder / "o").exists()


def test_validate_is_conformance_and_load_in_one_report(cli: Cli) -> None:
    (cli.folder / "random.py").write_text("raise SystemExit('modules of this folder are not ours')", encoding="utf-8")
    (cli.folder / "pytest.ini").write_text("[pytest]\naddopts = --nonsense\n", encoding="utf-8")
    done = cli("validate", "--requirement", "EST-03", "--scenario", "tiny.yaml", env={"PYTEST_ADDOPTS": "--nonsense"})
    assert (done.code, done.err) == (0, "")
    (out,) = (cli.folder / "runs").iterdir()
    assert out.name.endswith("-validate")
    record = cli.record(f"runs/{out.name}")
    assert [line.section for line in record.lines if isinstance(line, SectionStart)] == ["conformance", "load"]
    text = (out / "report.html").read_text(encoding="utf-8")
    assert "EST-03" in text
    assert "tiny" in text


def test_a_terminal_that_is_narrow(cli: Cli, address: str) -> None:
    command = [*COMMAND, "conformance", "--profile", str(cli.profile(address)), "--requirement", "UUID-02", "--out", "o"]
    done = _in_terminal(cli, command, columns=20)
    assert done.code == 0
    assert "Passed" in done.out
    assert "\x1b[" in done.out


def _in_terminal(cli: Cli, command: list[str], columns: int) -> Ended:
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns), "LINES": "5", "CI": ""}
    process = subprocess.Popen(command, cwd=cli.folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while data := os.read(ours, 1 << 16):
            shown += data
    except OSError:
        pass  # the other side is closed
    finally:
        os.close(ours)
    text = shown.decode(errors="replace")
    assert "Traceback" not in text
    return Ended(process.wait(PATIENCE), text, "")


def test_last_failed_runs_what_failed(cli: Cli, address: str) -> None:
    profile = cli.profile(EMBEDDED, "embedded: {mutant: uuid-accepts-zero}")
    none = cli("conformance", "--profile", profile, "--last-failed")
    assert none.complaint(2).startswith("--last-failed: no earlier run of 'test-endpoint' below runs/; ")
    assert cli("conformance", "--profile", profile, "--requirement", "UUID-02", "--requirement", "UUID-08").code == 3
    again = cli("conformance", "--profile", profile, "--last-failed", "--out", "again")
    assert again.code == 3
    names = [line.check for line in cli.record("again").lines if isinstance(line, CheckLine)]
    assert names
    assert all("test_refuses_the_zero_key" in name for name in names)
    mended = cli.profile(address)
    assert cli("conformance", "--profile", mended, "--last-failed", "again", "--out", "mended").code == 0
    nothing = cli("conformance", "--profile", mended, "--last-failed", "mended", "--out", "o")
    assert (nothing.code, nothing.err) == (0, "")
    assert "no check failed or stayed open" in nothing.out
    assert not (cli.folder / "o").exists()


def test_strict_is_kept_with_the_record(cli: Cli) -> None:
    profile = cli.profile(EMBEDDED, "embedded: {mutant: uuid-wrong-code}")
    arguments = ("conformance", "--profile", profile, "--check", "*helpful[single]")
    assert cli(*arguments, "--out", "lax").code == 0
    assert cli(*arguments, "--strict", "--out", "strict").code == 3
    assert [cli("report", name).code for name in ("lax", "strict")] == [0, 3]
    assert cli("report", "lax", "--strict").code == 3
    assert "strict: a failed SHOULD fails the run" in (cli.folder / "strict" / "report.html").read_text(encoding="utf-8")


def test_a_stale_known_failure_is_one_line(cli: Cli, address: str) -> None:
    profile = cli.profile(address, "known_failures: [{requirement: UUID-03, reason: old}]")
    done = cli("conformance", "--profile", profile, "--requirement", "UUID-03", "--out", "o")
    assert done.complaint(2).startswith("1 known failure no longer fails: UUID-03 (passed: test_uuid.py::test_refuses_other_")
    assert cli("report", "o").code == 2


def test_a_known_failure_of_nothing_starts_nothing(cli: Cli) -> None:
    profile = cli.profile("127.0.0.1:1", "known_failures: [{check: 'test_uuid.py::test_zer', reason: x}]")
    done = cli("conformance", "--profile", profile, "--out", "o")
    assert done.complaint(2).startswith("known_failures[0].check: no such check: test_uuid.py::test_zer")
    assert not (cli.folder / "o").exists()


def test_paths_with_spaces(cli: Cli, address: str) -> None:
    folder = cli.folder / "a b"
    folder.mkdir()
    profile: Path = cli.profile(address).rename(folder / "my profile.yaml")
    done = cli("conformance", "--requirement", "UUID-02", "--profile", profile, "--out", "a b/the run")
    assert (done.code, done.err) == (0, "")
    cli.record("a b/the run")
