"""What the README says can be done as it says: commands, flags, targets, files and links exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from harness.cli.main import cli
from harness.errors import ExitCode

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CODE = [*re.findall(r"```\n(.*?)```", README, re.DOTALL), *re.findall(r"`([^`\n]+)`", README)]
COMMANDS = sorted({line for block in CODE for line in block.splitlines() if line.startswith("controller-harness")})
PLACEHOLDERS = {"SCENARIO": "quick", "RECORD": "record.jsonl", "HISTORY": "history.jsonl", "PLAN": "plan.json"}


CONTEXT = click.Context(cli)


def subcommands(command: click.Command) -> dict[str, click.Command]:
    """Return the commands inside a group; none for a plain command."""
    if not isinstance(command, click.Group):
        return {}
    found = {name: command.get_command(CONTEXT, name) for name in command.list_commands(CONTEXT)}
    return {name: item for name, item in found.items() if item is not None}


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """Follow subcommands as click does; return the command and what is left for it."""
    command: click.Command = cli
    while words and words[0] in subcommands(command):
        command, words = subcommands(command)[words[0]], words[1:]
    return command, words


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_readme_parses(line: str) -> None:
    command, words = resolve(shlex.split(line)[1:])
    assert command is not cli or not words, f"no command {words[:1]}"
    command.make_context("controller-harness", [PLACEHOLDERS.get(word, word) for word in words], resilient_parsing=False)


def test_the_readme_names_every_command() -> None:
    named = {shlex.split(line)[1] for line in COMMANDS if len(shlex.split(line)) > 1}
    assert set(subcommands(cli)) <= named


def test_flags_in_the_text_exist() -> None:
    known = {flag for command in _all(cli) for option in command.params for flag in option.opts}
    elsewhere = {"--endpoint-profile", "--master", "--expect-workers", "--record", "--worker", "--master-host"}
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)) - elsewhere
    assert flags <= known


def _all(command: click.Command) -> list[click.Command]:
    return [command, *(found for item in subcommands(command).values() for found in _all(item))]


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make ([a-z-]+)", README)) - {"setup"} | {"setup"}))
def test_every_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)]+)\)", README))))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).is_file()


def test_every_folder_of_the_table_exists() -> None:
    folders = re.findall(r"^\| `([a-z]+)/`", README, re.MULTILINE)
    assert folders
    assert all((ROOT / folder).is_dir() for folder in folders)


def test_every_exit_code_is_explained() -> None:
    table = dict(re.findall(r"^\| (\d+) \| (.+) \|$", README, re.MULTILINE))
    assert {int(code) for code in table} == {int(code) for code in ExitCode}


LOCUST = sorted({line for block in CODE for line in block.splitlines() if line.startswith(("python -m loadtests", "locust "))})
OWN = {"--endpoint-profile", "--scenario", "--record"}


@pytest.mark.parametrize("line", LOCUST)
def test_every_option_of_locust_exists(line: str) -> None:
    """Ask Locust in a process of its own: importing it patches a process."""
    flags = [word for word in shlex.split(line) if word.startswith("--")]
    script = "from locust.argument_parser import get_parser; print(get_parser().format_help())"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert flags
    assert set(flags) - OWN <= set(re.findall(r"--[a-z-]+", shown))
    assert {flag for flag in OWN if f'"{flag}"' not in (ROOT / "loadtests/options.py").read_text(encoding="utf-8")} == set()
