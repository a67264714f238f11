"""The command `controller-harness`: finds the subcommand and turns whatever goes wrong into one line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from harness import __version__
from harness.cli.info_commands import profile, report, requirements
from harness.cli.run_commands import conformance, load, validate
from harness.cli.serve import serve
from harness.errors import ExitCode, HarnessError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="controller-harness")
def cli() -> None:
    """Load and conformance tests for the gRPC service services.controller.Controller."""


for command in (validate, conformance, load, report, profile, requirements, serve):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; every deliberate error is one line on standard error."""
    try:
        code = cli.main(args=arguments, prog_name="controller-harness", standalone_mode=False)
    except HarnessError as error:
        return _complain(str(error), error.exit_code)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx is not None else "controller-harness"
        return _complain(f"{error.format_message()}; see `{command} --help`", ExitCode.USAGE)
    except click.ClickException as error:
        return _complain(error.format_message(), ExitCode.USAGE)
    except (click.Abort, KeyboardInterrupt):
        return _complain("interrupted", ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has gone; further writes at exit must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.OK)
    return int(code) if isinstance(code, int) else int(ExitCode.OK)


def _complain(text: str, code: ExitCode) -> int:
    click.echo(f"controller-harness: {' '.join(text.split())}", err=True)
    return int(code)
