"""Help, version, and everything that can be typed wrongly: one line, exit code 2."""

from __future__ import annotations

import pytest

from harness import __version__
from tests.cli.commands import Cli

COMMANDS = ("validate", "conformance", "load", "report", "profile", "requirements", "serve")


def test_version(cli: Cli) -> None:
    done = cli("--version")
    assert (done.code, done.out, done.err) == (0, f"controller-harness, version {__version__}\n", "")


@pytest.mark.parametrize("command", [*((name,) for name in COMMANDS), ("profile", "init"), ("profile", "show"), ()])
def test_help(cli: Cli, command: tuple[str, ...]) -> None:
    done = cli(*command, "--help")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Usage: {' '.join(['controller-harness', *command])} ")
    for name in () if command else COMMANDS:
        assert f"\n  {name} " in done.out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("--nonsense", "No such option '--nonsense'; see `controller-harness --help`"),
        ("validat", "No such command 'validat'"),
        ("conformance --nonsense", "see `controller-harness conformance --help`"),
        ("conformance extra", "unexpected extra argument (extra)"),
        ("conformance --seed -1", "'--seed': -1 is not in the range"),
        ("conformance --seed x", "'--seed': 'x' is not a valid integer range"),
        ("conformance --seed 99999999999999999999", "is not in the range"),
        ("conformance --profile", "Option '--profile' requires an argument"),
        ("conformance --profile gone.yaml", "gone.yaml: no such file; name a profile file, or 'reference'"),
        ("conformance --profile .", ".: not a regular file"),
        ("conformance --requirement NOPE --out o", "no such requirement: NOPE; see `controller-harness requirements`"),
        ("conformance --requirement sta-99 --out o", "no such requirement: STA-99; did you mean STA-0"),
        ("conformance --chapter STATE --out o", "no such chapter: STATE; did you mean STA?"),
        ("conformance -k ( --out o", "-k '(': not an expression: expected not OR left parenthesis OR identifier"),
        (
            "validate --scenario gone.yaml --out o",
            "no such scenario: gone.yaml; give a file or one of quick, ramp, rate, search, steady",
        ),
        ("validate --requirement NOPE --out o", "no such requirement: NOPE"),
        ("load gone.yaml --out o", "no such scenario: gone.yaml; give a file or one of quick, ramp, rate, search, steady"),
        ("load . --out o", ".: not a regular file"),
        ("load --profile gone.yaml --out o", "gone.yaml: no such file"),
        ("load a b", "unexpected extra argument (b)"),
        ("report", "Missing argument 'RECORDS...'"),
        ("report gone", "gone: cannot be read: no such file or directory"),
        ("report tiny.yaml", "tiny.yaml:1: not a run record: the first line is no header"),
        ("report .", "record.jsonl: cannot be read: no such file or directory"),
        ("report tiny.yaml --format pdf", "'pdf' is not one of 'html', 'junit', 'markdown', 'json'"),
        ("profile nonsense", "No such command 'nonsense'"),
        ("profile show gone.yaml", "gone.yaml: no such file"),
        ("profile show tiny.yaml", "tiny.yaml:2: executor: unknown key"),
        ("profile init tiny.yaml", "tiny.yaml: exists already; use --force to replace it, or name another file"),
        ("profile init gone/p.yaml", "gone/p.yaml: cannot be written: no such file or directory"),
        ("profile init . --force", "cannot be written: "),
        ("requirements --chapter NOPE", "no such chapter: NOPE"),
        ("requirements --level WILL", "'WILL' is not one of 'must', 'should', 'info'"),
        ("requirements --spec gone.proto", "gone.proto: cannot be read: no such file or directory"),
        ("requirements --spec tiny.yaml", "tiny.yaml"),
        ("requirements extra", "unexpected extra argument (extra)"),
        ("serve --port 65536", "'--port': 65536 is not in the range"),
        ("serve --executors 0", "'--executors': 0 is not in the range"),
        ("serve --queue-capacity x", "'x' is not a valid integer range"),
        ("serve --host nowhere.invalid", "cannot listen on nowhere.invalid"),
        ("serve --tokens gone.yaml", "gone.yaml: cannot be read: no such file or directory"),
        ("serve --tokens tiny.yaml", "tiny.yaml: must be a list of one or more tokens"),
        ("serve --store tiny.yaml --port 0 --no-observer", "tiny.yaml"),
        ("serve --store gone/s.db --port 0 --no-observer", "gone/s.db"),
        ("serve --store . --port 0 --no-observer", "store"),
        ("serve --tls-cert tiny.yaml", "tls_cert and tls_key: go together"),
        ("serve --tls-cert tiny.yaml --tls-key tiny.yaml --port 0 --no-observer", "tls_cert and tls_key: cannot be used"),
        ("serve --client-ca tiny.yaml", "client_ca: needs tls_cert"),
        ("serve --mutant can-nevr --port 0", "mutant: unknown mutant 'can-nevr'; did you mean can-never"),
        ("serve --processor a --processor a", "processors: needs one or more distinct"),
    ],
)
def test_one_line_and_exit_code_2(cli: Cli, arguments: str, complaint: str) -> None:
    done = cli(*arguments.split())
    assert complaint in done.complaint(2)
    assert done.out == ""
    assert [path.name for path in cli.folder.iterdir()] == ["tiny.yaml"]


@pytest.mark.parametrize("group", [(), ("profile",)])
def test_no_command_is_help_and_an_error_all_the_same(cli: Cli, group: tuple[str, ...]) -> None:
    done = cli(*group)
    name = " ".join(["controller-harness", *group])
    assert done.complaint(2) == f"a command is missing; see `{name} --help`"
    assert done.out == cli(*group, "--help").out


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name: x\n  executor: [\n", "s.yaml:2: not valid YAML"),
        ("name: x\nexecutor: constant-user\n", "s.yaml:2: executor: expected one of constant-users, ramping-users"),
        ("name: x\nexecutor: constant-users\nusers: 1\nduration: 1s\nthresholds: ['nonsense']\n", "s.yaml:5: thresholds[0]"),
        ("name: x\nexecutor: constant-users\nusers: 1\nduration: 1\n", "s.yaml:4: duration: expected a duration such as 20ms"),
    ],
)
def test_a_scenario_that_is_wrong_names_the_line(cli: Cli, text: str, complaint: str) -> None:
    cli.write("s.yaml", text)
    assert cli("load", "s.yaml", "--out", "o").complaint(2).startswith(complaint)
    assert not (cli.folder / "o").exists()


def test_control_characters_of_a_file_do_not_reach_the_terminal(cli: Cli) -> None:
    cli.write("p.yaml", 'name: "a"\n"add\\eress\\n": x\n')
    said = cli("profile", "show", "p.yaml").complaint(2)
    assert said.isprintable()
    assert "p.yaml:2" in said
