"""The command `controller-harness`: finds the subcommand and turns whatever goes wrong into one line and an exit code.

Subcommands are imported when they are needed: a signal during the import of a plotting library would be a traceback.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import click

from harness import __version__
from harness.cli.output import be_lenient, complain, mute
from harness.cli.signals import interrupt_on_signals
from harness.errors import ExitCode, HarnessError
from harness.recorder import unwritable

_MODULES = {
    "validate": "run_commands",
    "conformance": "run_commands",
    "load": "run_commands",
    "report": "reporting",
    "compare": "comparison",
    "history": "comparison",
    "judge": "judge",
    "replay": "replay",
    "profile": "info_commands",
    "requirements": "info_commands",
    "schema": "reporting",
    "serve": "serve",
    "selftest": "selftest",
}


class _Commands(click.Group):
    """Finds the subcommands where they are."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of the subcommands, the most used ones first."""
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Return a subcommand, None for an unknown name."""
        if cmd_name not in _MODULES:
            return None
        found: click.Command = getattr(importlib.import_module(f"harness.cli.{_MODULES[cmd_name]}"), cmd_name)
        return found


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="controller-harness")
def cli() -> None:
    """Load and conformance tests for the gRPC service services.controller.Controller."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; every deliberate error is one line on standard error."""
    interrupt_on_signals()
    be_lenient()
    try:
        code = cli.main(args=arguments, prog_name="controller-harness", standalone_mode=False)
    except (HarnessError, click.ClickException, click.Abort, KeyboardInterrupt, OSError) as error:
        text, code = _explained(error)
        complain(text)
    return int(code) if isinstance(code, int) else int(ExitCode.OK)


def _explained(error: BaseException) -> tuple[str, ExitCode]:
    """Return what to say of an error that ends a command, and with which exit code."""
    match error:
        case HarnessError():
            return str(error), error.exit_code
        case click.exceptions.NoArgsIsHelpError():
            click.echo(error.format_message())
            return f"a command is missing; see `{error.ctx.command_path} --help`", ExitCode.USAGE
        case click.UsageError():
            command = error.ctx.command_path if error.ctx is not None else "controller-harness"
            return f"{error.format_message().rstrip('.')}; see `{command} --help`", ExitCode.USAGE
        case click.ClickException():
            return error.format_message(), ExitCode.USAGE
        case OSError():
            mute()
            found = unwritable(error.filename or "standard output", error)
            return str(found), found.exit_code
        case _:
            return "interrupted", ExitCode.INTERRUPTED
